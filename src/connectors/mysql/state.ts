import { createHash } from 'node:crypto'
import type { LoadCommit, PlannedLoad } from '../../../engine/contracts/load.ts'
import { FORGOTTEN_AT_ONCE, KNOWN_DAYS } from '../../../engine/contracts/target.ts'
import { databaseAndName, ofIndex } from './catalog.ts'
import { ownerLock, type TargetSession } from './targetSession.ts'
import type { TargetColumn, TargetTable } from './targetTypes.ts'
import { identifier, literal } from './types.ts'

/** The type of names that we keep. */
export const NAME = 'varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin'
const STATE = [
  `CREATE TABLE IF NOT EXISTS nightfreight_loads (
    load_id varchar(700) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY, job ${NAME} NOT NULL,
    run varchar(700) CHARACTER SET utf8mb4 NOT NULL, committed_at datetime(6) NOT NULL,
    counts longtext CHARACTER SET utf8mb4 NOT NULL) ENGINE = InnoDB`,
  `CREATE TABLE IF NOT EXISTS nightfreight_sync_points (
    job ${NAME}, extract ${NAME}, value longtext CHARACTER SET utf8mb4,
    run varchar(700) CHARACTER SET utf8mb4 NOT NULL, PRIMARY KEY (job, extract)) ENGINE = InnoDB`,
  `CREATE TABLE IF NOT EXISTS nightfreight_tables (
    name ${NAME} PRIMARY KEY, identity varchar(40) NOT NULL, \`rows\` bigint NOT NULL,
    run varchar(700) CHARACTER SET utf8mb4 NOT NULL, run_at varchar(40) NOT NULL) ENGINE = InnoDB`,
]

