import { type Batch, isValid, type Vector } from '../../../engine/batch/batch.ts'
import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { unflattened } from '../../../engine/types/logical.ts'
import { writeDate, writeDigits, writeDouble, writeInteger, writeTime, writeWide } from './writeNumber.ts'

/** What a column of the target adds to what its type says, checked before a value is sent. */
export interface ValueRule {
  /** It is of the key. */
  refuseNull?: boolean
  /** `char` drops spaces at the end. */
  refuseTrailingSpace?: boolean
  /** `binary(n)` fills shorter values up. */
  length?: number
}

const CHUNK = 1 << 20
const TAB = 9
const NEWLINE = 10
const BACKSLASH = 92
/** Days from 1970-01-01 to 0001-01-01 and to 9999-12-31: what DATE and DATETIME hold. */
const FIRST_DAY = -719_162
const LAST_DAY = 2_932_896

/** Writes the value of a row and returns where it ends. */
type Writer = (out: Uint8Array, at: number, row: number) => number

interface Encoder {
  write: Writer
  /** Bytes that a value takes at most, tab included; text and binary: without their bytes. */
  room: number
  offsets: Int32Array | undefined
}

/**
 * Rows as LOAD DATA reads them by default (tabs, newlines, backslashes, `\N`), in buffers of about 1 MB that end at a
 * row's end. Bytes of text and binary are sent as they are, those four and NUL escaped: for `CHARACTER SET binary`.
 * `where` names the table in errors. Fails with DATA_INVALID where MySQL cannot hold a value: NaN, infinities, years
 * before 1 or past 9999, and what a rule refuses; with CONSTRAINT_VIOLATED at a NULL that a rule refuses.
 */
export function* encodeRows(
  batch: Batch,
  where: string,
  rules: (ValueRule | undefined)[],
): Generator<Buffer> {
  const encoders = batch.vectors.map((vector, index) => {
    const column = `${where}.${vector.column.name}`
    const rule = rules[index]
    if (rule) obey(vector, batch.rows, rule, column)
    return encoder(vector, batch.rows, column)
  })
  const texts = encoders.flatMap(({ offsets }) => offsets ?? [])
  const fixed = encoders.reduce((sum, { room }) => sum + room, 0)
  let bytes = Buffer.allocUnsafeSlow(0)
  let at = 0
  for (let row = 0; row < batch.rows; row++) {
    let room = fixed
    for (const offsets of texts) room += 2 * (offsets[row + 1]! - offsets[row]!)
    if (at + room > bytes.length) {
      if (at > 0) yield bytes.subarray(0, at)
      bytes = Buffer.allocUnsafeSlow(Math.max(CHUNK, room))
      at = 0
    }
    for (const { write } of encoders) {
      at = write(bytes, at, row)
      bytes[at++] = TAB
    }
    bytes[at - 1] = NEWLINE
  }
  if (at > 0) yield bytes.subarray(0, at)
}

function encoder(vector: Vector, rows: number, where: string): Encoder {
  const { write, room } = valueEncoder(vector, rows, where)
  const { offsets } = vector
  if (vector.validity === undefined) return { write, room: room + 1, offsets }
  const nullable: Writer = (out, at, row) => {
    if (isValid(vector, row)) return write(out, at, row)
    out[at] = BACKSLASH
    out[at + 1] = 78
    return at + 2
  }
  return { write: nullable, room: Math.max(room, 2) + 1, offsets }
}

const WORDS = new Uint32Array(4)

