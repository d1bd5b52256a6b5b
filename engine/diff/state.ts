import type { PlannedLoad } from '../contracts/load.ts'
import { ageColumn, decidingColumns } from '../contracts/semantics.ts'
import type { Part } from '../contracts/staging.ts'
import { loadKeyPolicy } from '../plan/keyPolicy.ts'
import { LOSER, losersSql } from '../quality/keyRules.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { quoteName } from '../sql/duckdb.ts'
import { ENCODING, HASH } from '../sql/rowHash.ts'
import { areSameParts } from '../staging/checksum.ts'
import { type DataSet, goodRows, originOf, rejectedRows } from '../staging/dataSet.ts'
import { copyBuckets, copyFile } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { partOf, readManifest, rowsIn, writeManifest } from '../staging/store.ts'
import { type Column, columnNamed, typeName } from '../types/logical.ts'
import { widens } from '../types/widen.ts'
import { type Identity, ROW, stateSql } from './compare.ts'
import { type Meaning, meaningOf, otherMeaning } from './meaning.ts'

/** What a run leaves for the next one's comparison. */
export interface LoadState {
  columns: Column[]
  /** The column that it marks rows by which are gone. */
  deletedAt?: string
  /** What the hashes depend on: versions, key, compared and kept columns. */
  tag: string
  /** Absent where an earlier version left it. */
  meaning?: Meaning
  rows: number
  /** Of rows without a key: what tells whether others are the same ones, in whatever order. */
  sum?: string
  /** Files of its entries, by bucket; none where rows have no key. */
  buckets: Part[][]
  table: DataSet
  /** Keys and numbers of some of the rows that changed last: an old copy of the table has not got them so. */
  witness?: Part
  /** All these files, and those of the data set and its findings, from which the entries can be made anew. */
  parts: Part[]
}

/** Rows that are looked up in a table before it is loaded. */
const WITNESSES = 100
/** Entries that a bucket holds, about: what is joined and counted at a time. */
const BUCKET_ROWS = 1 << 19
/** So many files DuckDB writes side by side at ease; of larger states, the joins spill. */
const MOST_BUCKETS = 64

export const stateManifest = (job: string, run: string, table: string) => `${job}/${run}/state/${table}.json`

/**
 * What a load's comparison goes by. With an age, that as well, whether it is compared or not: the table may have refused what the
 * state holds as older, and takes the same values of a newer row.
 */
export function identityOf(load: PlannedLoad): Identity {
  const deciding = [...decidingColumns(load), ageColumn(load)]
  const compared = load.columns.filter(({ name }) => deciding.includes(name))
  return { key: load.key, kept: load.partitionBy, compared }
}

/**
 * A state of a load: key, hash and row number ({@link ROW}) of every row that is loaded or stays, in Parquet files by
 * bucket of the key's hash. The number of buckets is a power of two, so that two states of any size can be
 * compared bucket by bucket.
 */
export class State {
  readonly identity: Identity
  readonly table: DataSet
  buckets: Part[][]
  /** True where the run that left it loaded other columns: what it had not is NULL. */
  readonly otherColumns: boolean
  private witness: Part | undefined
  private readonly context: RunContext
  private readonly load: PlannedLoad
  private readonly time: 'now' | 'last'

  /** `time` parts the files of this run's state from those that are made anew of the last one's rows. */
  constructor(
    context: RunContext,
    load: PlannedLoad,
    table: DataSet,
    time: 'now' | 'last',
    buckets: Part[][] = [],
  ) {
    this.otherColumns = table.view !== undefined
    this.context = context
    this.time = time
    this.load = load
    this.table = table
    this.buckets = buckets
    this.identity = identityOf(load)
  }

  get rows(): number {
    return rowsIn(this.buckets.flat())
  }

  /** SQL of all entries; of those of bucket `index` of `count`, where that is a divisor of its own number. */
  sql(index = 0, count = 1): string {
    const parts = this.buckets.filter((_, bucket) => bucket % count === index).flat()
    return parts.length > 0 ? `SELECT * FROM ${filesSql(this.context.root, parts)}` : this.none()
  }

  /** Writes an entry for every good row of the data set, about `limit` a bucket at most. */
  async write(limit = BUCKET_ROWS): Promise<void> {
    const rows = rowsIn(this.table.parts)
    const count = Math.min(MOST_BUCKETS, 2 ** Math.ceil(Math.log2(Math.max(1, rows / limit))))
    this.buckets = await this.copy(this.entries(), count, 'all')
    // Who reads the entries finds a file.
    if (this.rows === 0)
      this.buckets[0] = [await copyFile(this.context, this.none(), this.file('none', '.parquet'))]
  }

