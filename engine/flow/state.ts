import { join } from 'node:path'
import { type Identity, losersSql, ROW, stateSql } from '../delta/compare.ts'
import { ENCODING, HASH } from '../delta/hash.ts'
import type { Part, PlannedLoad } from '../ports.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { readManifest, writeManifest } from '../staging/store.ts'
import { type Column, typeName } from '../types/logical.ts'
import { type DataSet, goodRows } from './dataSet.ts'
import { copyFile, partOf } from './parts.ts'
import { ownFile, type World } from './world.ts'

/** What a run leaves for the next one's comparison. */
export interface LoadState {
  columns: Column[]
  /** What the hashes depend on: versions, key, compared and kept columns. */
  tag: string
  rows: number
  /** The state's file; then the data set's files and its findings, from which it can be made anew. */
  parts: Part[]
  table: DataSet
}

/** The last committed state as a comparison reads it. */
export interface LastState {
  sql: string
  rows: number
  table: DataSet
  /** Whether `sql` gives exactly `rows` rows: one made anew lacks the entries that went on without a row. */
  exact: boolean
}

export const stateManifest = (job: string, run: string, table: string) => `${job}/${run}/state/${table}.json`

/** What a load's comparison goes by. */
export function identityOf({ key, partitionBy, columns, compare, ignore }: PlannedLoad): Identity {
  const compared = columns.filter(
    ({ name }) => (compare.length === 0 || compare.includes(name)) && !ignore.includes(name),
  )
  return { key, kept: partitionBy, compared }
}

/**
 * This run's state of a load while it is made: a Parquet file of the key, hash and number ({@link ROW}) of every row
 * that is loaded or stays.
 */
export class State {
  readonly file: string
  /** SQL of its entries. */
  readonly sql: string
  readonly identity: Identity
  private readonly world: World
  private readonly load: PlannedLoad
  private readonly table: DataSet

  constructor(world: World, load: PlannedLoad, table: DataSet) {
    this.world = world
    this.load = load
    this.table = table
    this.identity = identityOf(load)
    this.file = ownFile(world, `state/${load.table}`, '.parquet')
    this.sql = `SELECT * FROM read_parquet(${quote(join(world.root, this.file))})`
  }

  /** Writes an entry for every good row of the data set; gives their number. */
  async write(): Promise<number> {
    return (await copyFile(this.world, this.entries(this.table), this.file)).rows
  }

  /** Takes out the entries of rows that give way to another of their key; gives their number. */
  async dedupe(): Promise<number> {
    const { duck, root } = this.world
    const keys = this.keys()
    const [count] = await duck.rows(
      `SELECT count(*) - (SELECT count(*) FROM (SELECT DISTINCT ${keys} FROM (${this.sql}))) AS extra FROM (${this.sql})`,
    )
    const extra = Number(count!.extra)
    if (extra === 0) return 0
    const { columns, key, newer } = this.load
    const repeated = `SELECT * FROM (${goodRows(root, this.table, true)})
      WHERE (${keys}) IN (SELECT (${keys}) FROM (${this.sql}) GROUP BY ${keys} HAVING count(*) > 1)`
    const losers = losersSql(columns, key, newer, repeated, 'file_row_number')
    await duck.run(`CREATE OR REPLACE TEMP TABLE losers AS ${losers}`)
    await copyFile(
      this.world,
      `SELECT * FROM (${this.sql}) WHERE ${ROW} NOT IN (SELECT ${ROW} FROM losers)`,
      this.file,
    )
    await duck.run('DROP TABLE losers')
    return extra
  }

  /** Adds entries whose keys it has not, of rows that the target may still hold although the data set lacks them. */
  async goOn(entries: string): Promise<void> {
    const keys = this.keys()
    await copyFile(
      this.world,
      `${this.sql} UNION ALL BY NAME SELECT * REPLACE (-1 AS ${ROW}) FROM (${entries})
        WHERE (${keys}) NOT IN (SELECT (${keys}) FROM (${this.sql}))`,
      this.file,
    )
  }

  /** {@link goOn} for keys of whose values nothing is known: their hash is one that no row has. */
  async hold(keys: string): Promise<void> {
    const hash = HASH.map(half => `0::UBIGINT AS ${half}`).join(', ')
    await this.goOn(`SELECT DISTINCT ${this.keys()}, ${hash}, NULL::BIGINT AS ${ROW} FROM (${keys})`)
  }

  /** The state that a run left; undefined where it is gone or of other columns. */
  async last(run: string): Promise<LastState | undefined> {
    const { root, staging, spec } = this.world
    const { columns, key, table } = this.load
    const state = await readManifest<LoadState>(staging, stateManifest(spec.job, run, table))
    if (!state || JSON.stringify(state.columns) !== JSON.stringify(columns)) return undefined
    const exact = state.tag === (await this.tag())
    const sql = exact
      ? `SELECT * FROM read_parquet(${quote(join(root, state.parts[0]!.file))})`
      : // Hashes of two versions are never compared: made anew from the rows.
        `SELECT * FROM (${this.entries(state.table)})
         QUALIFY row_number() OVER (PARTITION BY ${key.map(quoteName).join(', ')} ORDER BY ${ROW}) = 1`
    return { sql, rows: state.rows, table: state.table, exact }
  }

  /** Writes the manifest, from which the next run knows it. */
  async keep(): Promise<void> {
    const { root, staging, spec, run } = this.world
    const { parts, findings } = this.table
    const own = await partOf(root, this.file)
    const state: LoadState = {
      columns: this.load.columns,
      tag: await this.tag(),
      // With the entries that go on for rows in the quarantine: the target holds those too.
      rows: own.rows,
      parts: [own, ...parts, ...(findings ? [await partOf(root, findings)] : [])],
      table: this.table,
    }
    await writeManifest(staging, stateManifest(spec.job, run, this.load.table), state)
  }

  private keys(): string {
    return this.load.key.map(quoteName).join(', ')
  }

  private entries(table: DataSet): string {
    return stateSql(this.identity, goodRows(this.world.root, table, true), 'file_row_number')
  }

  private async tag(): Promise<string> {
    const { key, kept, compared } = this.identity
    const types = compared.map(({ name, type }) => [name, typeName(type)])
    return JSON.stringify([ENCODING, await this.world.duck.version(), key, kept, types])
  }
}
