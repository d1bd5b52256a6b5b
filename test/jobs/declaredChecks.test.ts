import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { validateJob } from '../../src/runs/validateJob.ts'
import { type SmallJob, smallJob } from './small.ts'

const CSV = `order_id,customer_id,amount,status,placed
1,10,12.50,paid,2026-01-01 10:00:00
2,11,7.00,open,2026-01-02 10:00:00
2,,-1.00,lost,2026-01-03 10:00:00
4,99,5.00,paid,
`

let jobs = 0
const jobWith = (checks: string): Promise<SmallJob> =>
  smallJob({ after }, `declared_${++jobs}`, {
    'job.yaml': `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
  orders:
    from: in
    files: orders.csv
    take: all
    schema: { order_id: BIGINT, customer_id: BIGINT, amount: "DECIMAL(12,2)", status: VARCHAR, placed: TIMESTAMP }
  customers: { from: in, files: customers.csv, take: all, schema: { customer_id: BIGINT } }
load:
  orders: { to: wh, from: m, mode: replace }
checks:
${checks.replaceAll(/^/gm, '  ')}
quality: { max_error_rate: 1 }
`,
    'in/orders.csv': CSV,
    'in/customers.csv': 'customer_id\n10\n11\n',
    'm.sql': 'SELECT order_id, customer_id, amount, status, placed FROM orders',
  })

/** What is declared, and what is found: the check, its level, how many rows, the first reason. */
const FINDS: [checks: string, finds: [name: string, level: string, rows: number, reason: string][]][] = [
  ['m: { order_id: unique }', [['order_id_unique', 'reject', 2, 'order_id = 2 stands in 2 rows']]],
  ['m: { customer_id: [not_null] }', [['customer_id_not_null', 'reject', 1, 'customer_id is NULL']]],
  [
    'm: { customer_id: { in: customers.customer_id } }',
    [['customer_id_in', 'reject', 1, 'customer_id = 99 is not in customers.customer_id']],
  ],
  [
    'm: { status: { one_of: [paid, open], severity: warn } }',
    [['status_one_of', 'warn', 1, 'status = lost is none of paid, open']],
  ],
  [
    'm: { amount: { between: [0, null] } }',
    [['amount_between', 'reject', 1, 'amount = -1.00 is not between 0 and …']],
  ],
  [
    'm: { amount: { between: [0, 10] } }',
    [['amount_between', 'reject', 2, 'amount = 12.50 is not between 0 and 10']],
  ],
  [
    'm: { status: { matches: "[a-p]+" } }',
    [['status_matches', 'reject', 1, 'status = lost does not match [a-p]+']],
  ],
  [
    'm: { status: { one_of: [paid, open], severity: warn, warn_if: 25% } }',
    [['status_one_of', 'pass', 1, 'status = lost is none of paid, open']],
  ],
  [
    'm: { amount: { between: [0, 10], stop_if: 2 } }',
    [['amount_between', 'reject', 2, 'amount = 12.50 is not between 0 and 10']],
  ],
  [
    'm: { amount: [{ between: [0, 10] }, { between: [-5, 12], severity: warn }, { between: [-9, 99] }] }',
    [
      ['amount_between', 'reject', 2, 'amount = 12.50 is not between 0 and 10'],
      ['amount_between_2', 'warn', 1, 'amount = 12.50 is not between -5 and 12'],
    ],
  ],
  // The load's own name; an extract.
  ['orders: { order_id: unique }', [['order_id_unique', 'reject', 2, 'order_id = 2 stands in 2 rows']]],
  ['m: { rows: { min: 5, severity: warn } }', [['m_rows', 'warn', 1, 'm has 4 rows, expected at least 5']]],
  [
    'm: { fresh: { column: placed, within: 24h, severity: warn } }',
    [['m_fresh', 'warn', 1, 'the newest placed of m is 2026-01-03 10:00:00+00, expected within 24h']],
  ],
  ['m: { fresh: { column: placed, within: 9999d } }', []],
]

