import { type BatchBuilder, type ColumnBuilder, REJECTED } from '../../../engine/batch/builder.ts'
import { EngineError } from '../../../engine/errors.ts'
import { ownValue } from '../../../engine/ownValue.ts'
import { counted } from '../../../engine/plural.ts'
import { fieldOf } from './columns.ts'
import { type FieldPath, isRawNumber, pathText, resolvePath, shownValue, valueAt } from './json.ts'
import { parseDate, parseEpoch, parseTime, parseTimestamp } from './moments.ts'
import { parseScaled } from './numbers.ts'
import type { HttpOptions } from './options.ts'
import { endOf, startAt } from './raw.ts'

/** Keys of records that are remembered. */
const MOST_KEYS = 10_000

type TimeFormat = 'iso' | 'epoch' | 'epoch_ms'

interface Field {
  column: ColumnBuilder
  path: FieldPath
  /** Where the path is no more than one. */
  name?: string
  raw: boolean
  format: TimeFormat
  /** Texts that stand for no value. */
  null_values: Set<string>
  /** Whether a record had it. */
  seen: boolean
}

/** Writes JSON records into columns, exactly or not at all. */
export class RecordDecoder {
  /** Whether a column takes JSON as it was received. */
  readonly raw: boolean
  private readonly builder: BatchBuilder
  private readonly fields: Field[]
  private rows = 0
  /** By a record's key: the field from which it differs in case only, null where there is none. */
  private readonly alike = new Map<string, Field | null>()

  constructor(builder: BatchBuilder, { schema, null_values }: Pick<HttpOptions, 'schema' | 'null_values'>) {
    this.builder = builder
    this.fields = builder.columns
      .filter(({ column }) => column.name !== REJECTED)
      .map(column => {
        const { name, type, native } = column.column
        const { path, format, null_values: own } = fieldOf(schema, name)
        const words = type.kind === 'text' ? own : [...null_values, ...own]
        const [only, ...more] = typeof path === 'string' ? path.split('.') : path
        return {
          column,
          path,
          ...(more.length === 0 && { name: only! }),
          raw: native === 'JSON',
          format,
          null_values: new Set(words),
          seen: false,
        }
      })
    this.raw = this.fields.some(({ raw }) => raw)
  }

  /**
   * Decodes one record; `where` and `number` (from 1) name it in errors. A missing field is NULL. The record begins at
   * `start` of `text`, which only a {@link raw} decoder needs.
   */
  decode(record: unknown, where: string, number: number, text: string, start = 0): void {
    if (typeof record !== 'object' || record === null || Array.isArray(record) || isRawNumber(record))
      throw new EngineError(
        'RESPONSE_INVALID',
        `${where}: row ${number}: ${shownValue(record)} is not an object`,
      )
    const { builder } = this
    const row = builder.rows
    let lacks = false
    for (const field of this.fields) {
      const { column, path, raw } = field
      const { name, policy, native } = column.column
      const value =
        field.name === undefined
          ? valueAt(record, path)
          : ownValue(record as Record<string, unknown>, field.name)
      if (value !== undefined) field.seen = true
      else lacks ||= field.name !== undefined
      if (
        value === null ||
        value === undefined ||
        (typeof value === 'string' && field.null_values.has(value))
      ) {
        column.setNull(row)
        continue
      }
      if (raw) {
        const from = startAt(text, start, resolvePath(record, path)!)!
        column.appendText(row, text.slice(from, endOf(text, from)))
        continue
      }
      const reason = put(column, row, value, field.format)
      if (reason === undefined) continue
      if (policy === 'null' || policy === 'quarantine') builder.inexact(column, textOf(value), reason)
      else
        throw new EngineError(
          'RESPONSE_INVALID',
          `${where}: row ${number}: ${name}: ${shownValue(value)} ${reason} (${native})`,
          { hint: hintFor(field, value) },
        )
    }
    if (lacks) this.refuseAlike(record, where, number)
    builder.endRow()
    this.rows++
  }

  /** Fails where a record has, in place of a field that it lacks, one whose name differs in case only. */
  private refuseAlike(record: object, where: string, number: number): void {
    for (const key of Object.keys(record)) {
      let field = this.alike.get(key)
      if (field === undefined) {
        const names = new Set(this.fields.map(({ name }) => name))
        const folded = key.toLowerCase()
        const like = (field: Field) => field.name !== undefined && field.name.toLowerCase() === folded
        field = names.has(key) ? null : (this.fields.find(like) ?? null)
        if (this.alike.size < MOST_KEYS) this.alike.set(key, field)
      }
      if (field === null || Object.hasOwn(record, field.name!)) continue
      const { name, native } = field.column.column
      const other = `{ type: ${JSON.stringify(native)}, path: [${JSON.stringify(key)}] }`
      throw new EngineError(
        'RESPONSE_INVALID',
        `${where}: row ${number} has ${key} in place of ${field.name}${field.seen ? ', which others have' : ''}`,
        {
          hint: field.seen
            ? `Write both into schema of this extract, ${name} and ${name}_2: ${other}, and put them together in a model.`
            : `Write into schema of this extract: ${name}: ${other}`,
        },
      )
    }
  }

