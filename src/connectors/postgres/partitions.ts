import { createHash } from 'node:crypto'
import type { LoadCommit, LoadCounts, PlannedLoad, StagedLoad } from '../../../engine/contracts/load.ts'
import type { PassingRows } from '../../../engine/contracts/target.ts'
import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { type LoadTables, staged } from '../sql/dialect.ts'
import { nameParts } from '../sql/names.ts'
import { quoteIdent, quoteLiteral, quoteTable } from './connect.ts'
import { columnCalled } from './merge.ts'
import type { TargetSession, TextRow } from './session.ts'
import { noteDropped } from './standing.ts'

/** New partitions of one load at most: more are a wrong column, not data. */
const MAX_PARTITIONS = 1000

type Query = (sql: string) => Promise<{ rows: TextRow[] }>

/** How a table is partitioned, where by one column. */
interface Partitioning {
  strategy: 'range' | 'list'
  column: string
  /** format_type of the column. */
  native: string
}

/**
 * Creates the partitions that staged rows need and a table lacks: of a list, one a value; of a range, one a period
 * as the load's `partitions` says. They are made aside and attached, which readers of the table do not wait for.
 * A table with a default partition lacks none. Nothing happens to a table without partitions.
 */
export async function ensurePartitions(load: StagedLoad, tables: LoadTables, query: Query): Promise<void> {
  const found = await partitioning(load, tables, query)
  if (!found || !columnCalled(load.columns, found.column)) return
  const { strategy, column, native } = found
  if (strategy === 'range' && !load.partitions) return
  const { rows: parts } = await query(
    `SELECT pg_get_partition_constraintdef(relid) AS holds FROM pg_partition_tree(${quoteLiteral(tables.target)})
     WHERE parentrelid = ${quoteLiteral(tables.target)}::regclass`,
  )
  const held = parts.map(({ holds }) => `(${holds})`).join(' OR ') || 'FALSE'
  const name = quoteIdent(column)
  const values = `SELECT DISTINCT (${staged(tables, column)})::${native} AS ${name} FROM ${tables.staging} AS _nf_s`
  const lacking = `FROM (${values}) AS v WHERE (${held}) IS NOT TRUE`
  const every = load.partitions?.every
  const { rows: needed } = await query(
    strategy === 'list'
      ? `SELECT ${name}::text AS value, NULL AS until ${lacking} ORDER BY 1`
      : `SELECT DISTINCT date_trunc('${every}', ${name})::${native}::text AS value,
          (date_trunc('${every}', ${name}) + interval '1 ${every}')::${native}::text AS until ${lacking} AND ${name} IS NOT NULL ORDER BY 1`,
  )
  if (needed.length > MAX_PARTITIONS)
    throw new EngineError(
      'GUARD_STOPPED',
      `${tables.where}: ${counted(needed.length, 'new partition')} by ${column}, at most ${MAX_PARTITIONS} are made at once`,
      { hint: `Nothing was loaded. Check ${column} in ${load.from}, or create the partitions by hand.` },
    )
  for (const { value, until } of needed) {
    const part = partName(load.table, value!, every)
    const bounds = until ? `FROM (${literal(value!)}) TO (${literal(until)})` : `IN (${literal(value!)})`
    await query(
      `CREATE TABLE ${part} (LIKE ${tables.target} INCLUDING ALL EXCLUDING IDENTITY);
       ALTER TABLE ${tables.target} ATTACH PARTITION ${part} FOR VALUES ${bounds}`,
    )
  }
}

/**
 * Drops partitions that end more than `keep` periods before the run's own, where a load says so and this is its last commit, and
 * tells it with the counts. To be called once what was loaded has been verified, which would miss their rows.
 */
export async function dropOldPartitions(
  session: TargetSession,
  { loads, runAt }: Pick<LoadCommit, 'loads' | 'runAt'>,
  counts: LoadCounts[],
  signal: AbortSignal,
): Promise<LoadCounts[]> {
  const left = [...counts]
  for (const load of loads) {
    const { keep } = load.partitions ?? {}
    if (keep === undefined || load.more) continue
    const where = `${session.access.name}.${load.table}`
    const query: Query = sql => session.query(sql, [], signal, where)
    const tables = { target: quoteTable(load.table), where }
    const parts = await oldPartitions(load, runAt, tables, query)
    if (parts.length === 0) continue
    const { rows } = await query(
      `SELECT ${parts.map(part => `(SELECT count(*) FROM ${part})`).join(' + ')} AS n`,
    )
    // Foreign keys to the table are upon each of its partitions, and would keep it from going.
    const detached = parts.map(part => `ALTER TABLE ${tables.target} DETACH PARTITION ${part};`)
    await query(`${detached.join(' ')} DROP TABLE ${parts.join(', ')}`)
    const gone = Number(rows[0]!.n)
    await noteDropped(session, load, gone)
    const at = left.findIndex(({ table }) => table === load.table)
    const { cascades = [], rows: held, ...count } = left[at]!
    const was = gone === 1 ? 'was' : 'were'
    const line = `${counted(gone, 'row')} ${was} dropped with partitions older than keep: ${keep}: ${parts.join(', ')}`
    left[at] = { ...count, rows: held! - gone, cascades: [...cascades, line] }
  }
  return left
}

