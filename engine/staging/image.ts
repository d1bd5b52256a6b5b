import { REJECTED } from '../batch/builder.ts'
import type { CatalogTable } from '../contracts/source.ts'
import type { Part } from '../contracts/staging.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { type Column, columnNamed, typeName as ddl } from '../types/logical.ts'
import { allRows } from './dataSet.ts'
import { filesSql } from './read.ts'
import { pathsOf } from './store.ts'

/** All that is known of a table: the parts of every night since it was last read whole, oldest first. */
export interface Image {
  /** What models see. One that the last night's parts lack is NULL in every row: the source has it no more. */
  columns: Column[]
  nights: Night[]
  /** Flat list, for the manifest's own check. */
  parts: Part[]
  /** Of an accumulating source: all that these nights have read of it. */
  cursor?: unknown
  /** Rows of the table; unknown of images of earlier versions. */
  rows?: number
  /** Of an extract with a `refresh`: the time of the run that read it, what of, and whether its key is unique there. */
  read?: { at: string; fingerprint: string; unique: boolean }
}

/** One night's parts and the columns that they hold. */
export interface Night {
  run: string
  columns: Column[]
  parts: Part[]
  /** Keys of rows of earlier nights that the source had no more, where it was asked. */
  gone?: Part[]
  /** Numbers (`row`) of rows that are not of the table: their key is NULL, or another row of the night has it. */
  out?: Part
  /** The key of which no two of the other rows have the same. */
  distinctBy?: string[]
}

/** All files of a night; also of what was read, or archived, of it. */
export const partsOf = <P>({ parts, gone = [], out }: { parts: P[]; gone?: P[]; out?: P }): P[] => [
  ...parts,
  ...gone,
  ...(out ? [out] : []),
]

/** Whether no two rows of any night have the same key. */
const isDistinct = ({ nights }: Image, { key, unique }: { key: string[]; unique: boolean }) =>
  unique ||
  (key.length > 0 &&
    nights.every(
      ({ parts, distinctBy: by = [] }) =>
        parts.length === 0 || (by.length === key.length && key.every(name => by.includes(name))),
    ))

/** An image with one night more; `columns`: what models see of it. */
export function withNight(base: Image | undefined, columns: Column[], night: Night): Image {
  const nights = [...(base?.nights ?? []), night]
  return { columns, nights, parts: nights.flatMap(night => partsOf(night)) }
}

/** What a run knew of an extract's table, kept beside its image: it outlives the image's parts. */
export interface StagedSchema {
  /** What models saw. */
  columns: Column[]
  /** Names of those that the source no longer had. */
  absent: string[]
  key: string[]
  /** Null where no glob stood for it; not known of runs of earlier versions. */
  catalog?: CatalogTable | null
  /** The incremental column. */
  watermark?: string
  /** None: for the manifest's own check. */
  parts: Part[]
}

/** Manifest of the {@link StagedSchema} that a run leaves of an extract. */
export function schemaFile(job: string, run: string, extract: string): string {
  return `${job}/${run}/schema/${extract}.json`
}

/** Manifest of the image that a run leaves of an extract. */
export function imageFile(job: string, run: string, extract: string): string {
  return `${job}/${run}/image/${extract}.json`
}

/** How a table's rows are told apart, and which of two is the later one. */
export interface ImageRead {
  key: string[]
  unique: boolean
  incremental?: { column: string }
  accumulates?: boolean
}

/**
 * SQL of the table that models see: the latest known row of every key that is not gone. Later nights win; within a
 * night the highest incremental value, then the whole row decides, so that ties end the same way every time; of an
 * accumulating source, the last row read. Nights are united by name: values of an earlier, narrower type are cast to the image's, which holds them exactly.
 */
export function imageSql(root: string, image: Image, read: ImageRead): string {
  const { key, accumulates } = read
  const distinct = isDistinct(image, read)
  const columns = seenColumns(image)
  const list = columns.map(column => quoteName(column.name)).join(', ')
  const nights = image.nights.filter(night => partsOf(night).length > 0)
  const [first] = nights
  if (!first)
    return `SELECT ${columns.map(({ name, type }) => `NULL::${ddl(type)} AS ${quoteName(name)}`).join(', ')} LIMIT 0`
  const scan = (night: Night) => scanSql(root, image, night)
  if (accumulates && key.length === 0) return nights.map(scan).join(' UNION ALL ')
  if (key.length === 0 || (nights.length === 1 && distinct)) return scan(first)
  if (!distinct) return `SELECT ${list} FROM (${latestSql(root, image, read, nights)}) WHERE NOT ${GONE}`
  // Most rows are of the first night and changed by none: only the changes go through the window.
  return `WITH _nf_changed AS (${latestSql(root, image, read, nights.slice(1))})
    SELECT ${list} FROM _nf_changed WHERE NOT ${GONE} UNION ALL
    SELECT ${list} FROM (${scan(first)}) AS _nf_base WHERE NOT EXISTS (
      SELECT 1 FROM _nf_changed WHERE ${key.map(name => `_nf_changed.${quoteName(name)} = _nf_base.${quoteName(name)}`).join(' AND ')})`
}

