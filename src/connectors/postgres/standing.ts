import type { LoadCommit, LoadCounts, StagedLoad } from '../../../engine/contracts/load.ts'
import type { TableStanding } from '../../../engine/contracts/target.ts'
import { nameParts } from '../sql/names.ts'
import { checkIdentity, rowsAdded } from '../sql/standing.ts'
import { quoteLiteral, quoteTable } from './connect.ts'
import type { TargetSession } from './session.ts'

/** What a table is now, and what the last commit left of it: one statement, so one snapshot. */
export async function standingOf(
  session: TargetSession,
  table: string,
  signal: AbortSignal,
): Promise<TableStanding> {
  const oid = await tableOid(session, table)
  const { rows: state } = await session.query(`SELECT to_regclass('nightfreight.tables') AS oid`)
  const known = state[0]!.oid !== null
  const left = known ? `nightfreight.tables WHERE name = ${nameOf(table)}` : '(SELECT 1) AS none WHERE FALSE'
  const noted = known
    ? 'l.identity, l.rows, l.run, l.run_at'
    : 'NULL AS identity, NULL AS rows, NULL AS run, NULL AS run_at'
  const { rows } = await session.query(
    `SELECT ${oid ? `(SELECT count(*) FROM ${quoteTable(table)})` : 'NULL'} AS now, ${noted}
     FROM (SELECT 1) AS one LEFT JOIN (SELECT * FROM ${left}) AS l ON TRUE`,
    [],
    signal,
  )
  const row = rows[0]!
  return {
    now: oid ? { identity: oid, rows: Number(row.now) } : undefined,
    left:
      row.run === null
        ? undefined
        : { identity: row.identity!, rows: Number(row.rows), run: row.run!, runAt: row.run_at! },
  }
}

/** The object id of a table: VACUUM and ALTER leave it, DROP and CREATE do not. Undefined where there is no table. */
export async function tableOid(session: TargetSession, table: string): Promise<string | undefined> {
  const { rows } = await session.query('SELECT to_regclass($1)::oid::text AS oid', [quoteTable(table)])
  return rows[0]!.oid ?? undefined
}

/**
 * Notes what a load leaves of its table, in the transaction of the load; gives its number of rows. `all`: that number, where
 * nobody else can have written to it.
 */
export async function noteStanding(
  session: TargetSession,
  load: StagedLoad,
  counts: LoadCounts,
  { run, runAt }: LoadCommit,
  signal: AbortSignal,
  all?: number,
): Promise<number> {
  const oid = (await tableOid(session, load.table))!
  const values = [oid, run, runAt.toISOString()]
  const added = rowsAdded(load, counts)
  const set = 'identity = $1, run = $2, run_at = greatest(run_at, $3)'
  if (added !== undefined) {
    const { rows } = await session.query(
      `UPDATE nightfreight.tables SET rows = rows + ${added}, ${set} WHERE name = ${nameOf(load.table)} RETURNING rows`,
      values,
      signal,
    )
    if (rows[0]) return Number(rows[0].rows)
  }
  const { rows } = await session.query(
    `INSERT INTO nightfreight.tables (name, identity, rows, run, run_at)
     SELECT ${nameOf(load.table)}, $1, ${all ?? `(SELECT count(*) FROM ${quoteTable(load.table)})`}, $2, $3
     ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, rows = excluded.rows, run = excluded.run,
       run_at = greatest(nightfreight.tables.run_at, excluded.run_at) RETURNING rows`,
    values,
    signal,
  )
  return Number(rows[0]!.rows)
}

/** Notes that rows have left a table with its partitions. */
export async function noteDropped(
  session: TargetSession,
  { table }: StagedLoad,
  rows: number,
): Promise<void> {
  await session.query(`UPDATE nightfreight.tables SET rows = rows - ${rows} WHERE name = ${nameOf(table)}`)
}

/**
 * The same of loads that change no row; gives, by table, its number of rows. Fails with TARGET_CHANGED where a table is not the
 * one that its rows were compared with.
 */
export async function noteUntouched(
  session: TargetSession,
  loads: StagedLoad[],
  commit: LoadCommit,
  signal: AbortSignal,
): Promise<Map<string, number>> {
  if (loads.length === 0) return new Map()
  const { run, runAt } = commit
  const { rows: found } = await session.query(
    'SELECT to_regclass(name)::oid::text AS oid FROM unnest($1::text[]) WITH ORDINALITY AS t(name, place) ORDER BY place',
    [loads.map(({ table }) => quoteTable(table))],
    signal,
  )
  for (const [place, load] of loads.entries())
    checkIdentity(load, found[place]!.oid ?? undefined, `${session.access.name}.${load.table}`)
  const places = loads.map((load, place) => `(${place}, ${nameOf(load.table)}, '${found[place]!.oid}')`)
  const { rows: noted } = await session.query(
    `UPDATE nightfreight.tables AS t SET identity = u.identity, run = $1, run_at = greatest(t.run_at, $2)
     FROM (VALUES ${places.join(', ')}) AS u(place, name, identity) WHERE t.name = u.name RETURNING u.place, t.rows`,
    [run, runAt.toISOString()],
    signal,
  )
  const known = new Map(noted.map(({ place, rows }) => [Number(place), Number(rows)]))
  const left = new Map<string, number>()
  for (const [place, load] of loads.entries())
    left.set(load.table, known.get(place) ?? (await noteStanding(session, load, none(load), commit, signal)))
  return left
}

/** What a load came to that changes no row. */
export const none = ({ table }: StagedLoad): LoadCounts => ({
  table,
  inserted: 0,
  updated: 0,
  deleted: 0,
  unchanged: 0,
  older: 0,
})

/**
 * Waits, in a load's transaction, for those that load one of the tables: what each statement sees of a table then has all
 * that they left. Whoever only reads or writes rows does not wait.
 */
export async function lockTables(
  session: TargetSession,
  tables: string[],
  signal: AbortSignal,
): Promise<void> {
  await session.query(
    `SELECT pg_advisory_xact_lock(key) FROM (SELECT DISTINCT hashtextextended('nightfreight table ' || name, 0) AS key
       FROM unnest(ARRAY[${tables.map(nameOf).join(', ')}]::text[]) AS name ORDER BY key) AS keys`,
    [],
    signal,
  )
}

// SQL of the name with the schema where it is found, or would be made: two jobs may write it with and without.
function nameOf(table: string): string {
  const [schema, name] = nameParts(table)
  if (name !== undefined) return quoteLiteral(`${schema}.${name}`)
  const found = `SELECT nspname FROM pg_namespace AS n JOIN pg_class AS c ON c.relnamespace = n.oid WHERE c.oid = to_regclass(${quoteLiteral(quoteTable(table))})`
  return `coalesce((${found}), current_schema()) || ${quoteLiteral(`.${schema}`)}`
}