function valueEncoder(vector: Vector, rows: number, where: string): { write: Writer; room: number } {
  const { data } = vector
  const { type } = vector.column
  const source = new DataView(data.buffer, data.byteOffset, data.byteLength)
  switch (type.kind) {
    case 'bool':
      return { room: 1, write: (out, at, row) => writeDigits(out, at, data[row]!, 1) }
    case 'int':
      if (type.bits === 64) return wide(8, 2, type.signed, 0)
      return { room: 11, write: integer(type.bits, type.signed) }
    case 'float': {
      const width = type.bits / 8
      return {
        room: 26,
        write: (out, at, row) => {
          const value = width === 4 ? source.getFloat32(row * 4, true) : source.getFloat64(row * 8, true)
          if (!Number.isFinite(value)) refuse(where, row, `is ${value}, which MySQL cannot hold`)
          return writeDouble(out, at, value)
        },
      }
    }
    case 'decimal':
      return wide(16, 4, true, type.scale)
    case 'text':
    case 'binary':
      return bytes()
    case 'nested':
      return unflattened(type)
    case 'date':
      return { room: 10, write: (out, at, row) => date(out, at, source.getInt32(row * 4, true), row) }
    case 'time':
      return {
        room: 15,
        write: (out, at, row) => {
          const micros = source.getInt32(row * 8 + 4, true) * 2 ** 32 + source.getUint32(row * 8, true)
          const seconds = Math.floor(micros / 1e6)
          return writeTime(out, at, seconds, micros - seconds * 1e6)
        },
      }
    case 'timestamp':
      return {
        room: 26,
        write: (out, at, row) => {
          // A long division by 10^6: the whole is past the safe integers.
          const high = source.getInt32(row * 8 + 4, true)
          const above = Math.floor(high / 1e6)
          const below = (high - above * 1e6) * 2 ** 32 + source.getUint32(row * 8, true)
          const lower = Math.floor(below / 1e6)
          const seconds = above * 2 ** 32 + lower
          const days = Math.floor(seconds / 86_400)
          at = date(out, at, days, row)
          out[at] = 32
          return writeTime(out, at + 1, seconds - days * 86_400, below - lower * 1e6)
        },
      }
  }

  function integer(bits: 8 | 16 | 32, signed: boolean): Writer {
    switch (bits) {
      case 8:
        return (out, at, row) => writeInteger(out, at, signed ? source.getInt8(row) : data[row]!)
      case 16:
        return signed
          ? (out, at, row) => writeInteger(out, at, source.getInt16(row * 2, true))
          : (out, at, row) => writeInteger(out, at, source.getUint16(row * 2, true))
      case 32:
        return signed
          ? (out, at, row) => writeInteger(out, at, source.getInt32(row * 4, true))
          : (out, at, row) => writeInteger(out, at, source.getUint32(row * 4, true))
    }
  }

  function wide(width: number, words: number, signed: boolean, scale: number) {
    return {
      room: 42,
      write: (out: Uint8Array, at: number, row: number) => {
        const from = row * width
        for (let word = 0; word < words; word++) WORDS[word] = source.getUint32(from + word * 4, true)
        // What is above a narrower value: its sign.
        const sign = signed && WORDS[words - 1]! >= 0x80000000 ? 0xffffffff : 0
        for (let word = words; word < 4; word++) WORDS[word] = sign
        return writeWide(out, at, WORDS, signed, scale)
      },
    }
  }

  function date(out: Uint8Array, at: number, days: number, row: number): number {
    if (days < FIRST_DAY || days > LAST_DAY)
      refuse(where, row, `is ${counted(days, 'day')} from 1970-01-01, which MySQL cannot hold`)
    return writeDate(out, at, days)
  }

  function bytes(): { write: Writer; room: number } {
    const offsets = vector.offsets!
    const all = data.subarray(offsets[0], offsets[rows])
    // One native search a batch spares most columns the look at each byte.
    const escapes = [0, TAB, NEWLINE, BACKSLASH].some(byte => all.includes(byte))
    const plain: Writer = (out, at, row) => {
      let from = offsets[row]!
      const to = offsets[row + 1]!
      // A native copy costs more than a short loop until about three dozen bytes.
      if (to - from > 36) {
        out.set(data.subarray(from, to), at)
        return at + to - from
      }
      while (from < to) out[at++] = data[from++]!
      return at
    }
    const escaped: Writer = (out, at, row) => {
      const to = offsets[row + 1]!
      for (let from = offsets[row]!; from < to; from++) {
        const byte = data[from]!
        if (byte === TAB || byte === NEWLINE || byte === BACKSLASH || byte === 0) out[at++] = BACKSLASH
        out[at++] = byte === 0 ? 48 : byte === TAB ? 116 : byte === NEWLINE ? 110 : byte
      }
      return at
    }
    return { room: 0, write: escapes ? escaped : plain }
  }
}

function obey(vector: Vector, rows: number, rule: ValueRule, where: string): void {
  const { offsets, data, nulls } = vector
  if (rule.refuseNull && nulls > 0) {
    let row = 0
    while (isValid(vector, row)) row++
    throw new EngineError(
      'CONSTRAINT_VIOLATED',
      `${where}: row ${row + 1} of the part has no key, but NULL`,
      {
        hint: 'Nothing was loaded. Add a row check for it to the model, or take another key.',
      },
    )
  }
  if (!offsets || (!rule.refuseTrailingSpace && rule.length === undefined)) return
  for (let row = 0; row < rows; row++) {
    const from = offsets[row]!
    const to = offsets[row + 1]!
    if (rule.refuseTrailingSpace && to > from && data[to - 1] === 32)
      refuseValue(where, data.subarray(from, to), 'ends with a space, which a char column drops')
    if (rule.length !== undefined && to - from !== rule.length && isValid(vector, row))
      refuseValue(
        where,
        data.subarray(from, to),
        `has ${counted(to - from, 'byte')}, the column takes exactly ${rule.length}`,
      )
  }
}

const LONGEST = 60

function refuseValue(where: string, bytes: Uint8Array, what: string): never {
  const text = Buffer.from(bytes).toString()
  throw new EngineError('DATA_INVALID', `${where}: ${JSON.stringify(text.slice(0, LONGEST))} ${what}`, {
    hint: 'Nothing was loaded. Correct it in the model, or write on_bad_row: quarantine into this load, so that such rows go to the quarantine.',
  })
}

function refuse(where: string, row: number, what: string): never {
  throw new EngineError('DATA_INVALID', `${where}: row ${row + 1} of the part ${what}`, {
    hint: 'Nothing was loaded. Correct it in the model, or add a row check, so that such rows go to the quarantine.',
  })
}
