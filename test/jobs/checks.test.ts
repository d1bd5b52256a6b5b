import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { summaryJson, summaryText } from '../../src/cli/summary.ts'
import { validateJob } from '../../src/runs/validateJob.ts'
import { type SmallJob, smallJob } from './small.ts'

const YAML = `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
  orders:
    from: in
    files: orders.csv
    take: all
    schema: { order_id: BIGINT, customer_id: BIGINT, amount: "DECIMAL(12,2)" }
  customers: { from: in, files: customers.csv, take: all, schema: { customer_id: BIGINT } }
load:
  m: { to: wh, from: m, key: order_id }
quality: { max_error_rate: 0.5 }
resources: { memory: 300MB, threads: 1 }
`
const FILES = {
  'in/orders.csv': 'order_id,customer_id,amount\n1,10,12.50\n2,11,7.00\n3,10,99.99\n4,12,1.00\n',
  'in/customers.csv': 'customer_id\n10\n11\n',
  'm.sql': 'SELECT * FROM orders',
}

let jobs = 0
const jobWith = (files: Record<string, string>): Promise<SmallJob> =>
  smallJob({ after }, `checks_${++jobs}`, { 'job.yaml': YAML, ...FILES, ...files })

/** What the warehouse holds; undefined where there is no such table. */
async function loaded({ folder }: SmallJob, sql = 'SELECT order_id FROM m ORDER BY ALL', file = 'wh.duckdb') {
  const duck = await Duck.open({ path: join(folder, file), threads: 1 })
  try {
    return (await duck.rows(sql)).map(row => Object.values(row).join(' '))
  } catch {
    return undefined
  } finally {
    duck.close()
  }
}

/** Files of a job, and how `validate` and `run` refuse it. */
const REFUSED: [what: string, files: Record<string, string>, says: string][] = [
  ...[
    [
      'a severity of another word',
      "'error' AS severity,",
      "severity is 'error'; expected 'reject' or 'warn'",
    ],
    ['a severity in capitals', "'REJECT' AS severity,", "severity is 'REJECT'; expected 'reject' or 'warn'"],
    ['a severity with a blank', "'warn ' AS severity,", "severity is 'warn '; expected 'reject' or 'warn'"],
    ['no severity', 'NULL AS severity,', "severity is NULL; expected 'reject' or 'warn'"],
    [
      'one of two severities',
      "CASE WHEN amount > 1 THEN 'reject' ELSE 'ignore' END AS severity,",
      "severity is 'ignore'; expected 'reject' or 'warn'",
    ],
  ].map(([what, column, says]): (typeof REFUSED)[number] => [
    what!,
    { 'checks/m/x.sql': `SELECT order_id, ${column} 'bad' AS reason FROM m` },
    `checks/m/x.sql:1: ${says}`,
  ]),
  [
    'a reason that is NULL',
    { 'checks/m/x.sql': 'SELECT order_id, NULL AS reason FROM m' },
    'checks/m/x.sql:1: reason is NULL',
  ],
  ...['?', '$1', '$least'].map((parameter): (typeof REFUSED)[number] => [
    `the parameter ${parameter}`,
    { 'checks/m/x.sql': `SELECT order_id, 'bad' AS reason\nFROM m WHERE amount > ${parameter}` },
    'checks/m/x.sql:2: nobody gives a parameter a value',
  ]),
  [
    'a parameter in a model',
    { 'm.sql': 'SELECT * FROM orders WHERE order_id = ?' },
    'm.sql:1: nobody gives a parameter a value',
  ],
  [
    'a level of another word',
    { 'checks/x.sql': "SELECT 'fail' AS level, 'bad' AS message" },
    "checks/x.sql:1: level is 'fail'; expected 'pass', 'warn' or 'stop'",
  ],
  [
    'a level that is NULL',
    { 'checks/x.sql': "SELECT NULL AS level, 'bad' AS message" },
    'checks/x.sql:1: level is NULL',
  ],
  ...['m.sql', 'checks/x.sql', 'checks/m/x.sql', 'checks/orders/x.sql'].flatMap((file): typeof REFUSED => {
    const what = file === 'm.sql' ? 'a model' : 'a check'
    return [
      [`${file} is empty`, { [file]: '' }, `${file}: is empty; ${what} is one SELECT`],
      [`${file} is a comment`, { [file]: '-- soon\n;' }, `${file}: is empty; ${what} is one SELECT`],
      [
        `${file} has two statements`,
        { [file]: "SELECT 1 AS x;\nSELECT 'stop' AS level" },
        `${file}:2: ${what} is one SELECT; a second statement begins here`,
      ],
      [
        `${file} is no SELECT`,
        { [file]: '\nDROP TABLE m' },
        `${file}:2: ${what} is one SELECT, and nothing else`,
      ],
      [
        `${file} reads what is not there`,
        { [file]: 'SELECT *\nFROM mm' },
        `${file}:2: reads mm, which nobody provides`,
      ],
    ]
  }),
  [
    'a folder of checks that is misspelt',
    { 'check/m/x.sql': "SELECT order_id, 'bad' AS reason FROM m" },
    'check/: holds SQL files that nobody reads; did you mean checks/?',
  ],
  [
    'checks for no table',
    { 'checks/n/x.sql': 'SELECT 1' },
    'checks/n/x.sql: no model or extract "n" to check',
  ],
  [
    'a test of another tool',
    { 'tests/no_negative.sql': 'SELECT * FROM m WHERE n < 0' },
    'tests/no_negative.sql: is read by nobody',
  ],
  [
    'a case that lies beside tests/cases/',
    { 'tests/mine/orders.csv': 'order_id\n1' },
    'tests/mine/: is read by nobody: the folder of a test lies in tests/cases/',
  ],
  ['a check that is too deep', { 'checks/m/deep/x.sql': 'SELECT 1' }, 'checks/m/deep/: is read by nobody'],
  ...['checks/x.sq', 'checks/m/x.sql.txt', 'm2.sql.bak', 'm2.sqll'].map((file): (typeof REFUSED)[number] => [
    `a file called ${file}`,
    { [file]: 'SELECT 1' },
    `${file}: is read by nobody: the name of a file of SQL ends with .sql`,
  ]),
  [
    'a circle through a check',
    { 'z.sql': 'SELECT * FROM m', 'checks/m/x.sql': "SELECT order_id, 'bad' AS reason FROM z" },
    'checks/m/x.sql: reads z, which is made from m',
  ],
  [
    'a circle through a check of an extract',
    { 'checks/orders/x.sql': "SELECT order_id, 'bad' AS reason FROM m" },
    'checks/orders/x.sql: reads m, which is made from orders',
  ],
]

