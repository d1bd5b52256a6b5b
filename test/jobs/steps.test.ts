import assert from 'node:assert/strict'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, type TestContext, test } from 'node:test'
import type { RunRecord } from '../../src/metadata/runs.ts'
import { startS3 } from '../s3.ts'
import { type FreshDatabase, freshPostgres } from '../servers.ts'
import { contents, killAt } from './crash.ts'
import { follow } from './following.ts'
import { loadedBy, type NightResult, runNight, startSystems } from './night.ts'
import { smallJob } from './small.ts'

const MEMBERS = 600
const FIRST = '2025-12-01T02:00:00Z'
const EXTRACTS = ['extract.legacy', 'extract.crm', 'extract.payment_api', 'extract.drops']

const systems = await startSystems({ after }, MEMBERS, 79)
const s3 = await startS3()
after(() => s3.stop())
await s3.bucket('staging')

/** What one run leaves, the steps of which this compares with. */
const whole = await freshPostgres()
loadedBy(await runNight(systems.env(whole, systems.folder()), FIRST))
const expected = await contents(whole)

let keys = 0

/** A warehouse, and machines that share nothing but a metadata store and a bucket. */
async function machines(t: TestContext) {
  const [warehouse, metadata] = await Promise.all([freshPostgres(t), freshPostgres(t)])
  const key = `scheduled__${FIRST}/${++keys}`
  const shared = {
    METADATA_URL: metadata.url,
    STAGING_URL: `s3://test:test@staging/${keys}?endpoint=${s3.endpoint}`,
  }
  const step = (name: string, home = systems.folder(), ...more: Parameters<typeof runNight>[2][]) =>
    runNight({ ...systems.env(warehouse, home), ...shared }, FIRST, more[0], [
      ...['task', 'run', 'queries/members', '--run', key, '--task', name, '--at', FIRST],
    ])
  return { warehouse, metadata, step }
}

const done = (result: NightResult) => {
  assert.equal(result.code, 0, result.output)
  return result
}

const codeOf = (result: NightResult) => {
  const error = result.events.find(({ event }) => event === 'error')
  return error?.code
}

const statusOf = async ({ query }: FreshDatabase) =>
  (await query<{ status: string }>('SELECT status FROM nightfreight_metadata.runs ORDER BY started_at')).map(
    ({ status }) => status,
  )

test('steps on machines of their own give what one run gives', async t => {
  const { warehouse, metadata, step } = await machines(t)
  done(await step('check'))
  done(await step('plan'))
  for (const result of await Promise.all(EXTRACTS.map(name => step(name)))) done(result)
  done(await step('models'))
  assert.deepEqual(await warehouse.query("SELECT relname FROM pg_class WHERE relname = 'dim_members'"), [])
  done(await step('load.warehouse'))
  const ended = done(await step('finish')).events.find(({ event }) => event === 'result')
  assert.ok(ended?.report, 'the run has a report')
  assert.deepEqual(await contents(warehouse), expected)
  assert.match(String(await statusOf(metadata)), /^(SUCCESS|COMPLETED_WITH_ERRORS)$/)

  const again = done(await step('load.warehouse'))
  assert.match(again.output, /nothing left/)
  assert.deepEqual(await contents(warehouse), expected)
})

test('a step that is killed is done again, also on another machine', async t => {
  const { warehouse, step } = await machines(t)
  const home = systems.folder()
  for (const name of ['check', 'plan']) done(await step(name))
  const killed = await step(
    'extract.legacy',
    home,
    killAt(({ event, task }) => event === 'started' && task === 'extract.members'),
  )
  assert.equal(killed.signal, 'SIGKILL', killed.output)
  rmSync(home, { recursive: true })
  for (const name of EXTRACTS) done(await step(name))
  const stopped = await step(
    'models',
    systems.folder(),
    killAt(({ event, task }) => event === 'started' && String(task).startsWith('diff.')),
  )
  assert.equal(stopped.signal, 'SIGKILL', stopped.output)
  done(await step('models'))
  const late = await step(
    'load.warehouse',
    systems.folder(),
    killAt(({ event, task }) => event === 'done' && String(task).startsWith('verify.')),
  )
  assert.equal(late.signal, 'SIGKILL', late.output)
  done(await step('load.warehouse'))
  done(await step('finish'))
  assert.deepEqual(await contents(warehouse), expected)
})

