import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { type Fault, faultText, type SqlInvalid } from '../../engine/sql/faults.ts'
import { validateJob } from '../../src/runs/validateJob.ts'
import { type SmallJob, smallJob } from './small.ts'

const YAML = `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
  orders:
    from: in
    files: orders.csv
    take: all
    schema: { order_id: BIGINT, customer_id: BIGINT, amount: "DECIMAL(12,2)", note: VARCHAR }
load:
  m: { to: wh, from: m, key: order_id }
resources: { memory: 300MB, threads: 1 }
`
const FILES = {
  'in/orders.csv': 'order_id,customer_id,amount,note\n1,10,12.50,a\n2,11,7.00,7\n3,10,99.99,12x\n',
  'm.sql': 'SELECT * FROM orders',
}

let jobs = 0
const jobWith = (files: Record<string, string>, yaml = YAML): Promise<SmallJob> =>
  smallJob({ after }, `analyst_${++jobs}`, { 'job.yaml': yaml, ...FILES, ...files })

const validate = ({ folder, home }: SmallJob) => validateJob(folder, {}, home)

async function loaded({ folder }: SmallJob, sql = 'FROM m ORDER BY ALL') {
  const duck = await Duck.open({ path: join(folder, 'wh.duckdb'), threads: 1 })
  try {
    return (await duck.rows(sql)).map(row => Object.values(row).join(' '))
  } catch {
    return undefined
  } finally {
    duck.close()
  }
}

/** What is wrong with a job's SQL, as `validate` says it, without the lines that show it. */
async function faults(job: SmallJob): Promise<string[]> {
  const error = await validate(job).then(
    () => undefined,
    (error: SqlInvalid) => error,
  )
  const said = (fault: Fault) => faultText(fault).split('\n')[0]!
  return [
    ...(error?.faults ?? []).map(said),
    ...(error?.warnings ?? []).map(each => `warning: ${said(each)}`),
  ]
}

const macro = (file: string) => `../macros/${file}`

