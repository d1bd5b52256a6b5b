import { randomUUID } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Duck, type DuckRow, parquetCodec, quoteName } from '../../../engine/sql/duckdb.ts'
import type { FileStore } from '../../stores/store.ts'
import { checksum } from './files.ts'
import { dataPath, hiddenFolder } from './layout.ts'
import type { DataFile } from './log.ts'

/** How data files are written. */
export interface FileFormat {
  compression: 'zstd' | 'snappy' | 'gzip'
  /** Of zstd, 1 to 22; DuckDB's default (3) without. */
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

/**
 * Writes the rows of `from`, a table of the session, as data files, in the order they lie in it: by partition columns,
 * then key, so that the files of a partition hold key ranges that do not overlap. They are hidden until the commit.
 * `some`: where there are no rows, one file has none of them, since a glob that finds no file is an error.
 */
export async function writeFiles(writing: Writing, from: string, some: boolean): Promise<DataFile[]> {
  const { duck, partitionBy, format } = writing
  const texts = partitionBy.map((name, index) => `CAST(${quoteName(name)} AS VARCHAR) AS p${index}`)
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
      const file = await writeFile(writing, from, first, rows, partition)
      written = { rows: written.rows + rows, bytes: written.bytes + file.bytes }
      files.push(file)
      first += rows
    }
  }
  if (some && files.length === 0) files.push(await writeFile(writing, from, 0, 0, {}))
  return files
}

async function writeFile(
  writing: Writing,
  from: string,
  first: number,
  rows: number,
  partition: DuckRow,
): Promise<DataFile> {
  const { duck, store, format, where, table, partitionBy, key, work } = writing
  const values = partitionBy.map((_, index) => textOf(partition[`p${index}`]))
  const path = dataPath(where, partitionBy, values)
  const range = `FROM ${from} WHERE rowid >= ${first} AND rowid < ${first + rows}`
  const temporary = join(work, `${randomUUID()}.parquet`)
  await duck.copyParquet(`SELECT * ${range}`, temporary, parquetCodec(format))
  const file: DataFile = {
    path,
    partition: values,
    rows,
    bytes: (await stat(temporary)).size,
    crc32: await checksum(temporary),
    min: {},
    max: {},
  }
  if (key.length > 0) {
    const bounds = key.flatMap((name, index) =>
      ['min', 'max'].map(side => `CAST(${side}(${quoteName(name)}) AS VARCHAR) AS ${side}${index}`),
    )
    const [found] = await duck.rows(`SELECT ${bounds.join(', ')} ${range}`)
    for (const [index, name] of key.entries()) {
      const [min, max] = [textOf(found![`min${index}`]), textOf(found![`max${index}`])]
      if (min === null || max === null || min.length > LONGEST_BOUND || max.length > LONGEST_BOUND) continue
      file.min[name] = min
      file.max[name] = max
    }
  }
  const final = `${hiddenFolder(table)}/${path}`
  writing.made.push(final)
  await store.putFile(final, temporary)
  return file
}

const textOf = (value: unknown) => (value === null || value === undefined ? null : String(value))
