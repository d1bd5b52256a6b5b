import { quoteIdent, quoteTable } from './connect.ts'
import type { TargetColumn } from './merge.ts'
import type { TargetSession } from './session.ts'

const TABLES = `
  CREATE SCHEMA IF NOT EXISTS nightfreight;
  CREATE TABLE IF NOT EXISTS nightfreight.loads (
    load_id text PRIMARY KEY, job text NOT NULL, run text NOT NULL, committed_at timestamptz NOT NULL,
    counts jsonb NOT NULL);
  CREATE TABLE IF NOT EXISTS nightfreight.sync_points (
    job text, extract text, value text, run text NOT NULL, PRIMARY KEY (job, extract));
  CREATE TABLE IF NOT EXISTS nightfreight.tables (
    name text PRIMARY KEY, identity text NOT NULL, rows bigint NOT NULL, run text NOT NULL, run_at text NOT NULL)`

/** Creates what we keep in a target, where it is missing; two may do it at once. */
export async function ensureState(session: TargetSession): Promise<void> {
  const { rows } = await session.query(
    `SELECT to_regclass('nightfreight.loads') IS NULL OR to_regclass('nightfreight.sync_points') IS NULL
       OR to_regclass('nightfreight.tables') IS NULL AS missing`,
  )
  // IF NOT EXISTS alone still races; and it would ask for rights that a prepared database need not give.
  // Several statements in one query are one transaction, which holds the lock.
  if (rows[0]!.missing === 't')
    await session.query(`SELECT pg_advisory_xact_lock(hashtext('nightfreight')); ${TABLES}`)
}

/** A staging table that is there, and whose it is. */
export interface StagingTable {
  /** Quoted and qualified. */
  table: string
  job: string
  loadId: string
}

/** All staging tables of a target, by the comments that they were given with their creation. */
export async function stagingTables(session: TargetSession): Promise<StagingTable[]> {
  const { rows } = await session.query(
    `SELECT c.relname AS name, obj_description(c.oid, 'pg_class') AS owner
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'nightfreight' AND c.relname LIKE 'stg\\_%' AND c.relkind = 'r'`,
  )
  return rows.flatMap(({ name, owner }) => {
    if (owner === null) return []
    const { job, loadId } = JSON.parse(owner!) as { job: string; loadId: string }
    return [{ table: `nightfreight.${quoteIdent(name!)}`, job, loadId }]
  })
}

/** The columns of a target table as the merge needs to know them. */
export async function targetColumns(session: TargetSession, table: string): Promise<TargetColumn[]> {
  const { rows } = await session.query(
    `SELECT a.attname AS name, format_type(t.oid, m.typmod) AS native, t.typname, t.typcategory AS category, m.typmod,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required,
       a.attgenerated <> '' OR a.attidentity = 'a' AS generated
     FROM pg_attribute a JOIN pg_type d ON d.oid = a.atttypid
       JOIN pg_type t ON t.oid = CASE d.typtype WHEN 'd' THEN d.typbasetype ELSE d.oid END
       CROSS JOIN LATERAL (SELECT CASE d.typtype WHEN 'd' THEN d.typtypmod ELSE a.atttypmod END AS typmod) m
     WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [quoteTable(table)],
  )
  return rows.map(row => ({
    name: row.name!,
    native: row.native!,
    typname: row.typname!,
    category: row.category!,
    typmod: Number(row.typmod),
    required: row.required === 't',
    generated: row.generated === 't',
  }))
}