  /** What is to be known of all records. */
  notes(): string[] {
    if (this.rows === 0) return []
    return this.fields
      .filter(({ seen }) => !seen)
      .map(({ column, path }) => `no record has ${pathText(path)}: ${column.column.name} is NULL in all rows`)
  }
}

function hintFor({ column, path }: Field, value: unknown): string {
  const { name, type, native } = column.column
  if (type.kind === 'timestamp' && digitsOf(value) !== undefined && /^\d+([.]\d*)?$/.test(digitsOf(value)!)) {
    const format = Number(digitsOf(value)) < 1e11 ? 'epoch' : 'epoch_ms'
    const at = path[0] === name ? '' : `, path: ${JSON.stringify(path)}`
    return `If it is a time in ${format === 'epoch' ? 'seconds' : 'milliseconds'} since 1970, write into schema of this extract: ${name}: { type: ${JSON.stringify(native)}${at}, format: ${format} }`
  }
  if (type.kind === 'text')
    return `No text can hold it: set columns.${name} of this extract to null or quarantine, or have the API send whole characters.`
  if (typeof value === 'string' && value.length < 20)
    return `If that text stands for no value, write into this extract: null_values: [${JSON.stringify(value)}]. Otherwise correct schema.${name}, or set columns.${name} to null, quarantine or text.`
  return `Correct schema.${name}, or set columns.${name} of this extract to null, quarantine or text.`
}

/** A value as text: strings as they are, numbers with the digits they came with, the rest as JSON. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Writes one value that is not null; returns why it does not fit, or undefined. */
function put(column: ColumnBuilder, row: number, value: unknown, format: TimeFormat): string | undefined {
  const { type } = column.column
  switch (type.kind) {
    case 'text': {
      const text = textOf(value)
      if (!text.isWellFormed()) return 'holds half of a surrogate pair, which UTF-8 cannot'
      column.appendText(row, text)
      return undefined
    }
    case 'bool':
      if (typeof value !== 'boolean') return 'is neither true nor false'
      column.u8[row] = value ? 1 : 0
      return undefined
    case 'int':
      return putInteger(column, row, value)
    case 'decimal': {
      const digits = digitsOf(value)
      const scaled = digits === undefined ? undefined : parseScaled(digits, type.scale)
      if (scaled === undefined)
        return `is not a number with at most ${counted(type.scale, 'digit')} after the point`
      if (scaled >= 10n ** BigInt(type.precision) || -scaled >= 10n ** BigInt(type.precision))
        return `has more than ${counted(type.precision, 'digit')}`
      column.big[2 * row] = BigInt.asIntN(64, scaled)
      column.big[2 * row + 1] = scaled >> 64n
      return undefined
    }
    case 'float': {
      const digits = digitsOf(value)
      const number = digits === undefined || !NUMBER.test(digits) ? Number.NaN : Number(digits)
      const held = type.bits === 32 ? Math.fround(number) : number
      if (!Number.isFinite(held) || (held === 0 && /^[^e]*[1-9]/i.test(digits!)))
        return 'is not a number of its range'
      if (type.bits === 32) column.f32[row] = number
      else column.f64[row] = number
      return undefined
    }
    case 'date': {
      const days = typeof value === 'string' ? parseDate(value) : undefined
      if (days === undefined) return 'is not a day like 2026-01-31'
      column.i32[row] = days
      return undefined
    }
    case 'time': {
      const micros = typeof value === 'string' ? parseTime(value) : undefined
      if (micros === undefined) return 'is not a time of day like 23:55:00.123456'
      column.big[row] = micros
      return undefined
    }
    case 'timestamp': {
      if (format !== 'iso') {
        const instant = parseEpoch(digitsOf(value) ?? '', format)
        if (instant === undefined)
          return `is no number of ${format === 'epoch' ? 'seconds' : 'milliseconds'} since 1970, with at most microseconds`
        column.big[row] = instant
        return undefined
      }
      const micros = typeof value === 'string' ? parseTimestamp(value, type.zoned) : undefined
      if (micros === undefined)
        return `is not a moment like 2026-01-31T23:55:00.123456${type.zoned ? 'Z' : ', without an offset'}`
      column.big[row] = micros
      return undefined
    }
    case 'binary':
      return 'cannot be binary'
  }
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i

/** The digits of a number or of a string; undefined for other values. */
function digitsOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  return isRawNumber(value) ? value.rawJSON : undefined
}

function putInteger(column: ColumnBuilder, row: number, value: unknown): string | undefined {
  const type = column.column.type
  if (type.kind !== 'int') return 'is no integer'
  const digits = digitsOf(value)
  const whole = digits === undefined ? undefined : parseScaled(digits, 0)
  if (whole === undefined) return 'is not a whole number'
  const fits = type.signed ? BigInt.asIntN(type.bits, whole) : BigInt.asUintN(type.bits, whole)
  if (fits !== whole) return 'is out of range'
  if (type.bits === 64) column.big[row] = whole
  else if (type.bits === 32) column.i32[row] = Number(whole)
  else if (type.bits === 16) column.u16[row] = Number(whole)
  else column.u8[row] = Number(whole)
  return undefined
}
