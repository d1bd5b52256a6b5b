import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type SmallJob, smallJob } from './small.ts'

const yaml = (more = '') => `
connections:
  drop: { url: "file:in" }
  wh: { url: "duckdb:wh.duckdb" }
extract:
  t: { from: drop, files: "*.csv", take: all, key: id, schema: { id: BIGINT } }
load:
  t: { to: wh, from: t, key: id }
resources: { memory: 300MB, threads: 1 }
retries: { limit: 0 }
alerts:
  channels: { note: { command: ["sh", "-c", "cat >> alerts.txt; echo >> alerts.txt"] } }
  on: { failure: [note] }
${more}`

async function made(hooks: Parameters<typeof smallJob>[0], name: string, more?: string): Promise<SmallJob> {
  const job = await smallJob(hooks, name, { 'job.yaml': yaml(more) })
  mkdirSync(join(job.folder, 'in'))
  writeFileSync(join(job.folder, 'in', 'a.csv'), 'id\n1\n2\n')
  return job
}

/** The alerts that were sent. */
const alertsOf = ({ folder }: SmallJob): { cause: string; command: string; title: string }[] => {
  const file = join(folder, 'alerts.txt')
  return existsSync(file)
    ? readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map(line => JSON.parse(line))
    : []
}

/** What may be wrong before a run's first task. */
const WRONG: [
  name: string,
  code: string,
  more: string,
  env: Record<string, string>,
  (job: SmallJob) => void,
][] = [
  ['staging_setting', 'CONFIG_INVALID', '', { STAGING_URL: 's3://b/p?compression=bogus' }, () => {}],
  ['disk', 'RESOURCE_EXHAUSTED', 'resources: { memory: 300MB, threads: 1, temp_disk: 900TB }', {}, () => {}],
  ['no_staging', 'CONFIG_INVALID', '', {}, ({ home }) => writeFileSync(join(home, 'staging'), 'a file')],
  ['no_temp', 'CONFIG_INVALID', '', {}, ({ home }) => writeFileSync(join(home, 'tmp'), 'a file')],
]

for (const [name, code, more, env, spoil] of WRONG)
  test(`a run that cannot open what it works with ends as FAILED, told and reported: ${name}`, async t => {
    const job = await made(t, name)
    if (more) job.yaml(yaml().replace('resources: { memory: 300MB, threads: 1 }', more))
    spoil(job)
    const { status, error, report, run } = await job.run({ env })
    assert.deepEqual([status, (error as { code?: string }).code], ['FAILED', code])
    const record = (await job.metadata.run(run))!
    assert.equal(record.status, 'FAILED')
    assert.ok(record.ended_at)
    assert.equal((await job.metadata.history({ limit: 1 }))[0]!.status, 'FAILED')
    assert.deepEqual(
      alertsOf(job).map(({ cause }) => cause),
      [code],
    )
    if (name !== 'no_staging') assert.match(readFileSync(report, 'utf8'), new RegExp(code))
  })

test('a report that cannot be written changes nothing of the end', async t => {
  const job = await made(t, 'no_report')
  const notes: string[] = []
  const progress = {
    started() {},
    advanced() {},
    note: (text: string) => notes.push(text),
    finished(task: string) {
      if (task !== 'extract.t') return
      const [run] = readdirSync(join(job.home, 'staging', 'no_report'))
      mkdirSync(join(job.home, 'staging', 'no_report', run!, 'report.html'))
    },
  }
  const { status } = await job.run({ progress })
  assert.equal(status, 'SUCCESS')
  assert.deepEqual(alertsOf(job), [])
  assert.match(notes.join('\n'), /no report: .*report\.html/)
})
