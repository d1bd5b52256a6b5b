/** `npm run soak:dagster`: the recipe for Dagster, as it stands on the page, with the Dagster that PyPI has. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { putProgram } from '../program.ts'
import { pythonWith } from '../python.ts'
import { seenJob } from '../service/seen.ts'
import { scratch } from '../web/site.ts'

const VERSION = '1.13.28'
const page = readFileSync(join(import.meta.dirname, '../../docs/schedulers.md'), 'utf8')
const recipe = /^```python\n([\s\S]*?)^```$/m.exec(page)![1]!

test('a job is an asset a table: a run is a materialisation, and one that fails is told', async t => {
  const bin = pythonWith('dagster', VERSION)
  const job = await seenJob(t, 'by_dagster')
  const folder = scratch(t, 'dagster')
  putProgram(folder)
  const file = join(folder, 'nightly.py')
  writeFileSync(file, recipe.replace('warehouse.dim_members', 'warehouse.people'))
  const home = join(folder, 'home')
  mkdirSync(home)
  const env = {
    ...process.env,
    PATH: `${bin}:${folder}:/usr/bin:/bin`,
    DAGSTER_HOME: home,
    NIGHTFREIGHT_JOB: job.folder,
    NIGHTFREIGHT_HOME: job.home,
    METADATA_URL: '',
  }
  const dagster = (...args: string[]) =>
    spawnSync(join(bin, 'dagster'), args, { env, encoding: 'utf8', cwd: folder })
  const checked = dagster('definitions', 'validate', '-f', file)
  assert.equal(checked.status, 0, checked.stdout + checked.stderr)
  const done = dagster('job', 'execute', '-f', file, '-j', 'nightfreight_nightly')
  assert.equal(done.status, 0, done.stdout + done.stderr)
  assert.match(done.stderr, /Materialized value people|ASSET_MATERIALIZATION/)
  const [run] = await job.metadata.runs(1)
  assert.equal(run!.status, 'COMPLETED_WITH_ERRORS')
  writeFileSync(join(job.folder, 'job.yaml'), 'job: by_dagster\n')
  const failed = dagster('job', 'execute', '-f', file, '-j', 'nightfreight_nightly')
  assert.notEqual(failed.status, 0)
  assert.match(failed.stdout + failed.stderr, /exit code 2/)
})