/** Mistakes, and what is said of each: the whole list, in order. */
const MISTAKES: [what: string, files: Record<string, string>, says: string[]][] = [
  [
    'a column that is not there',
    { 'm.sql': 'SELECT\n  order_id,\n  custmer_id\nFROM orders' },
    ['m.sql:3: Referenced column "custmer_id" not found in FROM clause; did you mean "customer_id"?'],
  ],
  [
    'a column behind letters of two bytes',
    { 'm.sql': "SELECT 'äöü' AS ä, order_id, nte FROM orders" },
    ['m.sql:1: Referenced column "nte" not found in FROM clause; did you mean "note"?'],
  ],
  [
    'a function that is not there',
    { 'm.sql': "SELECT order_id, date_trnc('month', DATE '2026-01-01') AS d FROM orders" },
    ['m.sql:1: Scalar Function with name date_trnc does not exist; did you mean "date_trunc"?'],
  ],
  [
    'a type that is not there',
    { 'm.sql': 'SELECT order_id::BIGNT AS order_id FROM orders' },
    ['m.sql:1: Type with name BIGNT does not exist; did you mean "BIGINT"?'],
  ],
  [
    'a column that two tables have',
    { 'm.sql': 'SELECT order_id FROM orders JOIN orders AS o ON o.note = orders.note' },
    ['m.sql:1: Ambiguous reference to column name "order_id" (use: "orders.order_id" or "o.order_id")'],
  ],
  [
    'a column that is neither grouped nor summed',
    { 'm.sql': 'SELECT order_id, note, sum(amount) AS a FROM orders GROUP BY order_id' },
    ['m.sql:1: column "note" must appear in the GROUP BY clause or must be part of an aggregate function.'],
  ],
  [
    'arguments of a wrong type',
    { 'm.sql': 'SELECT order_id, sum(note) AS a FROM orders GROUP BY ALL' },
    [
      "m.sql:1: No function matches the given name and argument types 'sum(VARCHAR)'. You might need to add explicit type casts.",
    ],
  ],
  [
    'a check of a column that is not there',
    { 'checks/x.sql': "SELECT if(sum(amont) > 1, 'warn', 'pass') AS level, 'x' AS message FROM m" },
    ['checks/x.sql:1: Referenced column "amont" not found in FROM clause; did you mean "amount"?'],
  ],
  [
    'a check without what checks return',
    {
      'checks/x.sql': "SELECT 'stop' AS status, 'x' AS message",
      'checks/m/y.sql': "SELECT order_no, 'x' AS reason FROM (SELECT order_id AS order_no FROM m)",
    },
    [
      'checks/m/y.sql:1: returns order_no, which is no column of m; a row check returns columns of m, reason and severity; did you mean "order_id"?',
      'checks/x.sql:1: returns status, message; a set check returns level and message',
    ],
  ],
  [
    'a draft that nobody reads',
    { 'draft.sql': 'SELECT nope FROM orders' },
    [
      'draft.sql:1: Referenced column "nope" not found in FROM clause; did you mean "note"?',
      'warning: draft.sql: nobody reads draft: no model, check or load',
    ],
  ],
  [
    'four mistakes in four files, and what is made from one of them',
    {
      'a.sql': 'SELEC 1',
      'b.sql': 'SELECT 1 AS x\n,\n,2 AS y FROM a',
      'c.sql': 'SELECT * FROM nowhere',
      'm.sql': 'SELECT * FROM b, c WHERE\n\n',
      'z.sql': 'SELECT nope FROM m',
    },
    [
      'a.sql:1: syntax error at or near "SELEC"',
      'b.sql:3: syntax error at or near ","',
      'c.sql:1: reads nowhere, which nobody provides',
      'm.sql:1: syntax error at end of input',
    ],
  ],
  [
    'a macro that does not parse',
    {
      [macro('t.sql')]: 'CREATE MACRO vat(x) AS x * (1 + 2;',
      'm.sql': 'SELECT order_id, vat(amount) AS v FROM orders',
    },
    ['../macros/t.sql:1: syntax error at or near ";"'],
  ],
  [
    'a macro that calls what is not there',
    { [macro('t.sql')]: '\nCREATE MACRO ok(x) AS x;\nCREATE MACRO vat(x) AS\n  rund(x);' },
    ['../macros/t.sql:4: Scalar Function with name rund does not exist; did you mean "round"?'],
  ],
  [
    'a file of macros that makes a table',
    { [macro('t.sql')]: 'CREATE MACRO ok(x) AS x;\nCREATE TABLE secret AS SELECT 1 AS x;' },
    ['../macros/t.sql:2: a file of macros holds CREATE MACRO statements only'],
  ],
  [
    "a macro of the name of DuckDB's own",
    { [macro('t.sql')]: 'CREATE OR REPLACE MACRO hash(x) AS 1' },
    ["../macros/t.sql:1: hash is a function of DuckDB's, and a macro would change it everywhere"],
  ],
  [
    'macros in a circle',
    { [macro('t.sql')]: 'CREATE MACRO p(x) AS q(x); CREATE MACRO q(x) AS p(x)' },
    ['../macros/t.sql:1: macros call each other: p → q → p'],
  ],
  [
    'columns that differ in letters only',
    { 'm.sql': 'SELECT order_id, note AS x, amount AS X FROM orders' },
    ['m.sql:1: gives two columns that are one for SQL: x and X'],
  ],
  [
    'a model in capitals',
    { 'n.SQL': 'SELECT 1 AS x FROM nowhere' },
    [
      'n.SQL:1: reads nowhere, which nobody provides',
      'warning: n.SQL: nobody reads n: no model, check or load',
    ],
  ],
]

describe('mistakes are found by validate, and by run before a row is read: all at once, each at its place', () => {
  for (const [what, files, says] of MISTAKES)
    test(what, async () => {
      const job = await jobWith(files)
      after(() => rmSync(join(job.home, 'macros'), { recursive: true, force: true }))
      const found = await faults(job)
      assert.deepEqual(
        found.filter(line => !/nobody reads (a|b|c|z)\b/.test(line)),
        says,
      )
      const { error, outcome } = await job.run()
      assert.equal((error as EngineError).code, 'MODEL_INVALID')
      assert.deepEqual(outcome.extracted, [])
      assert.doesNotMatch((error as Error).message, /DESCRIBE|COPY|read_parquet|nightfreight-/)
    })
})