test('two attempts at one step at one time leave what one leaves', async t => {
  const { warehouse, step } = await machines(t)
  const twice = async (name: string) => {
    for (const result of await Promise.all([step(name), step(name)])) done(result)
  }
  for (const name of ['check', 'plan', ...EXTRACTS, 'models', 'load.warehouse', 'finish']) await twice(name)
  assert.deepEqual(await contents(warehouse), expected)
})

test('a stopped attempt that wakes after its successor commits nothing', async t => {
  const { warehouse, step } = await machines(t)
  for (const name of ['check', 'plan']) done(await step(name))
  let wake: (() => void) | undefined
  const stale = step('extract.legacy', systems.folder(), ({ event, task }, child) => {
    if (wake || event !== 'started' || task !== 'extract.members') return
    child.kill('SIGSTOP')
    wake = () => child.kill('SIGCONT')
  })
  // The stopped process looks alive on this machine: its lease has to end.
  while (!wake) await new Promise(resolve => setTimeout(resolve, 50))
  const fresh = step('extract.legacy')
  done(await fresh)
  wake()
  assert.equal(codeOf(await stale), 'FENCED')
  for (const name of [...EXTRACTS, 'models', 'load.warehouse', 'finish']) done(await step(name))
  assert.deepEqual(await contents(warehouse), expected)
})

test('steps out of their order, and a run that nobody began, are refused', async t => {
  const { step } = await machines(t)
  assert.equal(codeOf(await step('plan')), 'RESUME_REFUSED')
  done(await step('check'))
  const early = await step('models')
  assert.equal(codeOf(early), 'RESUME_REFUSED')
  assert.match(early.output, /plan is not done/)
  const unknown = await step('extract.legcy')
  assert.equal(codeOf(unknown), 'CONFIG_INVALID')
  assert.match(unknown.output, /did you mean .*extract\.legacy/)
})

test('a step that fails leaves the run to finish, which ends it FAILED; steps that are repeated mend it', async t => {
  const { warehouse, metadata, step } = await machines(t)
  for (const name of ['check', 'plan', 'extract.legacy', 'extract.crm', 'extract.payment_api'])
    done(await step(name))
  const ended = await step('finish')
  assert.notEqual(ended.code, 0)
  assert.match(ended.output, /extract\.drops/)
  assert.deepEqual(await statusOf(metadata), ['FAILED'])
  for (const name of ['extract.drops', 'models', 'load.warehouse', 'finish']) done(await step(name))
  assert.deepEqual(await contents(warehouse), expected)
})

test('a table that is followed in its log goes by steps, night after night', async t => {
  const warehouse = await freshPostgres(t)
  const { job, query } = await follow(t, {
    fresh: freshPostgres,
    warehouse,
    table: 'followed',
    statements: [
      'CREATE TABLE followed (id int PRIMARY KEY, v text)',
      "INSERT INTO followed VALUES (1, 'a'), (2, 'b')",
    ],
  })
  const rows = 'SELECT * FROM followed ORDER BY id'
  for (const night of [1, 2]) {
    if (night === 2)
      await query(`UPDATE followed SET v = 'c' WHERE id = 1; DELETE FROM followed WHERE id = 2;
        INSERT INTO followed VALUES (3, 'd')`)
    for (const step of ['check', 'plan', 'extract.s', 'models', 'load.w', 'finish']) {
      const { code, output } = await job.cli(
        'task',
        'run',
        job.folder,
        '--run',
        `night ${night}`,
        '--task',
        step,
      )
      assert.equal(code, 0, output)
    }
    assert.deepEqual(await warehouse.query(rows), await query(rows))
  }
})

