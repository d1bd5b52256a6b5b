import { type Batch, isValid, type Vector } from '../../../engine/batch/batch.ts'
import { EngineError } from '../../../engine/errors.ts'
import { writeNumeric } from './encodeNumeric.ts'

/** What a binary COPY begins with: signature, flags, extension length. */
export const COPY_HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
/** What it ends with. */
export const COPY_TRAILER = Buffer.from([0xff, 0xff])

const CHUNK = 1 << 20
// Postgres counts from 2000-01-01: days, and microseconds as high and low halves.
const EPOCH_DAYS = 10_957
const EPOCH_MICROS = 946_684_800_000_000
const EPOCH_HIGH = Math.floor(EPOCH_MICROS / 2 ** 32)
const EPOCH_LOW = EPOCH_MICROS % 2 ** 32
const I32_MAX = 0x7fffffff
const I32_MIN = -0x80000000

/** Writes the value of a row with its length before it, and returns where it ends. */
type Writer = (out: DataView, at: number, row: number) => number

interface Encoder {
  write: Writer
  /** Bytes that a value takes at most, length included; text and binary: without their bytes. */
  room: number
  offsets: Int32Array | undefined
}

/**
 * Rows in Postgres's binary COPY format, in buffers of about 1 MB that end at a row's end; header and trailer are
 * the caller's. Unsigned integers are widened, UBIGINT is numeric. `where` names the table in errors.
 * Fails with DATA_INVALID where Postgres cannot hold a value: text with a NUL byte, times out of its range.
 */
export function* encodeCopy(batch: Batch, where: string): Generator<Buffer> {
  const encoders = batch.vectors.map(vector => encoder(vector, batch.rows, `${where}.${vector.column.name}`))
  const texts = encoders.flatMap(({ offsets }) => offsets ?? [])
  const fixed = encoders.reduce((sum, { room }) => sum + room, 2)
  let bytes = Buffer.allocUnsafeSlow(0)
  let out = new DataView(bytes.buffer)
  let at = 0
  for (let row = 0; row < batch.rows; row++) {
    let room = fixed
    for (const offsets of texts) room += offsets[row + 1]! - offsets[row]!
    if (at + room > bytes.length) {
      if (at > 0) yield bytes.subarray(0, at)
      bytes = Buffer.allocUnsafeSlow(Math.max(CHUNK, room))
      out = new DataView(bytes.buffer)
      at = 0
    }
    out.setInt16(at, encoders.length)
    at += 2
    for (const { write } of encoders) at = write(out, at, row)
  }
  if (at > 0) yield bytes.subarray(0, at)
}

function encoder(vector: Vector, rows: number, where: string): Encoder {
  const { write, room } = valueEncoder(vector, rows, where)
  const { offsets } = vector
  if (vector.validity === undefined) return { write, room, offsets }
  const nullable: Writer = (out, at, row) => {
    if (isValid(vector, row)) return write(out, at, row)
    out.setInt32(at, -1)
    return at + 4
  }
  return { write: nullable, room, offsets }
}

