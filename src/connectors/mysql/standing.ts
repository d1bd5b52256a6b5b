import type { LoadCommit, LoadCounts, StagedLoad } from '../../../engine/contracts/load.ts'
import type { TableStanding } from '../../../engine/contracts/target.ts'
import { EngineError } from '../../../engine/errors.ts'
import { columnNamed } from '../../../engine/types/logical.ts'
import { rowsAdded } from '../sql/standing.ts'
import { databaseAndName } from './catalog.ts'
import { targetTable } from './state.ts'
import type { TargetSession } from './targetSession.ts'
import type { TargetTable } from './targetTypes.ts'
import { literal, tableName } from './types.ts'

/** What a table is now, and what the last commit left of it: one statement, so one view of the rows. */
export async function standingOf(
  session: TargetSession,
  table: string,
  signal: AbortSignal,
): Promise<TableStanding> {
  const identity = await tableIdentity(session, table)
  const known = (await targetTable(session, 'nightfreight_tables')) !== undefined
  const left = known ? `nightfreight_tables WHERE name = ${nameOf(table)}` : '(SELECT 1) AS none WHERE FALSE'
  const columns = known
    ? 'l.identity, l.`rows`, l.run, l.run_at'
    : 'NULL AS identity, NULL AS `rows`, NULL AS run, NULL AS run_at'
  const [row] = await session.rows(
    `SELECT ${identity === undefined ? 'NULL' : `(SELECT count(*) FROM ${tableName(table)})`} AS now, ${columns}
     FROM (SELECT 1) AS one LEFT JOIN (SELECT * FROM ${left}) AS l ON TRUE`,
    signal,
  )
  return {
    now: identity === undefined ? undefined : { identity, rows: Number(row!.now) },
    left:
      row!.run === null
        ? undefined
        : { identity: row!.identity!, rows: Number(row!.rows), run: row!.run!, runAt: row!.run_at! },
  }
}

/** When a table was defined: every DDL statement changes it, rows do not. Undefined where there is no table. */
export async function tableIdentity(session: TargetSession, table: string): Promise<string | undefined> {
  const [database, name] = databaseAndName(table)
  const [found] = await session.rows(
    `SELECT coalesce(create_time, '') AS identity FROM information_schema.tables
     WHERE table_schema = ${database} AND table_name = ${literal(name)}`,
  )
  return found && found.identity!
}

/** Notes what a load leaves of its table, in the transaction of the load, by whose connection `run` goes; gives its number of rows. */
export async function noteStanding(
  session: TargetSession,
  load: StagedLoad,
  counts: LoadCounts,
  commit: LoadCommit,
  run: (sql: string) => Promise<number>,
): Promise<number> {
  const place = session.placeOf(load.table)
  const identity = literal((await tableIdentity(session, place))!)
  const [name, id, at] = [nameOf(load.table), literal(commit.run), literal(commit.runAt.toISOString())]
  const added = rowsAdded(load, counts)
  const noted = `identity = ${identity}, run = ${id}, run_at = greatest(run_at, ${at})`
  if (added !== undefined) {
    const found = await run(
      `UPDATE nightfreight_tables SET \`rows\` = \`rows\` + ${added}, ${noted} WHERE name = ${name}`,
    )
    if (found > 0) {
      const [row] = await session.rows(`SELECT \`rows\` AS n FROM nightfreight_tables WHERE name = ${name}`)
      return Number(row!.n)
    }
  }
  const [row] = await session.rows(`SELECT count(*) AS n FROM ${session.quoted(load.table)}`)
  await run(
    `INSERT INTO nightfreight_tables (name, identity, \`rows\`, run, run_at) VALUES (${name}, ${identity}, ${row!.n}, ${id}, ${at})
     ON DUPLICATE KEY UPDATE \`rows\` = ${row!.n}, ${noted}`,
  )
  return Number(row!.n)
}

/** The table as the load's transaction finds it. Fails with TARGET_CHANGED where it, or a column of the load, has gone. */
export function stillThere(load: StagedLoad, table: TargetTable | undefined, where: string): TargetTable {
  const gone = table && load.columns.find(({ name }) => !columnNamed(table.columns, name))
  if (table && !gone) return table
  throw new EngineError(
    'TARGET_CHANGED',
    `${where}: ${gone ? `column ${gone.name}` : 'the table'} has gone since the load began`,
    { hint: 'Nothing was loaded. Run the job again.' },
  )
}

/**
 * SQL of the name with its database, by which a table is noted: two jobs may write it with and without, and in letters of
 * another case where the server takes those for one.
 */
export function nameOf(table: string): string {
  const [database, name] = databaseAndName(table)
  const noted = `CONCAT(${database}, ${literal(`.${name}`)})`
  return `IF(@@lower_case_table_names = 0, ${noted}, LOWER(${noted}))`
}
