import type { PlannedLoad } from '../contracts/load.ts'
import { mirrors, removesGone } from '../contracts/semantics.ts'
import type { Part } from '../contracts/staging.ts'
import type { TableState } from '../contracts/target.ts'
import type { TableLook } from '../plan/standing.ts'
import type { Found } from '../quality/quarantine.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { quoteName } from '../sql/duckdb.ts'
import { ENCODING, HASH, rowHash } from '../sql/rowHash.ts'
import { allRows, type DataSet, goodRows, rejectedRows } from '../staging/dataSet.ts'
import { copyFile, copyParts } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { partOf, readManifest, writeManifest } from '../staging/store.ts'
import { typeName } from '../types/logical.ts'
import { comparisonSql, KIND, ROW, wasOf } from './compare.ts'
import { meaningOf } from './meaning.ts'
import { type LoadState, State, stateManifest } from './state.ts'

/** The change set of one load: what differs between a data set and what the last committed run loaded of it. */
export interface Changes {
  load: PlannedLoad
  /**
   * True where the last state is not known (a first load, lost staging, other columns) or rows have no key: then `upserts` holds every row, and only the target can say which of its own are gone.
   */
  whole: boolean
  /** The run whose data the target held, null where there was none. Absent from what earlier versions compared. */
  base?: string | null
  /** Why every row is compared with the target itself, where an earlier load is known: for people. */
  reason?: string
  /** The target's table as it was found before the comparison; undefined where there was none. */
  there?: TableState
  /** Rows to insert or update. Mode `partition`: every row of the partitions that changed. */
  upserts: Part[]
  /**
   * Keys to delete. Mode `partition`: the partitions to empty. Where `whole`: keys that must stay although no row
   * of theirs is among the upserts, since it went to the quarantine; of a load in batches, all that must stay.
   */
  keys: Part[]
  /**
   * Every difference, with its kind (insert, update, delete, or kept: gone from the good rows, and staying), key and row
   * numbers; absent where the last state is not known.
   */
  list?: Part[]
  /** Rows of the last state, where it is known. */
  before?: number
  /** The data set that the row numbers of `list` are of, and the last one, whose rows were {@link WAS}. */
  table: DataSet
  was?: DataSet
  /**
   * Parquet files of this run's state: the key and row number ({@link ROW}) of every row that is loaded or stays. Absent
   * where rows have no key.
   */
  state?: Part[]
  counts: ChangeCounts
  /**
   * What was found of the data set's rows when they were compared (keys that are there twice, rows that the target
   * refuses), together with what checks had found.
   */
  found?: Found
}

export interface ChangeCounts {
  /** Good rows of the data set, one a key. */
  rows: number
  inserts: number
  updates: number
  deletes: number
  /** Rows superseded by a newer one of their key, or by one equal to them. */
  superseded: number
  /** Rows of the last load that the data set has no more, and that stay in the table. */
  keptGone: number
}

/** A change set as it is before anybody has said what becomes of rows with the same key: SQL of them. */
export type Compared = Changes & { losers?: string }

/** Compares a data set with what `run` loaded last, unless `look` has a reason to compare it with the target itself. */
export async function compareSet(
  context: RunContext,
  load: PlannedLoad,
  table: DataSet,
  run: string | undefined,
  look: TableLook,
): Promise<Compared> {
  const there = look.now && { there: look.now }
  if (load.key.length === 0) {
    const changes = await exchange(context, load, table, run, look)
    return { ...changes, ...there, ...(look.reason && { reason: look.reason }) }
  }
  const state = new State(context, load, table, 'now')
  const last = run !== undefined && !look.reason ? await state.last(run) : undefined
  const isSame = last !== undefined && (await state.takeOver(last))
  if (!isSame) await state.write()
  const lost = run === undefined || !look.now ? undefined : `what run ${run} loaded is no longer staged`
  const reason = look.reason ?? (last ? last.otherColumns && 'its columns have changed' : lost)
  const changes =
    last && !reason
      ? isSame
        ? unchanged(load, state, last)
        : await compare(context, load, state, last)
      : await everything(context, load, state, last, !look.now || look.now.rows === 0)
  await state.keep()
  return { ...changes, ...there, ...(reason && { reason }) }
}