test('a fault shows its line with a caret, and is data with --json', async () => {
  const job = await jobWith({ 'm.sql': 'SELECT\n\torder_id, nte -- as written\nFROM orders' })
  const { code, err } = await job.cli('validate', job.folder)
  assert.equal(code, 2)
  assert.ok(err.includes('\n     order_id, nte -- as written\n               ^\n'), err)
  const { faults } = JSON.parse((await job.cli('validate', job.folder, '--json')).err)
  assert.deepEqual([faults[0].file, faults[0].place.line, faults[0].place.column], ['m.sql', 2, 12])
})

test('without known columns validate says what it could not bind; after a run it knows them', async () => {
  const job = await jobWith(
    { 'm.sql': 'SELECT order_id, nte FROM orders' },
    YAML.replace(/ {4}schema: .*\n/, ''),
  )
  assert.deepEqual((await validate(job)).unknown, [{ file: 'm.sql', extracts: ['orders'] }])
  const { error, outcome } = await job.run()
  assert.match((error as Error).message, /^m\.sql:1: Referenced column "nte"/)
  assert.deepEqual(outcome.extracted, [])
  writeFileSync(join(job.folder, 'm.sql'), 'SELECT order_id, note FROM orders')
  assert.equal((await job.run()).error, undefined)
  writeFileSync(join(job.folder, 'm.sql'), 'SELECT order_id, nte FROM orders')
  await assert.rejects(validate(job), /^Error.*m\.sql:1: Referenced column "nte"|m\.sql:1/s)
})

test("names are compared as SQL compares them: a table's, a column's of a load, a model's of a sub-folder", async () => {
  const job = await jobWith({
    'm.sql': 'SELECT Order_ID, amount FROM STG_Orders',
    'staging/deep/stg_orders.SQL': 'SELECT order_id AS Order_ID, amount FROM Orders',
  })
  assert.deepEqual(
    (await validate(job)).graph.models.map(({ name }) => name),
    ['stg_orders', 'm'],
  )
  assert.equal((await job.run()).error, undefined)
  assert.deepEqual(await loaded(job), ['1 12.50', '2 7.00', '3 99.99'])
  const twice = await jobWith({ 'a/m.sql': 'SELECT 1 AS x' })
  await assert.rejects(validate(twice), /a\/m\.sql: model "m" has the name of m\.sql/)
})

test('variables that are not set hinder no look at SQL, and a plan that cannot begin is no run', async () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the job's own syntax
  const job = await jobWith({}, YAML.replace('"file:in"', '"${NOT_SET_URL}"'))
  const { warnings } = await validate(job)
  assert.match(warnings.map(each => faultText(each)).join('\n'), /NOT_SET_URL is not set/)
  writeFileSync(join(job.folder, 'm.sql'), 'SELECT order_id, nte FROM orders')
  assert.deepEqual(await faults(job), [
    'm.sql:1: Referenced column "nte" not found in FROM clause; did you mean "note"?',
  ])
  await assert.rejects(job.run({ goal: 'plan' }), /NOT_SET_URL is not set/)
  assert.deepEqual(await job.metadata.runs(9), [])
})

test('a load of a column that is not there is found before a row is read', async () => {
  const job = await jobWith({}, YAML.replace('key: order_id', 'key: order_idd'))
  assert.deepEqual(await faults(job), [
    'job.yaml:10: load.m: m has no column order_idd; did you mean "order_id"?',
  ])
})

test('a table macro is made from what it reads', async () => {
  const job = await jobWith({
    [macro('a.sql')]:
      'CREATE MACRO dear(least) AS TABLE SELECT order_id, vat(amount) AS amount FROM z WHERE amount > least',
    [macro('b.sql')]: 'CREATE MACRO vat(x) AS x * 2, (x, y) AS x * y',
    'm.sql': 'FROM dear(10)',
    'z.sql': 'SELECT order_id, amount FROM orders',
  })
  assert.equal((await job.run()).error, undefined)
  assert.deepEqual(await loaded(job), ['1 25.00', '3 199.98'])
  rmSync(join(job.home, 'macros'), { recursive: true })
})