  /**
   * Takes the entries of a state as they lie, and its witness, where both are of the same files, or of such as hold the same
   * bytes, each row of which is loaded and no other. False where they are not.
   */
  async takeOver(last: State): Promise<boolean> {
    const { duck, root } = this.context
    const { findings, values, parts } = this.table
    if (last.otherColumns || values !== last.table.values || last.rows !== rowsIn(parts)) return false
    const isOnce = JSON.stringify(originOf(this.table)) === JSON.stringify(originOf(last.table))
    if (!isOnce && !(await areSameParts(root, parts, last.table.parts))) return false
    const out = [
      `SELECT ${ROW} AS row FROM (${last.sql()}) WHERE ${ROW} < 0`,
      ...(findings ? [rejectedRows(root, findings)] : []),
    ]
    const [found] = await duck.rows(`SELECT count(*) AS n FROM (${out.join(' UNION ALL ')})`)
    if (Number(found!.n) > 0) return false
    this.buckets = last.buckets
    this.witness = last.witness
    return true
  }

  /**
   * Takes out the entries of rows that give way to another of their key. Gives SQL of these rows, see `losersSql`;
   * undefined where each key is there once.
   */
  async dedupe(): Promise<string | undefined> {
    const { duck, root } = this.context
    const keys = this.keys()
    const { columns, key } = this.load
    const { unique } = this.table
    if (unique && unique.length > 0 && unique.every(name => key.includes(name))) return undefined
    const losers: Part[] = []
    for (const bucket of this.buckets.keys()) {
      const own = this.sql(bucket, this.buckets.length)
      const [count] = await duck.rows(
        `SELECT count(*) - (SELECT count(*) FROM (SELECT DISTINCT ${keys} FROM (${own}))) AS extra FROM (${own})`,
      )
      if (Number(count!.extra) === 0) continue
      const repeated = `SELECT * FROM (${goodRows(root, this.table, true)})
        WHERE (${keys}) IN (SELECT (${keys}) FROM (${own}) GROUP BY ${keys} HAVING count(*) > 1)`
      const sql = losersSql(columns, key, loadKeyPolicy(this.load).newest, repeated, 'file_row_number')
      const found = await copyFile(this.context, sql, this.file(`losers/${bucket}`, '.parquet'))
      const rest = `SELECT * FROM (${own}) WHERE ${ROW} NOT IN (SELECT ${LOSER.row} FROM ${filesSql(root, [found])})`
      this.buckets[bucket] = [await copyFile(this.context, rest, this.file(`unique/${bucket}`, '.parquet'))]
      losers.push(found)
    }
    return losers.length > 0 ? `SELECT * FROM ${filesSql(root, losers)}` : undefined
  }

  /**
   * Adds the entries of `last` whose keys it has not, since the target still holds their rows: all of them, or those of
   * the `keys` that SQL gives.
   */
  async carryForward(last: State, keys?: string): Promise<void> {
    const which = keys ? ` WHERE (${this.keys()}) IN (SELECT (${this.keys()}) FROM (${keys}))` : ''
    const count = Math.min(this.buckets.length, last.buckets.length)
    await this.add('gone', count, index => `SELECT * FROM (${last.sql(index, count)})${which}`)
  }

  /** Adds entries for keys of whose values nothing is known: their hash is one that no row has. */
  async addUnknownKeys(keys: string): Promise<void> {
    const hash = HASH.map(half => `0::UBIGINT AS ${half}`).join(', ')
    const entries = `SELECT DISTINCT ${this.keys()}, ${hash}, -1 AS ${ROW} FROM (${keys})`
    const count = this.buckets.length
    await this.add(
      'held',
      count,
      index => `SELECT * FROM (${entries}) WHERE ${this.bucket(count)} = ${index}`,
    )
  }

  /** The state that a run left; undefined where it is gone, or has columns that cannot be compared with these. */
  async last(run: string): Promise<State | undefined> {
    const { root, staging, spec } = this.context
    const { columns, table, key } = this.load
    const left = await readManifest<LoadState>(staging, stateManifest(spec.job, run, table))
    const view = left && viewOf(left.columns, columns, [...key, ...this.identity.kept])
    if (!left || view === undefined) return undefined
    const same = view === ''
    const rows = same ? left.table : { ...left.table, view }
    const known = same && left.tag === (await this.tag())
    const state = new State(this.context, this.load, rows, 'last', known ? left.buckets : [])
    state.witness = left.witness
    if (known) return state
    // Hashes of two versions are never compared: made anew from the rows.
    await state.write()
    await state.dedupe()
    await state.addUnknownKeys(
      `SELECT ${this.keys()} FROM ${filesSql(root, left.buckets.flat())} WHERE ${ROW} < 0`,
    )
    return state
  }