/** Rows without a key: none, where they are those of the last load, in whatever order; else all, for the target to exchange. */
async function exchange(
  context: RunContext,
  load: PlannedLoad,
  table: DataSet,
  lastRun: string | undefined,
  { now, reason }: TableLook,
): Promise<Changes> {
  const { root, duck, staging, spec, run } = context
  const last = lastRun
    ? await readManifest<LoadState>(staging, stateManifest(spec.job, lastRun, load.table))
    : undefined
  const columns = load.columns.map(({ name, type }) => [name, typeName(type)])
  const halves = HASH.map(half => `sum(${half})::VARCHAR AS ${half}`).join(', ')
  const hashes = `SELECT ${rowHash(load.columns, 'n')} FROM (${goodRows(root, table)}) AS n`
  const [found] = await duck.rows(`SELECT count(*) AS n, ${halves} FROM (${hashes})`)
  const rows = Number(found!.n)
  const sum = JSON.stringify([ENCODING, await duck.version(), columns, found])
  const beside = table.sideFiles ?? (table.findings ? [await partOf(root, table.findings)] : [])
  const parts = [...table.parts, ...beside]
  const meaning = meaningOf(load)
  const state: LoadState = { columns: load.columns, tag: '', meaning, rows, sum, buckets: [], table, parts }
  await writeManifest(staging, stateManifest(spec.job, run, load.table), state)
  const result = { load, keys: [], before: last?.rows, table }
  const none = { rows, inserts: 0, updates: 0, deletes: 0, superseded: 0, keptGone: 0 }
  if (last?.sum === sum && now && !reason)
    return { ...result, whole: false, list: [], upserts: [], counts: none }
  const upserts = await rowParts(context, load, table)
  const deletes = Math.max(0, (last?.rows ?? 0) - rows)
  return { ...result, whole: true, upserts, counts: { ...none, inserts: rows, deletes } }
}

/**
 * All rows, and the keys of those in the quarantine, for a target that must be compared with. `last`: a state of other
 * columns, which says what will change, but not all that may differ. `empty`: the target holds no row.
 */
async function everything(
  context: RunContext,
  load: PlannedLoad,
  state: State,
  last: State | undefined,
  empty: boolean,
): Promise<Compared> {
  const { table } = state
  const losers = await state.dedupe()
  const { rows } = state
  const upserts = await rowParts(context, load, table, losers ? numbersIn(state.sql()) : undefined)
  const rejected = await rejectedKeys(context, load, table)
  const found = last && (await differences(context, load, state, last, rejected))
  if (last && load.mode === 'append') await state.carryForward(last)
  // An append looks no key up in its table that it takes for loaded: it would never load these.
  if (rejected && load.mode !== 'append' && !empty) await state.addUnknownKeys(rejected)
  await state.noteWitness()
  const keys = load.key.map(quoteName).join(', ')
  const kept = load.deletes === 'keep' ? undefined : rejected
  const batched = load.batchRows !== undefined && load.deletes !== 'keep'
  return {
    load,
    whole: true,
    upserts,
    keys: await keyParts(context, load, batched ? `SELECT ${keys} FROM (${state.sql()})` : kept),
    table,
    state: state.buckets.flat(),
    ...(found && last && { list: found.list, before: last.rows, was: last.table }),
    counts: {
      rows,
      ...(found ? countsOf(load, found.of) : { inserts: rows, updates: 0, deletes: 0, keptGone: 0 }),
      superseded: 0,
    },
    losers,
  }
}

/** What a load does of the differences found. */
export function countsOf(
  load: PlannedLoad,
  of: (kind: string) => number,
): Pick<ChangeCounts, 'inserts' | 'updates' | 'deletes' | 'keptGone'> {
  return {
    inserts: of('insert'),
    updates: load.mode === 'append' ? 0 : of('update'),
    deletes: removesGone(load) ? of('delete') : 0,
    keptGone: removesGone(load) ? 0 : of('delete'),
  }
}

/** No difference, of rows that are in the files of the last load. */
function unchanged(load: PlannedLoad, { rows, table, buckets }: State, last: State): Compared {
  return {
    load,
    whole: false,
    list: [],
    before: rows,
    table,
    was: last.table,
    state: buckets.flat(),
    counts: { rows, inserts: 0, updates: 0, deletes: 0, superseded: 0, keptGone: 0 },
    upserts: [],
    keys: [],
  }
}

async function compare(context: RunContext, load: PlannedLoad, state: State, last: State): Promise<Compared> {
  const { root } = context
  const { table } = state
  const keys = load.key.map(quoteName).join(', ')
  const before = last.rows
  const rejected = await rejectedKeys(context, load, table)
  let found = await differences(context, load, state, last, rejected)
  const losers = found.unique ? undefined : await state.dedupe()
  if (losers) found = await differences(context, load, state, last, rejected)
  const { rows } = state
  const counts = { rows, ...countsOf(load, found.of), superseded: 0 }
  // What the target still holds: rows of rejected ones, and all that have gone where the load leaves them.
  if (counts.keptGone > 0) await state.carryForward(last)
  else if (rejected) await state.carryForward(last, rejected)
  const list = filesSql(root, found.list)
  const changed = `SELECT * FROM ${list} WHERE ${KIND} IN ('insert', 'update')`
  await state.noteWitness(counts.inserts + counts.updates > 0 ? changed : undefined, last)
  const result = {
    load,
    whole: false,
    list: found.list,
    before,
    table,
    was: last.table,
    state: state.buckets.flat(),
    counts,
    losers,
  }
  if (counts.inserts + counts.updates + counts.deletes === 0) return { ...result, upserts: [], keys: [] }
  if (load.mode === 'partition') {
    const names = load.partitionBy.map(quoteName).join(', ')
    const was = load.partitionBy.map(name => `${quoteName(wasOf(name))} AS ${quoteName(name)}`).join(', ')
    const touched = `SELECT DISTINCT ${names} FROM (
      SELECT ${names} FROM ${list} WHERE ${KIND} IN ('insert', 'update')
      UNION ALL SELECT ${was} FROM ${list} WHERE ${KIND} IN ('update', 'delete'))`
    const inside = load.partitionBy.map(
      name => `s.${quoteName(name)} IS NOT DISTINCT FROM p.${quoteName(name)}`,
    )
    const within = `SELECT s.${ROW} FROM (${state.sql()}) AS s JOIN (${touched}) AS p ON ${inside.join(' AND ')}`
    return {
      ...result,
      upserts: await rowParts(context, load, table, numbersIn(within)),
      keys: await keyParts(context, load, touched),
    }
  }
  const kinds = load.mode === 'append' ? `'insert'` : `'insert', 'update'`
  const gone = `SELECT ${keys} FROM ${list} WHERE ${KIND} = 'delete'`
  return {
    ...result,
    upserts: await rowParts(
      context,
      load,
      table,
      numbersIn(`SELECT * FROM ${list} WHERE ${KIND} IN (${kinds})`),
    ),
    keys: counts.deletes > 0 ? await keyParts(context, load, gone) : [],
  }
}

