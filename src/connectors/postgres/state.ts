import type { LoadCommit, PlannedLoad } from '../../../engine/contracts/load.ts'
import { FORGOTTEN_AT_ONCE, KNOWN_DAYS } from '../../../engine/contracts/target.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { Reference } from '../sql/references.ts'
import { quoteLiteral, quoteTable } from './connect.ts'
import { DEPENDENTS, type Dependent } from './dependents.ts'
import type { TargetColumn } from './merge.ts'
import { ownerLock, type TargetSession, type TextRow } from './session.ts'

// CREATE SCHEMA IF NOT EXISTS asks for the right to make schemas also where there is nothing to make.
const TABLES = `
  DO $$ BEGIN
    IF to_regnamespace('nightfreight') IS NULL THEN CREATE SCHEMA nightfreight; END IF;
  END $$;
  CREATE TABLE IF NOT EXISTS nightfreight.loads (
    load_id text PRIMARY KEY, job text NOT NULL, run text NOT NULL, committed_at timestamptz NOT NULL,
    counts jsonb NOT NULL);
  CREATE TABLE IF NOT EXISTS nightfreight.sync_points (
    job text, extract text, value text, run text NOT NULL, PRIMARY KEY (job, extract));
  CREATE TABLE IF NOT EXISTS nightfreight.tables (
    name text PRIMARY KEY, identity text NOT NULL, rows bigint NOT NULL, run text NOT NULL, run_at text NOT NULL)`

/** Creates what we keep in a target, where it is missing; two may do it at once. Asked for once a connection. */
export const ensureState = (session: TargetSession): Promise<void> =>
  session.once('state', () => makeAllowed(session))

async function makeAllowed(session: TargetSession): Promise<void> {
  try {
    await makeState(session)
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'PERMISSION_DENIED') throw error
    const { rows } = await session.query(
      `SELECT quote_ident(current_user) AS me, to_regnamespace('nightfreight') IS NOT NULL AS there`,
    )
    const { me, there } = rows[0]!
    const grant =
      there === 't'
        ? `GRANT USAGE, CREATE ON SCHEMA nightfreight TO ${me}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA nightfreight TO ${me};`
        : `CREATE SCHEMA nightfreight AUTHORIZATION ${me};`
    throw new EngineError('PERMISSION_DENIED', error.message, {
      cause: error,
      hint: `Loads keep what they have committed in the schema nightfreight. Somebody who may: ${grant}`,
    })
  }
}

async function makeState(session: TargetSession): Promise<void> {
  const { rows } = await session.query(
    `SELECT to_regclass('nightfreight.loads') IS NULL OR to_regclass('nightfreight.sync_points') IS NULL
       OR to_regclass('nightfreight.tables') IS NULL AS missing`,
  )
  // IF NOT EXISTS alone still races; and it would ask for rights that a prepared database need not give.
  // Several statements in one query are one transaction, which holds the lock.
  if (rows[0]!.missing === 't')
    await session.query(`SELECT pg_advisory_xact_lock(hashtext('nightfreight')); ${TABLES}`)
}

/**
 * Forgets loads of a job that are old. Ids of its loads begin with its name and sort by time: the oldest are the first of the index. What
 * is committed is, so that one that fails is left to the next commit.
 */
export async function forgetLoads(
  session: TargetSession,
  { job, loadId }: Pick<LoadCommit, 'job' | 'loadId'>,
  signal: AbortSignal,
): Promise<void> {
  const sql = `DELETE FROM nightfreight.loads WHERE load_id = ANY (ARRAY(
    SELECT load_id FROM (
      SELECT load_id, committed_at FROM nightfreight.loads WHERE load_id BETWEEN $1 AND $2 AND job = $3
      ORDER BY load_id LIMIT ${FORGOTTEN_AT_ONCE}) AS oldest
    WHERE committed_at < current_timestamp - interval '${KNOWN_DAYS} days'))`
  await session.query(sql, [`${job}/`, loadId, job], signal).catch(() => {})
}

const STAGED = `SELECT format('%I.%I', n.nspname, c.relname) AS name, obj_description(c.oid, 'pg_class')::jsonb AS note
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = 'nightfreight' AND c.relname LIKE 'stg\\_%' AND c.relkind = 'r' AND obj_description(c.oid, 'pg_class') LIKE '{%'`

/** SQL of the comment of a table that a load makes for itself: whose it is. */
export function ownComment({ owner }: TargetSession, job: string, loadId: string): string {
  return quoteLiteral(JSON.stringify({ job, loadId, owner }))
}

/** Drops what this session has staged for a load. */
export async function dropOwn(session: TargetSession, loadId: string): Promise<void> {
  const { rows } = await session.query(
    `SELECT name FROM (${STAGED}) AS s WHERE note ->> 'loadId' = $1 AND note ->> 'owner' = $2`,
    [loadId, session.owner],
  )
  if (rows.length > 0) await session.query(`DROP TABLE IF EXISTS ${rows.map(({ name }) => name).join(', ')}`)
}

/**
 * Drops what other loads of a job have left: this session's own, and those of sessions that are no more. Whose lock is
 * held lives, and keeps its tables.
 */
export async function dropAbandoned(session: TargetSession, job: string, loadId: string): Promise<void> {
  const others = `note ->> 'job' = ${quoteLiteral(job)}
    AND (note ->> 'loadId' <> ${quoteLiteral(loadId)} OR note ->> 'owner' IS DISTINCT FROM '${session.owner}')`
  await session.query(`DO $$ DECLARE t record; BEGIN
    FOR t IN SELECT name, coalesce(note ->> 'owner', '') AS owner FROM (${STAGED}) AS s WHERE ${others} LOOP
      IF pg_try_advisory_xact_lock(${ownerLock('t.owner')}) THEN EXECUTE 'DROP TABLE IF EXISTS ' || t.name; END IF;
    END LOOP; END $$`)
}

