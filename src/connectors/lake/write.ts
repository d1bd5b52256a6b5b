import { randomUUID } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { rowsOf } from '../../../engine/parquet/read.ts'
import { type Duck, parquetCodec, quoteName, rowGroups } from '../../../engine/sql/duckdb.ts'
import { fileChecksum } from '../../../engine/staging/checksum.ts'
import type { Column } from '../../../engine/types/logical.ts'
import type { FileStore } from '../../stores/store.ts'
import { dataPath, hiddenFolder } from './layout.ts'
import type { DataFile } from './log.ts'
import { heldName } from './ordered.ts'

/** How data files are written. */
export interface FileFormat {
  compression: 'zstd' | 'snappy' | 'gzip'
  /** Of zstd, 1 to 22; DuckDB's default (3) without, and a lower one in what lanes write. */
  level?: number
  /** Bytes that a file should have. */
  target: number
}

export interface Writing {
  duck: Duck
  store: FileStore
  format: FileFormat
  /** For messages: `lake.dim_members`. */
  where: string
  table: string
  partitionBy: string[]
  key: string[]
  /** Folder for files under way. */
  work: string
  /** Bytes that a row is expected to take: corrected by every file written. */
  rowBytes: number
  /** Gets the path of every file that is put into the store. */
  made: string[]
  signal: AbortSignal
}

/** Longest text of a least or greatest value that is kept; where it is longer, nothing is known of the file. */
const LONGEST_BOUND = 256

/** Bytes that a row group may have: whoever reads has one a thread in memory, unpacked. */
const GROUP_BYTES = 16 * 1024 * 1024

/**
 * Writes the rows of `from`, a table of {@link createOrdered}, as data files, in the order they lie in it: by partition columns,
 * then key, so that the files of a partition hold key ranges that do not overlap. They are hidden until the commit.
 * `some`: where there are no rows, one file has none of them, since a glob that finds no file is an error.
 */
export async function writeFiles(
  writing: Writing,
  from: string,
  columns: Column[],
  some: boolean,
): Promise<DataFile[]> {
  const { duck, partitionBy, format } = writing
  const texts = partitionBy.map((name, index) => `CAST(${heldName(columns, name)} AS VARCHAR) AS p${index}`)
  const named = columns.map(({ name }) => `${heldName(columns, name)} AS ${quoteName(name)}`).join(', ')
  const names = partitionBy.map((_, index) => `p${index}`)
  const partitions = await duck.rows(
    `SELECT ${[...names, 'min(rowid) AS first', 'count(*) AS n'].join(', ')} FROM (SELECT rowid, ${texts.join(', ') || '0'} FROM ${from})
     ${names.length > 0 ? `GROUP BY ${names.join(', ')}` : 'HAVING count(*) > 0'} ORDER BY first`,
  )
  const files: DataFile[] = []
  let written = { rows: 0, bytes: 0 }
  for (const partition of partitions) {
    const end = Number(partition.first) + Number(partition.n)
    for (let first = Number(partition.first); first < end; ) {
      writing.signal.throwIfAborted()
      const rowBytes = written.rows > 0 ? written.bytes / written.rows : writing.rowBytes
      const fitting = Math.max(1, Math.floor(format.target / rowBytes))
      // A last file of a few rows would be read for little.
      const rows = end - first <= fitting * 1.25 ? end - first : fitting
      const range = `SELECT ${named} FROM ${from} WHERE rowid >= ${first} AND rowid < ${first + rows}`
      const values = partitionBy.map((_, index) => textOf(partition[`p${index}`]))
      const file = await writeFile({ ...writing, rowBytes }, range, values)
      written = { rows: written.rows + file.rows, bytes: written.bytes + file.bytes }
      files.push(file)
      first += rows
    }
  }
  if (some && files.length === 0) {
    const none = partitionBy.map(() => null)
    files.push(await writeFile(writing, `SELECT ${named} FROM ${from}`, none))
  }
  return files
}

/**
 * Writes the rows of staged files that lie in the key's order as they are, without a table between: `select` gives SQL of some
 * of them. Undefined where they lie otherwise, or there are none.
 */
