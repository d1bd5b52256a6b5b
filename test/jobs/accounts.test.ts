import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { EngineError } from '../../engine/errors.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { summaryText } from '../../src/cli/summary.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

let jobs = 0

/** A job of CSV files into DuckDB, or other targets: `files` are its models and checks, `csv` what is in its drop. */
async function job(
  yaml: string,
  csv: Record<string, string>,
  files: Record<string, string> = {},
  targets: Record<string, string> = { wh: 'duckdb:../wh.duckdb' },
) {
  const made = await smallJob({ after }, `accounts_${++jobs}`, {})
  const write = (folder: string, all: Record<string, string>) => {
    for (const [file, text] of Object.entries(all)) {
      const path = join(made.home, folder, file)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
    }
  }
  write('in', csv)
  write('job', files)
  const urls = Object.entries({ drop: 'file:../in', ...targets }).map(([name, url]) => `${name}: "${url}"`)
  made.yaml(`connections: { ${urls.join(', ')} }\n${yaml}\nresources: { memory: 300MB, threads: 1 }\n`)
  const rows = async (sql: string) => {
    const duck = await Duck.open({ path: join(made.home, 'wh.duckdb') })
    return duck.rows(sql).finally(() => duck.close())
  }
  return { ...made, write: (csv: Record<string, string>) => write('in', csv), rows }
}

function refused({ error }: RunResult, code: string, message: RegExp, hint = /./): void {
  assert.ok(error instanceof EngineError, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, message)
  assert.match(error.hint ?? '', hint)
}

const taken = 'from: drop, take: all'

test('rows of one key that differ stop the load, whoever has the key, and equal ones count as one', async () => {
  const csv = { 't.csv': 'a,b\n1,x\n1,y\n2,z\n2,z\n' }
  const schema = 'schema: { a: BIGINT, b: VARCHAR }'
  const keyed = await job(
    `extract: { t: { ${taken}, files: t.csv, key: a, ${schema} } }\nload: { t: { to: wh, from: t, key: a } }`,
    csv,
  )
  refused(
    await keyed.run(),
    'DUPLICATE_KEY',
    /^extract\.t: .*a = 1 stands in 2 rows/,
    /on_duplicate: quarantine/,
  )
  const loaded = await job(
    `extract: { t: { ${taken}, files: t.csv, ${schema} } }\nload: { t: { to: wh, from: t, key: a } }`,
    csv,
  )
  refused(await loaded.run(), 'DUPLICATE_KEY', /^load\.t: .*a = 1 stands in 2 rows/, /newer: COLUMN/)

  loaded.yaml(
    `connections: { drop: "file:../in", wh: "duckdb:../wh.duckdb" }
extract: { t: { ${taken}, files: t.csv, ${schema} } }
load: { t: { to: wh, from: t, key: a, on_duplicate: quarantine } }
quality: { max_error_rate: 0.25 }
`,
  )
  const quarantined = await loaded.run({ fresh: true })
  assert.equal(quarantined.error, undefined)
  const { table: _, to, keptGone, ...account } = quarantined.outcome.accounts.loads[0]!
  assert.deepEqual(account, { read: 4, loaded: 2, unchanged: 0, rejected: 1, superseded: 1 })
  assert.match(summaryText(quarantined), /4 read = 2 loaded \+ 0 unchanged \+ 1 rejected \+ 1 superseded/)
  const [record] = await loaded.metadata.errors.list({ limit: 9 })
  assert.deepEqual(
    [record!.reason, record!.record, record!.row_key],
    ['key a = 1 stands in 2 rows', { a: '1', b: 'x' }, '1'],
  )
})

test('a join that fans out stops the load and names the tables; the newest stays where it is known which', async () => {
  const made = await job(
    `extract:
  orders: { ${taken}, files: orders.csv, key: id, schema: { id: BIGINT, customer: BIGINT, at: DATE } }
  customers: { ${taken}, files: customers.csv, key: customer, schema: { customer: BIGINT } }
load: { m: { to: wh, from: m, key: customer } }`,
    {
      'orders.csv': 'id,customer,at\n1,10,2026-01-01\n2,10,2026-01-03\n3,11,2026-01-02\n',
      'customers.csv': 'customer\n10\n11\n',
    },
    { 'm.sql': 'SELECT c.customer, o.id, o.at FROM customers AS c JOIN orders AS o USING (customer)' },
  )
  refused(
    await made.run(),
    'DUPLICATE_KEY',
    /customer = 10 stands in 2 rows/,
    /join of customers, orders fans out/,
  )
  assert.deepEqual(await made.rows("SELECT 1 FROM information_schema.tables WHERE table_name = 'm'"), [])
  made.yaml(
    `connections: { drop: "file:../in", wh: "duckdb:../wh.duckdb" }
extract:
  orders: { ${taken}, files: orders.csv, key: id, schema: { id: BIGINT, customer: BIGINT, at: DATE } }
  customers: { ${taken}, files: customers.csv, key: customer, schema: { customer: BIGINT } }
load: { m: { to: wh, from: m, key: customer, newer: at } }
`,
  )
  const result = await made.run({ fresh: true })
  assert.equal(result.error, undefined)
  assert.equal(result.outcome.accounts.loads[0]!.superseded, 1)
  assert.deepEqual(result.outcome.accounts.models, [{ table: 'm', in: 5, out: 3, rejected: 0 }])
  assert.deepEqual(await made.rows('SELECT customer, id FROM m ORDER BY 1'), [
    { customer: 10, id: 2 },
    { customer: 11, id: 3 },
  ])
})