test('a job that is another once all is committed ends its run, and one that is another before that is refused', async t => {
  const yaml = (nulls: string) => `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract: { rows: { from: in, files: rows.csv, take: all, key: id, schema: { id: BIGINT }, null_values: [${nulls}] } }
load: { rows: { to: wh, from: rows, key: id } }
`
  const job = await smallJob(t, 'midnight', { 'job.yaml': yaml('none'), 'in/rows.csv': 'id\n1\n2\n' })
  const steps = ['check', 'plan', 'extract.in', 'models', 'load.wh']
  for (const step of steps) await job.step('first', step)
  job.yaml(yaml('nothing'))
  const { result } = await job.step('first', 'finish')
  assert.equal(result?.status, 'SUCCESS')
  for (const step of steps) await job.step('fewer', step)
  job.yaml(yaml('nothing').replaceAll('rows:', 'others:').replaceAll('from: rows', 'from: others'))
  const fewer = await job.step('fewer', 'finish')
  assert.equal((fewer.result!.error as { code?: string }).code, 'JOB_CHANGED')
  job.yaml(yaml('nothing'))
  for (const step of steps.slice(0, 4)) await job.step('second', step)
  job.yaml(yaml('nil'))
  await assert.rejects(job.step('second', 'load.wh'), { code: 'JOB_CHANGED' })
})

/** A job whose last step moves the files that it has read. */
const MOVING = `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract: { rows: { from: in, files: "*.csv", after: move, to: done, key: id, schema: { id: BIGINT } } }
load: { loaded: { to: wh, from: clean, mode: merge, key: id } }
retries: { limit: 0 }
`

test('a run whose end alone has failed is ended by a repeat of the last step, unless it was cancelled; any other stays as it is', async t => {
  const job = await smallJob(t, 'ending', {
    'job.yaml': MOVING,
    'seen.sql': 'SELECT id FROM rows',
    'clean.sql': 'SELECT id FROM seen',
    'in/first.csv': 'id\n1\n',
    // No folder can be made under that name, which is taken for what passes.
    'in/done': '',
  })
  const state = async () => {
    const [run] = await job.metadata.runs(1)
    return [run!.status, run!.fence] as const
  }
  const repeated = async (key: string, code: string) => {
    const before = await state()
    await assert.rejects(job.step(key, 'finish'), { code })
    assert.deepEqual(await state(), before)
  }
  const failed = async (key: string) => {
    const { result } = await job.step(key, 'finish')
    assert.equal((result!.error as { code?: string }).code, 'CONNECTION_LOST')
  }
  for (const step of ['check', 'plan', 'extract.in', 'models']) await job.step('first', step)
  assert.equal((await job.step('first', 'finish')).result?.status, 'FAILED')
  await repeated('first', 'RESUME_REFUSED')
  await job.step('first', 'load.wh')
  await failed('first')
  await failed('first')
  rmSync(join(job.folder, 'in/done'))
  assert.equal((await job.step('first', 'finish')).result?.status, 'SUCCESS')
  assert.deepEqual(readdirSync(join(job.folder, 'in/done')), ['first.csv'])

  writeFileSync(join(job.folder, 'in/second.csv'), 'id\n2\n')
  for (const step of ['check', 'plan', 'extract.in', 'models', 'load.wh']) await job.step('second', step)
  rmSync(join(job.folder, 'in/done'), { recursive: true })
  writeFileSync(join(job.folder, 'in/done'), '')
  await failed('second')
  const [run] = await job.metadata.runs(1)
  assert.equal((await job.cli('cancel', run!.run)).code, 0)
  await repeated('second', 'CONNECTION_LOST')
})

