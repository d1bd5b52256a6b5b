import { REJECTED } from '../batch/builder.ts'
import { EngineError } from '../errors.ts'
import type { ExtractSpec, LoadSpec, PlannedLoad, Read, SyncPoint, TableSchema } from '../ports.ts'
import type { Image } from '../staging/image.ts'
import type { Column } from '../types/logical.ts'
import { before, canBeWatermark } from './watermark.ts'

/** What a run will read and write: plain data, made without reading a row, committed before anything else. */
export interface Plan {
  reads: PlannedRead[]
  loads: LoadSpec[]
}

export interface PlannedRead extends Read {
  from: string
  /** True where the source itself guarantees that `key` is unique. */
  unique: boolean
  incremental?: { column: string }
  /** Sync point and image this read builds on; absent: the whole table is read. */
  base?: { value: string; run: string; image: Image }
  /** Estimated rows and bytes of the whole table. */
  rows?: number
  bytes?: number
  /** Why it reads what it reads, and which types are not exact: for people. */
  notes: string[]
}

/** What the plan of one extract is made from. */
export interface ReadFacts {
  spec: ExtractSpec
  schema: TableSchema
  /** The sync point on which every target agrees, with its image where it is still kept. */
  last?: { point: SyncPoint; image: Image | undefined }
  limits: Read['limits']
}

/** Plans one extract. Pure. Fails with COLUMN_MISSING or CONFIG_INVALID, naming the extract and the column. */
export function planRead({ spec, schema, last, limits }: ReadFacts): PlannedRead {
  const where = `${spec.from}.${spec.name}`
  const names = schema.columns.map(column => column.name)
  const need = (column: string, role: string): Column => {
    const found = schema.columns.find(({ name }) => name === column)
    if (!found)
      throw new EngineError('COLUMN_MISSING', `${where}: ${role} ${column} is not a column of the table`, {
        hint: `Its columns: ${names.join(', ')}.`,
      })
    return found
  }
  const key = spec.key.length > 0 ? spec.key : schema.key
  for (const column of key) need(column, 'key column')
  for (const column of Object.keys(spec.columns)) need(column, 'columns:')
  const columns = schema.columns.map((column): Column => {
    const policy = spec.columns[column.name]
    return policy === 'text'
      ? { ...column, type: { kind: 'text' }, policy }
      : policy
        ? { ...column, policy }
        : column
  })
  const notes = columns.flatMap(column =>
    column.inexact && column.policy && column.policy !== 'fail'
      ? [`${column.name} (${column.native}): ${column.inexact}; policy ${column.policy}`]
      : [],
  )
  if (columns.some(column => column.policy === 'quarantine'))
    columns.push({ name: REJECTED, type: { kind: 'text' }, nullable: true, native: 'text' })
  const unique = sameSet(key, schema.key)
  const read: PlannedRead = {
    extract: spec.name,
    where,
    from: spec.from,
    columns,
    key,
    unique,
    options: spec.options,
    limits,
    rows: schema.rows,
    bytes: schema.bytes,
    notes,
  }
  if (!spec.incremental) return read
  const { column, lag } = spec.incremental
  const { type } = need(column, 'incremental column')
  if (!canBeWatermark(type))
    throw new EngineError(
      'CONFIG_INVALID',
      `${where}: ${column} cannot be a watermark: its type is ${type.kind}`,
      {
        hint: 'Take a timestamp, a date or an integer that only grows.',
      },
    )
  if (key.length === 0)
    throw new EngineError('CONFIG_INVALID', `${where}: an incremental extract needs a key`, {
      hint: 'Name the columns that identify a row: key: member_id.',
    })
  read.incremental = { column }
  const full = (reason: string) => ({ ...read, notes: [...notes, `reads the whole table: ${reason}`] })
  if (!last) return full('no earlier load')
  if (last.point.value === null) return full('the last load saw no row')
  if (!last.image) return full('the image of the last load is no longer staged')
  if (!sameColumns(last.image.columns, columns)) return full('its columns changed')
  const base = { value: last.point.value, run: last.point.run, image: last.image }
  return { ...read, base, since: { column, value: before(last.point.value, type, lag) } }
}

const sameSet = (a: string[], b: string[]) =>
  b.length > 0 && a.length === b.length && a.every(name => b.includes(name))

const sameColumns = (a: Column[], b: Column[]) =>
  JSON.stringify(a.map(({ name, type }) => [name, type])) ===
  JSON.stringify(b.map(({ name, type }) => [name, type]))

/** A load with the columns of the data set it loads. Fails where its key or other named columns are not among them. */
export function planLoad(spec: LoadSpec, columns: Column[]): PlannedLoad {
  const names = columns.map(column => column.name)
  for (const column of [...spec.key, ...spec.insertOnly, ...(spec.newer ? [spec.newer] : [])])
    if (!names.includes(column))
      throw new EngineError('COLUMN_MISSING', `load.${spec.table}: ${spec.from} has no column ${column}`, {
        hint: `Its columns: ${names.join(', ')}.`,
      })
  return { ...spec, columns }
}
