import type { LoadCounts, StagedLoad } from '../../../engine/contracts/load.ts'
import { endColumn, goneRows, mirrors } from '../../../engine/contracts/semantics.ts'
import { tooManyDeletes } from '../../../engine/diff/guard.ts'
import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'
import { type Duck, quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { rowHash } from '../../../engine/sql/rowHash.ts'
import { type Column, columnNamed, isNamed, typeName } from '../../../engine/types/logical.ts'
import type { FileStore } from '../../stores/store.ts'
import { tableKey } from '../sql/dialect.ts'
import { ACT, type ChangeSources, changesSql } from './changes.ts'
import { FILE, formerSql, openFiles, openIntact, stagedSql, tableSql } from './files.ts'
import { historySql } from './history.ts'
import { keepParts } from './keep.ts'
import { byKeyRanges, type KeyRange, within } from './keyRanges.ts'
import { columnsOf, type DataFile, type Manifest, sizeOf } from './log.ts'
import { createOrdered } from './ordered.ts'
import { filesWithKeys, partitionId, partitionsOf } from './prune.ts'
import { sameNames, tableColumns } from './schema.ts'
import { type FileFormat, isInOrder, writeFiles, writeInOrder } from './write.ts'

/** What was staged for one load: local Parquet files. */
export interface Staged {
  load: StagedLoad
  paths: string[]
  keyPaths: string[]
  /** Bytes of a staged row. */
  rowBytes: number
}

export interface Rewriting {
  duck: Duck
  store: FileStore
  format: FileFormat
  /** The connection, for messages. */
  name: string
  work: string
  now: Date
  /** Where a version begins or ends that says nothing of it. */
  runAt: Date
  /** Gets the path of every file that is put into the store. */
  made: string[]
  signal: AbortSignal
  /** The newest manifest lists files that are there no more. */
  lost: boolean
}

/** What a table is after a load. */
export interface Rewritten {
  counts: LoadCounts
  /** Undefined where nothing changed: the manifest stays. */
  content?: Pick<Manifest, 'columns' | 'key' | 'partitionBy' | 'files'>
}

/** A partition with more files than these below a quarter of the size wanted gets them written together. */
const SMALL_FILES = 8

/**
 * Writes the files that a load makes necessary, beside those that are there: files with a row that changes are written
 * anew, the others stay. Nothing a reader sees changes. Fails with CONSTRAINT_VIOLATED where a key is NULL or staged
 * twice, GUARD_STOPPED where too many rows would go.
 */
export async function rewrite(
  rewriting: Rewriting,
  staged: Staged,
  manifest: Manifest | undefined,
): Promise<Rewritten> {
  const { duck, store, name, work, format, made, signal } = rewriting
  const { load } = staged
  const where = `${name}.${load.table}`
  const columns = tableColumns(load, manifest, where)
  let files = manifest?.files ?? []
  // A change set without a key that is not whole has no row: the table holds them all.
  if (load.key.length === 0 && !load.whole)
    return { counts: { table: load.table, inserted: 0, updated: 0, deleted: 0, unchanged: 0, older: 0 } }
  const sources = await stagedSources(rewriting, staged, columns)
  await checkKeys(duck, load, sources.staged, where)
  const same = manifest !== undefined && sameColumns(columns, manifest, load)
  // Columns are only ever added or widened, unless the table is written anew.
  const renewed = load.mode === 'replace' && manifest !== undefined && !same
  // What is told of each file is told in the former types and partitions.
  const candidates = same ? await candidatesOf(duck, load, columns, files, sources) : files
  const byPath = new Map<string, DataFile>()
  const damaged = new Set<DataFile>()
  // Where every row is staged, nothing is lost with a file.
  const open = load.whole && mirrors(load) ? openIntact : openFiles
  const tableOf = async (more: DataFile[]) => {
    const opened = await open(store, load.table, more)
    for (const [index, file] of more.entries()) {
      const path = opened[index]
      if (path === undefined) damaged.add(file)
      else byPath.set(path, file)
    }
    const paths = [...byPath.keys()]
    return renewed ? formerSql(columns, columnsOf(manifest), paths) : tableSql(columns, paths)
  }
  const before = await tableOf(candidates)
  files = files.filter(file => !damaged.has(file))
  // Every row is new: there is nothing to join with.
  const first = files.length === 0 && load.key.length > 0 && load.mode !== 'scd2'
  const { counts, touched, removed } = first
    ? await firstCounts(duck, load, sources.staged)
    : load.key.length > 0
      ? await keyedCounts(rewriting, load, { ...sources, table: before }, byPath)
      : await keylessCounts(duck, load, columns, sources.staged, before, files)
  await guardWhole(duck, load, where, counts, files, { ...sources, table: before })
  const changed = counts.inserted > 0 || touched.size > 0
  const reshaped = rewriting.lost || damaged.size > 0 || !same
  if (!changed && !reshaped) return { counts }
  // Who reads the files by a glob takes the columns of one for those of all.
  let old = same ? touched : new Set(files)
  if (changed && same)
    old = new Set([...old, ...(await smallFiles(duck, load, files, old, sources.staged, format.target))])
  const after = { ...sources, table: await tableOf([...old].filter(file => !candidates.includes(file))) }
  const paths = [...byPath].filter(([, file]) => old.has(file)).map(([path]) => quote(path))
  const selected = columns.map(column => quoteName(column.name)).join(', ')
  const values = columns.map(column => stagedValue(load, column, sources.now)).join(', ')
  const rows = (range: KeyRange) => {
    const some = sourcesWithin(load, after, range)
    if (first) return `SELECT ${values} FROM (${some.staged})`
    if (load.key.length === 0)
      return `SELECT ${values} FROM (${changed || renewed ? some.staged : `${some.staged} LIMIT 0`})`
    return `SELECT ${selected} FROM (${rowsAfter(load, some, rewriting)}) WHERE ${ACT} <> 'delete' AND (${ACT} = 'insert' OR ${FILE} IN (${paths.join(', ') || 'NULL'}))`
  }
  const key = tableKey(load)
  const known = sizeOf(files)
  const { partitionBy, table: tableName } = load
  const rowBytes = known.rows > 0 ? known.bytes / known.rows : staged.rowBytes
  const kept = files.filter(file => !old.has(file) && file.rows > 0)
  const writing = {
    duck,
    store,
    format,
    where,
    table: tableName,
    partitionBy,
    key,
    work,
    rowBytes,
    made,
    signal,
  }
  const select = (some: string[]) => `SELECT ${values} FROM (${stagedSql(sources.typed, some)})`
  const asStaged = first && partitionBy.length === 0 && staged.paths.length > 0
  const isWhole = columns.length === load.columns.length
  let written = asStaged && isWhole ? await keepParts(writing, staged.paths, columns) : undefined
  if (asStaged) written ??= await writeInOrder(writing, staged.paths, select)
  if (!written) {
    const ordering = {
      columns,
      partitionBy,
      key: keyOf(load, columns),
      tableKey: key,
      keys: keysSql(load, after),
    }
    await createOrdered(duck, 'rewritten', ordering, rows)
    written = await writeFiles(writing, 'rewritten', columns, kept.length === 0)
    await duck.run('DROP TABLE rewritten')
  }
  const [found, due] = [sizeOf([...kept, ...written]).rows, known.rows + counts.inserted - removed]
  if (found !== due)
    throw new EngineError(
      'VERIFY_FAILED',
      `${where}: the table would have ${counted(found, 'row')} instead of ${due}`,
      {
        hint: 'Nothing was loaded. This is a fault of nightfreight, not of the data: please report it.',
      },
    )
  return {
    counts,
    content: {
      columns: columns.map(({ name, type }) => ({ name, type: typeName(type) })),
      key,
      partitionBy,
      files: [...kept, ...written],
    },
  }
}

function sameColumns(columns: Column[], manifest: Manifest, load: StagedLoad): boolean {
  const former = columnsOf(manifest)
  return (
    sameNames(manifest.partitionBy, load.partitionBy) &&
    sameNames(manifest.key, tableKey(load)) &&
    sameNames(
      columns.map(({ name }) => name),
      former.map(({ name }) => name),
    ) &&
    columns.every(({ type }, index) => typeName(type) === typeName(former[index]!.type))
  )
}

/** `typed`: the staged columns, with the table's types. */
type StagedSources = Omit<ChangeSources, 'table'> & { typed: Column[] }

/** The staged rows and keys, with the table's types. */
async function stagedSources(
  { now }: Rewriting,
  { load, paths, keyPaths }: Staged,
  columns: Column[],
): Promise<StagedSources> {
  const typed = (names: string[]) => names.map(name => ({ ...columnNamed(columns, name)!, name }))
  const own = typed(load.columns.map(({ name }) => name))
  const sources: StagedSources = {
    staged: stagedSql(own, paths),
    typed: own,
    columns,
    now: now.toISOString(),
  }
  if (goneRows(load) === 'inPartitions') {
    const all = [paths, keyPaths].map(some => stagedSql(typed(load.partitionBy), some))
    return { ...sources, partitions: all.join(' UNION ') }
  }
  return keyPaths.length === 0 ? sources : { ...sources, keys: stagedSql(typed(load.key), keyPaths) }
}

async function checkKeys(duck: Duck, load: StagedLoad, staged: string, where: string): Promise<void> {
  if (load.key.length === 0) return
  // Of rows as they come from most tables, much sooner told than by groups.
  if (await isInOrder(duck, load.key, staged)) return
  const keys = load.key.map(quoteName)
  const [wrong] = await duck.rows(
    `SELECT ${keys.map((key, index) => `CAST(${key} AS VARCHAR) AS k${index}`).join(', ')}, count(*) AS n FROM (${staged})
     GROUP BY ${keys.join(', ')} HAVING count(*) > 1 OR ${keys.map(key => `${key} IS NULL`).join(' OR ')} LIMIT 1`,
  )
  if (!wrong) return
  const values = load.key.map((name, index) => `${name} = ${wrong[`k${index}`] ?? 'NULL'}`).join(', ')
  const reason = load.key.some((_, index) => wrong[`k${index}`] === null)
    ? 'a key may not be NULL'
    : `${wrong.n} rows have this key`
  throw new EngineError('CONSTRAINT_VIOLATED', `${where}: ${values}: ${reason}`, {
    hint: `Correct ${load.from}, or the key of this load.`,
  })
}

/** Files whose rows must be looked at: no row of the others is staged, or goes. */
async function candidatesOf(
  duck: Duck,
  load: StagedLoad,
  columns: Column[],
  files: DataFile[],
  { staged, keys, partitions }: StagedSources,
): Promise<DataFile[]> {
  if (files.length === 0) return files
  if (partitions) {
    const named = await partitionsOf(duck, load.partitionBy, partitions)
    return files.filter(({ partition }) => named.has(partitionId(partition)))
  }
  if (goneRows(load) === 'unstaged') return files
  const names = load.key.map(quoteName).join(', ')
  const named = keys && goneRows(load) === 'named' ? ` UNION ALL SELECT ${names} FROM (${keys})` : ''
  const touching = `SELECT ${names} FROM (${staged})${named}`
  const { partitionBy } = load
  const inside = partitionBy.length > 0 && partitionBy.every(name => columnNamed(keyOf(load, columns), name))
  const among = inside ? await partitionsOf(duck, partitionBy, touching) : undefined
  const possible = among ? files.filter(({ partition }) => among.has(partitionId(partition))) : files
  return filesWithKeys(duck, possible, columns, load.key, touching)
}

const keyOf = ({ key }: StagedLoad, columns: Column[]) => key.map(name => columnNamed(columns, name)!)

/** SQL of the keys that are staged or in the table. */
const keysSql = ({ key }: StagedLoad, { staged, table }: ChangeSources) =>
  [staged, table].map(sql => `SELECT ${key.map(quoteName).join(', ')} FROM (${sql})`).join(' UNION ALL ')

/** The sources of the rows within a range. */
function sourcesWithin<T extends ChangeSources>(load: StagedLoad, sources: T, range: KeyRange): T {
  const some = (sql: string) => within(sql, keyOf(load, sources.columns), range)
  const { table, staged, keys } = sources
  return { ...sources, table: some(table), staged: some(staged), ...(keys && { keys: some(keys) }) }
}

const rowsAfter = (load: StagedLoad, sources: ChangeSources, { runAt }: Rewriting) =>
  load.mode === 'scd2' ? historySql(load, sources, runAt) : changesSql(load, sources)

async function keyedCounts(
  rewriting: Rewriting,
  load: StagedLoad,
  sources: ChangeSources,
  byPath: Map<string, DataFile>,
) {
  const { duck } = rewriting
  const found = await byKeyRanges(duck, keyOf(load, sources.columns), keysSql(load, sources), range =>
    duck.rows(
      `SELECT ${FILE} AS file, ${ACT} AS act, count(*) AS n FROM (${rowsAfter(load, sourcesWithin(load, sources, range), rewriting)}) WHERE ${ACT} <> 'keep' GROUP BY ALL`,
    ),
  )
  const acts = found.flat()
  const sum = (...names: string[]) =>
    acts.reduce((total, { act, n }) => total + (names.includes(String(act)) ? Number(n) : 0), 0)
  const counts = {
    inserted: sum('insert'),
    updated: sum('update', 'revive'),
    deleted: sum('mark', 'delete'),
    older: sum('older'),
  }
  const total = await countOf(duck, sources.staged)
  const touched = new Set(
    acts.flatMap(({ file, act }) => (file === null || act === 'older' ? [] : [byPath.get(String(file))!])),
  )
  const unchanged = total - counts.inserted - counts.updated - counts.older
  return { counts: { table: load.table, ...counts, unchanged }, touched, removed: sum('delete') }
}

/** Without a key two rows are the same where all their values are, by their hashes of 128 bits. */
async function keylessCounts(
  duck: Duck,
  load: StagedLoad,
  columns: Column[],
  staged: string,
  table: string,
  files: DataFile[],
) {
  const compared = columns.filter(({ name }) => columnNamed(load.columns, name))
  const [next, last] = [staged, table].map(sql => `SELECT ${rowHash(compared, 'r')} FROM (${sql}) AS r`)
  const inserted = await countOf(duck, `${next} EXCEPT ALL ${last}`)
  const deleted = await countOf(duck, `${last} EXCEPT ALL ${next}`)
  const unchanged = (await countOf(duck, staged)) - inserted
  const touched = new Set(inserted + deleted > 0 ? files : [])
  const counts = { table: load.table, inserted, updated: 0, deleted, unchanged, older: 0 }
  return { counts, touched, removed: deleted }
}

const countOf = async (duck: Duck, sql: string) =>
  Number((await duck.rows(`SELECT count(*) AS n FROM (${sql})`))[0]!.n)

async function firstCounts(duck: Duck, load: StagedLoad, staged: string) {
  const inserted = await countOf(duck, staged)
  const counts = { table: load.table, inserted, updated: 0, deleted: 0, unchanged: 0, older: 0 }
  return { counts, touched: new Set<DataFile>(), removed: 0 }
}

/** The value of a column of a new row: what the load does not bring is NULL. */
function stagedValue(load: StagedLoad, { name, type }: Column, now: string): string {
  if (isNamed(name, load.stamp)) return `${quote(now)}::TIMESTAMPTZ AS ${quoteName(name)}`
  return columnNamed(load.columns, name) ? quoteName(name) : `NULL::${typeName(type)} AS ${quoteName(name)}`
}

/** What only the table's own rows can say: the engine knew no earlier state to compare with. */
async function guardWhole(
  duck: Duck,
  load: StagedLoad,
  where: string,
  { inserted, updated, unchanged, older, deleted }: LoadCounts,
  files: DataFile[],
  { table, keys }: ChangeSources,
): Promise<void> {
  if (goneRows(load) !== 'unstaged') return
  const end = endColumn(load)
  const before =
    end === undefined
      ? sizeOf(files).rows
      : await countOf(duck, `SELECT 1 FROM (${table}) WHERE ${quoteName(end)} IS NULL`)
  const staged = inserted + updated + unchanged + older
  // The first batch of several has all keys, and no row.
  const isEmpty = staged === 0 && (keys === undefined || (await countOf(duck, keys)) === 0)
  if (isEmpty && before > 0 && !load.guard.allowEmpty)
    throw new EngineError(
      'GUARD_STOPPED',
      `${where}: ${load.from} is empty, and the table has ${counted(before, 'row')}`,
      {
        hint: 'Nothing was loaded. If that is right, set guard: { allow_empty: true } for this load.',
      },
    )
  // Without a key a changed row counts as one deleted and one inserted.
  const lost = load.key.length > 0 ? deleted : Math.max(0, before - staged)
  tooManyDeletes(where, load.guard.maxDeleteShare, lost, before)
}

/** Small files that have become many in a partition that changes anyway. */
async function smallFiles(
  duck: Duck,
  load: StagedLoad,
  files: DataFile[],
  old: Set<DataFile>,
  staged: string,
  target: number,
): Promise<DataFile[]> {
  if (load.key.length === 0) return []
  const changing = await partitionsOf(duck, load.partitionBy, staged)
  for (const { partition } of old) changing.add(partitionId(partition))
  const small = files.filter(
    file => !old.has(file) && file.bytes < target / 4 && changing.has(partitionId(file.partition)),
  )
  return [...Map.groupBy(small, file => partitionId(file.partition)).values()]
    .filter(group => group.length >= SMALL_FILES)
    .flat()
}
