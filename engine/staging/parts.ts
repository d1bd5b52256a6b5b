import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Part } from '../contracts/staging.ts'
import { PLAIN_FORMAT } from '../parquet/decode.ts'
import { type Duck, NO_DICTIONARY, PARTITIONED_ROWS, parquetCodec } from '../sql/duckdb.ts'
import { atomicWrite, partOf } from './store.ts'

interface Staging {
  duck: Duck
  /** Staging root: an absolute folder. */
  root: string
}

/** COPY options of parts: several, so that lanes can share them. */
const PART_OPTIONS = [PLAIN_FORMAT, "FILE_SIZE_BYTES '64MB'", 'PER_THREAD_OUTPUT false']

/** Rows of a bucket's row group, at most. */
const GROUP_ROWS = 1 << 17

/** Writes a query's rows as Parquet files in a folder below the staging root, of about `rows` each where given. */
export async function copyParts(
  { duck, root }: Staging,
  sql: string,
  folder: string,
  rows?: number,
): Promise<Part[]> {
  await duck.writtenTypes(sql)
  const size = rows === undefined ? [] : [`ROW_GROUP_SIZE ${rows}`, 'ROW_GROUPS_PER_FILE 1']
  await atomicWrite(join(root, folder), temporary => duck.copy(sql, temporary, ...PART_OPTIONS, ...size))
  return partsIn(root, folder)
}

function partsIn(root: string, folder: string): Promise<Part[]> {
  const names = readdirSync(join(root, folder)).sort(byNumber)
  return Promise.all(names.map(name => partOf(root, `${folder}/${name}`)))
}

/**
 * Writes rows that are staged already to files that are used here and now, and then removed: nobody finds them after a
 * crash, so nothing is synced.
 */
export async function copyScratch({ duck, root }: Staging, sql: string, folder: string): Promise<Part[]> {
  const path = join(root, folder)
  rmSync(path, { recursive: true, force: true })
  mkdirSync(dirname(path), { recursive: true })
  await duck.copy(sql, path, ...PART_OPTIONS)
  return partsIn(root, folder)
}

interface FileOptions {
  compression?: 'uncompressed' | 'snappy'
  /** Types of the columns, where they are known. */
  types?: string[]
  /** Rows of a row group, where the usual number is too large. */
  groupRows?: number
  /** Values that a column may have in a row group to be written by a dictionary. */
  dictionary?: number
}

/** Writes a query's rows as one Parquet file below the staging root. */
export async function copyFile(
  { duck, root }: Staging,
  sql: string,
  file: string,
  { compression = 'uncompressed', types, groupRows, dictionary }: FileOptions = {},
): Promise<Part> {
  const known = types ?? (await duck.writtenTypes(sql))
  const options = [
    parquetCodec({ compression }),
    ...(groupRows ? [`ROW_GROUP_SIZE ${groupRows}`] : []),
    ...(dictionary ? [`DICTIONARY_SIZE_LIMIT ${dictionary}`] : []),
  ]
  await atomicWrite(join(root, file), temporary => duck.copyTyped(known, sql, temporary, ...options))
  return partOf(root, file)
}

/**
 * Writes a query's rows as Parquet files in a folder below the staging root, one bucket's apart from another's: `bucket` is
 * SQL of its number, from 0 to `buckets` - 1. Gives the files of each.
 */
export async function copyBuckets(
  { duck, root }: Staging,
  sql: string,
  bucket: string,
  buckets: number,
  folder: string,
): Promise<Part[][]> {
  await atomicWrite(join(root, folder), async temporary => {
    const rows = `SELECT *, (${bucket})::INTEGER AS _nf_bucket FROM (${sql})`
    // One row group of each bucket is held at a time; it must be more than what comes at once, or DuckDB queues them.
    const group = Math.min(GROUP_ROWS, Math.ceil((4 * PARTITIONED_ROWS) / buckets))
    // Keys and hashes hardly repeat: the look for values that do is lost time.
    const options = ['COMPRESSION uncompressed', NO_DICTIONARY, `ROW_GROUP_SIZE ${group}`]
    await duck.copyParquet(rows, temporary, ...options, 'PARTITION_BY _nf_bucket')
    mkdirSync(temporary, { recursive: true })
  })
  const parts: Part[][] = Array.from({ length: buckets }, () => [])
  for (const name of readdirSync(join(root, folder)).sort(byNumber))
    for (const file of readdirSync(join(root, folder, name)).sort(byNumber))
      parts[Number(name.split('=')[1])]!.push(await partOf(root, `${folder}/${name}/${file}`))
  return parts
}

const byNumber = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true })
