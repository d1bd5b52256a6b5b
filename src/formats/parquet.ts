import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { EngineError } from '../../engine/errors.ts'
import { type Footer, readFooter } from '../../engine/parquet/footer.ts'
import { type Duck, type DuckRow, quoteName } from '../../engine/sql/duckdb.ts'
import { literalPath, parquetSql } from '../../engine/sql/files.ts'
import { jsonSql } from '../../engine/types/jsonText.ts'
import { type Column, typeFromName, typeName } from '../../engine/types/logical.ts'
import { arrowColumns } from './arrowSchema.ts'
import { BadFile, badFile } from './bad.ts'
import { fileColumn } from './column.ts'
import { type FieldSql, fieldSql } from './field.ts'
import { footerFault } from './footerFault.ts'
import { absent, unread } from './notes.ts'
import type { BeyondField } from './parquetBeyond.ts'
import { pageFault } from './parquetChecksums.ts'
import { joinedAt } from './parquetJoined.ts'
import {
  isBeyond,
  nanosOf,
  type ParquetColumn,
  parquetColumns,
  refuseChanged,
  WITHOUT_COLUMN,
} from './parquetSchema.ts'
import { beyondDuck, rewritten } from './reader.ts'
import type { FieldValue, Texts } from './typed.ts'

/** Bytes of a row group that is written. */
const GROUP = 16 * 1024 * 1024
const ROWS = { least: 2048, most: 122_880 }

/** A Parquet file on this machine. */
export interface ParquetFile {
  where: string
  name: string
  path: string
  columns: Map<string, ParquetColumn>
  /** Rows of a row group that {@link GROUP} holds; undefined where the usual number is no more. */
  group?: number
}

/** A file's footer; undefined where it cannot be read, which is for whoever reads the file to tell. Fails where it is encrypted, or cannot be true. */
function footerOf(where: string, path: string): Footer | undefined {
  const handle = openSync(path, 'r')
  try {
    const tail = Buffer.alloc(4)
    const { size } = fstatSync(handle)
    readSync(handle, tail, 0, 4, Math.max(0, size - 4))
    const encrypted = tail.toString('latin1') === 'PARE'
    const footer = encrypted ? undefined : readFooter(path)
    if (!footer || footer.encrypted)
      throw badFile(where, 'is encrypted, and keys of Parquet files are not known here')
    const fault = footerFault(footer)
    if (fault !== undefined) throw badFile(where, fault)
    return footer
  } catch (error) {
    if (error instanceof BadFile) throw error
    return undefined
  } finally {
    closeSync(handle)
  }
}

/** Opens a file by its footer; its pages are compared with their checksums. */
export async function openParquet(
  duck: Duck,
  where: string,
  name: string,
  path: string,
): Promise<ParquetFile> {
  try {
    const footer = footerOf(where, path)
    const columns = await parquetColumns(duck, where, path, arrowColumns(footer?.arrowSchema))
    const damaged = pageFault(path)
    if (damaged !== undefined) throw badFile(where, damaged)
    const [size] = await duck.rows(
      `SELECT sum(total_uncompressed_size) / greatest(any_value(num_rows), 1) AS row
       FROM parquet_metadata(${literalPath(path)}), parquet_file_metadata(${literalPath(path)})`,
    )
    const rows = Math.max(ROWS.least, Math.floor(GROUP / Math.max(1, Number(size?.row ?? 1))))
    return { where, name, path, columns, ...(rows < ROWS.most && { group: rows }) }
  } catch (cause) {
    throw asBad(where, cause)
  }
}