test('every row with NULL in its key goes to the quarantine', async () => {
  const made = await job(
    `extract: { t: { ${taken}, files: t.csv, key: [a, b], schema: { a: BIGINT, b: VARCHAR, v: BIGINT } } }
load: { t: { to: wh, from: t, key: [a, b] } }
quality: { max_error_rate: 1 }`,
    { 't.csv': 'a,b,v\n1,x,1\n,x,2\n,x,3\n1,,4\n1,,5\n' },
  )
  const result = await made.run()
  assert.equal(result.error, undefined)
  const records = await made.metadata.errors.list({ limit: 9 })
  assert.deepEqual(records.map(({ record }) => record.v).sort(), ['2', '3', '4', '5'])
  assert.deepEqual(await made.rows('SELECT v FROM t'), [{ v: 1 }])
})

const hundred = `id,n\n${Array.from({ length: 100 }, (_, i) => `${i},${i % 4 === 3 ? 'x' : i}`).join('\n')}\n`
const copies = Object.fromEntries(
  ['t', 'm0', 'm1', 'm2'].map((from, i) => [`m${i}.sql`, `SELECT * FROM ${from}`]),
)

for (const [name, yaml, csv, files, message] of [
  [
    'a chain of models',
    `extract: { t: { ${taken}, files: t.csv, columns: { n: quarantine }, schema: { id: BIGINT, n: BIGINT } } }
load:
${['m0', 'm1', 'm2', 'm3'].map(m => `  ${m}: { to: wh, from: ${m}, mode: replace }`).join('\n')}
quality: { max_error_rate: 0.2 }`,
    hundred,
    copies,
    /25\.00 % of t \(25 of 100 rows\)/,
  ],
  [
    'rows that a model makes',
    `extract: { t: { ${taken}, files: t.csv, key: id, schema: { id: BIGINT, n: VARCHAR } } }
load: { m: { to: wh, from: m, mode: replace }, dim: { to: wh, from: dim, key: id } }`,
    'id,n\n1,a\n2,b\n3,c\n',
    {
      'm.sql': 'SELECT i AS id FROM range(100000) AS t(i)',
      'dim.sql': 'SELECT * FROM t',
      'checks/dim/every.sql': "SELECT id, 'bad' AS reason FROM dim",
    },
    /100\.00 % of dim \(3 of 3 rows\)/,
  ],
  [
    'the good rows of its own table, counted again as a data set',
    `extract: { t: { ${taken}, files: t.csv, key: id, columns: { n: quarantine }, schema: { id: BIGINT, n: BIGINT } } }
load: { t: { to: wh, from: t, key: id } }
quality: { max_error_rate: 0.4 }`,
    'id,n\n1,1\n2,many\n',
    {},
    /50\.00 % of t \(1 of 2 rows\)/,
  ],
] as const)
  test(`an error rate is not diluted by ${name}`, async () => {
    const made = await job(yaml, { 't.csv': csv }, files)
    refused(await made.run(), 'QUALITY_GATE', message)
  })

const value = fc.option(fc.integer({ min: 0, max: 2 }), { nil: null })
const line = fc.record({
  id: fc.option(fc.integer({ min: 0, max: 5 }), { nil: null, freq: 8 }),
  n: fc.oneof({ weight: 6, arbitrary: value }, { weight: 1, arbitrary: fc.constant('bad' as const) }),
})
const csvOf = (lines: { id: number | null; n: number | string | null }[]) =>
  `id,n\n${lines.map(({ id, n }) => `${id ?? ''},${n ?? ''}`).join('\n')}\n`

/** Into which system, in which mode, and what becomes of rows of one key. */
const loadOf = fc.record({
  mode: fc.constantFrom('append', 'merge', 'replace', 'scd2', 'partition'),
  policy: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('quarantine', 'newest') },
    { weight: 1, arbitrary: fc.constant('fail') },
  ),
})
const drawnLoads = fc.record({ duckdb: loadOf, lake: loadOf, postgres: loadOf, mariadb: loadOf })

