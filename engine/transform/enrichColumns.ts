import type { Vector as ArrowVector, Data } from 'apache-arrow'
import { fromData, logicalType, toVector } from '../batch/arrow.ts'
import { type Batch, isValid, type Vector } from '../batch/batch.ts'
import { ColumnBuilder } from '../batch/builder.ts'
import { type Value, valueReader, valueWriter } from '../batch/values.ts'
import type { EnrichColumn } from '../contracts/enrichment.ts'
import { didYouMean } from '../nearest.ts'
import { ownValue } from '../ownValue.ts'
import { counted } from '../plural.ts'
import { type Column, type LogicalType, typeName } from '../types/logical.ts'

/** A column as an enrichment's function is given it. */
class TakenColumn implements EnrichColumn<Value> {
  readonly vector: Vector
  readonly length: number
  private readonly read: (row: number) => Value

  constructor(vector: Vector, rows: number) {
    this.vector = vector
    this.length = rows
    this.read = valueReader(vector, rows)
  }

  get(row: number): Value | null {
    if (!(row >= 0 && row < this.length))
      throw new RangeError(`${this.vector.column.name}.get(${row}): there are rows 0 to ${this.length - 1}`)
    return isValid(this.vector, row) ? this.read(row) : null
  }

  map<U>(make: (value: Value | null, row: number) => U): U[] {
    return Array.from({ length: this.length }, (_, row) => make(this.get(row), row))
  }

  *[Symbol.iterator](): Iterator<Value | null> {
    for (let row = 0; row < this.length; row++) yield this.get(row)
  }

  get arrow(): ArrowVector {
    return toVector(this.vector, this.length)
  }
}

/** What a function gave is not what it declares. `row`: of the rows that it was given. */
export class GivenWrong extends Error {
  readonly hint: string
  readonly row: number | undefined

  constructor(message: string, hint: string, row?: number) {
    super(message)
    this.hint = hint
    this.row = row
  }
}

/** The columns of a batch by name, as a function is given them. */
export const takenColumns = ({ vectors, rows }: Batch): Record<string, EnrichColumn> =>
  Object.fromEntries(vectors.map(vector => [vector.column.name, new TakenColumn(vector, rows)]))

/** What a function gave, as vectors of the columns that it declares. Throws {@link GivenWrong}. */
export function givenVectors(given: unknown, gives: Column[], rows: number): Vector[] {
  const names = gives.map(({ name }) => name)
  if (given === null || typeof given !== 'object' || Array.isArray(given))
    throw new GivenWrong(
      `enrich gives ${kindOf(given)}, not columns by their names`,
      `Return { ${names.map(name => `${name}: […]`).join(', ')} }.`,
    )
  const stray = Object.keys(given).find(name => !names.includes(name))
  if (stray !== undefined)
    throw new GivenWrong(
      `enrich gives ${stray}, which \`gives\` does not declare${didYouMean(stray, names)}`,
      `\`gives\` declares: ${names.join(', ')}.`,
    )
  return gives.map(column => {
    const own = ownValue(given as Record<string, unknown>, column.name)
    if (own === undefined)
      throw new GivenWrong(
        `enrich does not give ${column.name}`,
        `Return it beside the others: ${column.name}: […].`,
      )
    return givenVector(own, column, rows)
  })
}

function givenVector(given: unknown, column: Column, rows: number): Vector {
  const { name } = column
  const length = lengthOf(given)
  if (length === undefined)
    throw new GivenWrong(
      `enrich gives ${kindOf(given)} as ${name}`,
      given instanceof Promise
        ? 'await it before it is returned.'
        : 'A column is an array, a typed array, one of the columns that it was given, or an Arrow vector.',
    )
  if (length !== rows)
    throw new GivenWrong(
      `enrich gives ${counted(length, 'value')} of ${name} for ${counted(rows, 'row')}`,
      'Give a value, or null, for each row, in their order.',
    )
  if (given instanceof TakenColumn) {
    requireType(typeName(given.vector.column.type), column)
    return { ...given.vector, column }
  }
  if (isArrow(given)) return arrowVector(given, column, rows)
  const values = given as ArrayLike<unknown>
  return built(column, rows, put => {
    for (let row = 0; row < rows; row++) put(row, values[row])
  })
}

