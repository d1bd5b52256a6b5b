import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EngineError } from '../../engine/errors.ts'
import { gate, summary } from '../../engine/quality/gate.ts'
import type { CheckResult } from '../../engine/quality/rowChecks.ts'

const check = (name: string, level: CheckResult['level'], rows: number): CheckResult => ({
  name,
  model: 'bad',
  level,
  rows,
  samples: [{ reason: `${name} says so`, record: '' }],
})

/** Rejected rows of 1,000, the limit, and the code that the run stops with. */
const CASES: [rejected: number, limit: number, code: string | undefined][] = [
  [0, 0, undefined],
  [1, 0, 'QUALITY_GATE'],
  [50, 0.05, undefined],
  [51, 0.05, 'QUALITY_GATE'],
  [1000, 1, undefined],
]

for (const [rejected, limit, code] of CASES)
  test(`${rejected} of 1,000 rows rejected, ${limit} allowed: ${code ?? 'goes on'}`, () => {
    const quality = summary([
      { name: 'good', rows: 1_000_000, rejected: 0, marked: 10 },
      { name: 'bad', rows: 1000, rejected, marked: rejected },
    ])
    assert.equal(quality.errorRate, rejected / 1000)
    const checks = [check('a', 'reject', 0), check('b', 'reject', rejected)]
    const act = () => gate(quality, limit, checks)
    if (code === undefined) act()
    else
      assert.throws(act, {
        code,
        message: `error rate ${(rejected / 10).toFixed(2)} % of bad (${rejected} of 1000 rows) is over the limit of ${(limit * 100).toFixed(2)} %: b ${rejected}, a 0`,
      })
  })

test('no rows are no errors; a set check stops whatever the rate', () => {
  assert.deepEqual(summary([]), { errorRate: 0, score: 1 })
  assert.throws(
    () => gate({ errorRate: 0, score: 1 }, 1, [check('empty', 'stop', 1)]),
    (error: unknown) =>
      error instanceof EngineError &&
      error.code === 'CHECK_STOPPED' &&
      error.message === 'check empty: empty says so',
  )
})