/** Paths of files with a Parquet file's rows that DuckDB can read: its own, or others in `folder`, one at a time. `columns`: those that are read; without, all. */
export async function* readablePaths(
  duck: Duck,
  where: string,
  path: string,
  folder: string,
  columns?: string[],
): AsyncGenerator<string> {
  // Before DuckDB sees it: of some footers it reads memory of others.
  const other = footerOf(where, path) && joinedAt(path)
  if (other !== undefined)
    throw badFile(
      where,
      `has another file from byte ${other} on: files were put together, and readers know the rows of the last one alone`,
      undefined,
      'DECODE_FAILED',
      'Have each Parquet file by itself, or written into one by a program that knows Parquet; or set on_bad_file: quarantine.',
    )
  let isForeign = false
  try {
    // Hadoop's LZ4, and doubles' encoding for other types.
    const rows = await duck.rows(
      `SELECT 1 FROM parquet_metadata(${literalPath(path)})
       WHERE compression = 'LZ4' OR (encodings LIKE '%BYTE_STREAM_SPLIT%' AND type NOT IN ('FLOAT', 'DOUBLE')) LIMIT 1`,
    )
    isForeign = rows.length > 0
  } catch {
    // What it is not is told by whoever opens it.
  }
  if (isForeign) {
    const chunks = await duck.rows(
      `SELECT DISTINCT path_in_schema AS path FROM parquet_metadata(${literalPath(path)}) WHERE type = 'INT96'`,
    )
    const moments = chunks
      .map(({ path }) => String(path))
      .find(path => !columns || columns.some(name => path === name || path.startsWith(`${name}, `)))
    // Who rewrites them has 64 bits for nanoseconds, which end in 2262.
    if (moments !== undefined)
      throw badFile(
        where,
        `column ${moments} holds moments of nanoseconds (INT96), which cannot be read exactly of a file packed or encoded so (LZ4, BYTE_STREAM_SPLIT)`,
        undefined,
        'TYPE_UNSUPPORTED',
        'Have it written with another codec, such as snappy or zstd, or its moments as TIMESTAMP_MICROS; or declare in schema: of this extract the columns that are wanted, without this one; or set on_bad_file: quarantine.',
      )
    yield* rewritten(where, path, folder)
  } else yield path
}

/**
 * Rows of a Parquet file: columns whose type is the read's are taken as they are, others by their text. `folder` takes
 * what DuckDB cannot hold of them, read by another reader.
 */
export async function parquetTexts(
  file: ParquetFile,
  columns: Column[],
  optional: string[],
  folder: string,
): Promise<Texts> {
  const { where, name, path } = file
  for (const column of columns)
    if (!file.columns.has(column.name) && !optional.includes(column.name))
      throw badFile(
        where,
        `has no column ${column.name}, only ${[...file.columns.keys()].join(', ').slice(0, 400)}`,
        undefined,
        'COLUMN_MISSING',
        'Check the file, or write drift: { dropped: ignore } in this extract: then its rows have NULL.',
      )
  const read = columns.flatMap(({ name }, index) => {
    const column = file.columns.get(name)
    if (!column) return []
    refuseChanged(where, column)
    return [{ column, field: `c${index}` }]
  })
  const beyond = read.flatMap(({ column, field }): BeyondField[] => {
    if (!isBeyond(column)) return []
    return column.beyond === 'decimal'
      ? [{ column: column.name, kind: 'text', field }]
      : [{ column: column.name, kind: 'nanoseconds', field: nanosOf(field) }]
  })
  const list = read
    .filter(({ column }) => column.beyond !== 'decimal')
    .map(({ column, field }) => `, ${column.read} AS ${field}`)
    .join('')
  const main = `(SELECT 0 AS _file, file_row_number + 1 AS _line${list} FROM ${parquetSql([path], { rowNumber: true })})`
  const beside = beyond.length > 0 ? parquetSql(await beyondDuck(where, path, beyond, folder)) : undefined
  return {
    from: beside === undefined ? main : `(SELECT * FROM ${main} POSITIONAL JOIN ${beside})`,
    names: [name],
    value: column => {
      const found = file.columns.get(column.name)
      return found && fieldOf(found, column, `c${columns.indexOf(column)}`)
    },
    ...(file.group !== undefined && { group: file.group }),
  }
}

/** DuckDB takes any number for a time; its text of one that is none is memory of others, or ends the process. */
export const isTime = (field: string) => `(${field} BETWEEN TIME '00:00:00' AND TIME '24:00:00')`

// Not of all values with a CASE around: it makes texts of a whole dictionary, whichever of them are asked for.
const timeText = (field: string) =>
  `coalesce((CASE WHEN ${isTime(field)} THEN ${field} END)::VARCHAR, epoch_us(${field})::VARCHAR || ' microseconds')`

/** A file's first rows, as texts. */
export async function firstRows(duck: Duck, where: string, path: string, count: number): Promise<DuckRow[]> {
  const from = parquetSql([path])
  try {
    const columns = await duck.rows(`DESCRIBE FROM ${from}`)
    const texts = columns.map(({ column_name, column_type }) => {
      const name = quoteName(String(column_name))
      return `${column_type === 'TIME' ? timeText(name) : `${name}::VARCHAR`} AS ${name}`
    })
    return await duck.rows(`SELECT ${texts.join(', ')} FROM ${from} LIMIT ${count}`)
  } catch (cause) {
    throw asBad(where, cause)
  }
}

