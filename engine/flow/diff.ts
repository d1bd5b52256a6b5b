import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { comparisonSql, type Identity, losersSql, ROW, stateSql } from '../delta/compare.ts'
import { ENCODING, HASH } from '../delta/hash.ts'
import type { Part, PlannedLoad, StagedFile } from '../ports.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { PLAIN_FORMAT } from '../staging/decode.ts'
import { rowsOf } from '../staging/parquet.ts'
import { place, readManifest, writeManifest } from '../staging/store.ts'
import { type Column, typeName } from '../types/logical.ts'
import type { Branches } from './branches.ts'
import { guard } from './guard.ts'
import { once } from './once.ts'
import { type Plan, planLoad } from './plan.ts'
import { goodRows, type Transformed } from './transform.ts'
import { ownFile, type World } from './world.ts'

/** The change set of one load: what differs between a data set and what the last committed run loaded of it. */
export interface Changes {
  load: PlannedLoad
  /**
   * True where the last state is not known (a first load, lost staging, other columns) or the mode replaces all:
   * then `upserts` holds every row, and only the target can say which of its own are gone.
   */
  whole: boolean
  /** Rows to insert or update. Mode `partition`: every row of the partitions that changed. */
  upserts: Part[]
  /**
   * Keys to delete. Mode `partition`: the partitions to empty. Where `whole`: keys that must stay although no row
   * of theirs is among the upserts, since it went to the quarantine.
   */
  keys: Part[]
  /** Every difference, with its kind, key and row numbers; absent where `whole`. */
  list?: Part
  /** Rows of the last state, where it is known. */
  before?: number
  /** The data set that the row numbers of `list` are of, and the last one, whose rows were `_was`. */
  table: DataSet
  was?: DataSet
  /**
   * Parquet file of this run's state: the key and row number ({@link ROW}) of every row that is loaded or stays. Absent
   * where rows have no key.
   */
  state?: string
  counts: ChangeCounts
}

/** Parquet files of a data set and of its findings, below the staging root. */
export interface DataSet {
  file: string
  findings?: string
}

export interface ChangeCounts {
  /** Good rows of the data set, one a key. */
  rows: number
  inserts: number
  updates: number
  deletes: number
  /** Rows that gave way to a newer one of the same key. */
  duplicates: number
}

/** What a run leaves for the next one's comparison. */
export interface LoadState {
  columns: Column[]
  /** What the hashes depend on: versions, key, compared and kept columns. */
  tag: string
  rows: number
  /** The state's file; then the data set's and its findings, from which it can be made anew. */
  parts: Part[]
  table: DataSet
}

export const stateManifest = (job: string, run: string, table: string) => `${job}/${run}/state/${table}.json`

/** Works out, per load, which rows differ from what the last committed run loaded. */
export async function diff(
  world: World,
  plan: Plan,
  tables: Transformed[],
  lastRun: Map<string, string>,
  branches: Branches,
): Promise<Changes[]> {
  const changes: Changes[] = []
  for (const spec of world.spec.loads) {
    const found = await branches.attempt([`load.${spec.table}`], [spec.from], () => {
      const table = tables.find(({ name, file }) => name === spec.from && file !== undefined)!
      const planned = planLoad(spec, table.columns)
      const load = plan.reads.some(read => read.drifted) ? { ...planned, reshaped: true } : planned
      const act = (own: World) => diffLoad(own, load, table, lastRun.get(spec.to))
      return once(world, `diff.${spec.table}`, act, filesOf)
    })
    if (found) changes.push(found)
  }
  return changes
}

function filesOf({ upserts, keys, list, table, was, state }: Changes): StagedFile[] {
  const sets = [table, ...(was ? [was] : [])].flatMap(({ file, findings }) => [file, findings])
  const named = [...sets, state].flatMap(file => (file === undefined ? [] : [{ file }]))
  return [...upserts, ...keys, ...(list ? [list] : []), ...named]
}

async function diffLoad(
  world: World,
  load: PlannedLoad,
  table: Transformed,
  lastRun: string | undefined,
): Promise<Changes> {
  const { observer } = world
  observer.started(`diff.${load.table}`)
  if (load.key.length === 0) return exchange(world, load, table, lastRun)
  const identity = identityOf(load)
  const next = await writeState(world, load, identity, table)
  const last = lastRun ? await lastState(world, load, identity, lastRun) : undefined
  const changes = last
    ? await compare(world, load, identity, table, next, last)
    : await everything(world, lastRun ? { ...load, reshaped: true } : load, table, next)
  await keepState(world, load, identity, table)
  guard(`${load.to}.${load.table}`, changes)
  const { inserts, updates, deletes } = changes.counts
  const note = last
    ? `${inserts} to insert, ${updates} to update, ${deletes} to delete`
    : `${inserts} rows, first load`
  observer.finished(`diff.${load.table}`, note)
  return changes
}

