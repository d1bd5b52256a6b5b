import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { globSync, linkSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { loadJob } from '../../src/config/load.ts'
import { type EngineError, runJob } from '../../src/index.ts'
import { commandLine } from '../commandLine.ts'
import { type FreshDatabase, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const source = await freshPostgres()
const warehouse = await freshPostgres()
const personal = await freshPostgres()
let made = 0

const yaml = (targets: string) => `connections:
  shop: "${source.url}"
  dw: "${warehouse.url}"
  file: duckdb:production.duckdb
  lake: lake:lake
environments:
  dev: { targets: { dw: "${personal.url}", file: "duckdb:dev.duckdb", lake: "lake:dev" } }
  qa: { targets: { dw: "duckdb:qa_dw.duckdb", file: "duckdb:qa.duckdb", lake: "lake:qa" } }
${targets}
schedule: { cron: "0 2 * * *" }
alerts:
  channels: { told: { command: [sh, -c, "cat >> told.txt"] } }
  on: { failure: told, success: told }
extract:
  orders: { from: shop, key: id, incremental: { column: seen } }
load:
  totals: { to: dw, from: totals, key: customer, deletes: keep }
  paid: { to: file, from: paid, key: id }
  orders: { to: lake, from: orders, key: id }
checks: { paid: { amount: { between: [0, null] } } }
quality: { max_error_rate: 0.9 }
connection_pools: { dw: { max_connections: 4 } }
resources: { threads: 1 }
`

/** A job whose production has run once, with each kind of target. */
async function shop(t: TestContext, targets = '') {
  const name = `env_${++made}`
  await source.query(`DROP TABLE IF EXISTS orders;
    CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL, amount numeric(12,2), status text, seen int NOT NULL);
    INSERT INTO orders VALUES (1, 10, 12.50, 'paid', 1), (2, 11, 7, 'open', 2), (3, 10, 99.99, 'paid', 3), (4, 12, -5, 'paid', 4)`)
  for (const database of [warehouse, personal])
    await database.query('DROP TABLE IF EXISTS totals; DROP SCHEMA IF EXISTS nightfreight CASCADE')
  const job = await smallJob(t, name, {
    'job.yaml': yaml(targets),
    'paid.sql': `-- @materialised table\nSELECT id, customer, amount FROM orders WHERE status = 'paid'`,
    'totals.sql': 'SELECT customer, sum(amount)::DECIMAL(12,2) AS total FROM paid GROUP BY ALL',
  })
  /** Of production, or in an environment, as a program runs it. */
  const run = async (environment?: string) => {
    if (environment !== undefined)
      return runJob(job.folder, { home: job.home, env: { ...process.env, NIGHTFREIGHT_ENV: environment } })
    const { error } = await job.run()
    assert.equal(error, undefined)
    return undefined
  }
  return {
    ...job,
    name,
    run,
    runWith: job.run,
    path: (...parts: string[]) => join(job.folder, ...parts),
    rows: (file: string, table: string) => duckRows(join(job.folder, file), `FROM ${table} ORDER BY ALL`),
    lakeRows: (folder: string) =>
      duckRows(
        undefined,
        `SELECT id, customer, status FROM '${join(job.folder, folder)}/**/*.parquet' ORDER BY ALL`,
      ),
    production: () => contentOf(job.home, job.folder),
  }
}

async function duckRows(path: string | undefined, sql: string) {
  const duck = await Duck.open({ ...(path !== undefined && { path }), threads: 1 })
  try {
    return (await duck.rows(`SELECT COLUMNS(*)::VARCHAR FROM (${sql})`)).map(row =>
      Object.values(row).join(' '),
    )
  } finally {
    duck.close()
  }
}

const failure = (act: Promise<unknown>): Promise<unknown> =>
  act.then(
    () => assert.fail('it did not fail'),
    error => error,
  )

const totalsIn = async (database: FreshDatabase) =>
  (
    await database.query<{ line: string }>("SELECT customer || ' ' || total AS line FROM totals ORDER BY 1")
  ).map(({ line }) => line)

/** All that production has, by content: its state, its targets, whom it told. */
async function contentOf(home: string, folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  const add = (name: string, content: string | Buffer) => {
    found[name] = createHash('sha256').update(content).digest('hex')
  }
  const files = globSync('{staging/**,job/production.duckdb,job/lake/**,job/told.txt}', {
    cwd: home,
  })
  for (const file of files.filter(each => statSync(join(home, each)).isFile()))
    add(file, readFileSync(join(home, file)))
  using metadata = new DatabaseSync(join(home, 'metadata.db'), { readOnly: true })
  for (const { name } of metadata.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all())
    add(`metadata ${name}`, JSON.stringify(metadata.prepare(`SELECT * FROM "${name}"`).all()))
  const tables = await warehouse.query<{ name: string }>(
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('public', 'nightfreight')`,
  )
  for (const { name } of tables)
    add(
      `warehouse ${name}`,
      JSON.stringify(await warehouse.query(`SELECT ctid, t.* FROM ${name} AS t ORDER BY 1`)),
    )
  assert.ok(files.length > 10 && tables.length > 3 && folder.startsWith(home))
  return found
}

test('a job in an environment loads what production has staged, and production stays as it is', async t => {
  const job = await shop(t)
  const never = await job.cli('run', job.folder, '--env', 'dev')
  assert.equal(never.code, 2)
  assert.match(never.err, /NOT_STAGED: production of env_\d+ has never run.*\nhint: .*: nightfreight run /)
  await job.run()
  const before = await job.production()

  // Not what the source has by now, and a model that only the analyst has.
  await source.query("INSERT INTO orders VALUES (5, 13, 1, 'paid', 5); DELETE FROM orders WHERE id = 1")
  writeFileSync(
    job.path('paid.sql'),
    "SELECT id, customer, amount FROM orders WHERE status IN ('paid', 'open')",
  )
  const validated = await job.cli('validate', job.folder, '--env', 'dev')
  assert.match(validated.output, /env_\d+, environment dev is valid/)
  const planned = await job.cli('plan', job.folder, '--env', 'dev')
  assert.equal(planned.code, 0, planned.output)
  assert.match(
    planned.out,
    /environment dev: plan [\s\S]*orders: 0 rows\n +is not read: as production has staged it, run/,
  )
  assert.match(
    planned.out,
    /dw\.totals[\s\S]*\+ 2 to insert[\s\S]*nightfreight run \S+ --env dev --from-plan/,
  )
  const plan = /--from-plan (\S+)/.exec(planned.out)![1]!
  const ran = await job.cli('run', job.folder, '--env', 'dev', '--from-plan', plan)
  assert.match(ran.out, /environment dev: COMPLETED_WITH_ERRORS/)
  assert.deepEqual(await totalsIn(personal), ['10 112.49', '11 7.00'])
  assert.deepEqual(await job.rows('dev.duckdb', 'paid'), ['1 10 12.50', '2 11 7.00', '3 10 99.99'])
  assert.deepEqual(await job.lakeRows('dev'), ['1 10 paid', '2 11 open', '3 10 paid', '4 12 paid'])
  assert.deepEqual(await job.production(), before)

  const history = await job.cli('history', '--env', 'dev', '--json')
  const { environment, runs } = JSON.parse(history.out)
  assert.deepEqual([environment, runs.length], ['dev', 1])
  const other = await job.cli('history', '--env', 'dve')
  assert.match(other.err, /nothing has run in an environment dve; did you mean "dev"/)
  const shown = await job.cli('show', job.folder, 'totals', '--env', 'dev')
  assert.match(shown.output, /environment dev: [\s\S]*11 +7\.00/)
  const docs = await job.cli('docs', job.folder, '--env', 'dev', '--out', join(job.home, 'pages'))
  assert.equal(docs.code, 0, docs.output)
  assert.match(readFileSync(join(job.home, 'pages/index.html'), 'utf8'), /env_\d+, environment dev/)
  assert.match(readFileSync(/report +(\S+)/.exec(ran.out)![1]!, 'utf8'), /env_\d+, environment dev/)
  const verified = await job.cli('verify', job.folder, '--env', 'dev')
  assert.equal(verified.code, 0, verified.output)

  // Its failure is told nobody.
  writeFileSync(job.path('totals.sql'), 'SELECT customer, error(customer::VARCHAR) AS total FROM paid')
  await assert.rejects(job.run('dev'), /totals/)
  assert.deepEqual(await job.production(), before)

  // Production goes on from where it was.
  writeFileSync(
    job.path('totals.sql'),
    'SELECT customer, sum(amount)::DECIMAL(12,2) AS total FROM paid GROUP BY ALL',
  )
  writeFileSync(job.path('paid.sql'), "SELECT id, customer, amount FROM orders WHERE status = 'paid'")
  await job.run()
  assert.deepEqual(await totalsIn(warehouse), ['10 112.49', '13 1.00'])
  // The environment has its rows the next time.
  await job.run('dev')
  assert.deepEqual(await totalsIn(personal), ['10 112.49', '11 7.00', '13 1.00'])
})

test('two environments at once, and one that is killed, leave production and each other alone', async t => {
  const job = await shop(t)
  await job.run()
  const before = await job.production()
  await job.run('dev')
  // No run gets further than its load while this is held.
  await personal.query('BEGIN; LOCK TABLE nightfreight.loads IN EXCLUSIVE MODE')
  for (const seen of ['is not read', 'waits for a lock']) {
    let heard = ''
    const killed = await commandLine(job.home, ['run', job.folder, '--env', 'dev'], {
      begun: child =>
        child.stderr!.on('data', text => {
          heard += text
          if (heard.includes(seen)) child.kill('SIGKILL')
        }),
    })
    assert.equal(killed.signal, 'SIGKILL', killed.output)
    assert.deepEqual(await job.production(), before)
  }
  await personal.query('ROLLBACK')
  await Promise.all(['dev', 'qa'].map(name => job.run(name)))
  assert.deepEqual(await totalsIn(personal), ['10 112.49'])
  assert.deepEqual(await job.rows('qa_dw.duckdb', 'totals'), ['10 112.49'])
  for (const name of ['dev', 'qa'])
    assert.deepEqual(await job.rows(`${name}.duckdb`, 'paid'), ['1 10 12.50', '3 10 99.99'])
  assert.deepEqual(await job.production(), before)
  await source.query("INSERT INTO orders VALUES (5, 13, 1, 'paid', 5)")
  await job.run()
  assert.deepEqual(await totalsIn(warehouse), ['10 112.49', '13 1.00'])
})

test('what an environment works on outlives the clean-up of production, and is said where it is gone', async t => {
  const job = await shop(t)
  await job.run()
  await job.run('qa')
  await source.query('UPDATE orders SET seen = seen + 10')
  await job.run()
  assert.equal((await job.cli('gc', '--keep-days', '0')).code, 0)
  const shown = await job.cli('show', job.folder, 'orders', '--env', 'qa')
  assert.match(shown.out, /orders: 4 rows/)
  const { run } = (await job.metadata.history({ job: job.name, limit: 1 }))[0]!
  rmSync(join(job.home, 'staging', job.name, run, 'image'), { recursive: true })
  const gone = (await failure(job.run('qa'))) as EngineError
  assert.match(String(gone), /orders: what run \S+ of production has staged is gone or damaged/)
  assert.deepEqual([gone.code, gone.exitCode], ['NOT_STAGED', 2])
  assert.match(gone.hint!, /without --env: nightfreight run /)
  await job.run()
  await job.run('qa')
})

test('a target of production is refused, however it is written', async t => {
  const url = new URL(warehouse.url)
  const same = `${url.hostname === 'localhost' ? '127.0.0.1' : 'LOCALHOST'}:${url.port}${url.pathname}`
  const own = (name: string, target: string, value: string) => {
    const others = { dw: 'duckdb:x.duckdb', file: 'duckdb:y.duckdb', lake: 'lake:z', [target]: value }
    return `  ${name}: { targets: ${JSON.stringify(others)} }`
  }
  const spellings: [target: string, value: string, own: string][] = [
    ['dw', warehouse.url, 'dw'],
    ['dw', `postgresql://${url.username}:${url.password}@${same}?sslmode=disable`, 'dw'],
    ['file', 'duckdb:../job/production.duckdb', 'file'],
    ['file', 'duckdb:link.duckdb', 'file'],
    ['dw', 'duckdb:production.duckdb', 'file'],
    ['lake', 'lake:lake/dev', 'lake'],
    ['lake', 'lake:./linked', 'lake'],
    ['file', 'duckdb:linked/dev.duckdb', 'lake'],
  ]
  const job = await shop(
    t,
    spellings.map(([target, value], index) => own(`e${index}`, target, value)).join('\n'),
  )
  await job.run()
  symlinkSync(job.path('production.duckdb'), job.path('link.duckdb'))
  symlinkSync(job.path('lake'), job.path('linked'))
  linkSync(job.path('production.duckdb'), job.path('copy.duckdb'))
  const before = await job.production()
  for (const [index, [target, value, other]] of spellings.entries()) {
    const refused = String(await failure(loadJob(job.folder, { NIGHTFREIGHT_ENV: `e${index}` })))
    assert.match(
      refused,
      new RegExp(
        `job\\.yaml:\\d+:\\d+: environments\\.e${index}\\.targets\\.${target}: is where production's ${other} is`,
      ),
      value,
    )
    assert.doesNotMatch(refused, /password|postgres:\/\/[^ ]*:[^*]/)
  }
  // What no spelling tells, the target does.
  job.yaml(yaml(own('copy', 'file', 'duckdb:copy.duckdb')))
  await assert.rejects(
    job.run('copy'),
    /environments\.copy\.targets\.file: run \S+ of production has loaded it/,
  )
  assert.deepEqual(await job.production(), before)
})

test('what is wrong with an environment is said of its line; variables are those of its file', async t => {
  const job = await shop(
    t,
    `  odd: { targets: { dw: "\${PERSONAL_URL}", file: "duckdb:o.duckdb", lak: "lake:o" } }
  mine: { targets: { dw: "\${PERSONAL_URL}", file: "duckdb:m.duckdb", lake: "lake:m" } }`,
  )
  await job.run()
  const none = await job.cli('history', '--env', 'dev')
  assert.match(none.err, /nothing has run in an environment dev: this is production/)
  const errorOf = async (...args: string[]) => {
    const { code, err } = await job.cli(...args)
    assert.equal(code, 2, err)
    return err
  }
  const before = await job.production()
  assert.match(
    await errorOf('run', job.folder, '--env', 'dve'),
    /dve is no environment of the job; did you mean "dev"/,
  )
  assert.match(
    await errorOf('serve', job.folder, '--env', 'dev'),
    /serve works on production, and dev is an environment/,
  )
  // Whoever calls it as production leaves no mark there.
  await assert.rejects(
    job.runWith({ env: { NIGHTFREIGHT_ENV: 'dev' } }),
    /dev is an environment of .*, and this command works on production/,
  )
  const read = (name: string) => failure(loadJob(job.folder, { NIGHTFREIGHT_ENV: name }))
  assert.match(String(await read('mine')), /targets\.dw: environment variable PERSONAL_URL is not set/)
  writeFileSync(job.path('.env.mine'), `PERSONAL_URL=duckdb:mine.duckdb`)
  writeFileSync(job.path('.env.odd'), `PERSONAL_URL=duckdb:mine.duckdb`)
  const odd = String(await read('odd'))
  assert.match(odd, /environments\.odd\.targets: lake is missing, which loads go to/)
  assert.match(odd, /environments\.odd\.targets\.lak: no load goes to lak; did you mean "lake"/)
  assert.deepEqual(await job.production(), before)
  await job.run('mine')
  assert.deepEqual(await job.rows('mine.duckdb', 'totals'), ['10 112.49'])
  assert.deepEqual(await job.production(), before)
})

test('globs of schemas stand in an environment for what production has read of each', async t => {
  await source.query(`DROP SCHEMA IF EXISTS sales CASCADE; DROP SCHEMA IF EXISTS crm CASCADE; CREATE SCHEMA sales; CREATE SCHEMA crm;
    CREATE TABLE sales.bills (id int PRIMARY KEY, email text); INSERT INTO sales.bills VALUES (1, 'a@x');
    CREATE TABLE sales."odd-name" (id int PRIMARY KEY); INSERT INTO sales."odd-name" VALUES (2);
    CREATE TABLE crm.people (id int PRIMARY KEY, email text); INSERT INTO crm.people VALUES (3, 'b@x');
    CREATE TABLE crm.visits (id int PRIMARY KEY, email text); INSERT INTO crm.visits VALUES (4, 'c@x');
    CREATE VIEW crm.v_people AS SELECT * FROM crm.people`)
  const other = await freshPostgres()
  await other.query(`CREATE SCHEMA sales;
    CREATE TABLE sales.clients (id int PRIMARY KEY, email text); INSERT INTO sales.clients VALUES (5, 'd@x')`)
  for (const database of [warehouse, personal])
    await database.query('DROP SCHEMA IF EXISTS raw CASCADE; DROP SCHEMA IF EXISTS nightfreight CASCADE')
  const text = (
    extract = '',
  ) => `connections: { shop: "${source.url}", other: "${other.url}", dw: "${warehouse.url}" }
environments: { dev: { targets: { dw: "${personal.url}" } } }
extract:
  "sales.*": { from: shop }
  "crm.*": { from: shop, sensitive: [email] }
  "sales.o*": { from: shop }
  "crm.v_*": { from: shop, tables: [v_people], key: id, sensitive: [email] }
  "sale?.*": { from: other, sensitive: [email] }
  people: { from: shop, table: crm.people }
${extract}load:
  "raw.s_*": { to: dw, from: "sales.*" }
  "raw.c_*": { to: dw, from: "crm.*" }
  "raw.o_*": { to: dw, from: "sales.o*" }
  "raw.v_*": { to: dw, from: "crm.v_*" }
  "raw.b_*": { to: dw, from: "sale?.*" }
resources: { threads: 1 }
`
  const job = await smallJob(t, 'env_globs', { 'job.yaml': text() })
  const failed = (await job.run()).error
  assert.equal(failed, undefined)
  const inDev = await job.cli('run', job.folder, '--env', 'dev')
  assert.equal(inDev.code, 0, inDev.output)
  const tables = (database: FreshDatabase) =>
    database.query("SELECT tablename FROM pg_tables WHERE schemaname = 'raw' ORDER BY 1")
  assert.deepEqual(
    (await tables(personal)).map(({ tablename }) => tablename),
    ['b_clients', 'c_people', 'c_visits', 'o_odd_name', 's_bills', 's_odd-name', 'v_v_people'],
  )
  assert.deepEqual(await tables(personal), await tables(warehouse))
  for (const env of [[], ['--env', 'dev']]) {
    const { loads } = JSON.parse((await job.cli('verify', job.folder, ...env, '--json')).out)
    assert.equal(loads.length, 7)
    for (const name of ['visits', 'v_people', 'clients']) {
      const shown = await job.cli('show', job.folder, name, ...env)
      assert.match(shown.out, /1 row/)
      assert.doesNotMatch(shown.output, /@x/)
    }
    assert.match((await job.cli('show', job.folder, 'bills', ...env)).out, /a@x/)
  }

  writeFileSync(join(job.folder, 'job.yaml'), `job: env_globs\n${text('  "stock.*": { from: shop }\n')}`)
  const unread = await job.cli('run', job.folder, '--env', 'dev')
  assert.equal(unread.code, 2)
  assert.match(
    unread.err,
    /job\.yaml:\d+:\d+: extract\.stock\.\*: no run of production has read a table of it/,
  )
})
