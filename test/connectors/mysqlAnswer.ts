import { type Batch, isValid } from '../../engine/batch/batch.ts'
import type { Read } from '../../engine/contracts/source.ts'
import { type Column, typeFromName } from '../../engine/types/logical.ts'
import { ResultReader } from '../../src/connectors/mysql/result.ts'
import { Framer, FULL } from '../../src/connectors/mysql/wire.ts'
import { rowsOf, type Value } from './mysqlRead.ts'

/** A column of a made-up answer: its logical type, and its type and UNSIGNED flag on the wire. */
export type Made = [logical: string, type: number, unsigned?: boolean]

/** The binary protocol's notation of values, written down apart from the decoder. */
export const wire = {
  int: (value: number | bigint, bytes: number) =>
    Buffer.from(
      BigInt.asUintN(bytes * 8, BigInt(value))
        .toString(16)
        .padStart(bytes * 2, '0'),
      'hex',
    ).reverse(),
  double(value: number) {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    return bytes
  },
  float(value: number) {
    const bytes = Buffer.alloc(4)
    bytes.writeFloatLE(value)
    return bytes
  },
  text(value: string | Buffer) {
    const bytes = Buffer.from(value as string)
    const { length } = bytes
    if (length < 251) return Buffer.concat([Buffer.of(length), bytes])
    if (length < 65536) return Buffer.concat([Buffer.of(0xfc), wire.int(length, 2), bytes])
    return Buffer.concat([Buffer.of(0xfd), wire.int(length, 3), bytes])
  },
  /** Year, month, day, hour, minute, second, microsecond, as many as are written. */
  moment(...parts: number[]) {
    const [year = 0, month = 0, day = 0, ...time] = parts
    const micros = time.length > 3 ? wire.int(time.pop()!, 4) : Buffer.alloc(0)
    const body = parts.length === 0 ? [] : [wire.int(year, 2), Buffer.of(month, day, ...time), micros]
    return wire.text(Buffer.concat(body))
  },
}

/** A row packet's payload. */
export function rowPayload(cells: (Buffer | null)[]): Buffer {
  const bitmap = Buffer.alloc((cells.length + 9) >> 3)
  for (const [index, cell] of cells.entries())
    if (cell === null) bitmap[(index + 2) >> 3]! |= 1 << ((index + 2) & 7)
  return Buffer.concat([Buffer.of(0), bitmap, ...cells.filter(cell => cell !== null)])
}

/** The whole answer to COM_STMT_EXECUTE, in packets. */
export function answer(columns: Made[], rows: (Buffer | null)[][]): Buffer {
  const definitions = columns.map(([, type, unsigned], index) => {
    const names = ['def', 'd', 't', 't', `c${index}`, `c${index}`].map(wire.text)
    const fixed = [wire.int(type, 1), wire.int(unsigned ? 32 : 0, 2), Buffer.of(6, 0, 0)]
    return Buffer.concat([...names, Buffer.of(0x0c), wire.int(45, 2), wire.int(80, 4), ...fixed])
  })
  const end = Buffer.of(0xfe, 0, 0, 2, 0)
  return packets([wire.int(columns.length, 1), ...definitions, end, ...rows.map(rowPayload), end])
}

/** Payloads as packets that count up from 1, cut where they are too long for one. */
export function packets(payloads: Buffer[]): Buffer {
  const out: Buffer[] = []
  let sequence = 1
  for (const payload of payloads)
    for (let at = 0; ; at += FULL) {
      const part = payload.subarray(at, at + FULL)
      out.push(wire.int(part.length, 3), Buffer.of(sequence++ & 0xff), part)
      if (part.length < FULL) break
    }
  return Buffer.concat(out)
}

export const describedAs = (columns: Made[]): Column[] =>
  columns.map(([logical, type], index) => {
    return { name: `c${index}`, type: typeFromName(logical)!, nullable: true, native: `${logical} (${type})` }
  })