/** Rows without a key cannot be compared: all of them, beside how many there were the last time. */
async function exchange(
  world: World,
  load: PlannedLoad,
  table: Transformed,
  lastRun: string | undefined,
): Promise<Changes> {
  const { staging, spec, run, observer } = world
  const last = lastRun
    ? await readManifest<LoadState>(staging, stateManifest(spec.job, lastRun, load.table))
    : undefined
  const upserts = await rowParts(world, load, table)
  const rows = upserts.reduce((sum, part) => sum + part.rows, 0)
  const state: LoadState = { columns: load.columns, tag: '', rows, parts: [], table: { file: table.file! } }
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
    table: dataSet(table),
    counts,
  }
  guard(`${load.to}.${load.table}`, changes)
  observer.finished(`diff.${load.table}`, `${rows} rows, all exchanged`)
  return changes
}

/** What a load's comparison goes by. */
export function identityOf({ key, partitionBy, columns, compare, ignore }: PlannedLoad): Identity {
  const compared = columns.filter(
    ({ name }) => (compare.length === 0 || compare.includes(name)) && !ignore.includes(name),
  )
  return { key, kept: partitionBy, compared }
}

/** A state under construction: its file, and how many rows gave way. */
interface NextState {
  sql: string
  rows: number
  duplicates: number
}

const stateFile = (world: World, load: PlannedLoad) => ownFile(world, `state/${load.table}`, '.parquet')

async function writeState(
  world: World,
  load: PlannedLoad,
  identity: Identity,
  table: Transformed,
): Promise<NextState> {
  const { duck, root } = world
  const path = join(root, stateFile(world, load))
  const good = goodRows(root, table, true)
  const state = stateSql(identity, good, 'file_row_number')
  await copy(world, state, path)
  const keys = load.key.map(quoteName).join(', ')
  const from = `FROM read_parquet(${quote(path)})`
  const [count] = await duck.rows(
    `SELECT count(*) AS n, count(*) - (SELECT count(*) FROM (SELECT DISTINCT ${keys} ${from})) AS extra ${from}`,
  )
  const duplicates = load.key.length > 0 ? Number(count!.extra) : 0
  if (duplicates > 0) {
    const repeated = `SELECT * FROM (${good}) WHERE (${keys}) IN (SELECT (${keys}) ${from} GROUP BY ${keys} HAVING count(*) > 1)`
    const losers = losersSql(load.columns, load.key, load.newer, repeated, 'file_row_number')
    await duck.run(`CREATE OR REPLACE TEMP TABLE losers AS ${losers}`)
    await copy(world, `SELECT * FROM (${state}) WHERE ${ROW} NOT IN (SELECT ${ROW} FROM losers)`, path)
    await duck.run('DROP TABLE losers')
  }
  return { sql: `SELECT * ${from}`, rows: Number(count!.n) - duplicates, duplicates }
}

async function lastState(world: World, load: PlannedLoad, identity: Identity, run: string) {
  const { root, staging, spec } = world
  const state = await readManifest<LoadState>(staging, stateManifest(spec.job, run, load.table))
  if (!state || JSON.stringify(state.columns) !== JSON.stringify(load.columns)) return undefined
  const sql =
    state.tag === (await tagOf(world, identity))
      ? `SELECT * FROM read_parquet(${quote(join(root, state.parts[0]!.file))})`
      : // Hashes of two versions are never compared: made anew from the rows.
        `SELECT * FROM (${stateSql(identity, goodRows(root, state.table, true), 'file_row_number')})
         QUALIFY row_number() OVER (PARTITION BY ${load.key.map(quoteName).join(', ')} ORDER BY ${ROW}) = 1`
  return { sql, rows: state.rows, table: state.table }
}

async function tagOf({ duck }: World, { key, kept, compared }: Identity): Promise<string> {
  const types = compared.map(({ name, type }) => [name, typeName(type)])
  return JSON.stringify([ENCODING, await duck.version(), key, kept, types])
}