describe('a check of job.yaml is a query, and finds what it says', { concurrency: 2 }, () => {
  for (const [checks, finds] of FINDS)
    test(checks, async () => {
      const { outcome, error } = await (await jobWith(checks)).run()
      assert.equal(error, undefined)
      assert.deepEqual(
        outcome.checks
          .filter(({ rows }) => rows > 0)
          .map(({ name, level, rows, samples }) => [name, level, rows, samples[0]!.reason]),
        finds,
      )
    })
})

/** What stops a run before anything is loaded. */
const STOPS: [checks: string, says: string][] = [
  [
    'm: { status: { one_of: [paid, open], severity: stop } }',
    'check status_one_of: 1 of 4 rows of m: status = lost is none of paid, open',
  ],
  [
    'm: { amount: { between: [0, 10], stop_if: 1 } }',
    'check amount_between: 2 of 4 rows of m, more than 1: amount = 12.50 is not between 0 and 10',
  ],
  [
    'm: { status: { one_of: [paid], severity: warn, stop_if: 40% } }',
    'check status_one_of: 2 of 4 rows of m, more than 40 %: status = open is none of paid',
  ],
  ['m: { rows: { max: 3 } }', 'check m_rows: m has 4 rows, expected at most 3'],
  [
    'm: { fresh: { column: placed, within: 1h } }',
    'check m_fresh: the newest placed of m is 2026-01-03 10:00:00+00, expected within 1h',
  ],
]

describe('a limit stops the run', { concurrency: 2 }, () => {
  for (const [checks, says] of STOPS)
    test(checks, async () => {
      const { outcome, error } = await (await jobWith(checks)).run()
      assert.equal((error as EngineError).code, 'CHECK_STOPPED')
      assert.equal((error as EngineError).message, says)
      assert.deepEqual(outcome.loaded, [])
    })
})

/** What is wrong with what is declared, and what `validate` says. */
const WRONG: [checks: string, says: RegExp][] = [
  ['mm: { order_id: unique }', /job\.yaml:13:\d+: checks\.mm: no model, extract or load "mm"/],
  [
    'm: { order_idd: unique }',
    /job\.yaml:13: checks\.m\.order_idd\.unique: m has no column order_idd; did you mean "order_id"\?/,
  ],
  ['m: { order_id: { in: customers.id } }', /customers has no column id/],
  [
    'm: { order_id: { in: customer.customer_id } }',
    /reads customer, which nobody provides; did you mean "customers"\?/,
  ],
  ['m: { order_id: { in: customers } }', /expected table\.column/],
  ['m: { order_id: uniq }', /checks\.m\.order_id: expected/],
  ['m: { status: { one_off: [paid] } }', /unknown key "one_off".*did you mean "one_of"\?/],
  ['m: { status: { severity: warn } }', /names no rule: unique, not_null, in/],
  ['m: { status: { one_of: [paid], warn_if: 3 } }', /warn_if: goes with severity: warn/],
  ['m: { status: { one_of: [paid], stop_if: much } }', /expected a number of rows, or a share such as 1%/],
  ['m: { status: { matches: "(" } }', /checks\.m\.status\.matches: missing \)/],
  ['m: { status: { between: [1, 2] }, rows: { mn: 3 } }', /unknown key "mn".*did you mean "min"\?/],
  [
    'm: { status: { one_of: [1, paid] } }',
    /status\.one_of: status of m is text, and is compared with numbers/,
  ],
  ['m: { status: { between: [1, null] } }', /status\.between: status of m is text, and is compared/],
  ['m: { amount: { between: [10, 0] } }', /amount\.between: the least value goes first/],
  ['m: { placed: { between: ["2026-02-01", "2026-01-01"] } }', /the least value goes first/],
  ['m: { status: { one_of: [paid], severity: warn, warn_if: 150% } }', /below 100%/],
  ['m: { status: { one_of: [paid], stop_if: 100% } }', /below 100%: no more than all are wrong/],
  ['m: { status: { one_of: [true, false] } }', /status of m is VARCHAR, and is compared with true or false/],
  [
    'm: { order_id: { one_of: [9007199254740993] } }',
    /at most 15 digits; one that has more is exact in quotes/,
  ],
  ['m: { amount: { between: [0, 0.12345678901234567] } }', /at most 15 digits/],
  ['m: { rows: { min: 10, max: 1 } }', /m\.rows: min is above max/],
  [
    'm: { amount: { drift: 10%, stop_if: 3 } }',
    /m\.amount\.stop_if: counts rows, and drift is of all rows together: write drift: 10%, severity: stop$/m,
  ],
  [
    'm: { amount: { drift: 2.5%, unique: true, severity: warn, warn_if: 1% } }',
    /m\.amount\.warn_if: .*write drift: 2\.5%, severity: warn, as an item of its own: \[\{ … \}, \{ drift: … \}\]/,
  ],
  ['m: { amount: { drift: 10%, severity: quarantine } }', /m\.amount\.severity: of drift no row is to blame/],
  [
    'm: { status: { one_of: [paid], severity: stop, stop_if: 5 } }',
    /status\.stop_if: severity: stop stops at/,
  ],
  [
    'm: { amount: { between: [null, null] } }',
    /amount\.between: expected a bound: \[0, null\], or \[null, 100\]/,
  ],
  [
    'm: { order_id: { one_of: [1, x] } }',
    /job\.yaml:13: checks\.m\.order_id\.one_of: Could not convert string 'x'/,
  ],
  [
    'm: { amount: { between: ["a", "b"] } }',
    /job\.yaml:13: checks\.m\.amount\.between: Could not convert string/,
  ],
  ['m: { status: { one_of: [] } }', /status\.one_of: expected one value at the least; found a list/],
  ['m: { status: { matches: "" } }', /status\.matches: expected a text that is not empty/],
  ['m: { rows: {} }', /m\.rows: says no number: min, max, change/],
  ['m: { rows: { severity: warn } }', /m\.rows: says no number/],
  ['m: { fresh: 24h }', /fresh: which column says .*\{ column: updated_at, within: 24h \}/],
  ['m: { fresh: { column: placed, within: soon } }', /expected a duration such as 24h; found "soon"/],
]