export async function writeInOrder(
  writing: Writing,
  paths: string[],
  select: (paths: string[]) => string,
): Promise<DataFile[] | undefined> {
  const { duck, key, format, rowBytes, signal } = writing
  if (!(await isInOrder(duck, key, select(paths)))) return undefined
  const files: DataFile[] = []
  let written = { rows: 0, bytes: 0 }
  let group: string[] = []
  let rows = 0
  for (const [index, path] of paths.entries()) {
    group.push(path)
    rows += await rowsOf(path)
    const bytes = written.rows > 0 ? written.bytes / written.rows : rowBytes
    const fitting = format.target / bytes
    if (rows === 0 || (index < paths.length - 1 && rows < fitting)) continue
    signal.throwIfAborted()
    const file = await writeFile({ ...writing, rowBytes: bytes }, select(group), [])
    written = { rows: written.rows + file.rows, bytes: written.bytes + file.bytes }
    files.push(file)
    group = []
    rows = 0
  }
  return files.length > 0 ? files : undefined
}

/** Whether rows lie in the order of their key, as they are read: then each key is there once, and none is NULL. */
export async function isInOrder(duck: Duck, key: string[], rows: string): Promise<boolean> {
  const names = key.map(quoteName)
  const pairs = names.map((name, index) => `${name} AS _nf_a${index}, lag(${name}) OVER () AS _nf_b${index}`)
  const before = names.map(
    (_, index) =>
      `(${[...names.keys()]
        .slice(0, index)
        .map(equal => `_nf_b${equal} = _nf_a${equal}`)
        .concat(`_nf_b${index} ${index < names.length - 1 ? '>' : '>='} _nf_a${index}`)
        .join(' AND ')})`,
  )
  const absent = names.map((_, index) => `_nf_a${index} IS NULL`)
  const [row] = await duck.rows(
    `SELECT count(*) AS n FROM (SELECT ${pairs.join(', ')} FROM (${rows})) WHERE ${[...before, ...absent].join(' OR ')}`,
  )
  return Number(row!.n) === 0
}

async function writeFile(writing: Writing, from: string, values: (string | null)[]): Promise<DataFile> {
  const { duck, format, where, partitionBy, key, work, rowBytes } = writing
  const path = dataPath(where, partitionBy, values)
  const temporary = join(work, `${randomUUID()}.parquet`)
  await duck.copyParquet(from, temporary, parquetCodec(format), ...rowGroups(GROUP_BYTES / rowBytes))
  const file: DataFile = {
    path,
    partition: values,
    rows: await rowsOf(temporary),
    bytes: (await stat(temporary)).size,
    crc32: await fileChecksum(temporary),
    ...(await boundsOf(duck, key, from)),
  }
  await putFile(writing, path, temporary)
  return file
}

/** Puts a data file into the store, hidden. */
export async function putFile({ store, table, made }: Writing, path: string, file: string): Promise<void> {
  const final = `${hiddenFolder(table)}/${path}`
  made.push(final)
  await store.putFile(final, file)
}

/** Least and greatest value of rows, per key column. */
export async function boundsOf(
  duck: Duck,
  key: string[],
  rows: string,
): Promise<Pick<DataFile, 'min' | 'max'>> {
  const bounds: Pick<DataFile, 'min' | 'max'> = { min: {}, max: {} }
  if (key.length === 0) return bounds
  const sides = key.flatMap((name, index) =>
    ['min', 'max'].map(side => `CAST(${side}(${quoteName(name)}) AS VARCHAR) AS ${side}${index}`),
  )
  const [found] = await duck.rows(`SELECT ${sides.join(', ')} FROM (${rows})`)
  for (const [index, name] of key.entries()) {
    const [min, max] = [textOf(found![`min${index}`]), textOf(found![`max${index}`])]
    if (min === null || max === null || min.length > LONGEST_BOUND || max.length > LONGEST_BOUND) continue
    bounds.min[name] = min
    bounds.max[name] = max
  }
  return bounds
}

const textOf = (value: unknown) => (value === null || value === undefined ? null : String(value))