  /**
   * Notes rows that the next run looks up before it loads: some of those `changed` (SQL of entries), or where none has,
   * those that `last` noted.
   */
  async noteWitness(changed?: string, last?: State): Promise<void> {
    const { root } = this.context
    const keys = this.keys()
    // Those of a bucket are spread over all.
    const full = this.buckets.find(parts => rowsIn(parts) >= 2 * WITNESSES)
    const any = full && !last ? `SELECT * FROM ${filesSql(root, full)}` : this.sql()
    const own = `SELECT ${keys}, ${ROW} FROM (${changed ?? any}) WHERE ${ROW} >= 0`
    const before = last?.witness
      ? `${own} AND (${keys}) IN (SELECT (${keys}) FROM ${filesSql(root, [last.witness])})`
      : own
    const some = (sql: string) => `SELECT * FROM (${sql}) ORDER BY hash(${ROW}), ${ROW} LIMIT ${WITNESSES}`
    this.witness = await copyFile(
      this.context,
      some(changed === undefined ? before : own),
      this.file('witness', '.parquet'),
    )
  }

  /** Writes the manifest, from which the next run knows it. */
  async keep(): Promise<void> {
    const { root, staging, spec, run } = this.context
    const { parts, findings, sideFiles } = this.table
    const { columns, deletedAt } = this.load
    const state: LoadState = {
      columns,
      ...(deletedAt !== undefined && { deletedAt }),
      tag: await this.tag(),
      meaning: meaningOf(this.load),
      // With the entries that go on for rows in the quarantine: the target holds those too.
      rows: this.rows,
      buckets: this.buckets,
      table: this.table,
      ...(this.witness && { witness: this.witness }),
      parts: [
        ...this.buckets.flat(),
        ...parts,
        ...(sideFiles ?? (findings ? [await partOf(root, findings)] : [])),
        ...(this.witness ? [this.witness] : []),
      ],
    }
    await writeManifest(staging, stateManifest(spec.job, run, this.load.table), state)
  }

  // Bucket by bucket, so that no more than a few are held at a time; each file of the result is of one of `count`.
  private async add(folder: string, count: number, entries: (index: number) => string): Promise<void> {
    for (let index = 0; index < count; index++) {
      const more = `${this.none()} UNION ALL BY NAME SELECT * REPLACE (-1::BIGINT AS ${ROW}) FROM (${entries(index)})
        WHERE (${this.keys()}) NOT IN (SELECT (${this.keys()}) FROM (${this.sql(index, count)}))`
      const found = await this.copy(more, this.buckets.length, `${folder}/${index}`)
      for (const [bucket, parts] of found.entries()) this.buckets[bucket]!.push(...parts)
    }
  }

  private copy(sql: string, count: number, folder: string): Promise<Part[][]> {
    return copyBuckets(this.context, sql, this.bucket(count), count, this.file(folder))
  }

  private file(name: string, ending = ''): string {
    return ownFile(this.context, `state/${this.time}/${this.load.table}/${name}`, ending)
  }

  private bucket(count: number): string {
    return `hash(${this.keys()}) & ${count - 1}`
  }

  private keys(): string {
    return this.load.key.map(quoteName).join(', ')
  }

  private entries(): string {
    return stateSql(this.identity, goodRows(this.context.root, this.table, true), 'file_row_number')
  }

  // Their columns, and no entry.
  private none(): string {
    return `${this.entries()} WHERE false`
  }

  private async tag(): Promise<string> {
    const { key, kept, compared } = this.identity
    const types = compared.map(({ name, type }) => [name, typeName(type)])
    return JSON.stringify([ENCODING, await this.context.duck.version(), key, kept, types])
  }
}

/**
 * Why what a run left does not tell what the table of a load holds, since the load means something else now; undefined where it
 * does.
 */
export function changedMeaning({ meaning, columns, tag }: LoadState, load: PlannedLoad): string | undefined {
  if (meaning) return otherMeaning(meaning, load, columns)
  // Earlier versions noted its key alone.
  const key: string[] = tag ? JSON.parse(tag)[2] : []
  return otherMeaning({ ...meaningOf(load), key }, load, columns)
}

/**
 * SQL of columns as `now` has them, of rows that have the columns `was`; empty where they are the same, undefined where
 * one of `needed` is missing or a type cannot be cast exactly.
 */
function viewOf(was: Column[], now: Column[], needed: string[]): string | undefined {
  const same = (a: Column, b: Column | undefined) => b && typeName(a.type) === typeName(b.type)
  const find = (list: Column[], name: string) => list.find(column => column.name === name)
  if (was.length === now.length && now.every(column => same(column, find(was, column.name)))) return ''
  const values: string[] = []
  for (const column of now) {
    const former = columnNamed(was, column.name)
    const type = typeName(column.type)
    if (!former && needed.includes(column.name)) return undefined
    if (former && !same(column, former) && !widens(former.type, column.type)) return undefined
    values.push(`CAST(${former ? quoteName(former.name) : 'NULL'} AS ${type}) AS ${quoteName(column.name)}`)
  }
  return values.join(', ')
}
