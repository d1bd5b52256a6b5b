import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import type { ReadBack, RowTotal, Verifier } from '../../../engine/contracts/verification.ts'
import { EngineError } from '../../../engine/errors.ts'
import { Duck, parquetCodec, quoteName } from '../../../engine/sql/duckdb.ts'
import { columnNamed } from '../../../engine/types/logical.ts'
import { readsTypes, rowTotal, totalSql } from '../../../engine/verify/rowSum.ts'
import type { FileStore } from '../../stores/store.ts'
import { aliveSql } from '../sql/dialect.ts'
import { openFiles, stagedSql, tableSql } from './files.ts'
import { columnsOf, type Manifest } from './log.ts'
import { withMemory } from './memory.ts'
import { filesWithKeys } from './prune.ts'
import type { Staged } from './rewrite.ts'

/** A table's columns and files. */
type HeldTable = Pick<Manifest, 'table' | 'columns' | 'key' | 'files'>

/** What the verifier asks of its lake. */
export interface HeldTables {
  /** A table as the commit under way will publish it; without one, as its newest version has it. */
  held(table: string): Promise<HeldTable | undefined>
  staged(loadId: string, load: PlannedLoad): Staged | undefined
}

/** Reads rows of a lake's table back: each file against its checksum, whether or not it is published yet. */
export class LakeVerifier implements Verifier {
  private readonly store: FileStore
  private readonly name: string
  private readonly memory: number
  private readonly tables: HeldTables

  /** `memory`: bytes that DuckDB may hold for very long texts. */
  constructor(store: FileStore, name: string, memory: number, tables: HeldTables) {
    this.store = store
    this.name = name
    this.memory = memory
    this.tables = tables
  }

  async comparable(load: PlannedLoad) {
    const columns = columnsOf(await this.held(load))
    const there = (name: string) => columnNamed(columns, name) !== undefined
    return {
      columns: load.columns.filter(({ name }) => there(name)),
      notes: load.columns
        .filter(({ name }) => !there(name))
        .map(({ name }) => `column ${name} is not compared: the table does not have it`),
    }
  }

  async read({ sink, ...request }: ReadBack, signal: AbortSignal): Promise<void> {
    const codec = parquetCodec({ compression: 'uncompressed' })
    await this.use(request, signal, 1, (duck, sql) => sink.file(path => duck.copyParquet(sql, path, codec)))
  }

  async total(
    request: Omit<ReadBack, 'sink'>,
    expression: string,
    signal: AbortSignal,
  ): Promise<RowTotal | undefined> {
    return this.use(request, signal, availableParallelism(), async (duck, sql) =>
      (await readsTypes(duck, sql, request.columns))
        ? rowTotal((await duck.rows(totalSql(sql, expression)))[0]!)
        : undefined,
    )
  }

  private use<T>(
    request: Omit<ReadBack, 'sink'>,
    signal: AbortSignal,
    threads: number,
    act: (duck: Duck, sql: string) => Promise<T>,
  ): Promise<T> {
    return withMemory(this.memory, memory => this.useWith({ memory, threads }, request, signal, act))
  }

  private async useWith<T>(
    resources: { memory: number; threads: number },
    { loadId, load, columns, of }: Omit<ReadBack, 'sink'>,
    signal: AbortSignal,
    act: (duck: Duck, sql: string) => Promise<T>,
  ): Promise<T> {
    const held = await this.held(load)
    const known = columnsOf(held)
    const work = await this.store.work(`verification of ${loadId}`)
    const duck = await Duck.open({ ...resources, temp: work })
    const release = duck.interruptOn(signal)
    try {
      const key = load.key.map(quoteName).join(', ')
      const staged = of === 'staged' ? this.tables.staged(loadId, load) : undefined
      const keyed = staged?.load.mode !== 'partition' || staged.load.whole
      const paths = staged ? [...staged.paths, ...(keyed ? staged.keyPaths : [])] : []
      const typed = load.key.map(name => ({ ...columnNamed(known, name)!, name }))
      const keys = paths.map(path => stagedSql(typed, [path])).join(' UNION ')
      // Only files that can hold one of the keys.
      const files = keys ? await filesWithKeys(duck, held.files, known, load.key, keys) : held.files
      const table = tableSql(known, await openFiles(this.store, load.table, files))
      const conditions = [
        aliveSql(load, quoteName),
        keys && `(${key}) IN (${keys})`,
        of === 'staged' && !keys && 'false',
      ].filter(condition => condition)
      const where = conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : ''
      const list = columns.map(({ name }) => quoteName(name)).join(', ')
      return await act(duck, `SELECT ${list} FROM (${table})${where}`)
    } catch (error) {
      if (signal.aborted) throw new EngineError('INTERRUPTED', `${this.name}: interrupted`, { cause: error })
      throw error
    } finally {
      release()
      duck.close()
      await this.store.clear()
      await rm(work, { recursive: true, force: true })
    }
  }

  private async held({ table }: PlannedLoad): Promise<HeldTable> {
    const found = await this.tables.held(table)
    if (found) return found
    throw new EngineError('TABLE_MISSING', `${this.name}: there is no table ${table}`, {
      hint: 'Run the job: its load makes the table.',
    })
  }
}
