import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { ownColumns, standard, tableKey } from '../sql/dialect.ts'
import { quoteIdent, quoteTable, splitTable } from './connect.ts'
import { stagingType } from './merge.ts'
import type { TargetSession } from './session.ts'

/** How Postgres writes what the load modes do. */
export const DIALECT = standard(quoteIdent, stagingType)

/** Creates a load's table without its key: {@link finishTable} adds that once the rows are in. */
export async function createTable(
  session: TargetSession,
  load: StagedLoad,
  signal: AbortSignal,
): Promise<void> {
  const [schema, table] = splitTable(load.table)
  const columns = load.columns.map(({ name, type }) => `${quoteIdent(name)} ${stagingType(type)}`)
  for (const { name, type, nullable } of ownColumns(load))
    columns.push(`${quoteIdent(name)} ${stagingType(type)}${nullable ? '' : ' NOT NULL'}`)
  if (table) {
    const { rows } = await session.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema])
    if (rows.length === 0) await session.query(`CREATE SCHEMA ${quoteIdent(schema!)}`, [], signal)
  }
  await session.query(`CREATE TABLE ${quoteTable(load.table)} (${columns.join(', ')})`, [], signal)
}

/** Builds the key of a table just filled: one sort instead of an insertion a row. */
export async function finishTable(
  session: TargetSession,
  load: StagedLoad,
  where: string,
  signal: AbortSignal,
): Promise<void> {
  const key = tableKey(load)
  if (key.length === 0) return
  const list = key.map(quoteIdent).join(', ')
  await session.query(`ALTER TABLE ${quoteTable(load.table)} ADD PRIMARY KEY (${list})`, [], signal, where)
}
