import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EngineError } from '../../../engine/errors.ts'
import { freshPostgres } from '../../servers.ts'
import { moving } from '../moving.ts'
import { decodeRows } from './copyStream.ts'
import { fuzz, recordings } from './fuzz.ts'

test('a stream decodes the same however it is cut', async t => {
  for (const { columns, stream } of await recordings(await freshPostgres(t))) {
    const whole = decodeRows(columns, [stream])
    assert.equal(whole.length, 4)
    assert.deepEqual(
      moving(() => decodeRows(columns, [stream])),
      whole,
      'in buffers that grow',
    )
    for (let cut = 0; cut <= stream.length; cut++)
      assert.deepEqual(
        decodeRows(columns, [stream.subarray(0, cut), stream.subarray(cut)]),
        whole,
        `cut at ${cut}`,
      )
    assert.deepEqual(
      decodeRows(
        columns,
        Array.from(stream, (_, at) => stream.subarray(at, at + 1)),
      ),
      whole,
    )
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(stream.length), { maxLength: 20 }), cuts => {
        const at = [0, ...cuts.sort((a, b) => a - b), stream.length]
        assert.deepEqual(
          decodeRows(
            columns,
            at.slice(1).map((end, i) => stream.subarray(at[i], end)),
          ),
          whole,
        )
      }),
    )
  }
})

test('a stream that ends early is refused wherever it ends', async t => {
  for (const { columns, stream } of await recordings(await freshPostgres(t))) {
    // Up to the trailer: a tuple of -1 fields in a CopyData message of its own.
    const end = stream.lastIndexOf(Buffer.from([0x64, 0, 0, 0, 6, 0xff, 0xff])) + 7
    for (let cut = 0; cut < end; cut++)
      assert.throws(
        () => decodeRows(columns, [stream.subarray(0, cut)]),
        { code: 'DECODE_FAILED' },
        `cut at ${cut}`,
      )
    assert.equal(decodeRows(columns, [stream.subarray(0, end)]).length, 4)
  }
})

test('100,000 mutated streams end in a typed error or in sound batches', async t => {
  const recorded = await recordings(await freshPostgres(t))
  const before = process.memoryUsage().rss
  const counts = fuzz(recorded, 100_000, 20_260_228)
  t.diagnostic(`${counts.refused} refused, ${counts.decoded} decoded`)
  assert.ok(counts.refused > 50_000 && counts.decoded > 5_000, JSON.stringify(counts))
  const grown = process.memoryUsage().rss - before
  assert.ok(grown < 512 << 20, `${grown >> 20} MiB more`)
})

test('a refusal names table, column and row', async t => {
  const [{ columns, stream }] = (await recordings(await freshPostgres(t))) as [
    Awaited<ReturnType<typeof recordings>>[0],
  ]
  const bad = Buffer.from(stream)
  // The first field of the second tuple, a boolean, gets the length 2.
  const header = bad.indexOf('PGCOPY')
  const second = bad.indexOf(
    Buffer.from([0, 7, 0, 0, 0, 1]),
    bad.indexOf(Buffer.from([0, 7, 0, 0, 0, 1]), header) + 1,
  )
  bad[second + 5] = 2
  assert.throws(
    () => decodeRows(columns, [bad]),
    (error: unknown) => {
      assert.ok(error instanceof EngineError)
      assert.equal(error.code, 'DECODE_FAILED')
      assert.match(error.message, /^pg\.t\.c0: row 2 of the chunk: 2 bytes are not a boolean$/)
      return true
    },
  )
})