async function oldPartitions(
  load: PlannedLoad,
  runAt: Date,
  tables: Pick<LoadTables, 'target' | 'where'>,
  query: Query,
): Promise<string[]> {
  if ((await partitioning(load, tables, query))?.strategy !== 'range') return []
  // The bound's text is the column's own; MAXVALUE has no quotes, and is never old.
  const { rows } = await query(
    `SELECT relid::regclass AS part FROM pg_partition_tree(${quoteLiteral(tables.target)}) JOIN pg_class ON oid = relid
     WHERE parentrelid = ${quoteLiteral(tables.target)}::regclass
       AND (regexp_match(pg_get_expr(relpartbound, relid), $$TO \\('([^']+)'\\)$$))[1]::timestamptz <= ${firstKept(load, runAt)}`,
  )
  return rows.map(({ part }) => part!)
}

/** SQL of the moment that a load's first period that is kept begins with. */
const firstKept = ({ partitions }: PlannedLoad, runAt: Date) => {
  const { every, keep } = partitions!
  return `(date_trunc('${every}', timestamptz '${runAt.toISOString()}') - interval '${keep} ${every}')`
}

/** Rows that go again with their partitions, as {@link dropOldPartitions} has them. */
export async function passingRows(
  session: TargetSession,
  load: PlannedLoad,
  runAt: Date,
  signal: AbortSignal,
): Promise<PassingRows | undefined> {
  if (load.partitions?.keep === undefined) return undefined
  const where = `${session.access.name}.${load.table}`
  const query: Query = sql => session.query(sql, [], signal, where)
  const found = await partitioning(load, { target: quoteTable(load.table), where }, query)
  if (!found || !columnCalled(load.columns, found.column)) return undefined
  const { rows } = await query(`SELECT extract(epoch FROM ${firstKept(load, runAt)}) * 1000 AS since`)
  return { column: found.column, since: new Date(Number(rows[0]!.since)) }
}

async function partitioning(
  load: PlannedLoad,
  { target, where }: Pick<LoadTables, 'target' | 'where'>,
  query: Query,
): Promise<Partitioning | undefined> {
  const { rows } = await query(
    `SELECT p.partstrat AS strategy, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS native
     FROM pg_partitioned_table p LEFT JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] AND p.partnatts = 1
     WHERE p.partrelid = ${quoteLiteral(target)}::regclass`,
  )
  const { strategy, column, native } = rows[0] ?? {}
  const known = column && (strategy === 'r' || strategy === 'l')
  if (load.partitions && !(known && strategy === 'r' && /^(date|timestamp)/.test(native!)))
    throw new EngineError(
      'TARGET_INCOMPATIBLE',
      `${where}: is not partitioned by range of one date or timestamp`,
      {
        hint: `Take partitions away from load.${load.table}, or create the table with PARTITION BY RANGE (…).`,
      },
    )
  return known ? { strategy: strategy === 'r' ? 'range' : 'list', column, native: native! } : undefined
}

const literal = (value: string | null) => (value === null ? 'NULL' : quoteLiteral(value))

/** Bytes of a table's name that leave room for what tells its partitions apart: Postgres cuts a name at 63. */
const MAX_NAME_BYTES = 40

/** `facts_2026_01`, `facts_eu`; a value that is no plain name, or a table's long one, gets a hash, so that two never share a name. */
function partName(table: string, value: string | null, every: string | undefined): string {
  const path = nameParts(table)
  const length = every ? { year: 4, month: 7, day: 10 }[every]! : undefined
  const text = (value ?? 'null').slice(0, length).replaceAll('-', every ? '_' : '-')
  const plain = /^[a-z0-9_]{1,20}$/.test(text) && value !== null
  const hashOf = (of: string | null) =>
    createHash('sha256').update(JSON.stringify(of)).digest('hex').slice(0, 8)
  const suffix = plain
    ? text
    : `${text
        .toLowerCase()
        .replace(/[^a-z0-9]+/g, '_')
        .slice(0, 12)}_${hashOf(value)}`
  const name = path.at(-1)!
  const isShort = Buffer.byteLength(name) <= MAX_NAME_BYTES
  const own = isShort
    ? name
    : `${new TextDecoder().decode(Buffer.from(name).subarray(0, 28), { stream: true })}_${hashOf(name)}`
  return [...path.slice(0, -1), `${own}_${suffix}`].map(quoteIdent).join('.')
}