/** True in rows of {@link latestSql} of which only the key is known, since the source had them no more. */
export const GONE = '_nf_gone'

/** The columns of an image that are the table's. */
export const seenColumns = ({ columns }: Image) => columns.filter(({ name }) => name !== REJECTED)

/** SQL of the latest that some of an image's nights know of each key, as {@link imageSql} decides it, with {@link GONE}. */
export function latestSql(root: string, image: Image, read: ImageRead, nights: Night[]): string {
  const { key, incremental, accumulates } = read
  const numbered = accumulates === true && !isDistinct(image, read)
  const columns = seenColumns(image)
  const list = columns.map(column => quoteName(column.name)).join(', ')
  const keys = key.map(quoteName).join(', ')
  const newest = incremental
    ? `${quoteName(incremental.column)} DESC NULLS LAST, `
    : numbered
      ? '_nf_part DESC, _nf_number DESC, '
      : ''
  // A sort gives back what it sorts by, and it knows one zero.
  const ties = columns
    .map(({ name, type }) => (type.kind === 'float' ? `${quoteName(name)}::VARCHAR` : quoteName(name)))
    .join(', ')
  const keysOnly = columns
    .map(
      ({ name, type }) =>
        `${key.includes(name) ? quoteName(name) : 'NULL'}::${ddl(type)} AS ${quoteName(name)}`,
    )
    .join(', ')
  const rows = nights.flatMap((night, index) => {
    const { parts, gone = [] } = night
    const own = `, ${index} AS _nf_night`
    return [
      ...(parts.length > 0 ? [scanSql(root, image, night, `${own}, false AS ${GONE}`, numbered)] : []),
      ...(gone.length > 0 ? [`SELECT ${keysOnly}${own}, true AS ${GONE} FROM ${filesSql(root, gone)}`] : []),
    ]
  })
  return `SELECT ${list}, ${GONE} FROM (${rows.join(' UNION ALL ')}) QUALIFY row_number() OVER (PARTITION BY ${keys} ORDER BY _nf_night DESC, ${newest}${ties}) = 1`
}

/** SQL of a night's good rows with the image's columns; `numbered`: and which part each is of, and its number there. */
function scanSql(root: string, image: Image, night: Night, more = '', numbered = false): string {
  const present = image.nights.at(-1)?.columns ?? []
  const values = seenColumns(image)
    .map(({ name, type }) => {
      const staged = columnNamed(present, name) && columnNamed(night.columns, name)
      if (!staged) return `NULL::${ddl(type)} AS ${quoteName(name)}`
      return ddl(staged.type) === ddl(type)
        ? quoteName(name)
        : `${quoteName(name)}::${ddl(type)} AS ${quoteName(name)}`
    })
    .join(', ')
  const good = goodSql(root, night)
  if (night.out) return `SELECT ${values}${more} FROM ${allRows(root, night)}${good}`
  const paths = `[${pathsOf(root, night.parts).map(quote).join(', ')}]`
  return numbered
    ? `SELECT ${values}${more}, _nf_part, file_row_number AS _nf_number
          FROM ${filesSql(root, night.parts, { filename: '_nf_file', rowNumber: true })}
          JOIN (SELECT unnest(${paths}) AS _nf_file, unnest(range(${night.parts.length})) AS _nf_part) USING (_nf_file)${good}`
    : `SELECT ${values}${more} FROM ${filesSql(root, night.parts)}${good}`
}

function goodSql(root: string, { columns, out }: Night): string {
  const conditions = [
    ...(columnNamed(columns, REJECTED) ? [`${REJECTED} IS NULL`] : []),
    ...(out ? [`file_row_number NOT IN (SELECT row FROM ${filesSql(root, [out])})`] : []),
  ]
  return conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : ''
}

/** The parts of an image that hold the table of {@link imageSql} as they lie; undefined where it joins or changes rows. */
export function plainParts(image: Image, read: { key: string[]; unique: boolean }): Part[] | undefined {
  const shape = (columns: Column[]) => JSON.stringify(columns.map(({ name, type }) => [name, ddl(type)]))
  const nights = image.nights.filter(night => partsOf(night).length > 0)
  const plain =
    nights.length === 1 &&
    (read.key.length === 0 || isDistinct(image, read)) &&
    !nights[0]!.out &&
    !columnNamed(image.columns, REJECTED) &&
    image.nights.every(({ columns }) => shape(columns) === shape(image.columns))
  return plain ? nights[0]!.parts : undefined
}
