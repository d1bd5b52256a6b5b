/**
 * `npm run soak:airflow`: the main job as a DAG on Airflow with CeleryExecutor and three workers of their own folders;
 * then with a worker killed, the scheduler killed, S3 refusing for a minute, and a step done twice; and with LocalExecutor.
 * Each leaves what one run on one machine leaves. `SOAK_MEMBERS`: rows of the largest table.
 */
import assert from 'node:assert/strict'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type Cluster, startCluster } from '../airflow/cluster.ts'
import { commandLine } from '../commandLine.ts'
import { contents } from '../jobs/crash.ts'
import { loadedBy, runNight, startSystems } from '../jobs/night.ts'
import { startS3 } from '../s3.ts'
import { type FreshDatabase, freshPostgres } from '../servers.ts'

const DAG = 'member_data_warehouse_sync'
const MEMBERS = Number(process.env.SOAK_MEMBERS ?? 10_000_000)

const systems = await startSystems({ after }, MEMBERS, 81, Math.min(MEMBERS, 20_000))
const s3 = await startS3()
after(() => s3.stop())
await s3.bucket('staging')
const cluster = await startCluster({ after })
let scheduler = cluster.scheduler()
await makePool(cluster)

async function makePool({ airflow }: Cluster): Promise<void> {
  const { code, output } = await airflow.run(['pools', 'set', 'legacy_db_pool', '4', 'of the soak'])
  assert.equal(code, 0, output)
}

/** The job's folder, for a DAG that is begun by hand and tries again at once. */
const queries = systems.folder()
cpSync('queries', queries, { recursive: true })
const folder = join(queries, 'members')
const yaml = readFileSync(join(folder, 'job.yaml'), 'utf8').replace(/^schedule:.*\n/m, '')
writeFileSync(join(folder, 'job.yaml'), `${yaml}\nairflow: { retries: 8, retry_delay: 5s }\n`)
let names = 0

interface Night {
  run: string
  warehouse: FreshDatabase
  metadata: FreshDatabase
  env: Record<string, string>
  workers: Awaited<ReturnType<Cluster['worker']>>[]
}

/** A night of its own databases and staging, as a DAG of a cluster. */
async function exported(t: TestContext, { airflow }: Cluster): Promise<Night> {
  const workers: Night['workers'] = []
  // Before the databases' own hooks, which look for connections that are left.
  t.after(() => {
    for (const worker of workers) worker.kill()
  })
  const [warehouse, metadata] = [await freshPostgres(t), await freshPostgres(t)]
  const run = `night-${++names}`
  const env: Record<string, string> = {
    ...systems.env(warehouse, systems.folder()),
    METADATA_URL: metadata.url,
    STAGING_URL: `s3://test:test@staging/${names}?endpoint=${s3.endpoint}`,
  }
  const { code, output } = await commandLine(
    systems.folder(),
    ['airflow', 'export', folder, '-o', join(airflow.dags, 'members.py')],
    { env },
  )
  assert.equal(code, 0, output)
  return { run, warehouse, metadata, env, workers }
}

/** Three workers that share a metadata store and a bucket, and nothing else. */
async function begin(t: TestContext): Promise<Night> {
  const night = await exported(t, cluster)
  const begun = ['a', 'b', 'c'].map(name =>
    cluster.worker(name, { ...night.env, NIGHTFREIGHT_HOME: systems.folder() }),
  )
  night.workers.push(...(await Promise.all(begun)))
  return night
}

/** Waits for the DAG run, and compares what it leaves with what one run at its time leaves. */
async function compare(
  t: TestContext,
  { run, warehouse, metadata }: Night,
  { ended, tasks, written }: Cluster = cluster,
): Promise<void> {
  const state = await ended(DAG, run)
  for (const { task, tries, seconds } of await tasks(DAG, run))
    t.diagnostic(`${task}: ${seconds.toFixed(1)} s, try ${tries}`)
  assert.equal(state, 'success', written(run))
  const [night] = await metadata.query<{ run_at: string }>('SELECT run_at FROM nightfreight_metadata.runs')
  const whole = await freshPostgres(t)
  const start = performance.now()
  loadedBy(await runNight(systems.env(whole, systems.folder()), night!.run_at))
  t.diagnostic(`one run on one machine: ${((performance.now() - start) / 1000).toFixed(1)} s`)
  assert.deepEqual(await contents(warehouse), await contents(whole))
}

/** Resolves once the run has begun to read the members. */
async function reading({ metadata }: Night): Promise<void> {
  for (;;) {
    const found = await metadata
      .query("SELECT 1 FROM nightfreight_metadata.tasks WHERE task = 'extract.legacy' AND status = 'RUNNING'")
      .catch(() => [])
    if (found.length > 0) return
    await delay(200)
  }
}

const scenarios: Record<string, (night: Night) => Promise<void>> = {
  'three workers': async () => {},
  'a worker is killed while it reads': async night => {
    await reading(night)
    // Which of them has the step is Airflow's: two of three go.
    for (const worker of night.workers.slice(0, 2)) worker.kill()
    night.workers.push(await cluster.worker('d', { ...night.env, NIGHTFREIGHT_HOME: systems.folder() }))
  },
  'the scheduler is killed while a step goes on': async night => {
    await reading(night)
    scheduler.kill()
    await delay(5000)
    scheduler = cluster.scheduler()
  },
  'S3 refuses for a minute': async night => {
    await reading(night)
    s3.mischief = () => ({ code: 'SlowDown', status: 503 })
    await delay(60_000)
    s3.mischief = undefined
  },
  'a step is done twice': async night => {
    await reading(night)
    const step = ['task', 'run', folder, '--run', night.run, '--task', 'extract.legacy']
    const twin = await commandLine(systems.folder(), step, {
      env: { ...night.env, NIGHTFREIGHT_HOME: systems.folder() },
    })
    assert.equal(twin.code, 0, twin.output)
  },
}

for (const [name, upset] of Object.entries(scenarios))
  test(name, async t => {
    const night = await begin(t)
    await cluster.trigger(DAG, night.run)
    await upset(night)
    await compare(t, night)
  })

test('the same folder with LocalExecutor', async t => {
  const local = await startCluster(t, 'LocalExecutor')
  await makePool(local)
  const night = await exported(t, local)
  night.workers.push(local.scheduler({ ...night.env, NIGHTFREIGHT_HOME: systems.folder() }))
  await local.trigger(DAG, night.run)
  await compare(t, night, local)
})
