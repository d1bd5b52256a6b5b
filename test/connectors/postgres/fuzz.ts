import assert from 'node:assert/strict'
import type { Batch } from '../../../engine/batch/batch.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { FreshDatabase } from '../../servers.ts'
import { decodePieces, type Recorded, record } from './copyStream.ts'
import { extractOf } from './reading.ts'

/** Tables that together take every way through the decoder; their values, row by row. */
const TABLES: Record<string, [type: string, ...values: string[]][]> = {
  whole_numbers: [
    ['bool', 'true', 'false'],
    ['int2', '-2', '32767'],
    ['int4', '7', 'null'],
    ['int8', '-1', '4294967296'],
    ['xid8', "'18446744073709551615'", "'1'"],
    ['float4', "'NaN'", '1.5'],
    ['float8', '-1e300', "'-0'"],
  ],
  decimals: [
    ['numeric(4,0)', '1234', '-7'],
    ['numeric(15,2)', '9999999999999.99', "'NaN'"],
    ['numeric(18,7)', '-1.0000001', '0'],
    ['numeric(38,3)', '12345678901234567890123456789012345.678', 'null'],
    ['numeric(38,38)', '0.1', '-1e-38'],
    ['numeric', '1e40', "'Infinity'"],
  ],
  moments: [
    ['date', "'2026-02-28'", "'infinity'"],
    ['time', "'24:00'", "'00:00:00.000001'"],
    ['timestamp', "'0044-03-15 BC'", "'-infinity'"],
    ['timestamptz', "'2026-02-28 12:34:56.789+00'", "'294276-12-31 23:59:59+00'"],
    ['interval', "'1 day'", 'null'],
  ],
  texts: [
    ['text', "'é€😀'", "repeat('x', 50)"],
    ['bytea', "'\\x00ff'", "''"],
    ['uuid', "'01234567-89ab-cdef-0123-456789abcdef'", 'null'],
    ['jsonb', `'{"a": 1}'`, "'null'"],
    ['"char"', "'x'", `'\\351'`],
    ['text', "''", 'null'],
  ],
}

/** Records what a server sends for each table. Values beyond their types go to the quarantine, or become NULL. */
export async function recordings(db: FreshDatabase): Promise<Recorded[]> {
  const all: Recorded[] = []
  for (const [table, columns] of Object.entries(TABLES)) {
    await db.query(`CREATE TABLE ${table} (${columns.map(([type], at) => `c${at} ${type}`).join(', ')})`)
    for (const row of [1, 2, 1, 2])
      await db.query(`INSERT INTO ${table} VALUES (${columns.map(values => values[row]).join(', ')})`)
    const policies = Object.fromEntries(
      columns.map(([type], at) => [`c${at}`, type === 'date' ? 'null' : 'quarantine'] as const),
    )
    all.push(await record(db.url, extractOf(table, policies)))
  }
  return all
}

export interface FuzzCounts {
  decoded: number
  refused: number
}

/**
 * Decodes `runs` mutations of the recordings. Each must end in an EngineError that names the table, or in a batch whose
 * buffers fit together. The seed decides every mutation; a failure names its run's number.
 */
export function fuzz(recordings: Recorded[], runs: number, seed: number): FuzzCounts {
  const dice = diceOf(seed)
  const counts: FuzzCounts = { decoded: 0, refused: 0 }
  for (let run = 0; run < runs; run++) {
    const { columns, stream } = recordings[dice(recordings.length)]!
    const mutated = mutate(stream, dice)
    const cut = dice(mutated.length + 1)
    try {
      decodePieces(columns, [mutated.subarray(0, cut), mutated.subarray(cut)], checkBatch)
      counts.decoded++
    } catch (error) {
      const named = error instanceof EngineError && error.message.startsWith('pg.')
      if (!named || (error.code !== 'DECODE_FAILED' && error.code !== 'VALUE_INEXACT'))
        throw new Error(`seed ${seed}, run ${run}: ${error}\n${mutated.toString('hex')}`, { cause: error })
      counts.refused++
    }
  }
  return counts
}

const LENGTHS = [0x7fffffff, -0x80000000, -2, -1, 0, 1, 2, 4, 8, 0xffff, 0x10000, 0x40000000, 0x3fffffff]

function mutate(stream: Buffer, dice: (below: number) => number): Buffer {
  let bytes = Buffer.from(stream)
  for (let left = 1 + dice(3); left > 0; left--) {
    const at = dice(bytes.length)
    const length = Math.min(1 + dice(24), bytes.length - at)
    const piece = bytes.subarray(at, at + length)
    switch (dice(8)) {
      case 0:
        bytes[at]! ^= 1 << dice(8)
        break
      case 1:
        bytes[at] = dice(256)
        break
      case 2:
        if (at + 4 <= bytes.length) bytes.writeInt32BE(LENGTHS[dice(LENGTHS.length)]!, at)
        break
      case 3:
        bytes = bytes.subarray(0, Math.max(1, at))
        break
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
        if (bytes.length === 0) bytes = Buffer.from([0])
        break
      case 5:
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from(Array.from(piece, () => dice(256))),
          bytes.subarray(at),
        ])
        break
      case 6:
        bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)])
        break
      case 7:
        piece.copy(bytes, dice(bytes.length))
        break
    }
  }
  return bytes
}

function checkBatch({ rows, vectors }: Batch): void {
  for (const { column, data, offsets } of vectors) {
    const where = `${column.name} ${column.native}`
    if (!offsets) {
      if (column.type.kind === 'bool')
        assert.ok(
          data.every(byte => byte < 2),
          where,
        )
      continue
    }
    assert.equal(offsets.length, rows + 1, where)
    for (let row = 0; row < rows; row++) assert.ok(offsets[row]! <= offsets[row + 1]!, where)
    assert.equal(offsets[rows], data.length, where)
  }
}

/** Marsaglia's xorshift32: whole numbers from 0 to below. */
function diceOf(seed: number): (below: number) => number {
  let state = seed | 0 || 1
  return below => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}