test('read = loaded + unchanged + rejected + superseded, over random rows, policies, modes, targets and nights', async () => {
  const [postgres, mariadb] = await Promise.all([freshPostgres(), freshMariadb()])
  const urls = {
    duckdb: 'duckdb:../wh.duckdb',
    lake: 'lake:../lake',
    postgres: postgres.url,
    mariadb: mariadb.url,
  }
  const deadline = Date.now() + 12_000
  let cases = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(line, { maxLength: 8 }), { minLength: 1, maxLength: 3 }),
      fc.constantFrom('quarantine', 'newest', 'fail'),
      drawnLoads,
      fc.constantFrom('take: all', 'take: new'),
      fc.boolean(),
      async (nights, readPolicy, drawn, take, keyed) => {
        if (Date.now() > deadline) return
        const number = ++cases
        const loads = Object.entries(drawn).map(
          ([to, { mode, policy }]) =>
            `  t${number}_${to}: { to: ${to}, from: t, key: id, mode: ${mode}, on_duplicate: ${policy}, ${mode === 'partition' ? 'partition_by: n, ' : ''}guard: { max_delete_share: 1, allow_empty: true } }`,
        )
        const made = await job(
          `extract: { t: { from: drop, ${take}, files: "*.csv", ${keyed ? `key: id, on_duplicate: ${readPolicy}, ` : ''}columns: { n: quarantine }, schema: { id: BIGINT, n: BIGINT } } }
load:
${loads.join('\n')}
quality: { max_error_rate: 1 }`,
          {},
          {},
          urls,
        )
        for (const [night, lines] of nights.entries()) {
          const file = `${night}.csv`
          if (take === 'take: all' && night > 0) rmSync(join(made.home, 'in', `${night - 1}.csv`))
          made.write({ [file]: csvOf(lines) })
          const { error, outcome } = await made.run({ fresh: true })
          if (error !== undefined) {
            assert.ok(error instanceof EngineError && error.code === 'DUPLICATE_KEY', String(error))
            break
          }
          const [extract] = outcome.accounts.extracts
          assert.equal(extract!.read, lines.length)
          // Rows that no type or key refuses, one a key, are what is left; a row is never counted twice.
          const fine = lines.filter(({ id, n }) => id !== null && n !== 'bad')
          const keys = new Set(fine.map(({ id }) => id)).size
          assert.equal(outcome.accounts.loads.length, 4)
          for (const { table, read, loaded, unchanged, rejected, superseded } of outcome.accounts.loads) {
            assert.equal(read, loaded + unchanged + rejected + superseded, table)
            if (take === 'take: new') continue
            assert.equal(read, lines.length, table)
            assert.equal(loaded + unchanged, keys, table)
            if (night > 0) continue
            const server = { postgres, mariadb }[table.split('_')[1]!]
            const count = server && (await server.query(`SELECT count(*) AS n FROM ${table}`))
            if (count) assert.equal(Number(count[0]!.n), keys, table)
          }
        }
      },
    ),
    { numRuns: 30, endOnFailure: true },
  )
  assert.ok(cases > 0)
})

test('the columns of the printed table add up to the rows that were read, also of those that are older', async () => {
  const made = await job(
    `extract: { t: { ${taken}, files: t.csv, schema: { id: BIGINT, n: BIGINT } } }
load: { t: { to: wh, from: t, key: id, newer: n, on_duplicate: newest } }`,
    { 't.csv': 'id,n\n1,5\n2,5\n' },
  )
  await made.run()
  await made.rows('UPDATE t SET n = 9 WHERE id = 1')
  made.write({ 't.csv': 'id,n\n1,6\n2,6\n2,7\n3,1\n' })
  const told = summaryText(await made.run()).split('\n')
  const head = told.findIndex(line => /^ +loaded +read /.test(line))
  const cells = (line: string) => line.trim().split(/ {2,}/)
  const counts = Object.fromEntries(cells(told[head]!).map((name, at) => [name, cells(told[head + 1]!)[at]]))
  const { read, inserted, updated, unchanged, older, superseded } = counts
  assert.deepEqual(
    { read, inserted, updated, unchanged, older, superseded },
    { read: '4', inserted: '1', updated: '1', unchanged: '0', older: '1', superseded: '1' },
  )
})

test('a row that was in the quarantine when the table was made is none of its rows: the plan of the next night is what its run does', async () => {
  const job = await smallJob({ after }, 'rejected_first', {
    'job.yaml': `connections: { s: "file:in", w: "duckdb:w.duckdb" }
extract: { t: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT, n: INTEGER } } }
load:
  hard: { to: w, from: t, key: id, deletes: hard, guard: { max_delete_share: 1 } }
  keep: { to: w, from: t, key: id }
checks: { t: { n: { between: [0, 2] } } }
quality: { max_error_rate: 1 }
resources: { memory: 300MB, threads: 1 }
`,
  })
  mkdirSync(join(job.folder, 'in'))
  const file = (rows: string) => writeFileSync(join(job.folder, 'in/t.csv'), `id,n\n${rows}`)
  file('1,1\n2,9\n3,9\n')
  assert.equal((await job.run()).error, undefined)
  // Row 2 is right now, row 3 is gone.
  file('1,1\n2,2\n')
  const planned = (await job.run({ goal: 'plan' })).outcome.previews
  const { error, outcome } = await job.run({ fresh: true })
  assert.equal(error, undefined)
  for (const [index, { inserted, updated, deleted }] of outcome.loaded.entries()) {
    const { inserts, updates, deletes, keptGone } = planned[index]!.counts
    assert.deepEqual([inserts, updates, deletes, keptGone], [1, 0, 0, 0])
    assert.deepEqual([inserted, updated, deleted], [1, 0, 0])
  }
})
