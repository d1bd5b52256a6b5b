import type { PlannedLoad } from '../contracts/load.ts'
import { mirrors, removesGone } from '../contracts/semantics.ts'
import type { Part, StagedFile } from '../contracts/staging.ts'
import type { TableState } from '../contracts/target.ts'
import { taskName } from '../contracts/taskName.ts'
import { planLoad } from '../plan/plan.ts'
import type { Found } from '../plan/standing.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import type { FailureScope } from '../runtime/failureScope.ts'
import { runTask } from '../runtime/task.ts'
import { quoteName } from '../sql/duckdb.ts'
import { allRows, type DataSet, goodRows, rejectedRows } from '../staging/dataSet.ts'
import { copyFile, copyParts } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { readManifest, rowsIn, writeManifest } from '../staging/store.ts'
import type { Transformed } from '../transform/models.ts'
import { comparisonSql, KIND, ROW, wasOf } from './compare.ts'
import { guard } from './guard.ts'
import { type LoadState, State, stateManifest } from './state.ts'

/** The change set of one load: what differs between a data set and what the last committed run loaded of it. */
export interface Changes {
  load: PlannedLoad
  /**
   * True where the last state is not known (a first load, lost staging, other columns) or the mode replaces all:
   * then `upserts` holds every row, and only the target can say which of its own are gone.
   */
  whole: boolean
  /** Why every row is compared with the target itself, where an earlier load is known: for people. */
  reason?: string
  /** The target's table as it was found before the comparison; undefined where there was none. */
  found?: TableState
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
}

export interface ChangeCounts {
  /** Good rows of the data set, one a key. */
  rows: number
  inserts: number
  updates: number
  deletes: number
  /**
   * Rows that earlier loads brought and the data set has no more, whether the load deletes them or leaves them; undefined
   * where only the target can tell.
   */
  gone?: number
  /** Rows that were superseded by a newer row of the same key. */
  duplicates: number
}

/** Works out, per load, which rows differ from what the last committed run loaded. */
export async function diff(
  context: RunContext,
  tables: Transformed[],
  lastRun: Map<string, string>,
  look: Look,
  failures: FailureScope,
): Promise<Changes[]> {
  const changes: Changes[] = []
  for (const spec of context.spec.loads) {
    const found = await failures.attempt([taskName('load', spec.table)], [spec.from], () => {
      const table = tables.find(({ name, parts }) => name === spec.from && parts)!
      const set = dataSet(table)
      const load = planLoad(spec, table.columns)
      const act = (own: RunContext) => diffLoad(own, load, set, lastRun.get(spec.to), look)
      return runTask(context, taskName('diff', spec.table), act, filesOf)
    })
    if (found) changes.push(found)
  }
  return changes
}

function filesOf({ upserts, keys, list = [], table, was, state = [] }: Changes): StagedFile[] {
  const sets = [table, ...(was ? [was] : [])]
  const findings = sets.flatMap(({ findings: file }) => (file === undefined ? [] : [{ file }]))
  return [...upserts, ...keys, ...list, ...state, ...sets.flatMap(({ parts }) => parts), ...findings]
}

/** Looks at a load's table, of which that run's data (if any) was the last. */
export type Look = (context: RunContext, load: PlannedLoad, run: string | undefined) => Promise<Found>

async function diffLoad(
  context: RunContext,
  load: PlannedLoad,
  table: DataSet,
  run: string | undefined,
  look: Look,
): Promise<Changes> {
  const { progress } = context
  const task = taskName('diff', load.table)
  progress.started(task)
  if (mirrors(load) && load.compare.length + load.ignore.length > 0)
    progress.note(
      `${load.to}.${load.table}: every column counts in mode ${load.mode}, whatever compare and ignore say`,
    )
  const state = load.key.length > 0 ? new State(context, load, table, load.table) : undefined
  const [{ now, reason: otherwise }] = await Promise.all([look(context, load, run), state?.write()])
  let reason = otherwise
  const found = now && { found: now }
  if (!state) return { ...(await exchange(context, load, table, run)), ...(reason && { reason }), ...found }
  const last = run !== undefined && !reason ? await state.last(run) : undefined
  if (run !== undefined && !reason) {
    if (!last) reason = `what run ${run} loaded is no longer staged`
    else if (last.otherColumns) reason = 'its columns have changed'
  }
  const changes =
    last && !reason ? await compare(context, load, state, last) : await everything(context, load, state, last)
  await state.keep()
  guard(`${load.to}.${load.table}`, changes)
  if (reason) progress.note(`${load.to}.${load.table}: all rows are loaded: ${reason}`)
  const { inserts, updates, deletes } = changes.counts
  progress.finished(
    task,
    last
      ? `${inserts} to insert, ${updates} to update, ${deletes} to delete`
      : `${inserts} rows, ${reason ? 'compared with the table itself' : 'first load'}`,
  )
  return { ...changes, ...(reason && { reason }), ...found }
}