function arrowVector(given: ArrowVector, column: Column, rows: number): Vector {
  const type = logicalType(given.type)
  requireType(type ? typeName(type) : String(given.type), column)
  const [first] = given.data as readonly Data[]
  // What stands behind a NULL of Arrow's text is no part of ours.
  const isPlain =
    given.data.length === 1 && (first!.nullCount === 0 || !['text', 'binary'].includes(type!.kind))
  if (isPlain) return fromData(first!, column, rows)
  return built(column, rows, put => {
    let row = 0
    for (const chunk of given.data as readonly Data[]) {
      const vector = fromData(chunk, column, chunk.length)
      const read = valueReader(vector, chunk.length)
      for (let at = 0; at < chunk.length; at++) put(row++, isValid(vector, at) ? read(at) : null)
    }
  })
}

/** A vector of values; undefined is NULL, as what a lookup does not find. */
function built(
  column: Column,
  rows: number,
  fill: (put: (row: number, value: unknown) => void) => void,
): Vector {
  const builder = new ColumnBuilder(column, rows)
  const write = valueWriter(builder)
  fill((row, value) => {
    if (value === null || value === undefined) builder.setNull(row)
    else if (!write(row, value))
      throw new GivenWrong(
        `${column.name}: ${shown(value)} is no ${column.duck ?? typeName(column.type)}`,
        wanted(column),
        row,
      )
  })
  return builder.vector(rows)
}

function requireType(found: string, { name, type, duck }: Column): void {
  if (found !== typeName(type))
    throw new GivenWrong(
      `enrich gives ${name} as a column of ${found}, not of ${duck ?? typeName(type)}`,
      `Declare it so: gives = { ${name}: '${found}' }, or make values of it.`,
    )
}

function lengthOf(given: unknown): number | undefined {
  if (given === null || typeof given !== 'object' || given instanceof DataView) return undefined
  const { length } = given as { length?: unknown }
  return typeof length === 'number' ? length : undefined
}

const isArrow = (given: unknown): given is ArrowVector => {
  const { data, type } = given as { data?: unknown; type?: unknown }
  return Array.isArray(data) && typeof type === 'object' && type !== null
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (value instanceof Promise) return 'a Promise'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

/** Characters of a value that a message shows. */
const SHOWN = 100

function shown(value: unknown): string {
  const text =
    typeof value === 'object'
      ? value instanceof Date
        ? `Date ${value.getTime()}`
        : kindOf(value)
      : typeof value === 'bigint'
        ? `${value}n`
        : String(value)
  return typeof value === 'object' ? text : `'${text.slice(0, SHOWN)}${text.length > SHOWN ? '…' : ''}'`
}

function wanted({ type, duck }: Column): string {
  if (duck === 'JSON') return 'Give what JSON.stringify() takes, or JSON as text.'
  return wantedOf(type)
}

function wantedOf(type: LogicalType): string {
  switch (type.kind) {
    case 'bool':
      return 'Give true, false or null.'
    case 'int':
      return type.bits === 64
        ? 'Give a bigint, or a whole number up to Number.MAX_SAFE_INTEGER, within its range.'
        : 'Give a whole number within its range.'
    case 'float':
      return 'Give a number within its range.'
    case 'decimal':
      return `Give text or a number with ${type.precision - type.scale} digits before the point and ${type.scale} behind it, at most: value.toFixed(${type.scale}).`
    case 'text':
      return 'Give text: String(value); of half a character nothing can be kept.'
    case 'binary':
      return 'Give a Uint8Array.'
    case 'date':
      return "Give text such as '2026-01-31', or a Date at midnight UTC."
    case 'time':
      return "Give text such as '12:30:00.25'."
    case 'timestamp':
      return `Give text such as '2026-01-31T12:30:00${type.zoned ? 'Z' : ''}'${type.zoned ? ', with its zone,' : ''} or a Date.`
    case 'nested':
      return 'Give JSON.'
  }
}
