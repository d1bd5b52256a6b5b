/**
 * What the metadata store costs after years of nights: 10,000 runs of 20 tasks, the newest of 1,000, in SQLite and in
 * Postgres. Milliseconds, best of three. `npm run bench:metadata`.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createDatabase, startPostgres } from '../src/demo/servers/postgres.ts'
import type { Metadata } from '../src/metadata/metadata.ts'
import { openMetadata } from '../src/metadata/open.ts'
import { cleanUps, machine, table } from './measure.ts'

const RUNS = 10_000
const TASKS = 1000
const clock = { now: () => new Date() }
await using clean = cleanUps()
const dir = mkdtempSync(join(tmpdir(), 'nightfreight-metadata-'))
clean.after(async () => rmSync(dir, { recursive: true, force: true }))
const server = await startPostgres({ dir })
clean.after(() => server.stop())

const rows: (string | number)[][] = []
for (const [name, url] of [
  ['SQLite', undefined],
  ['Postgres', await createDatabase(server, 'metadata')],
] as const) {
  const metadata = await openMetadata(dir, clock, url)
  clean.after(() => metadata.close())
  await fill(metadata)
  rows.push([
    name,
    await best(async () => {
      const [run] = await metadata.runs(10)
      await metadata.tasks(run!.run)
    }),
    await best(() => metadata.runs(10, 'job_3')),
    await best(() => metadata.history({ limit: 50 })),
    await best(() => metadata.activeRun('job_3')),
    await best(() => oneRun(metadata)),
    await best(async () => {
      const env = { ...process.env, NIGHTFREIGHT_HOME: dir, METADATA_URL: url }
      await promisify(execFile)(process.execPath, ['src/main.ts', 'status'], { env })
    }),
  ])
}
console.log(machine())
console.log(
  table(
    [
      'store',
      'status',
      'status of a job',
      'history, 50 runs',
      'active run',
      'a run of 100 tasks, per task',
      'nightfreight status',
    ],
    rows,
  ),
)

async function fill({ database }: Metadata): Promise<void> {
  await database.transaction(async queries => {
    for (let n = 0; n < RUNS; n++) {
      const at = new Date(Date.UTC(2000, 0, 1) + n * 3_600_000).toISOString()
      const params = { run: `r${String(n).padStart(6, '0')}`, job: `job_${n % 10}`, at }
      await queries.run(
        `INSERT INTO runs (run, job, status, run_at, started_at, ended_at, spec_hash, owner)
         VALUES (:run, :job, 'SUCCESS', :at, :at, :at, '', '')`,
        params,
      )
      await queries.run(`INSERT INTO sync_history VALUES (:job, :run, :at, 'SUCCESS', 1000, 60)`, params)
      await queries.run(
        `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :tasks)
         INSERT INTO tasks (run, task, status, started_at, ended_at, output)
         SELECT :run, 'task.' || i, 'SUCCESS', :at, :at, '${JSON.stringify({ text: 'x'.repeat(500) })}' FROM n`,
        { run: params.run, at, tasks: n === RUNS - 1 ? TASKS : 20 },
      )
    }
  })
  await database.run('ANALYZE')
}

async function oneRun(metadata: Metadata): Promise<number> {
  const run = `new-${Math.random()}`
  const record = await metadata.startRun({ run, job: 'bench', run_at: '', spec_hash: '', owner: 'bench' })
  const store = metadata.taskStore(record)
  const started = performance.now()
  for (let n = 0; n < 100; n++) {
    await store.output(`t${n}`)
    await store.begin(`t${n}`)
    await store.commit(`t${n}`, { n })
  }
  const each = (performance.now() - started) / 100
  const nothing = { records: 0, seconds: 0, error: undefined, syncPoints: [] }
  await metadata.endRun({ run, job: 'bench', fence: record.fence, status: 'FAILED', runAt: '', ...nothing })
  return each
}

/** Best of three, in milliseconds; of what `act` measures itself where it gives a number. */
async function best(act: () => Promise<unknown>): Promise<string> {
  let least = Number.POSITIVE_INFINITY
  for (let n = 0; n < 3; n++) {
    const started = performance.now()
    const own = await act()
    least = Math.min(least, typeof own === 'number' ? own : performance.now() - started)
  }
  return `${least.toFixed(2)} ms`
}
