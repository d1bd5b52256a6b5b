import { rm } from 'node:fs/promises'
import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import type { RangeFinding, Verifier, VerifyRequest } from '../../../engine/contracts/verification.ts'
import { EngineError } from '../../../engine/errors.ts'
import { Duck, quoteName } from '../../../engine/sql/duckdb.ts'
import { columnNamed } from '../../../engine/types/logical.ts'
import { checksum } from '../../../engine/verify/checksum.ts'
import type { FileStore } from '../../stores/store.ts'
import { findings, narrowed } from '../sql/verify.ts'
import { openFiles, parquet, tableSql } from './files.ts'
import { columnsOf, type Log, type Manifest } from './log.ts'
import { filesWithKeys } from './prune.ts'

/** Bytes DuckDB may hold; what is more goes to the lake's work folder. */
const MEMORY = 512 * 1024 * 1024

/** Verification in a lake: the newest version's files are read, each against its checksum, and joined with what should be there. */
export class LakeVerifier implements Verifier {
  private readonly store: FileStore
  private readonly log: Log
  private readonly name: string

  constructor(store: FileStore, log: Log, name: string) {
    this.store = store
    this.log = log
    this.name = name
  }

  async comparable(load: PlannedLoad) {
    const columns = columnsOf(await this.manifest(load))
    const there = (name: string) => columnNamed(columns, name) !== undefined
    return {
      columns: load.columns.filter(({ name }) => there(name)),
      notes: load.columns
        .filter(({ name }) => !there(name))
        .map(({ name }) => `column ${name} is not compared: the table does not have it`),
    }
  }

  async compare(
    { loadId, load, compared, paths, extra }: VerifyRequest,
    signal: AbortSignal,
  ): Promise<RangeFinding[]> {
    const manifest = await this.manifest(load)
    const columns = columnsOf(manifest)
    const work = await this.store.work(`verification of ${loadId}`)
    const duck = await Duck.open({ memory: MEMORY, temp: work, threads: 1 })
    const release = duck.interruptOn(signal)
    try {
      const expected = parquet(paths)
      // Without strangers to look for, only files that can hold one of the keys.
      const keys = `SELECT ${load.key.map(quoteName).join(', ')} FROM ${expected}`
      const files = extra
        ? manifest.files
        : await filesWithKeys(duck, manifest.files, columns, load.key, keys)
      await duck.run(
        `CREATE VIEW held AS ${tableSql(columns, await openFiles(this.store, load.table, files))}`,
      )
      const tables = {
        target: 'held',
        expected,
        quote: quoteName,
        checksum: checksum(compared, column => narrowed(column, columnNamed(columns, column.name)!.native)),
        text: (expression: string) => `${expression}::VARCHAR`,
      }
      return await findings(load, extra, tables, sql => duck.rows(sql))
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

  private async manifest({ table }: PlannedLoad): Promise<Manifest> {
    const found = await this.log.manifest(await this.log.newest(), table)
    if (found) return found
    throw new EngineError('TABLE_MISSING', `${this.name}: there is no table ${table}`, {
      hint: 'Run the job: its load makes the table.',
    })
  }
}
