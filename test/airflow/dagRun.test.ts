import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openMetadata } from '../../src/metadata/open.ts'
import { contents } from '../jobs/crash.ts'
import { loadedBy, runNight, startSystems } from '../jobs/night.ts'
import { freshPostgres } from '../servers.ts'
import { startAirflow } from './airflow.ts'

const root = join(import.meta.dirname, '../..')
const DAG = 'member_data_warehouse_sync'

const systems = await startSystems({ after }, 600, 80)
const airflow = await startAirflow({ after })

const exported = (env: Record<string, string>, ...more: string[]) =>
  execFileSync(
    process.execPath,
    [
      ...['src/main.ts', 'airflow', 'export', 'queries/members'],
      ...['-o', join(airflow.dags, 'members.py'), '--folder', join(root, 'queries/members'), ...more],
    ],
    { cwd: root, env, encoding: 'utf8' },
  )

test('airflow dags test runs the main job from the exported DAG, and leaves what one run leaves', async t => {
  const warehouse = await freshPostgres(t)
  const home = systems.folder()
  const env = systems.env(warehouse, home)
  exported(env)
  assert.match(exported(env, '--check'), /as it is to be/)
  const pool = await airflow.run(['pools', 'set', 'legacy_db_pool', '4', 'of the tests'])
  assert.equal(pool.code, 0, pool.output)
  const faults = await airflow.run(['dags', 'list-import-errors'], env)
  assert.match(faults.output, /No data found/, faults.output)

  const night = await airflow.run(['dags', 'test', DAG, '2025-12-01'], env)
  assert.equal(night.code, 0, night.output)
  assert.match(night.output, /state=success/)

  const metadata = await openMetadata(home, { now: () => new Date() }, undefined)
  const [run] = await metadata.runs(1).finally(() => metadata.close())
  const whole = await freshPostgres(t)
  loadedBy(await runNight(systems.env(whole, systems.folder()), run!.run_at))
  assert.deepEqual(await contents(warehouse), await contents(whole))
})

test('a step that cannot succeed is not tried again, and the run ends FAILED', async t => {
  const warehouse = await freshPostgres(t)
  const env = systems.env(warehouse, systems.folder())
  exported(env)
  delete env.CRM_DB_URL
  const night = await airflow.run(['dags', 'test', DAG, '2025-11-30'], env)
  assert.match(night.output, /check: exit code 2, a repeat gives the same/)
  assert.match(night.output, /finish: exit code 2/)
  assert.match(night.output, /state=failed/)
})