describe('what cannot be judged is refused by validate, and by run before a row is read', {
  concurrency: 2,
}, () => {
  for (const [what, files, says] of REFUSED)
    test(what, async () => {
      const job = await jobWith(files)
      await assert.rejects(validateJob(job.folder, {}, job.home), (error: EngineError) => {
        assert.equal(error.exitCode, 2)
        assert.ok(error.message.replace(`${job.folder}/`, '').startsWith(says), error.message)
        return true
      })
      const message = await job.run().then(
        ({ error, outcome }) => {
          assert.deepEqual(outcome.extracted, [])
          return (error as Error).message
        },
        (error: Error) => error.message,
      )
      assert.ok(message.includes(says), message)
      assert.equal(await loaded(job), undefined)
    })
})

/** Checks whose fault only their rows show. */
const UNJUDGED: [what: string, file: string, sql: string, says: RegExp][] = [
  [
    'a severity that is computed',
    'm',
    "SELECT order_id, upper('warn') AS severity, 'x' AS reason FROM m",
    /severity is 'WARN'.*order_id = 1/,
  ],
  [
    'a severity of a column',
    'm',
    "SELECT order_id, NULLIF('warn', 'warn') AS severity, 'x' AS reason FROM m",
    /severity is NULL/,
  ],
  [
    'a reason that is NULL',
    'm',
    'SELECT order_id, nullif(amount::VARCHAR, amount::VARCHAR) AS reason FROM m',
    /reason is NULL for order_id = 1/,
  ],
  ['a reason that is a number', 'm', 'SELECT order_id, amount AS reason FROM m', /reason is DECIMAL\(12,2\)/],
  [
    'no reason',
    'm',
    'SELECT order_id FROM m',
    /returns order_id; a row check returns columns of m and reason/,
  ],
  ['no key', 'm', "SELECT 'x' AS reason FROM m", /returns reason; a row check returns columns of m/],
  [
    'a column that the table has not',
    'm',
    "SELECT order_id AS order_no, 'x' AS reason FROM m",
    /returns order_no, which is no column of m.*did you mean "order_id"/s,
  ],
  [
    'rows that the table has not',
    'm',
    "SELECT order_id + 100 AS order_id, 'x' AS reason FROM m",
    /finds order_id = 101, which is no row of m/,
  ],
  ['a level that is computed', '', "SELECT upper('warn') AS level, 'x' AS message FROM m", /level is 'WARN'/],
  [
    'a set check without a level',
    '',
    "SELECT 'x' AS message, 'stop' AS status",
    /returns message, status; a set check returns level and message/,
  ],
  ['a message that is NULL', '', "SELECT 'warn' AS level, NULL AS message FROM m", /message is NULL/],
  [
    'a set check that fails on an extract',
    '',
    "SELECT if(max(amount::VARCHAR::DATE) IS NULL, 'warn', 'pass') AS level, 'x' AS message FROM orders",
    /invalid date field format/,
  ],
]