function valueEncoder(vector: Vector, rows: number, where: string): { write: Writer; room: number } {
  const { data } = vector
  const { type } = vector.column
  const source = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const fixed = (length: number, put: (out: DataView, at: number, row: number) => void) => ({
    room: 4 + length,
    write: (out: DataView, at: number, row: number) => {
      out.setInt32(at, length)
      put(out, at + 4, row)
      return at + 4 + length
    },
  })
  const pair = (out: DataView, at: number, high: number, low: number) => {
    out.setInt32(at, high)
    out.setInt32(at + 4, low)
  }
  switch (type.kind) {
    case 'bool':
      return fixed(1, (out, at, row) => out.setUint8(at, data[row]!))
    case 'int':
      return integer(type.bits, type.signed)
    case 'float':
      return type.bits === 32
        ? fixed(4, (out, at, row) => out.setFloat32(at, source.getFloat32(row * 4, true)))
        : fixed(8, (out, at, row) => out.setFloat64(at, source.getFloat64(row * 8, true)))
    case 'decimal':
      return {
        room: 40,
        write: (out, at, row) => writeNumeric(out, at, limbs(row * 16, 4), true, type.scale),
      }
    case 'text':
      refuseNul(vector, rows, where)
      return bytes()
    case 'binary':
      return bytes()
    case 'date':
      return fixed(4, (out, at, row) => out.setInt32(at, pgDate(source.getInt32(row * 4, true), where, row)))
    case 'time':
      return fixed(8, (out, at, row) =>
        pair(out, at, source.getInt32(row * 8 + 4, true), source.getInt32(row * 8, true)),
      )
    case 'timestamp':
      return fixed(8, (out, at, row) => {
        let high = source.getInt32(row * 8 + 4, true)
        let low = source.getUint32(row * 8, true)
        if (high === I32_MIN && low <= 1)
          low = 0 // -infinity
        else if (high !== I32_MAX || low !== 0xffffffff) {
          low -= EPOCH_LOW
          high -= EPOCH_HIGH + (low < 0 ? 1 : 0)
          if (high < I32_MIN) outOfRange(where, row)
        }
        pair(out, at, high, low)
      })
  }

  function integer(bits: 8 | 16 | 32 | 64, signed: boolean) {
    switch (bits) {
      case 8:
        return fixed(2, (out, at, row) => out.setInt16(at, signed ? source.getInt8(row) : data[row]!))
      case 16:
        return signed
          ? fixed(2, (out, at, row) => out.setInt16(at, source.getInt16(row * 2, true)))
          : fixed(4, (out, at, row) => out.setInt32(at, source.getUint16(row * 2, true)))
      case 32:
        return signed
          ? fixed(4, (out, at, row) => out.setInt32(at, source.getInt32(row * 4, true)))
          : fixed(8, (out, at, row) => pair(out, at, 0, source.getUint32(row * 4, true)))
      case 64:
        return signed
          ? fixed(8, (out, at, row) =>
              pair(out, at, source.getInt32(row * 8 + 4, true), source.getInt32(row * 8, true)),
            )
          : {
              room: 40,
              write: (out: DataView, at: number, row: number) =>
                writeNumeric(out, at, limbs(row * 8, 2), false, 0),
            }
    }
  }

  function limbs(from: number, count: number): Uint32Array {
    for (let limb = 0; limb < 4; limb++)
      LIMBS[limb] = limb < count ? source.getUint32(from + limb * 4, true) : 0
    return LIMBS
  }

  function bytes(): { write: Writer; room: number } {
    const offsets = vector.offsets!
    return {
      room: 4,
      write: (out, at, row) => {
        let from = offsets[row]!
        const to = offsets[row + 1]!
        out.setInt32(at, to - from)
        at += 4
        // A native copy costs more than a short loop until about three dozen bytes.
        if (to - from > 36) {
          new Uint8Array(out.buffer).set(data.subarray(from, to), at)
          return at + to - from
        }
        while (from < to) out.setUint8(at++, data[from++]!)
        return at
      },
    }
  }
}

const LIMBS = new Uint32Array(4)

function pgDate(days: number, where: string, row: number): number {
  if (days === I32_MAX) return days // infinity
  if (days <= -I32_MAX) return I32_MIN
  if (days - EPOCH_DAYS < I32_MIN) outOfRange(where, row)
  return days - EPOCH_DAYS
}

function outOfRange(where: string, row: number): never {
  throw new EngineError('DATA_INVALID', `${where}: row ${row + 1} of the part is out of Postgres's range`, {
    hint: 'Add a row check to the model, so that such rows go to the quarantine.',
  })
}

function refuseNul({ data, offsets }: Vector, rows: number, where: string): void {
  const start = offsets![0]!
  const found = data.subarray(start, offsets![rows]).indexOf(0)
  if (found < 0) return
  const row = offsets!.findIndex(end => end > start + found)
  throw new EngineError(
    'DATA_INVALID',
    `${where}: row ${row} of a batch holds a NUL byte, which Postgres text cannot hold`,
    { hint: `Remove it in the model: replace(${where.split('.').at(-1)}, chr(0), '').` },
  )
}
