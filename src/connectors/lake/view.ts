import { quoteName } from '../../../engine/sql/duckdb.ts'
import { parquetSql } from '../../../engine/sql/files.ts'
import type { FileStore } from '../../stores/store.ts'
import { tableFolder } from './layout.ts'
import type { Manifest } from './log.ts'

/**
 * Writes `_current.sql` of a table, for people with a DuckDB shell: unlike a glob over the folder it names columns and
 * types, and fails where a load has replaced a file meanwhile, instead of giving rows of two versions.
 */
export async function writeView(
  store: FileStore,
  { table, version, at, columns, files }: Manifest,
): Promise<void> {
  const names = columns.map(({ name, type }) => `CAST(${quoteName(name)} AS ${type}) AS ${quoteName(name)}`)
  const none = columns.map(({ name, type }) => `NULL::${type} AS ${quoteName(name)}`)
  const paths = files.map(({ path }) => `${store.where}/${tableFolder(table)}/${path}`)
  const rows =
    paths.length > 0 ? `\n  UNION ALL BY NAME SELECT * FROM ${parquetSql(paths, { byName: true })}` : ''
  const sql = `-- ${table}, version ${version} of ${at}, written by Nightfreight with each change. In DuckDB's shell: .read THIS_FILE
CREATE OR REPLACE VIEW ${quoteName(table)} AS SELECT ${names.join(', ')} FROM (
  SELECT ${none.join(', ')} WHERE false${rows});
`
  await store.put(`${tableFolder(table)}/_current.sql`, sql)
}
