// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of job.yaml
/** Whole schemas by globs, and what the jobs of a project share: connections, defaults, variables, environments. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { loadJob } from '../../src/config/load.ts'
import { commandLine } from '../commandLine.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const postgres = await freshPostgres()
const root = mkdtempSync(join(tmpdir(), 'nightfreight-schemas-'))
after(() => rmSync(root, { recursive: true }))
const home = join(root, 'home')
const { signal } = new AbortController()

await postgres.query(`
  CREATE TABLE orders (id int PRIMARY KEY, kind text); INSERT INTO orders VALUES (1, 'a'), (2, 'b');
  CREATE TABLE customers (id int PRIMARY KEY); INSERT INTO customers VALUES (1);
  CREATE TABLE tmp_x (id int); CREATE TABLE notes (note text);
  CREATE SCHEMA sales; CREATE TABLE sales.orders (a int, b int, PRIMARY KEY (b, a)); INSERT INTO sales.orders VALUES (1, 2);`)

/** A project: files by their paths below it; the job is in `queries/shop`. */
function project(name: string, files: Record<string, string>): string {
  for (const [path, text] of Object.entries(files)) {
    const file = join(root, name, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  return join(root, name, 'queries/shop')
}

const refused = (folder: string, env: Record<string, string>, ...messages: RegExp[]) =>
  assert.rejects(loadJob(folder, env, { signal }), (error: Error) => {
    for (const message of messages) assert.match(error.message, message)
    return true
  })

const SHARED = {
  'queries/connections.yaml': 'connections: { shop: "${SHOP}", dw: "${DW}", other: "${NOBODY_SETS_THIS}" }\n',
  'queries/.env': `SHOP=${postgres.url}\nDW=duckdb:${join(root, 'dw.duckdb')}\nKIND=a\n`,
  'queries/.env.prod': `DW=duckdb:${join(root, 'prod.duckdb')}\n`,
}

test('globs stand for the tables that the source has, with its keys; what is named goes before', async () => {
  const folder = project('globs', {
    ...SHARED,
    'queries/shop/job.yaml': `job: globs
defaults: { extract: { from: shop }, load: { to: dw } }
extract:
  "*": { exclude: ["tmp_*", notes], drift: fail }
  buyers: { table: customers, key: id }
  customers: {}
load:
  "raw.*": { from: "*" }
  raw.orders: { from: orders, key: id, mode: replace }
`,
  })
  const { extracts, loads, listed } = await loadJob(folder, {}, { signal })
  assert.deepEqual(
    extracts.map(({ name, key, drift, options }) => [
      name,
      (options as { table: string }).table,
      key,
      drift !== undefined,
    ]),
    [
      ['buyers', 'customers', ['id'], false],
      ['customers', 'customers', ['id'], false],
      ['orders', 'orders', ['id'], true],
      ['sales_orders', 'sales.orders', ['b', 'a'], true],
    ],
  )
  assert.deepEqual(listed, ['orders', 'sales_orders'])
  assert.deepEqual(
    loads.map(({ table, from, mode }) => [table, from, mode]),
    [
      ['raw.orders', 'orders', 'replace'],
      ['raw.buyers', 'buyers', 'merge'],
      ['raw.customers', 'customers', 'merge'],
      ['raw.sales_orders', 'sales_orders', 'merge'],
    ],
  )
})

test('extracts that are named are loaded by a glob, too, and no source is asked', async () => {
  const folder = project('named', {
    ...SHARED,
    'queries/shop/job.yaml': `job: named
defaults: { extract: { from: shop }, load: { to: dw } }
extract: { orders: { key: id }, customers: { key: id }, other: { table: notes } }
load: { "raw.*": { from: "*s" }, one: { from: orders } }
`,
  })
  const { loads } = await loadJob(folder, {})
  assert.deepEqual(
    loads.map(({ table, from, key }) => [table, from, key]),
    [
      ['one', 'orders', ['id']],
      ['raw.orders', 'orders', ['id']],
      ['raw.customers', 'customers', ['id']],
    ],
  )
})

test('a whole schema is loaded night by night; tables that come and go are told', async () => {
  const job = (yaml: string) =>
    project('nights', {
      ...SHARED,
      'queries/shop/job.yaml': `job: nights\nvars: { kind: "\${KIND}" }\n${yaml}`,
      'queries/shop/of_kind.sql': "SELECT id FROM orders WHERE kind = getvariable('kind')",
    })
  const folder = job(`extract: { "public.*": { from: shop, tables: [orders, cust*], exclude: ["tmp_*"] } }
load:
  "*": { to: dw, from: "public.*", mode: replace }
  of_kind: { to: dw, from: of_kind, key: id, mode: replace }
`)
  const night = async (...flags: string[]) => {
    const ended = await commandLine(home, ['run', folder, ...flags])
    assert.equal(ended.code, 0, ended.err)
    return ended
  }
  const rows = async (path: string, sql: string) => {
    const duck = await Duck.open({ path: join(root, path) })
    try {
      return await duck.rows(sql)
    } finally {
      duck.close()
    }
  }
  // A slow machine also says how far it has got.
  assert.doesNotMatch((await night()).err, /from now on|left as they are/)
  assert.deepEqual(await rows('dw.duckdb', 'SELECT id FROM of_kind'), [{ id: 1 }])
  await postgres.query(
    'CREATE TABLE custody (id int PRIMARY KEY); ALTER TABLE customers RENAME TO was_customers',
  )
  assert.match(
    (await night()).err,
    /loaded from now on: custody\n.*left as they are in the target: customers\n/,
  )
  assert.deepEqual(await rows('dw.duckdb', 'SELECT count(*)::INTEGER AS n FROM customers'), [{ n: 1 }])
  await postgres.query('ALTER TABLE was_customers RENAME TO customers')
  await night('--env', 'prod')
  assert.deepEqual(await rows('prod.duckdb', 'SELECT id FROM of_kind'), [{ id: 1 }])
  const none = await commandLine(home, ['run', folder, '--env', 'prud'])
  assert.equal(none.code, 2)
  assert.match(none.err, /there is no \.env\.prud in .*queries\/shop or .*queries\n/)
})

test('what is wrong with a glob, a default or a shared connection is said where it stands', async () => {
  const wrong = (name: string, yaml: string, shared = SHARED) =>
    project(name, { ...shared, 'queries/shop/job.yaml': `job: wrong\n${yaml}` })
  await refused(
    wrong(
      'keyless',
      'extract: { "*": { from: shop, tables: [ordres] } }\nload: { "raw.*": { to: dw, from: "x*" } }',
    ),
    {},
    /job\.yaml:2:40: extract\.\*\.tables: no table is called ordres; did you mean "orders"\?/,
    /job\.yaml:3:34: load\.raw\.\*\.from: no extract "x\*"/,
  )
  await refused(
    wrong('mode', 'extract: { "*": { from: shop } }\nload: { "raw.*": { to: dw, from: "*" } }'),
    {},
    /job\.yaml:3:9: load\.raw\.\*: mode merge needs a key, and notes, tmp_x have none/,
  )
  await refused(
    wrong('defaults', 'defaults: { load: { to: dw, mode: merg } }\nload: { a: { from: b } }'),
    {},
    /job\.yaml:2:35: load\.a\.mode: .*did you mean "merge"\?/,
  )
  await refused(
    wrong('shared', 'extract: { a: { from: shop, table: a } }', {
      ...SHARED,
      'queries/connections.yaml': 'connections:\n  shop: "nothing:x"\n',
    }),
    {},
    /connections\.yaml:2:9: connections\.shop: /,
  )
  await refused(
    wrong('nobody', 'extract: { a: { from: shp, table: a } }'),
    {},
    /job\.yaml:2:23: extract\.a\.from: no connection "shp"; did you mean "shop"\?/,
  )
})

test('mappings merge by <<, and what stands in one goes before', async () => {
  const folder = project('merge', {
    ...SHARED,
    'queries/shop/job.yaml': `job: merged
extract:
  one: &one { from: shop, table: orders, key: id, sensitive: kind }
  two: { <<: *one, table: customers }
  three: { <<: [{ key: a }, *one] }
`,
  })
  const { extracts } = await loadJob(folder, {})
  assert.deepEqual(
    extracts.map(({ name, key, sensitive, options }) => [name, key, sensitive, options]),
    [
      ['one', ['id'], ['kind'], { table: 'orders', row_security: 'refuse' }],
      ['two', ['id'], ['kind'], { table: 'customers', row_security: 'refuse' }],
      ['three', ['a'], ['kind'], { table: 'orders', row_security: 'refuse' }],
    ],
  )
  await refused(
    project('unmerged', {
      ...SHARED,
      'queries/shop/job.yaml': 'job: x\nextract: { a: { <<: 5, from: shop, table: t } }\n',
    }),
    {},
    /job\.yaml:2:\d+: extract\.a: << needs a mapping/,
  )
})

test('a run that goes on keeps to the tables of its plan, and so does a load from a plan; the next has those of then', async t => {
  const own = await freshPostgres(t)
  const job = await smallJob(t, 'planned', {
    'job.yaml': `connections: { s: "${own.url}", wh: "duckdb:wh.duckdb" }
extract: { "public.*": { from: s } }
load: { "*": { to: wh, from: "public.*", mode: replace } }
`,
  })
  const loadedBy = async (options: Parameters<typeof job.run>[0]) => {
    const { outcome, error } = await job.run(options)
    assert.equal(error, undefined)
    return outcome.loaded.map(({ table }) => table).toSorted()
  }
  await own.query('CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)')
  const { run: halfway } = await job.run({ until: 'extract.s' })
  await own.query('CREATE TABLE c (id int PRIMARY KEY); DROP TABLE b')
  assert.deepEqual(await loadedBy({ resume: halfway }), ['a', 'b'])
  assert.deepEqual(await loadedBy({}), ['a', 'c'])
  await own.query('INSERT INTO a VALUES (1)')
  const { run: plan } = await job.run({ goal: 'plan' })
  await own.query('CREATE TABLE d (id int PRIMARY KEY); DROP TABLE c')
  assert.deepEqual(await loadedBy({ fromPlan: plan }), ['a', 'c'])
  assert.deepEqual(await loadedBy({}), ['a', 'd'])
})

const OTHER = { code: 'JOB_CHANGED', hint: '--fresh gives the run up and starts another.' }

/** A job of table `a` by a glob; what its glob says may be changed. */
async function globJob(t: TestContext, name: string) {
  const own = await freshPostgres(t)
  await own.query('CREATE TABLE a (id int PRIMARY KEY)')
  const yaml = (glob: string) => `connections: { s: "${own.url}", wh: "duckdb:wh.duckdb" }
extract: { "public.*": { from: s, ${glob} } }
load: { "*": { to: wh, from: "public.*", mode: replace } }
`
  const job = await smallJob(t, name, { 'job.yaml': yaml('tables: [a]') })
  return {
    job,
    change: (glob: string) => job.yaml(yaml(glob)),
    addTable: () => own.query('CREATE TABLE c (id int PRIMARY KEY)'),
  }
}

test('a job that changed to tables which its run has not planned is refused as any other change, and the run ends', async t => {
  const { job, change, addTable } = await globJob(t, 'widened')
  const { run } = await job.run({ until: 'extract.s' })
  await addTable()
  change('tables: [a, c]')
  const { status, error } = await job.run({ resume: run, acceptChanges: true })
  assert.equal(status, 'FAILED')
  assert.partialDeepStrictEqual({ ...(error as Error) }, OTHER)
  assert.equal((await job.metadata.run(run))!.status, 'FAILED')
  // Which plans the same.
  change('tables: [a, c], exclude: [c]')
  const ended = await job.run({ resume: run, acceptChanges: true })
  assert.equal(ended.error, undefined)
  assert.deepEqual(
    ended.outcome.loaded.map(({ table }) => table),
    ['a'],
  )
})

test('so it is by the steps of an orchestrator', async t => {
  const { job, change, addTable } = await globJob(t, 'stepwise')
  for (const step of ['check', 'plan', 'extract.s']) await job.step('first', step)
  await addTable()
  change('tables: [a, c]')
  await assert.rejects(job.step('first', 'models'), OTHER)
  const { result } = await job.step('first', 'finish')
  assert.equal(result!.status, 'FAILED')
  assert.partialDeepStrictEqual({ ...(result!.error as Error) }, OTHER)
})

test('a run whose job cannot be read again once it is taken ends', async t => {
  const { job, addTable } = await globJob(t, 'unreadable')
  const { run } = await job.run({ until: 'extract.s' })
  await addTable()
  const { metadata } = job
  const { reopen } = metadata
  t.mock.method(metadata, 'reopen', async (...args: Parameters<typeof reopen>) => {
    const record = await reopen.apply(metadata, args)
    rmSync(join(job.folder, 'job.yaml'))
    return record
  })
  const { status } = await job.run({ resume: run })
  assert.equal(status, 'FAILED')
  assert.equal((await metadata.run(run))!.status, 'FAILED')
})