describe('what is wrong with a declared check is said of its line', () => {
  for (const [checks, says] of WRONG)
    test(checks, async () => {
      const job = await jobWith(checks)
      await assert.rejects(validateJob(job.folder, {}, job.home), (error: Error) => {
        assert.match(error.message, says)
        assert.doesNotMatch(error.message, /SELECT/)
        return true
      })
    })
})

describe('what changes from run to run is measured, kept and limited', () => {
  const ROWS = (n: number, amount: string) =>
    `order_id,customer_id,amount,status,placed\n${Array.from({ length: n }, (_, i) => `${i},10,${amount},paid,\n`).join('')}`
  const nights = async (checks: string) => {
    const job = await jobWith(checks)
    const night = async (n: number, amount = '10.00') => {
      writeFileSync(join(job.folder, 'in/orders.csv'), ROWS(n, amount))
      const { error } = await job.run({ fresh: true })
      return error === undefined ? 'loaded' : (error as EngineError).message
    }
    return { job, night }
  }

  test('the number of rows', async () => {
    const { job, night } = await nights('m: { rows: { change: 20% } }')
    assert.equal(await night(10), 'loaded')
    assert.equal(await night(12), 'loaded')
    assert.equal(
      await night(9),
      'check m_rows_change: rows of m: 9, was 12 in the last run; it may change by 20 %',
    )
    // What did not load is not what the next is compared with.
    assert.equal(await night(11), 'loaded')
    const { out } = await job.cli('history', `declared_${jobs}`, '--checks')
    assert.match(out, /m_rows_change +pass +10 {2}12 {2}9 {2}11$/m)
    const later = await job.cli('history', `declared_${jobs}`, '--checks', '--since', '2100-01-01')
    assert.match(later.out, /No run of it has checked anything/)
  })

  test('the distribution of a column', async () => {
    const { night } = await nights('m: { amount: { drift: 10%, severity: stop } }')
    assert.equal(await night(10), 'loaded')
    assert.equal(await night(10, '10.50'), 'loaded')
    assert.equal(
      await night(10, '12.50'),
      'check m.amount_drift_mean: mean of m.amount: 12.5, was 10.5 in the last run; it may change by 10 %',
    )
    assert.match(await night(10, ''), /^check m\.amount_drift_(mean|nulls|distinct): /)
  })

  test('a table that is empty, and a column without values, are told: nothing is measured any more', async () => {
    const { night } = await nights('m: { amount: { drift: 1000%, severity: stop } }')
    assert.equal(await night(10), 'loaded')
    const gone = /mean of m\.amount: none, was 10 in the last run/
    assert.match(await night(0), gone)
    assert.match(await night(10, ''), gone)
    assert.equal(await night(10, '11.00'), 'loaded')
  })

  test('columns of tables whose names join to the same name are two', async () => {
    const job = await jobWith(
      'm: { order_id: { drift: 10% } }\nm_order: { id: { drift: 10%, severity: stop } }',
    )
    writeFileSync(join(job.folder, 'm_order.sql'), 'SELECT 1000 + order_id AS id FROM orders')
    assert.equal((await job.run()).error, undefined)
    const { error } = await job.run({ fresh: true })
    assert.equal(error, undefined)
  })

  test('the checks of a table stand together, whether it is named by itself or by its load', async () => {
    const job = await jobWith('m: { order_id: unique }\nfacts: { rows: { min: 1 } }')
    job.yaml(
      readFileSync(join(job.folder, 'job.yaml'), 'utf8')
        .replace(/^job: .*\n/, '')
        .replace('  orders: { to:', '  facts: { to:'),
    )
    await assert.rejects(
      validateJob(job.folder, {}, job.home),
      /job\.yaml:14:3: checks\.facts: is of the rows of m, as checks\.m is: write all its rules there/,
    )
  })

  test('columns that are called as what a check says are checked, too', async () => {
    const job = await jobWith(
      'm: { Reason: [not_null, unique], severity: { one_of: [low], severity: warn } }',
    )
    writeFileSync(
      join(job.folder, 'm.sql'),
      `SELECT order_id, amount, nullif(order_id, 4) AS "Reason", status AS severity FROM orders`,
    )
    const { outcome, error } = await job.run()
    assert.equal(error, undefined)
    assert.deepEqual(
      outcome.checks.map(({ name, level, rows, samples }) => [name, level, rows, samples[0]?.reason]),
      [
        ['Reason_not_null', 'reject', 1, 'Reason is NULL'],
        ['Reason_unique', 'reject', 2, 'Reason = 2 stands in several rows'],
        ['severity_one_of', 'warn', 4, 'severity = paid is none of low'],
      ],
    )
  })

  test('before the first run, what could not be bound is told once; a program gets file and line', async () => {
    const job = await jobWith('m: { order_id: [unique, not_null] }')
    const yaml = readFileSync(join(job.folder, 'job.yaml'), 'utf8').replace(/^job: .*\n/, '')
    job.yaml(yaml.replace(/ {4}schema: .*\n/, ''))
    const { out } = await job.cli('validate', job.folder)
    assert.match(
      out,
      /^warning: m\.sql, 2 declared checks could not be bound: the columns of orders are not known before the first run\n.* is valid/,
    )
    const { diagnostics } = JSON.parse((await job.cli('validate', job.folder, '--format', 'json')).out)
    assert.deepEqual(
      diagnostics.map(({ file, line }: { file: string; line: number }) => [file, line]),
      [
        ['m.sql', 1],
        ['job.yaml', 12],
        ['job.yaml', 12],
      ],
    )
    job.yaml(yaml.replace('order_id: [unique', 'order_idd: [unique'))
    const wrong = JSON.parse((await job.cli('validate', job.folder, '--format', 'json')).out)
    assert.deepEqual(
      [wrong.valid, wrong.diagnostics[0].file, wrong.diagnostics[0].line],
      [false, 'job.yaml', 13],
    )
    assert.match(
      wrong.diagnostics[0].message,
      /^checks\.m\.order_idd\.(unique|not_null): m has no column order_idd/,
    )
  })

  test('a file is not called as a declared check is', async () => {
    const job = await jobWith('m: { rows: { min: 1 }, order_id: not_null }')
    mkdirSync(join(job.folder, 'checks/m'), { recursive: true })
    writeFileSync(join(job.folder, 'checks/m_rows.sql'), `SELECT 'pass' AS level, '' AS message`)
    writeFileSync(
      join(job.folder, 'checks/m/order_id_not_null.sql'),
      `SELECT order_id, 'none' AS reason FROM m WHERE order_id IS NULL`,
    )
    await assert.rejects(validateJob(job.folder, {}, job.home), (error: Error) => {
      const called = (name: string, what: string) =>
        new RegExp(
          `${name}: is called .*, as job\\.yaml:13: checks\\.m\\.${what} is: give the file another name`,
        )
      assert.match(error.message, called('checks/m_rows\\.sql', 'rows'))
      assert.match(error.message, called('checks/m/order_id_not_null\\.sql', 'order_id\\.not_null'))
      return true
    })
  })

  test('a night without the table is not what the next is compared with, nor is one of earlier', async () => {
    const { job, night } = await nights('m: { rows: { change: 20% } }\ncustomers: { rows: { change: 100% } }')
    job.yaml(
      readFileSync(join(job.folder, 'job.yaml'), 'utf8')
        .replace(/^job:.*\n/, '')
        .replace('from: m,', 'from: m, on_error: continue,')
        .replace('checks:', '  customers: { to: wh, from: customers, mode: replace }\nchecks:'),
    )
    assert.equal(await night(10), 'loaded')
    const model = join(job.folder, 'm.sql')
    const sql = readFileSync(model, 'utf8')
    writeFileSync(model, sql.replace('order_id,', "CAST('none' || status AS BIGINT) AS order_id,"))
    // The other table goes on, and is compared with the night before.
    for (const customers of [4, 8]) {
      writeFileSync(
        join(job.folder, 'in/customers.csv'),
        `customer_id\n${Array.from({ length: customers }, (_, i) => `${10 + i}\n`).join('')}`,
      )
      const { error, outcome } = await job.run({ fresh: true })
      assert.match(String(error), /m\.sql:1: Could not convert/)
      assert.deepEqual(
        outcome.loaded.map(({ table, rows }) => [table, rows]),
        [['customers', customers]],
      )
    }
    writeFileSync(model, sql)
    assert.match(await night(4), /rows of m: 4, was 10 in the last run/)
    // A backfill is of an earlier night; the next one is compared with what was before it.
    assert.equal(await night(11), 'loaded')
    writeFileSync(join(job.folder, 'in/orders.csv'), ROWS(9, '1.00'))
    const { run } = await job.run({ fresh: true })
    await job.metadata.database.run(`UPDATE runs SET trigger = 'backfill' WHERE run = :run`, { run })
    assert.match(await night(8), /rows of m: 8, was 11 in the last run/)
  })

  test('what a check of its own measures', async () => {
    const job = await jobWith('m: { order_id: not_null }')
    mkdirSync(join(job.folder, 'checks'))
    writeFileSync(
      join(job.folder, 'checks/total.sql'),
      `SELECT if(total < getvariable('last_values')['total'], 'stop', 'pass') AS level, 'total is ' || total AS message, total AS value
FROM (SELECT sum(amount) AS total FROM m)`,
    )
    assert.equal((await job.run()).error, undefined)
    writeFileSync(join(job.folder, 'in/orders.csv'), ROWS(1, '1.00'))
    assert.match(String((await job.run()).error), /check total: total is 1\.00/)
    const { out } = await job.cli('history', `declared_${jobs}`, '--checks', '--json')
    const { scores } = JSON.parse(out) as {
      scores: { check?: string; column?: string; nights: { score: number; value?: number }[] }[]
    }
    assert.deepEqual(
      scores.find(({ check }) => check === 'total')!.nights.map(({ value }) => value),
      [23.5, 1],
    )
    assert.deepEqual(
      scores
        .find(({ check, column }) => check === undefined && column === 'order_id')!
        .nights.map(({ score }) => score),
      [1, 1],
    )
  })

  test('a value that is no number is refused', async () => {
    const job = await jobWith('m: { order_id: not_null }')
    mkdirSync(join(job.folder, 'checks'))
    writeFileSync(join(job.folder, 'checks/total.sql'), "SELECT 'pass' AS level, '' AS message, 'x' AS value")
    const { code, err } = await job.cli('validate', job.folder)
    assert.equal(code, 2)
    assert.match(err, /checks\/total\.sql.*value is VARCHAR; a set check returns it as a number/)
  })
})