/** A model that fails on its rows, and how. */
const FAILING: [what: string, files: Record<string, string>, says: string, hint: RegExp][] = [
  [
    'a cast',
    { 'm.sql': 'SELECT order_id,\n  note::INTEGER AS n FROM orders' },
    "m.sql:2: Could not convert string 'a' to INT32 (column note): order_id = 1, and 1 more row",
    /^TRY_CAST\(note AS INTEGER\) gives NULL instead; a check in checks\/orders\//,
  ],
  [
    'a cast in a view',
    {
      'b.sql': 'SELECT order_id,\n\n\n  note::DATE AS n\nFROM orders WHERE order_id > 2',
      'm.sql': 'SELECT *\nFROM b',
    },
    'b.sql:4: invalid date field format: "12x", expected format is (YYYY-MM-DD) (column note): order_id = 3',
    /^TRY_CAST\(note AS DATE\)/,
  ],
  [
    'a cast in a CTE and an expression',
    {
      'm.sql':
        "WITH o AS (SELECT *, note || '?' AS q FROM orders)\nSELECT order_id, CAST(lower(q) AS INTEGER) AS n FROM o",
    },
    "m.sql:2: Could not convert string 'a?' to INT32: order_id = 1, and 2 more rows",
    /^TRY_CAST\(lower\(q\) AS INTEGER\)/,
  ],
  [
    'a check',
    { 'checks/m/x.sql': "SELECT order_id, 'x' AS reason FROM m WHERE note::INTEGER > 20" },
    "checks/m/x.sql:1: Could not convert string 'a' to INT32 (column note): order_id = 1, and 1 more row",
    /^TRY_CAST/,
  ],
  [
    'what is no cast',
    { 'm.sql': "SELECT order_id, strptime(note, '%Y') AS t FROM orders" },
    'm.sql:1: Could not parse string "a" according to format specifier "%Y"',
    /./,
  ],
]

test('a model that takes more memory than there is says what to raise', async () => {
  const numbers = 'SELECT i AS order_id, repeat(md5(i::VARCHAR), 9) AS v FROM range(200000) AS r(i)'
  const sql = `SELECT order_id, string_agg(v, ',') OVER (PARTITION BY order_id % 2 ORDER BY order_id) AS a FROM (${numbers})`
  const { error } = await (await jobWith({ 'm.sql': sql }, YAML.replace('300MB', '235MB'))).run()
  const { code, message, hint } = error as EngineError
  assert.equal(code, 'MEMORY_EXCEEDED')
  assert.match(message, /^m\.sql:1: /)
  assert.match(hint ?? '', /^Raise resources\.memory of the job/)
})

describe('a value that fails names the query, the line, the column and the row', () => {
  for (const [what, files, says, hint] of FAILING)
    test(what, async () => {
      const { error } = await (await jobWith(files)).run()
      const { code, message, hint: told } = error as EngineError
      assert.equal(code, 'SQL_FAILED')
      assert.equal(message.split('\n')[0], says)
      assert.match(told ?? '', hint)
      assert.doesNotMatch(message, /staging|COPY/)
    })
})

/** Models whose rows differ each time, and whether that is said. */
const CHANGING: [sql: string, yaml: string, warns: RegExp | undefined][] = [
  [
    'SELECT *, now() AS t FROM orders',
    YAML,
    /^m\.sql:1: now\(\) differs at each run.*getvariable\('run_at'\).*ignore: \[t\]/s,
  ],
  ['SELECT *, current_date AS t FROM orders', YAML, /^m\.sql:1: current_date differs/],
  ['SELECT *, random() AS t FROM orders', YAML, /^m\.sql:1: random\(\) differs/],
  ['SELECT *, uuid()::VARCHAR AS t FROM orders', YAML, /^m\.sql:1: uuid\(\) differs/],
  [
    'SELECT * FROM orders WHERE now() > make_timestamptz(0)',
    YAML,
    /^m\.sql:1: now\(\) differs at each run, so what comes of it may, too; use getvariable/,
  ],
  [
    'SELECT *, now() AS t FROM orders',
    YAML.replace('key: order_id', 'key: order_id, ignore: [T]'),
    undefined,
  ],
  ["SELECT *, coalesce(getvariable('run_at')::TIMESTAMPTZ, now()) AS t FROM orders", YAML, undefined],
  ["SELECT *, getvariable('run_at')::TIMESTAMPTZ AS t FROM orders", YAML, undefined],
]

test('what differs at each run is warned about', async () => {
  for (const [sql, yaml, warns] of CHANGING) {
    const all = (await validate(await jobWith({ 'm.sql': sql }, yaml))).warnings
    const warnings = all.filter(({ message }) => !message.startsWith('* hands'))
    assert.equal(warnings.length, warns ? 1 : 0, sql)
    if (warns) assert.match(faultText(warnings[0]!), warns)
  }
})