/** The columns of a target table as the merge needs to know them; none where there is no table. */
export async function targetColumns(session: TargetSession, table: string): Promise<TargetColumn[]> {
  return (await columnsOfTables(session, [table])).get(table)!
}

/** The same of several tables. */
export async function columnsOfTables(
  session: TargetSession,
  tables: string[],
): Promise<Map<string, TargetColumn[]>> {
  const { rows } = await session.query(
    `SELECT asked.place, a.attname AS name, format_type(t.oid, b.typmod) AS native, t.typname, t.typcategory AS category, b.typmod,
       CASE WHEN d.typtype = 'd' THEN format_type(d.oid, NULL) END AS domain, b.required AS not_null, b.required AND NOT a.attnotnull AS domain_not_null,
       EXISTS (SELECT 1 FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS keyed,
       b.required AND NOT a.atthasdef AND d.typdefault IS NULL AND a.attidentity = '' AS required,
       a.attgenerated <> '' OR a.attidentity = 'a' AS generated, a.attidentity = 'a' AS identity,
       CASE WHEN t.typname = 'citext' THEN 'citext' WHEN NOT l.collisdeterministic THEN l.collname END AS folds,
       CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation END AS collation,
       CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage END AS storage, to_jsonb(a) ->> 'attcompression' AS compression,
       a.attinhcount > 0 OR EXISTS (SELECT 1 FROM pg_partitioned_table AS p WHERE p.partrelid = a.attrelid AND a.attnum = ANY (p.partattrs)) AS fixed,
       ${DEPENDENTS} AS dependents
     FROM unnest($1::text[]) WITH ORDINALITY AS asked(name, place)
       JOIN pg_attribute a ON a.attrelid = to_regclass(asked.name)
       JOIN pg_type d ON d.oid = a.atttypid
       CROSS JOIN LATERAL (
         WITH RECURSIVE base AS (
           SELECT d.oid, d.typtype, d.typbasetype, d.typtypmod, a.atttypmod AS typmod, a.attnotnull OR d.typnotnull AS required
           UNION ALL
           SELECT u.oid, u.typtype, u.typbasetype, u.typtypmod, base.typtypmod, base.required OR u.typnotnull
             FROM base JOIN pg_type u ON base.typtype = 'd' AND u.oid = base.typbasetype)
         SELECT oid, typmod, required FROM base WHERE typtype <> 'd') b
       JOIN pg_type t ON t.oid = b.oid
       LEFT JOIN pg_collation l ON l.oid = a.attcollation
     WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY asked.place, a.attnum`,
    [tables.map(quoteTable)],
  )
  const found = Map.groupBy(rows, ({ place }) => Number(place) - 1)
  return new Map(tables.map((table, place) => [table, (found.get(place) ?? []).map(columnOf)]))
}

const columnOf = (row: TextRow): TargetColumn => ({
  name: row.name!,
  native: row.native!,
  typname: row.typname!,
  category: row.category!,
  typmod: Number(row.typmod),
  notNull: row.not_null === 't',
  domainNotNull: row.domain_not_null === 't',
  keyed: row.keyed === 't',
  required: row.required === 't',
  generated: row.generated === 't',
  identity: row.identity === 't',
  ...(row.domain && { domain: row.domain }),
  ...(row.folds && { folds: row.folds }),
  ...(row.collation && { collation: row.collation }),
  fixed: row.fixed === 't',
  dependents: JSON.parse(row.dependents ?? '[]') as Dependent[],
  kept: [
    ...(row.storage ? [`SET STORAGE ${STORAGES[row.storage]}`] : []),
    ...(row.compression ? [`SET COMPRESSION ${COMPRESSIONS[row.compression]}`] : []),
  ],
})

/** By the letters of the catalog. */
const STORAGES: Record<string, string> = { p: 'PLAIN', e: 'EXTERNAL', m: 'MAIN', x: 'EXTENDED' }
const COMPRESSIONS: Record<string, string> = { p: 'pglz', l: 'lz4' }

/** The foreign keys between the tables of loads, `late` with those that are checked at the end; `deferrable`: whether the tables have constraints that may be checked at the end. */
export async function referencesOf(
  session: TargetSession,
  loads: PlannedLoad[],
): Promise<{ references: Reference[]; late: Reference[]; deferrable: boolean }> {
  const tables = loads.map(({ table }) => table)
  const { rows } = await session.query(
    `WITH t AS (SELECT name, to_regclass(quoted) AS oid FROM unnest($1::text[], $2::text[]) AS t(name, quoted))
     SELECT DISTINCT c.name AS child, p.name AS parent, f.condeferrable AS deferrable
     FROM pg_constraint AS f JOIN t AS c ON c.oid = f.conrelid LEFT JOIN t AS p ON p.oid = f.confrelid AND f.contype = 'f'
     WHERE f.condeferrable OR (p.oid IS NOT NULL AND p.oid <> c.oid)`,
    [tables, tables.map(quoteTable)],
  )
  const strict = rows.filter(({ deferrable }) => deferrable === 'f')
  const references = (of: typeof rows) =>
    of.flatMap(({ child, parent }) => (child && parent ? [{ child, parent }] : []))
  return {
    references: references(strict),
    late: references(rows),
    deferrable: strict.length < rows.length,
  }
}