/** No earlier state to compare with: all rows, and the keys of those in the quarantine. */
async function everything(
  world: World,
  load: PlannedLoad,
  table: Transformed,
  next: NextState,
): Promise<Changes> {
  const rows = next.duplicates > 0 ? `${ROW} IN (SELECT ${ROW} FROM (${next.sql}))` : undefined
  const upserts = await rowParts(world, load, table, rows)
  const rejected = rejectedKeys(world, load, table)
  if (rejected) await hold(world, load, next, rejected)
  return {
    load,
    whole: true,
    upserts,
    keys: await keyParts(world, load, rejected),
    table: dataSet(table),
    state: stateFile(world, load),
    counts: {
      rows: next.rows,
      inserts: next.rows,
      updates: 0,
      deletes: 0,
      duplicates: next.duplicates,
    },
  }
}

async function compare(
  world: World,
  load: PlannedLoad,
  identity: Identity,
  table: Transformed,
  next: NextState,
  last: { sql: string; rows: number; table: DataSet },
): Promise<Changes> {
  const { duck, root } = world
  const file = ownFile(world, `changes/${load.table}/list`, '.parquet')
  const list = `read_parquet(${quote(join(root, file))})`
  const rejected = rejectedKeys(world, load, table)
  const keys = load.key.map(quoteName).join(', ')
  const spared = rejected
    ? ` WHERE kind <> 'delete' OR (${keys}) NOT IN (SELECT (${keys}) FROM (${rejected}))`
    : ''
  await copy(
    world,
    `SELECT * FROM (${comparisonSql(identity, next.sql, last.sql)})${spared}`,
    join(root, file),
  )
  await carry(world, load, next, last, rejected)
  const counts = { rows: next.rows, inserts: 0, updates: 0, deletes: 0, duplicates: next.duplicates }
  for (const { kind, n } of await duck.rows(`SELECT kind, count(*) AS n FROM ${list} GROUP BY kind`))
    counts[`${String(kind) as 'insert' | 'update' | 'delete'}s`] = Number(n)
  const removes = load.deletes !== 'keep' || load.mode === 'replace' || load.mode === 'partition'
  if (!removes) counts.deletes = 0
  if (load.mode === 'append') counts.updates = 0
  const changed = counts.inserts + counts.updates + counts.deletes
  const result = {
    load,
    whole: false,
    list: partOf(root, file, changed),
    before: last.rows,
    table: dataSet(table),
    was: last.table,
    state: stateFile(world, load),
    counts,
  }
  const rows = (where: string) => rowParts(world, load, table, where)
  if (changed === 0) return { ...result, upserts: [], keys: [] }
  if (load.mode === 'replace') {
    const all = next.duplicates > 0 ? `${ROW} IN (SELECT ${ROW} FROM (${next.sql}))` : undefined
    return { ...result, whole: true, upserts: await rowParts(world, load, table, all), keys: [] }
  }
  if (load.mode === 'partition') {
    const names = load.partitionBy.map(quoteName).join(', ')
    const was = load.partitionBy.map(name => `${quoteName(`_was_${name}`)} AS ${quoteName(name)}`).join(', ')
    const touched = `SELECT DISTINCT ${names} FROM (SELECT ${names} FROM ${list} WHERE kind <> 'delete'
      UNION ALL SELECT ${was} FROM ${list} WHERE kind <> 'insert')`
    const inside = load.partitionBy.map(
      name => `s.${quoteName(name)} IS NOT DISTINCT FROM p.${quoteName(name)}`,
    )
    const upserts = await rows(
      `${ROW} IN (SELECT ${ROW} FROM (${next.sql}) AS s JOIN (${touched}) AS p ON ${inside.join(' AND ')})`,
    )
    return { ...result, upserts, keys: await keyParts(world, load, touched) }
  }
  const kinds = load.mode === 'append' ? `'insert'` : `'insert', 'update'`
  const gone = `SELECT ${keys} FROM ${list} WHERE kind = 'delete'`
  return {
    ...result,
    upserts: await rows(`${ROW} IN (SELECT ${ROW} FROM ${list} WHERE kind IN (${kinds}))`),
    keys: counts.deletes > 0 ? await keyParts(world, load, gone) : [],
  }
}

/**
 * Entries of the last state that the new one goes on with, since the target still holds their rows: those of
 * rejected rows, and under `append` those of all rows that have gone.
 */
async function carry(
  world: World,
  load: PlannedLoad,
  next: NextState,
  last: { sql: string },
  rejected: string | undefined,
): Promise<void> {
  if (!rejected && load.mode !== 'append') return
  const path = join(world.root, stateFile(world, load))
  const keys = load.key.map(quoteName).join(', ')
  const which = load.mode === 'append' ? '' : ` AND (${keys}) IN (SELECT (${keys}) FROM (${rejected}))`
  await copy(
    world,
    `${next.sql} UNION ALL BY NAME SELECT * REPLACE (-1 AS ${ROW}) FROM (${last.sql})
      WHERE (${keys}) NOT IN (SELECT (${keys}) FROM (${next.sql}))${which}`,
    path,
  )
}

