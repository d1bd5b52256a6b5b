import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { moving } from './moving.ts'
import {
  answer,
  describedAs,
  EVERY,
  EVERY_ROWS,
  EVERY_VALUES,
  type Made,
  packets,
  rowPayload,
  rowsIn,
  wire,
} from './mysqlAnswer.ts'
import { mutate } from './mysqlMutate.ts'
import { failsWith } from './mysqlRead.ts'

const decode = (columns: Made[], cells: (Buffer | null)[]) =>
  rowsIn(describedAs(columns), [answer(columns, [cells])])[0]!

describe('mysql answers', () => {
  const columns = describedAs(EVERY)
  const whole = answer(EVERY, EVERY_ROWS)

  it('reads alike at every cut and byte by byte', () => {
    assert.deepEqual(rowsIn(columns, [whole]), EVERY_VALUES)
    assert.deepEqual(
      moving(() => rowsIn(columns, [whole])),
      EVERY_VALUES,
      'in buffers that grow',
    )
    for (let at = 0; at <= whole.length; at++)
      assert.deepEqual(
        rowsIn(columns, [whole.subarray(0, at), whole.subarray(at)]),
        EVERY_VALUES,
        `cut at ${at}`,
      )
    assert.deepEqual(
      rowsIn(
        columns,
        Array.from(whole, byte => Buffer.of(byte)),
      ),
      EVERY_VALUES,
    )
  })

  it('joins payloads of exactly one, just over and twice the longest packet, however cut', () => {
    const made: Made[] = [['BLOB', 252]]
    // What makes the payload as long as the packet: zero, bitmap, 0xfd and three bytes of length; one needs 0xfe.
    for (const length of [0xffffff - 6, 0xffffff - 7, 0xffffff - 5]) {
      const row = [wire.text(Buffer.alloc(length, 'x'))]
      const bytes = answer(made, [row, [wire.text('after')]])
      for (const at of [0, 100, 0xffffff, bytes.length - 20]) {
        const [first, second] = rowsIn(describedAs(made), [bytes.subarray(0, at), bytes.subarray(at)])
        assert.equal(first![0]!.length, 2 * length)
        assert.deepEqual(second, [Buffer.from('after').toString('hex')])
      }
    }
    const long = Buffer.concat([Buffer.of(0, 0, 0xfe), wire.int(0x2000000, 8), Buffer.alloc(0x2000000)])
    const head = answer(made, [])
    const bytes = packets([...payloads(head).slice(0, 3), long, payloads(head)[3]!])
    assert.equal(rowsIn(describedAs(made), [bytes])[0]![0]!.length, 0x4000000)
  })

  it('refuses every shortened and lengthened row', () => {
    const row = rowPayload(EVERY_ROWS[0]!)
    const [count, ...rest] = payloads(whole)
    const head = [count!, ...rest.slice(0, EVERY.length + 1)]
    for (let length = 1; length < row.length; length++)
      assert.throws(
        () => rowsIn(columns, [packets([...head, row.subarray(0, length)])]),
        failsWith('DECODE_FAILED', /^legacy\.t(\.c\d+)?: row 1 of id \[1, 9\) /),
      )
    assert.throws(
      () => rowsIn(columns, [packets([...head, Buffer.concat([row, Buffer.of(0)])])]),
      failsWith('DECODE_FAILED', /row 1 .* follow/),
    )
  })

  it('refuses a column of another type than described, and another number of columns', () => {
    const other = answer([['BIGINT', 8]], [])
    assert.throws(
      () => rowsIn(describedAs([['INTEGER', 3]]), [other]),
      failsWith('DECODE_FAILED', /c0: described/),
    )
    assert.throws(
      () => rowsIn(describedAs([['UBIGINT', 8]]), [other]),
      failsWith('DECODE_FAILED', /c0: described/),
    )
    assert.throws(
      () => rowsIn(columns, [other]),
      failsWith('DECODE_FAILED', /: 1 column came instead of the 14 /),
    )
  })

  it('gives the error of the server, before and amid the rows', () => {
    const error = Buffer.concat([Buffer.of(0xff), wire.int(1969, 2), Buffer.from('#70100too slow')])
    for (const before of [0, EVERY.length + 3])
      assert.throws(() => rowsIn(columns, [packets([...payloads(whole).slice(0, before), error])]), {
        message: 'too slow',
        errno: 1969,
      })
  })

  it('refuses what is not of the type, and dates by the reason', () => {
    const bad: [Made, Buffer[]][] = [
      [
        ['DECIMAL(5,2)', 246],
        ['1000.00', '1.001', '', '.', '-', '1.2.3', '1e2', ' 1', '+1', '12345678901234567.00'].map(wire.text),
      ],
      [['DECIMAL(38,2)', 246], ['1'.repeat(37), '1.001', '1'.repeat(20).concat('x')].map(wire.text)],
      [
        ['DATE', 10],
        [wire.moment(10000, 1, 1), wire.moment(2026, 1, 1, 1, 1, 1), wire.text('abc')],
      ],
      [
        ['TIMESTAMP', 12],
        [
          [2026, 1, 1, 24, 0, 0],
          [2026, 1, 1, 0, 60, 0],
          [2026, 1, 1, 0, 0, 60],
          [2026, 1, 1, 0, 0, 0, 1e6],
        ].map(parts => wire.moment(...parts)),
      ],
      [
        ['UBIGINT', 16, true],
        [wire.text(''), wire.text('123456789')],
      ],
    ]
    for (const [column, cells] of bad)
      for (const cell of cells)
        assert.throws(() => decode([column], [cell]), failsWith('DECODE_FAILED', /^legacy\.t\.c0: row 1 /))
    const dates: [Buffer, RegExp][] = [
      [wire.moment(), /"0000-00-00 00:00:00\.000000" is a zero/],
      [wire.moment(2026, 0, 0), /"2026-00-00 00:00:00\.000000" is a zero/],
      [wire.moment(2023, 2, 29, 1, 2, 3, 4), /"2023-02-29 01:02:03\.000004" is not a day/],
      [wire.moment(1900, 2, 29), /is not a day/],
      [wire.moment(2026, 13, 1), /is not a day/],
    ]
    for (const [cell, reason] of dates)
      assert.throws(() => decode([['TIMESTAMP', 12]], [cell]), failsWith('VALUE_INEXACT', reason))
  })

  it('is exact for every integer, decimal and floating-point number', () => {
    const digits = fc.tuple(fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }), fc.nat(37))
    const made: Made[] = [
      ['BIGINT', 8],
      ['DECIMAL(38,9)', 246],
      ['DECIMAL(15,2)', 246],
      ['DOUBLE', 5],
      ['FLOAT', 4],
    ]
    const point = (value: bigint, scale: number) => {
      const text = String(value < 0n ? -value : value).padStart(scale + 1, '0')
      return `${value < 0n ? '-' : ''}${text.slice(0, -scale)}.${text.slice(-scale)}`
    }
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        digits,
        fc.double({ noNaN: true }),
        fc.float({ noNaN: true }),
        (long, [big, drop], double, single) => {
          const wide = point(big / 10n ** BigInt(drop), 9)
          const short = point(big % 10n ** 15n, 2)
          const cells = [
            wire.int(long, 8),
            wire.text(wide),
            wire.text(short),
            wire.double(double),
            wire.float(single),
          ]
          const float = (value: number) => (Object.is(value, -0) ? '-0' : String(value))
          assert.deepEqual(decode(made, cells), [String(long), wide, short, float(double), float(single)])
        },
      ),
      { numRuns: 3000 },
    )
  })

  it('meets 100,000 mutated answers with typed errors only', () => {
    const { arrayBuffers } = process.memoryUsage()
    const seen = mutate(1, 100_000)
    assert.ok(seen.refused > 20_000 && seen.over > 5000 && seen.waiting > 5000, JSON.stringify(seen))
    assert.ok(process.memoryUsage().arrayBuffers - arrayBuffers < 256e6)
  })
})

/** The payloads of a short answer. */
function payloads(bytes: Buffer): Buffer[] {
  const out: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 4 + bytes.readUIntLE(at, 3))
    out.push(bytes.subarray(at + 4, at + 4 + bytes.readUIntLE(at, 3)))
  return out
}