test('a run that was given up, or that a later one has loaded after, is not ended by its last step', async t => {
  const job = await smallJob(t, 'given_up', {
    'job.yaml': MOVING,
    'clean.sql': 'SELECT id FROM rows',
    'in/1.csv': 'id\n1\n',
  })
  const steps = ['check', 'plan', 'extract.in', 'models', 'load.wh']
  const store = new DatabaseSync(join(job.home, 'metadata.db'))
  t.after(() => store.close())
  const stays = async (key: string, run: string, code: string) => {
    const before = await job.metadata.run(run)
    await assert.rejects(job.step(key, 'finish'), { code })
    assert.deepEqual(await job.metadata.run(run), before)
  }
  const end = async (key: string, next: number) => {
    for (const step of steps) await job.step(key, step)
    const [{ run }] = (await job.metadata.runs(1)) as [RunRecord]
    writeFileSync(join(job.folder, `in/${next}.csv`), `id\n${next}\n`)
    return run
  }
  // Its workers are gone, and its time between two steps is over; the fresh run fails before it loads.
  const first = await end('first', 2)
  store.exec(`UPDATE leases SET expires_at = '2020-01-01T00:00:00.000Z' WHERE name = 'run/${first}'`)
  const model = join(job.folder, 'clean.sql')
  writeFileSync(model, 'SELECT error(id) AS id FROM rows')
  assert.equal((await job.run({ fresh: true })).status, 'FAILED')
  writeFileSync(model, 'SELECT id FROM rows')
  assert.match((await job.metadata.run(first))!.error!, /interrupted, and abandoned/)
  await stays('first', first, 'INTERRUPTED')
  // A run that failed at its end, and another that was loaded since.
  const second = await end('second', 3)
  writeFileSync(join(job.folder, 'in/done'), '')
  assert.equal((await job.step('second', 'finish')).result?.status, 'FAILED')
  rmSync(join(job.folder, 'in/done'))
  assert.equal((await job.run()).error, undefined)
  await stays('second', second, 'CONNECTION_LOST')
})

test('a job of globs has the same steps whatever tables there are; one that is added in the night is read the night after', async t => {
  const source = await freshPostgres(t)
  const job = await smallJob(t, 'globbed', {
    'job.yaml': `connections: { s: "\${SHOP_URL}", other: "\${SHOP_URL}", wh: "duckdb:wh.duckdb" }
extract: { "public.a*": { from: s, pool: legacy db }, "public.b*": { from: other, pool: legacy_db } }
load: { "*": { to: wh, from: "public.a*", mode: replace }, "main.*": { to: wh, from: "public.b*", mode: replace } }
schedule: { cron: "0 2 * * *", after: [a-b, a_b] }
`,
  })
  await source.query(
    'CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE b (id int); CREATE TABLE b2 (id int)',
  )
  // Nobody is asked for tables.
  const env = { SHOP_URL: 'postgres://nobody@127.0.0.1:1/none' }
  const { code, out, err } = await job.cliIn(env, 'airflow', 'export', job.folder)
  assert.equal(code, 0, err)
  const steps = [...out.matchAll(/(?:step=|expand\(step=\[)"([^"]+)"/g)].map(([, step]) => step!)
  assert.deepEqual(steps, ['check', 'plan', 'extract.s', 'extract.other', 'models', 'load.wh', 'finish'])
  assert.deepEqual(out.match(/task_id="extract\w*"/g), [
    'task_id="extract_legacy_db_2"',
    'task_id="extract_legacy_db"',
  ])
  const waits = [...out.matchAll(/(\w+) = ExternalTaskSensor\(\s+task_id="([^"]+)"/g)]
  assert.deepEqual(
    waits.map(([, variable, task]) => [variable, task]),
    [
      ['wait_for_a_b_2', 'wait_for_a-b'],
      ['wait_for_a_b', 'wait_for_a_b'],
    ],
  )
  const night = async (key: string, before: string, sql: string) => {
    for (const step of steps) {
      if (step === before) await source.query(sql)
      const { result } = await job.step(key, step, { SHOP_URL: source.url })
      if (!result) continue
      assert.equal(result.error, undefined)
      return result.outcome.loaded.map(({ table }) => table).toSorted()
    }
  }
  const first = await night('first', 'extract.other', 'CREATE TABLE a2 (id int PRIMARY KEY)')
  assert.deepEqual(first, ['a', 'main.b', 'main.b2'])
  const second = await night('second', 'models', 'DROP TABLE b2')
  assert.deepEqual(second, ['a', 'a2', 'main.b', 'main.b2'])
  assert.deepEqual(await night('third', 'plan', 'DROP TABLE a2'), ['a', 'main.b'])
})