/**
 * Lists what differs between two states, bucket by bucket. `unique`: no key is there twice in the new one, for those of
 * the last one are not, and each that is still there was met once.
 */
async function differences(
  context: RunContext,
  load: PlannedLoad,
  state: State,
  last: State,
  rejected: string | undefined,
) {
  const { duck, root } = context
  const keys = load.key.map(quoteName).join(', ')
  const kept = rejected
    ? `${KIND} = 'delete' AND (${keys}) IN (SELECT (${keys}) FROM (${rejected}))`
    : 'false'
  const folder = ownFile(context, `changes/${load.table}/list`)
  const list: Part[] = []
  const counts = new Map<string, number>()
  const of = (kind: string) => counts.get(kind) ?? 0
  let repeated = 0
  const size = Math.min(state.buckets.length, last.buckets.length)
  for (let index = 0; index < size; index++) {
    const sql = comparisonSql(state.identity, state.sql(index, size), last.sql(index, size))
    const part = await copyFile(
      context,
      `SELECT * REPLACE (if(${kept}, 'kept', ${KIND}) AS ${KIND}) FROM (${sql})`,
      `${folder}/${index}.parquet`,
    )
    list.push(part)
    const found = await duck.rows(
      `SELECT ${KIND} AS kind, count(*) AS n, if(${KIND} = 'insert', count(*) - count(DISTINCT (${keys})), 0) AS repeated
       FROM ${filesSql(root, [part])} GROUP BY ${KIND}`,
    )
    for (const row of found) {
      const kind = String(row.kind)
      counts.set(kind, of(kind) + Number(row.n))
      repeated += Number(row.repeated)
    }
  }
  const met = last.rows - of('delete') - of('kept')
  return { list, of, unique: repeated === 0 && state.rows - of('insert') === met }
}

/** SQL of the keys of rows that checks rejected; undefined where there are none. */
async function rejectedKeys(
  context: RunContext,
  load: PlannedLoad,
  table: DataSet,
): Promise<string | undefined> {
  const { root } = context
  if (!table.findings || mirrors(load)) return undefined
  const keys = load.key.map(quoteName)
  const found = await copyFile(
    context,
    `SELECT DISTINCT ${keys.join(', ')} FROM ${allRows(root, table)}
      WHERE file_row_number IN (${rejectedRows(root, table.findings)}) AND ${keys.map(key => `${key} IS NOT NULL`).join(' AND ')}`,
    ownFile(context, `changes/${load.table}/rejected`, '.parquet'),
  )
  return `SELECT * FROM ${filesSql(root, [found])}`
}

const numbersIn = (entries: string) => `file_row_number IN (SELECT ${ROW} FROM (${entries}))`

/**
 * Rows of the data set as parts that lanes can load side by side: plain, for they are read at once. `where` sees the
 * row's number as `file_row_number`; without it, an extract's own parts are taken as they lie.
 */
async function rowParts(
  context: RunContext,
  load: PlannedLoad,
  table: DataSet,
  where?: string,
): Promise<Part[]> {
  const { root } = context
  if (!where && table.plain && table.values === undefined && !table.findings && load.batchRows === undefined)
    return table.parts
  const rows = where
    ? `SELECT * EXCLUDE (file_row_number) FROM (${goodRows(root, table, true)}) WHERE ${where}`
    : goodRows(root, table)
  return copyParts(context, rows, ownFile(context, `changes/${load.table}/upserts`), load.batchRows)
}

async function keyParts(context: RunContext, load: PlannedLoad, sql: string | undefined): Promise<Part[]> {
  return sql ? copyParts(context, sql, ownFile(context, `changes/${load.table}/keys`), load.batchRows) : []
}
