import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { validateJob } from '../../src/runs/validateJob.ts'
import { jobWith } from './declared.ts'

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
      const { outcome, error } = await (await jobWith({ after }, checks)).run()
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

test('rows in the future do not keep a table fresh, and are counted in what is told', async t => {
  const job = await jobWith(t, 'm: { fresh: { column: placed, within: 24h } }')
  const later = (...days: string[]) =>
    writeFileSync(
      join(job.folder, 'in/orders.csv'),
      `order_id,customer_id,amount,status,placed\n${days.map((day, n) => `${n},10,1.00,paid,${day} 10:00:00\n`).join('')}`,
    )
  const told = async () => ((await job.run({ fresh: true })).error as EngineError | undefined)?.message
  const old = 'check m_fresh: the newest placed of m is 2026-01-03 10:00:00+00, expected within 24h'
  later('2026-01-03', '9999-12-31')
  assert.equal(await told(), `${old}; 1 row in the future is not counted: 9999-12-31 10:00:00+00`)
  later('2026-01-03', '9999-12-31', '9998-12-31')
  assert.equal(await told(), `${old}; 2 rows in the future are not counted, up to 9999-12-31 10:00:00+00`)
  const today = new Date().toISOString().slice(0, 10)
  later(today, '9999-12-31')
  assert.equal(await told(), undefined)
})

describe('a limit stops the run', { concurrency: 2 }, () => {
  for (const [checks, says] of STOPS)
    test(checks, async () => {
      const { outcome, error } = await (await jobWith({ after }, checks)).run()
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
  ['m: { status: { one_of: [] } }', /status\.one_of: expected one value at the least; found \[\]/],
  ['m: { status: { matches: "" } }', /status\.matches: expected a text that is not empty/],
  ['m: { rows: {} }', /m\.rows: says no number: min, max, change/],
  ['m: { rows: { severity: warn } }', /m\.rows: says no number/],
  ['m: { fresh: 24h }', /fresh: which column says .*\{ column: updated_at, within: 24h \}/],
  ['m: { fresh: { column: placed, within: soon } }', /expected a duration such as 24h; found "soon"/],
]

describe('what is wrong with a declared check is said of its line', () => {
  for (const [checks, says] of WRONG)
    test(checks, async () => {
      const job = await jobWith({ after }, checks)
      await assert.rejects(validateJob(job.folder, {}, job.home), (error: Error) => {
        assert.match(error.message, says)
        assert.doesNotMatch(error.message, /SELECT/)
        return true
      })
    })
})
