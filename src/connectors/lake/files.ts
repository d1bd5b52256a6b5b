import { stat } from 'node:fs/promises'
import { EngineError, unless } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { quoteName } from '../../../engine/sql/duckdb.ts'
import { parquetSql } from '../../../engine/sql/files.ts'
import { fileChecksum } from '../../../engine/staging/checksum.ts'
import { type Column, columnNamed, typeName } from '../../../engine/types/logical.ts'
import type { FileStore } from '../../stores/store.ts'
import { inParallel } from '../../util/parallel.ts'
import { hiddenFolder, tableFolder } from './layout.ts'
import type { DataFile } from './log.ts'

/** Column of {@link tableSql} with the path that a row was read from. */
export const FILE = '_nf_file'

/** Only a load that mirrors all rows can do without the files that are there. */
const REFRESH =
  'Restore it from a backup, or have all rows loaded anew by a load of mode replace: nightfreight run JOB --full-refresh. In another mode, write mode: replace in the load for that run: what the source has no more is then gone from the table.'

/** Files fetched at a time. */
const AT_ONCE = 6

/**
 * Local paths of files of a table, valid until the store is cleared. Fails with STAGING_CORRUPT where one is gone or not
 * what was written.
 */
export function openFiles(store: FileStore, table: string, files: DataFile[]): Promise<string[]> {
  return inParallel(files, AT_ONCE, file => openFile(store, table, file))
}

async function openFile(store: FileStore, table: string, file: DataFile): Promise<string> {
  const [shown, hidden] = [tableFolder(table), hiddenFolder(table)]
  let path: string | undefined
  // It is hidden, then shown, then hidden again; each move may come between two looks.
  for (const folder of [shown, hidden, shown, hidden]) path ??= await store.local(`${folder}/${file.path}`)
  const where = `${store.where}/${tableFolder(table)}/${file.path}`
  if (path === undefined)
    throw new EngineError(
      'STAGING_CORRUPT',
      `${where} is missing: ${counted(file.rows, 'row')} of ${table}`,
      { hint: REFRESH },
    )
  const { size } = await stat(path)
  const damage =
    size !== file.bytes
      ? `has ${counted(size, 'byte')} instead of ${file.bytes}`
      : (await fileChecksum(path)) !== file.crc32
        ? 'is not what was written: its checksum differs'
        : undefined
  if (damage) throw new EngineError('STAGING_CORRUPT', `${where} ${damage}`, { hint: REFRESH })
  return path
}

/** {@link openFiles}, with undefined in place of what is gone or damaged. */
export function openIntact(
  store: FileStore,
  table: string,
  files: DataFile[],
): Promise<(string | undefined)[]> {
  return inParallel(files, AT_ONCE, file => unless('STAGING_CORRUPT', () => openFile(store, table, file)))
}

/**
 * SQL of a table's rows in some of its files, with {@link FILE}. Files may lack columns (NULL there) or have a narrower
 * type, from before the table was widened.
 */
export function tableSql(columns: Column[], paths: string[]): string {
  const none = columns.map(({ name, type }) => `NULL::${typeName(type)} AS ${quoteName(name)}`)
  const empty = `SELECT ${none.join(', ')}, NULL::VARCHAR AS ${FILE} WHERE false`
  if (paths.length === 0) return empty
  return `SELECT ${casts(columns)}, ${FILE} FROM (${empty} UNION ALL BY NAME SELECT * FROM ${parquetSql(paths, { byName: true, filename: FILE })})`
}

/**
 * {@link tableSql} of a table that gets other columns altogether: what the new type cannot hold is NULL, which is
 * good enough to compare with.
 */
export function formerSql(columns: Column[], former: Column[], paths: string[]): string {
  const values = columns.map(({ name, type }) => {
    const old = columnNamed(former, name)
    const value = old
      ? `TRY_CAST(CAST(${quoteName(old.name)} AS VARCHAR) AS ${typeName(type)})`
      : `NULL::${typeName(type)}`
    return `${value} AS ${quoteName(name)}`
  })
  return `SELECT ${values.join(', ')}, ${FILE} FROM (${tableSql(former, paths)})`
}

/** SQL of the rows of staged files, which have all of the columns. */
export function stagedSql(columns: Column[], paths: string[]): string {
  if (paths.length > 0) return `SELECT ${casts(columns)} FROM ${parquetSql(paths)}`
  return `SELECT ${columns.map(({ name, type }) => `NULL::${typeName(type)} AS ${quoteName(name)}`).join(', ')} WHERE false`
}

const casts = (columns: Column[]) =>
  columns
    .map(({ name, type }) => `CAST(${quoteName(name)} AS ${typeName(type)}) AS ${quoteName(name)}`)
    .join(', ')
