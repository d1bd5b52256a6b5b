import type { LogicalType } from '../types/logical.ts'
import { unflattened } from '../types/logical.ts'
import {
  MICROS_PER_DAY,
  parseDay,
  parseMicros,
  parseTime,
  textOfDay,
  textOfMicros,
  textOfTime,
} from '../types/times.ts'
import type { Vector } from './batch.ts'
import type { ColumnBuilder } from './builder.ts'

/** What a value is in JavaScript, exactly: 64-bit integers are bigints; decimals, days and times text; binary a copy. */
export type Value = boolean | number | bigint | string | Uint8Array

/** Reads values of a vector by row; not of rows that are NULL. */
export function valueReader(
  { column: { type }, data, offsets }: Vector,
  rows: number,
): (row: number) => Value {
  const { byteOffset: at } = data
  const buffer = data.buffer as ArrayBuffer
  const longs = (each = 1) => new BigInt64Array(buffer, at, rows * each)
  switch (type.kind) {
    case 'bool':
      return row => data[row] !== 0
    case 'int': {
      if (type.bits === 64) {
        const values = type.signed ? longs() : new BigUint64Array(buffer, at, rows)
        return row => values[row]!
      }
      const Values = (
        type.signed
          ? { 8: Int8Array, 16: Int16Array, 32: Int32Array }
          : { 8: Uint8Array, 16: Uint16Array, 32: Uint32Array }
      )[type.bits]
      const values = new Values(buffer, at, rows)
      return row => values[row]!
    }
    case 'float': {
      const values = new (type.bits === 32 ? Float32Array : Float64Array)(buffer, at, rows)
      return row => values[row]!
    }
    case 'decimal': {
      const values = longs(2)
      return row =>
        textOfDecimal((values[2 * row + 1]! << 64n) | BigInt.asUintN(64, values[2 * row]!), type.scale)
    }
    case 'text': {
      const bytes = Buffer.from(buffer, at, data.length)
      return row => bytes.toString('utf8', offsets![row], offsets![row + 1])
    }
    case 'binary':
      return row => data.slice(offsets![row], offsets![row + 1])
    case 'date': {
      const values = new Int32Array(buffer, at, rows)
      return row => textOfDay(values[row]!)
    }
    case 'time': {
      const values = longs()
      return row => textOfTime(values[row]!)
    }
    case 'timestamp': {
      const values = longs()
      return row => textOfMicros(values[row]!, type.zoned)
    }
    case 'nested':
      return unflattened(type)
  }
}

/** Puts a value into a column under construction; false where its type has no such value. Never NULL. */
export type Put = (row: number, value: unknown) => boolean

/** A {@link Put} that may take other forms of a value, too: numbers for decimals, Dates, and values that JSON has for a column of JSON. */
export function valueWriter(into: ColumnBuilder): Put {
  const { type, duck } = into.column
  const long = (row: number, value: bigint | undefined) => {
    if (value === undefined) return false
    into.big[row] = value
    return true
  }
  switch (type.kind) {
    case 'bool':
      return (row, value) => {
        if (typeof value !== 'boolean') return false
        into.u8[row] = value ? 1 : 0
        return true
      }
    case 'int':
      return type.bits === 64 ? longWriter(into, type.signed) : intWriter(into, type.bits, type.signed)
    case 'float': {
      const values = type.bits === 32 ? into.f32 : into.f64
      return (row, value) => {
        if (typeof value !== 'number') return false
        values[row] = value
        // What a FLOAT rounds is its own; what it cannot hold at all is another value.
        return Number.isFinite(values[row]) === Number.isFinite(value)
      }
    }
    case 'decimal':
      return (row, value) => {
        const unscaled = parseDecimal(value, type)
        if (unscaled === undefined) return false
        into.big[2 * row] = BigInt.asIntN(64, unscaled)
        into.big[2 * row + 1] = BigInt.asIntN(64, unscaled >> 64n)
        return true
      }
    case 'text':
      return (row, value) => {
        const text = duck === 'JSON' ? jsonOf(value) : value
        // Half of a pair would become another character.
        if (typeof text !== 'string' || !text.isWellFormed()) return false
        into.appendText(row, text)
        return true
      }
    case 'binary':
      return (row, value) => {
        if (!(value instanceof Uint8Array)) return false
        into.append(row, value, 0, value.length)
        return true
      }
    case 'date':
      return (row, value) => {
        const day = dayOf(value)
        if (day === undefined) return false
        into.i32[row] = day
        return true
      }
    case 'time':
      return (row, value) => long(row, typeof value === 'string' ? parseTime(value) : undefined)
    case 'timestamp':
      return (row, value) =>
        long(
          row,
          value instanceof Date
            ? Number.isNaN(value.getTime())
              ? undefined
              : BigInt(value.getTime()) * 1000n
            : typeof value === 'string'
              ? parseMicros(value, type.zoned)
              : undefined,
        )
    case 'nested':
      return unflattened(type)
  }
}

function intWriter(into: ColumnBuilder, bits: 8 | 16 | 32, signed: boolean): Put {
  const values = bits === 8 ? into.u8 : bits === 16 ? into.u16 : into.i32
  const [least, most] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1]
  return (row, value) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) return false
    values[row] = value
    return true
  }
}

function longWriter(into: ColumnBuilder, signed: boolean): Put {
  const as = signed ? BigInt.asIntN : BigInt.asUintN
  return (row, value) => {
    const whole = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value
    if (typeof whole !== 'bigint' || as(64, whole) !== whole) return false
    into.big[row] = whole
    return true
  }
}

function dayOf(value: unknown): number | undefined {
  if (typeof value === 'string') return parseDay(value)
  if (!(value instanceof Date)) return undefined
  const days = (value.getTime() * 1000) / MICROS_PER_DAY
  return Number.isInteger(days) ? days : undefined
}

function jsonOf(value: unknown): string | undefined {
  try {
    if (typeof value !== 'string') return JSON.stringify(value)
    JSON.parse(value)
    return value
  } catch {
    return undefined
  }
}

function textOfDecimal(unscaled: bigint, scale: number): string {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
  const point = digits.length - scale
  const text = scale === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`
  return unscaled < 0n ? `-${text}` : text
}

/** The value times 10^scale; undefined where that is not whole, or has too many digits. */
function parseDecimal(
  value: unknown,
  { precision, scale }: LogicalType & { kind: 'decimal' },
): bigint | undefined {
  if (!['string', 'number', 'bigint'].includes(typeof value)) return undefined
  const [, sign, whole, fraction = ''] = /^([+-]?)(\d+)(?:\.(\d+))?$/.exec(String(value)) ?? []
  if (whole === undefined || /[1-9]/.test(fraction.slice(scale))) return undefined
  const unscaled = BigInt(whole + fraction.slice(0, scale).padEnd(scale, '0'))
  if (unscaled >= 10n ** BigInt(precision)) return undefined
  return sign === '-' ? -unscaled : unscaled
}