function fieldOf(found: ParquetColumn, column: Column, field: string): FieldValue {
  const { native } = found
  const { type } = column
  if (found.beyond === undefined) {
    if (native === 'TIME' && type.kind === 'time')
      return { value: field, bad: `NOT ${isTime(field)}`, text: timeText(field) }
    if (native === typeName(type)) return { value: field, bad: 'false', text: field }
    if (native === 'TIMESTAMP_NS' && type.kind === 'timestamp' && !type.zoned)
      return {
        value: `${field}::TIMESTAMP`,
        bad: `(isfinite(${field}) AND epoch_ns(${field}) % 1000 <> 0)`,
        text: `${field}::VARCHAR`,
      }
  }
  const text = isBeyond(found)
    ? found.text(field)
    : found.nested
      ? `${jsonSql(field, native)}::VARCHAR`
      : native === 'TIME'
        ? timeText(field)
        : `${field}::VARCHAR`
  if (native === 'BLOB' && type.kind === 'text') {
    // Many writers leave out that a text is one.
    const value = `TRY(decode(${field}))`
    const badOf = (decoded: string) => `(${field} IS NOT NULL AND ${decoded} IS NULL)`
    return { text, value, bad: badOf(value), badOf }
  }
  const read = fieldSql(text, type)
  return { text, ...(isRounded(native, column) ? unrounded(read, field, native) : read) }
}

/** Whether a float may be another number than a value of a file's type, and is not meant to be: of a wider float, a declared one is the nearest, as of a text. */
function isRounded(native: string, column: Column): boolean {
  const { type } = column
  const own = typeFromName(native)
  if (type.kind !== 'float' || !own) return false
  const isGuess = fileColumn(column).notation !== undefined
  return (
    own.kind === 'int' || own.kind === 'decimal' || (isGuess && own.kind === 'float' && own.bits > type.bits)
  )
}

/** A field that is bad, too, where its value is another one than the file's. */
function unrounded(read: FieldSql, field: string, native: string): FieldSql {
  const badOf = (value: string) =>
    `(${read.badOf!(value)} OR TRY_CAST(${value} AS ${native}) IS DISTINCT FROM ${field})`
  return { value: read.value, bad: badOf(read.value), badOf }
}

/** What DuckDB cannot read of a file is the file's fault; a value that does not fit, and want of memory, are not. */
export function asBad(where: string, cause: unknown): unknown {
  const { code, message } = cause as EngineError
  if (
    cause instanceof BadFile ||
    code === 'DECODE_FAILED' ||
    code === 'TYPE_UNSUPPORTED' ||
    code === 'RESOURCE_EXHAUSTED' ||
    code === 'MEMORY_EXCEEDED'
  )
    return cause
  const [what = ''] = message.replace(/^(Invalid|Invalid Input|IO|Conversion) Error: /, '').split('\n')
  return what.startsWith('column ')
    ? badFile(where, what, cause, 'DECODE_FAILED', WITHOUT_COLUMN)
    : badFile(where, `is not a readable Parquet file: ${what}`, cause)
}

/** The columns of a read, as a file's own names and types give them; a candidate is asked of its values. */
export async function parquetTypes(
  duck: Duck,
  file: ParquetFile,
  folder: string,
): Promise<Record<string, string>> {
  const types = new Map<string, string>()
  const asked: Column[] = []
  for (const [name, column] of file.columns) {
    refuseChanged(file.where, column)
    const { native, guess, beyond } = column
    const type = guess ?? (beyond === undefined && typeFromName(native) ? native : 'VARCHAR')
    types.set(name, type)
    if (guess !== undefined) asked.push({ name, type: typeFromName(guess)!, nullable: true, native: guess })
  }
  if (asked.length === 0) return Object.fromEntries(types)
  try {
    const texts = await parquetTexts(file, asked, [], folder)
    const fits = asked.map((column, index) => `bool_or(${texts.value(column)!.bad}) AS bad${index}`)
    const [row] = await duck.rows(`SELECT ${fits.join(', ')} FROM ${texts.from}`)
    for (const [index, { name }] of asked.entries())
      if (row![`bad${index}`] === true) types.set(name, 'VARCHAR')
    return Object.fromEntries(types)
  } catch (cause) {
    throw asBad(file.where, cause)
  }
}

/** What people should know of a file's columns. */
export function parquetNotes(file: ParquetFile, columns: string[], optional: string[]): string[] {
  const names = [...file.columns.keys()]
  const extra = names.filter(name => !columns.includes(name))
  return [
    ...unread('columns', extra),
    ...absent(
      'column',
      optional.filter(name => !names.includes(name)),
    ),
  ]
}