/** Creates what we keep in a target, where it is missing; two may do it at once. */
export async function ensureState(session: TargetSession): Promise<void> {
  // Asked first: a prepared database need not give the right to create.
  const there = await session.rows(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()
       AND table_name IN ('nightfreight_loads', 'nightfreight_sync_points', 'nightfreight_tables')`,
  )
  if (there.length < STATE.length) for (const sql of STATE) await session.rows(sql)
}

/**
 * Forgets loads of a job that are old. Ids of its loads begin with its name and sort by time: the oldest are the first of the index.
 * They are looked for without a lock, which other jobs' loads between them would wait for.
 */
export async function forgetLoads(
  session: TargetSession,
  { job, loadId }: Pick<LoadCommit, 'job' | 'loadId'>,
): Promise<void> {
  const old = await session.rows<{ id: string }>(
    `SELECT id FROM (
       SELECT load_id AS id, committed_at FROM nightfreight_loads
       WHERE load_id BETWEEN ${literal(`${job}/`)} AND ${literal(loadId)} AND job = ${literal(job)}
       ORDER BY load_id LIMIT ${FORGOTTEN_AT_ONCE}) AS oldest
     WHERE committed_at < UTC_TIMESTAMP() - INTERVAL ${KNOWN_DAYS} DAY`,
  )
  if (old.length > 0)
    await session.rows(
      `DELETE FROM nightfreight_loads WHERE load_id IN (${old.map(({ id }) => literal(id)).join(', ')})`,
    )
}

/** The name of a table of this session's own: for a load's `rows`, its `keys`, or the `table` that it makes. */
export function ownName({ owner }: TargetSession, loadId: string, table: string, what: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([owner, loadId, table, what]))
    .digest('hex')
  return `nightfreight_stg_${hash.slice(0, 20)}`
}

/** The same, quoted. */
export const stagingName = (...whose: Parameters<typeof ownName>) => identifier(ownName(...whose))

/** SQL of the comment of a table that a load makes for itself: whose it is. */
export function ownComment({ owner }: TargetSession, job: string, loadId: string): string {
  return literal(JSON.stringify({ job, loadId, owner }))
}

/** The quoted names of a load's staging tables: of its rows and of its keys. */
export function stagingNames(session: TargetSession, loadId: string, load: PlannedLoad) {
  const name = (what: string) => stagingName(session, loadId, load.table, what)
  return { staging: name('rows'), keys: name('keys') }
}

/** A staging table that is there, and whose it is. */
export interface StagingTable {
  /** Quoted. */
  table: string
  job: string
  loadId: string
  /** Of earlier versions there is none. */
  owner?: string
}

/** All staging tables of a target, by the comments that they were given with their creation. */
export async function stagingTables(session: TargetSession): Promise<StagingTable[]> {
  const rows = await session.rows<{ name: string; note: string }>(
    `SELECT table_name AS name, table_comment AS note FROM information_schema.tables
      WHERE table_schema = DATABASE() AND table_name LIKE 'nightfreight\\\\_stg\\\\_%' AND table_comment LIKE '{%'`,
  )
  return rows.map(({ name, note }) => ({ table: identifier(name), ...JSON.parse(note) }))
}

/** Drops what this session has staged for a load. */
export async function dropOwn(session: TargetSession, loadId: string): Promise<void> {
  await dropUnowned(
    session,
    (await stagingTables(session)).filter(found => found.loadId === loadId),
  )
}

/**
 * Drops what other loads of a job have left: this session's own, and those of sessions that are no more. Whose lock is
 * held lives, and keeps its tables.
 */
export async function dropAbandoned(session: TargetSession, job: string, loadId: string): Promise<void> {
  await dropUnowned(
    session,
    (await stagingTables(session)).filter(
      found => found.job === job && (found.owner !== session.owner || found.loadId !== loadId),
    ),
  )
}

/** Drops those of the tables that are this session's own, or whose session is no more. */
async function dropUnowned(session: TargetSession, found: StagingTable[]): Promise<void> {
  for (const [owner = '', tables] of Map.groupBy(found, table => table.owner)) {
    if (owner === session.owner) {
      await drop(session, tables)
      continue
    }
    const [lock] = await session.rows(`SELECT GET_LOCK(${ownerLock(owner)}, 0) AS free`)
    if (Number(lock!.free) !== 1) continue
    try {
      await drop(session, tables)
    } finally {
      await session.rows(`SELECT RELEASE_LOCK(${ownerLock(owner)})`)
    }
  }
}

async function drop(session: TargetSession, tables: StagingTable[]): Promise<void> {
  if (tables.length > 0)
    await session.rows(`DROP TABLE IF EXISTS ${tables.map(({ table }) => table).join(', ')}`)
}

/** A table as a load needs to know it; undefined where it does not exist. */
export async function targetTable(session: TargetSession, table: string): Promise<TargetTable | undefined> {
  const [database, name] = databaseAndName(session.placeOf(table))
  const here = `table_schema = ${database} AND table_name = ${literal(name)}`
  const [found] = await session.rows(
    `SELECT engine AS engine, table_type = 'SYSTEM VERSIONED' AS versioned, EXISTS (SELECT 1 FROM information_schema.key_column_usage
       WHERE ${here} AND referenced_table_name IS NOT NULL) AS refers FROM information_schema.tables WHERE ${here}`,
  )
  if (!found) return undefined
  const [history] =
    Number(found.versioned) === 1
      ? await session.rows('SELECT @@system_versioning_alter_history AS altered')
      : []
  type Found = Omit<TargetColumn, 'required' | 'generated' | 'keyed' | 'indexed'> &
    Record<'required' | 'generated' | 'keyed', number>
  const columns = await session.rows<Found>(
    `SELECT column_name AS name, lower(data_type) AS data_type, column_type AS column_type, is_nullable AS nullable,
        numeric_precision AS num_precision, numeric_scale AS num_scale, datetime_precision AS fraction,
        character_maximum_length AS length, character_octet_length / character_maximum_length AS width, character_set_name AS charset, collation_name AS collation,
        column_key = 'PRI' AS keyed, is_nullable = 'NO' AND column_default IS NULL AND extra NOT LIKE '%auto_increment%' AS required,
        coalesce(generation_expression, '') <> '' AS generated
      FROM information_schema.columns WHERE ${here} ORDER BY ordinal_position`,
  )
  const indexes = await session.rows<{ index: string; name: string | null; is_unique: string }>(
    `SELECT index_name AS \`index\`, IF(sub_part IS NULL, column_name, NULL) AS name, non_unique = 0 AS is_unique
      FROM information_schema.statistics WHERE ${here} AND ${ofIndex(here)} ORDER BY index_name, seq_in_index`,
  )
  const isUnique = ({ is_unique }: { is_unique: string }) => Number(is_unique) === 1
  // NULL stands for a prefix or an expression: what such an index makes unique is not the columns.
  const whole = [...Map.groupBy(indexes.filter(isUnique), row => row.index).values()].map(rows =>
    rows.map(row => row.name),
  )
  return {
    engine: found.engine ?? null,
    frozen: history?.altered === 'ERROR',
    refers: Number(found.refers) === 1,
    columns: columns.map(column => ({
      ...column,
      fraction: column.fraction === null ? null : Number(column.fraction),
      length: column.length === null ? null : Number(column.length),
      width: Number(column.width ?? 1),
      keyed: Number(column.keyed) === 1,
      required: Number(column.required) === 1 && Number(column.generated) === 0,
      generated: Number(column.generated) === 1,
      indexed: indexes.some(index => index.name === column.name && !isUnique(index)),
    })),
    unique: whole.filter((names): names is string[] => !names.includes(null)),
  }
}