/**
 * Enters keys into a state that has none of them: the target may hold their rows, but nothing is known of the values,
 * so they have a hash that no row has.
 */
async function hold(world: World, load: PlannedLoad, next: NextState, rejected: string): Promise<void> {
  const keys = load.key.map(quoteName).join(', ')
  const hash = HASH.map(half => `0::UBIGINT AS ${half}`).join(', ')
  await copy(
    world,
    `${next.sql} UNION ALL BY NAME SELECT DISTINCT ${keys}, ${hash}, -1 AS ${ROW} FROM (${rejected})
      WHERE (${keys}) NOT IN (SELECT (${keys}) FROM (${next.sql}))`,
    join(world.root, stateFile(world, load)),
  )
}

/** SQL of the keys of rows that checks rejected; undefined where there are none. */
function rejectedKeys({ root }: World, load: PlannedLoad, table: Transformed): string | undefined {
  if (!table.findings || load.deletes === 'keep') return undefined
  const keys = load.key.map(quoteName)
  const findings = `read_parquet(${quote(join(root, table.findings))})`
  return `SELECT ${keys.join(', ')} FROM read_parquet(${quote(join(root, table.file!))}, file_row_number = true)
    WHERE file_row_number IN (SELECT row FROM ${findings} WHERE severity = 'reject') AND ${keys.map(key => `${key} IS NOT NULL`).join(' AND ')}`
}

/** Writes rows of the data set as parts that lanes can load side by side, plain, for they are read at once. `where` sees the row's number as {@link ROW}. */
async function rowParts(
  world: World,
  load: PlannedLoad,
  table: Transformed,
  where?: string,
): Promise<Part[]> {
  const rows = goodRows(world.root, table, true)
  const chosen = where
    ? `SELECT * EXCLUDE (${ROW}) FROM (SELECT * RENAME (file_row_number AS ${ROW}) FROM (${rows})) WHERE ${where}`
    : goodRows(world.root, table)
  return copyParts(world, chosen, ownFile(world, `changes/${load.table}/upserts`))
}

async function keyParts(world: World, load: PlannedLoad, sql: string | undefined): Promise<Part[]> {
  return sql ? copyParts(world, sql, ownFile(world, `changes/${load.table}/keys`)) : []
}

/** COPY options of parts: several, so that lanes can share them. */
export const PART_OPTIONS = `${PLAIN_FORMAT}, FILE_SIZE_BYTES '64MB', PER_THREAD_OUTPUT false`

/** Writes a query's rows as Parquet files in a folder below the staging root. */
export async function copyParts(
  world: Pick<World, 'duck' | 'root'>,
  sql: string,
  folder: string,
): Promise<Part[]> {
  const { duck, root } = world
  await place(join(root, folder), temporary =>
    duck.run(`COPY (${sql}) TO ${quote(temporary)} (${PART_OPTIONS})`),
  )
  const parts: Part[] = []
  for (const name of readdirSync(join(root, folder)).sort(byNumber))
    parts.push(partOf(root, `${folder}/${name}`, await rowsOf(join(root, folder, name))))
  return parts
}

const dataSet = ({ file, findings }: Transformed): DataSet => ({ file: file!, ...(findings && { findings }) })

const byNumber = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true })

const copy = ({ duck }: World, sql: string, path: string) =>
  place(path, temporary =>
    duck.run(`COPY (${sql}) TO ${quote(temporary)} (FORMAT parquet, COMPRESSION uncompressed)`),
  )

const partOf = (root: string, file: string, rows: number): Part => ({
  file,
  rows,
  bytes: statSync(join(root, file)).size,
})

async function keepState(
  world: World,
  load: PlannedLoad,
  identity: Identity,
  table: Transformed,
): Promise<void> {
  const { root, staging, spec, run } = world
  const { file, findings } = dataSet(table)
  const files = [stateFile(world, load), file, ...(findings ? [findings] : [])]
  const state: LoadState = {
    columns: load.columns,
    tag: await tagOf(world, identity),
    // With the entries that go on for rows in the quarantine: the target holds those too.
    rows: await rowsOf(join(root, stateFile(world, load))),
    parts: files.map(name => partOf(root, name, 0)),
    table: dataSet(table),
  }
  await writeManifest(staging, stateManifest(spec.job, run, load.table), state)
}