describe('a check that fails on its rows stops the load of what it guards', { concurrency: 2 }, () => {
  for (const [what, table, sql, says] of UNJUDGED)
    test(what, async () => {
      const job = await jobWith({ [join('checks', table, 'x.sql')]: sql })
      const { error } = await job.run()
      assert.match((error as Error).message, /^checks\/(m\/)?x\.sql/)
      assert.match((error as Error).message, says)
      assert.equal(await loaded(job), undefined)
    })
})

test('a check reads any table, whatever the order of names, and runs when it is there', async () => {
  for (const other of ['a', 'z']) {
    const job = await jobWith({
      [`${other}.sql`]: 'SELECT customer_id FROM customers',
      'checks/m/known.sql': `SELECT order_id, 'warn' AS severity, 'customer ' || customer_id AS reason FROM m
        WHERE customer_id NOT IN (FROM ${other})`,
    })
    const { error, outcome } = await job.run()
    assert.equal(error, undefined)
    const found = outcome.checks.find(({ name }) => name === 'known')!
    assert.deepEqual([found.level, found.rows, found.samples[0]!.reason], ['warn', 1, 'customer 12'])
    assert.deepEqual(await loaded(job), ['1', '2', '3', '4'])
  }
})

test('rows of an extract are checked, too: neither models nor loads see those that are rejected', async () => {
  const check = "SELECT Order_ID, 'too much' AS reason FROM orders WHERE amount > 50"
  const job = await jobWith({ 'checks/orders/x.sql': check })
  const { error, outcome } = await job.run()
  assert.equal(error, undefined)
  assert.deepEqual(await loaded(job), ['1', '2', '4'])
  assert.equal(outcome.tables.find(({ name, parts }) => name === 'orders' && parts)!.rejected, 1)
  const bare = await jobWith({ 'checks/orders/x.sql': check })
  rmSync(join(bare.folder, 'm.sql'))
  bare.yaml(YAML.replace('from: m,', 'from: orders,'))
  assert.equal((await bare.run()).error, undefined)
  assert.deepEqual(await loaded(bare), ['1', '2', '4'])
})

test('a set check stops what it reads and what is made from that, and nothing else', async () => {
  const job = await jobWith({
    'n.sql': 'SELECT * FROM customers',
    'checks/x.sql': "SELECT if(error('gone') IS NULL, 'pass', 'warn') AS level, 'x' AS message FROM orders",
  })
  const yaml = YAML.replace('load:', 'load:\n  n: { to: other, from: n, key: customer_id }')
  job.yaml(yaml.replace('wh: "duckdb', 'other: "duckdb:other.duckdb", wh: "duckdb'))
  const { error } = await job.run()
  assert.match((error as Error).message, /^checks\/x\.sql:1: gone/)
  assert.deepEqual(await loaded(job, 'SELECT customer_id FROM n ORDER BY ALL', 'other.duckdb'), ['10', '11'])
  assert.equal(await loaded(job), undefined)
})

test('what checks warn of is told by the run, with its reason, and in --json', async () => {
  const job = await jobWith({
    'checks/m/known.sql':
      "SELECT order_id, 'warn' AS severity, 'customer is unknown' AS reason FROM m WHERE customer_id NOT IN (FROM customers)",
    'checks/enough.sql': "SELECT if(count(*) < 9, 'warn', 'pass') AS level, 'few orders' AS message FROM m",
  })
  const result = await job.run()
  const text = summaryText(result)
  assert.match(text, /^ {2}warned {4}m: 1 row by known: customer is unknown$/m)
  assert.match(text, /^ {2}warned {4}enough: few orders$/m)
  assert.deepEqual(
    summaryJson(result)
      .warned.map(({ check, table, rows }) => [check, table, rows])
      .sort(),
    [
      ['enough', undefined, 1],
      ['known', 'm', 1],
    ],
  )
})