/** Rows without a key cannot be compared: all of them, beside how many there were the last time. */
async function exchange(
  context: RunContext,
  load: PlannedLoad,
  table: DataSet,
  lastRun: string | undefined,
): Promise<Changes> {
  const { staging, spec, run, progress } = context
  const last = lastRun
    ? await readManifest<LoadState>(staging, stateManifest(spec.job, lastRun, load.table))
    : undefined
  const upserts = await rowParts(context, load, table)
  const rows = rowsIn(upserts)
  const state: LoadState = { columns: load.columns, tag: '', rows, buckets: [], table, parts: [] }
  await writeManifest(staging, stateManifest(spec.job, run, load.table), state)
  const counts = {
    rows,
    inserts: rows,
    updates: 0,
    deletes: Math.max(0, (last?.rows ?? 0) - rows),
    duplicates: 0,
  }
  const changes: Changes = {
    load,
    whole: true,
    upserts,
    keys: [],
    before: last?.rows,
    table,
    counts,
  }
  guard(`${load.to}.${load.table}`, changes)
  progress.finished(taskName('diff', load.table), `${rows} rows, all exchanged`)
  return changes
}

/**
 * All rows, and the keys of those in the quarantine, for a target that must be compared with. `last`: a state of other
 * columns, which says what will change, but not all that may differ.
 */
async function everything(
  context: RunContext,
  load: PlannedLoad,
  state: State,
  last: State | undefined,
): Promise<Changes> {
  const { table } = state
  const duplicates = await state.dedupe()
  const { rows } = state
  const upserts = await rowParts(context, load, table, duplicates > 0 ? numbersIn(state.sql()) : undefined)
  const rejected = await rejectedKeys(context, load, table)
  const found = last && (await differences(context, load, state, last, rejected))
  if (last && load.mode === 'append') await state.carryForward(last)
  if (rejected) await state.addUnknownKeys(rejected)
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
      ...(found ? countsOf(load, found.of) : { inserts: rows, updates: 0, deletes: 0 }),
      duplicates,
    },
  }
}

/** What a load does of the differences found. */
function countsOf(
  load: PlannedLoad,
  of: (kind: string) => number,
): Required<Pick<ChangeCounts, 'inserts' | 'updates' | 'deletes' | 'gone'>> {
  return {
    inserts: of('insert'),
    updates: load.mode === 'append' ? 0 : of('update'),
    deletes: removesGone(load) ? of('delete') : 0,
    gone: of('delete'),
  }
}

async function compare(context: RunContext, load: PlannedLoad, state: State, last: State): Promise<Changes> {
  const { root } = context
  const { table } = state
  const keys = load.key.map(quoteName).join(', ')
  const before = last.rows
  const rejected = await rejectedKeys(context, load, table)
  let found = await differences(context, load, state, last, rejected)
  const duplicates = found.unique ? 0 : await state.dedupe()
  if (duplicates > 0) found = await differences(context, load, state, last, rejected)
  const { rows } = state
  const counts = { rows, ...countsOf(load, found.of), duplicates }
  // What the target still holds: rows of rejected ones, and all that have gone where the load leaves them.
  if (counts.gone > counts.deletes) await state.carryForward(last)
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
  }
  if (counts.inserts + counts.updates + counts.deletes === 0) return { ...result, upserts: [], keys: [] }
  if (load.mode === 'replace') {
    const all = duplicates > 0 ? numbersIn(`SELECT * FROM (${state.sql()}) WHERE ${ROW} >= 0`) : undefined
    return { ...result, whole: true, upserts: await rowParts(context, load, table, all), keys: [] }
  }
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
  if (!table.findings || load.mode === 'replace' || load.mode === 'partition') return undefined
  const keys = load.key.map(quoteName)
  const found = await copyFile(
    context,
    `SELECT DISTINCT ${keys.join(', ')} FROM ${allRows(root, table)}
      WHERE file_row_number IN (${rejectedRows(root, table.findings)}) AND ${keys.map(key => `${key} IS NOT NULL`).join(' AND ')}`,
    ownFile(context, `changes/${load.table}/rejected`, '.parquet'),
  )
  return `SELECT * FROM ${filesSql(root, [found])}`
}

const dataSet = ({ parts, findings, plain }: Transformed): DataSet => ({
  parts: parts!,
  ...(findings && { findings }),
  ...(plain && { plain }),
})

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
  if (!where && table.plain && !table.findings && load.batchRows === undefined) return table.parts
  const rows = where
    ? `SELECT * EXCLUDE (file_row_number) FROM (${goodRows(root, table, true)}) WHERE ${where}`
    : goodRows(root, table)
  return copyParts(context, rows, ownFile(context, `changes/${load.table}/upserts`), load.batchRows)
}

async function keyParts(context: RunContext, load: PlannedLoad, sql: string | undefined): Promise<Part[]> {
  return sql ? copyParts(context, sql, ownFile(context, `changes/${load.table}/keys`), load.batchRows) : []
}