/** What a reader makes of an answer fed in pieces: its rows, and whether it knew the end. */
export function readAnswer(
  columns: Column[],
  pieces: Iterable<Buffer>,
  take: (batch: Batch) => void = touch,
): { over: boolean; error: Error | undefined } {
  const read: Read = {
    extract: 't',
    where: 'legacy.t',
    columns,
    key: [],
    options: {},
    limits: { rows: 16, bytes: 1 << 20 },
  }
  const reader = new ResultReader(read, 'id [1, 9)', take)
  const framer = new Framer(reader)
  let over = false
  for (const piece of pieces) over = framer.push(piece)
  return { over, error: reader.error }
}

/** The rows of an answer in the server's notation. */
export function rowsIn(columns: Column[], pieces: Iterable<Buffer>): Value[][] {
  const rows: Value[][] = []
  const { over, error } = readAnswer(columns, pieces, batch => rows.push(...rowsOf(batch)))
  if (error) throw error
  if (!over) throw new Error('the answer has no end')
  return rows
}

// Reads what a writer of Parquet would: offsets must lie in order inside the bytes.
function touch(batch: Batch): void {
  for (const vector of batch.vectors) {
    if (vector.offsets)
      for (let row = 0; row < batch.rows; row++)
        if (vector.offsets[row]! > vector.offsets[row + 1]!) throw new Error('offsets out of order')
    if (vector.offsets && vector.offsets[batch.rows]! > vector.data.length) throw new Error('offset outside')
    isValid(vector, batch.rows - 1)
  }
}

/** Every kind of value, for cutting and mutating. */
export const EVERY: Made[] = [
  ['INTEGER', 3],
  ['UBIGINT', 8, true],
  ['TINYINT', 1],
  ['USMALLINT', 2, true],
  ['SMALLINT', 13, true],
  ['UBIGINT', 16, true],
  ['DECIMAL(20,3)', 246],
  ['DECIMAL(38,10)', 246],
  ['DOUBLE', 5],
  ['FLOAT', 4],
  ['DATE', 10],
  ['TIMESTAMP', 12],
  ['VARCHAR', 253],
  ['BLOB', 252],
]
export const EVERY_ROWS: (Buffer | null)[][] = [
  [
    wire.int(-12, 4),
    wire.int(18446744073709551615n, 8),
    wire.int(-128, 1),
    wire.int(65535, 2),
    wire.int(2155, 2),
    wire.text(Buffer.of(1, 2, 3)),
    wire.text('-0.001'),
    wire.text('-9999999999999999999999999999.9999999999'),
    wire.double(1.5e10),
    wire.float(1.5),
    wire.moment(2024, 2, 29),
    wire.moment(2024, 2, 29, 1, 2, 3, 500000),
    wire.text('xé'),
    wire.text(Buffer.alloc(300, 0xfe)),
  ],
  EVERY.map(() => null),
  [
    wire.int(7, 4),
    wire.int(0, 8),
    null,
    wire.int(1, 2),
    wire.int(0, 2),
    wire.text(Buffer.alloc(8, 0xff)),
    wire.text('12345678901234567.890'),
    wire.text('0.0000000000'),
    wire.double(-0),
    null,
    wire.moment(1, 1, 1),
    wire.moment(9999, 12, 31, 23, 59, 59),
    wire.text(''),
    wire.text('\0\0'),
  ],
]
export const EVERY_VALUES: Value[][] = [
  [
    '-12',
    '18446744073709551615',
    '-128',
    '65535',
    '2155',
    '66051',
    '-0.001',
    '-9999999999999999999999999999.9999999999',
    '15000000000',
    '1.5',
    '2024-02-29',
    '2024-02-29 01:02:03.500000',
    'xé',
    'fe'.repeat(300),
  ],
  EVERY.map(() => null),
  [
    '7',
    '0',
    null,
    '1',
    '0',
    '18446744073709551615',
    '12345678901234567.890',
    '0.0000000000',
    '-0',
    null,
    '0001-01-01',
    '9999-12-31 23:59:59.000000',
    '',
    '0000',
  ],
]
