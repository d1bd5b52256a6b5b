import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type {
  CommitResult,
  LoadCommit,
  LoadCounts,
  PlannedLoad,
  StagedLoad,
  StageRequest,
  SyncPoint,
} from '../../../engine/contracts/load.ts'
import { ownColumns } from '../../../engine/contracts/ownColumns.ts'
import type { TableSchema } from '../../../engine/contracts/source.ts'
import {
  KNOWN_DAYS,
  type TableChanges,
  type TableStanding,
  type Target,
} from '../../../engine/contracts/target.ts'
import type { Verifier } from '../../../engine/contracts/verification.ts'
import { EngineError } from '../../../engine/errors.ts'
import { refuseMoved } from '../../../engine/plan/commitOwner.ts'
import { Duck, quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { parquetSql } from '../../../engine/sql/files.ts'
import { type Column, columnNamed, typeName } from '../../../engine/types/logical.ts'
import { makeFolder } from '../../util/folder.ts'
import { applyLoad } from '../sql/apply.ts'
import { keyColumns, type LoadTables, staged, tableKey } from '../sql/dialect.ts'
import { changeError, changesOf, checkChanges } from '../sql/obstacles.ts'
import { keyedByTable, refuseTwice } from '../sql/ownKey.ts'
import { type Apply, applyInOrder } from '../sql/references.ts'
import { referencesOf, type TargetTable, targetTable } from './catalog.ts'
import { dialectOf, expressions, madeType, qualified, split } from './columns.ts'
import { fittingOf } from './fitting.ts'
import { openingError } from './opening.ts'
import { DuckdbRowValidator, findReject, labelled, refuseInexact } from './rowValidator.ts'
import { duckdbVerifier } from './verifier.ts'

/** What the file is called in its session: as no schema is. */
const FILE = quoteName('nightfreight target')

const STATE = `
  CREATE SCHEMA IF NOT EXISTS nightfreight;
  CREATE TABLE IF NOT EXISTS nightfreight.loads (
    load_id VARCHAR PRIMARY KEY, job VARCHAR NOT NULL, run VARCHAR NOT NULL, committed_at TIMESTAMPTZ NOT NULL,
    counts VARCHAR NOT NULL);
  CREATE TABLE IF NOT EXISTS nightfreight.sync_points (
    job VARCHAR NOT NULL, extract VARCHAR NOT NULL, value VARCHAR, run VARCHAR NOT NULL, PRIMARY KEY (job, extract));
  CREATE TABLE IF NOT EXISTS nightfreight.tables (
    name VARCHAR PRIMARY KEY, rows BIGINT NOT NULL, run VARCHAR NOT NULL, run_at VARCHAR NOT NULL);`

/** A DuckDB file as warehouse. The file is opened when first needed and held until {@link close}. */
export class DuckdbTarget implements Target {
  readonly verifier: Verifier
  readonly rowValidator: DuckdbRowValidator
  private readonly path: string
  private readonly name: string
  private session: Promise<Duck> | undefined
  /** Of {@link OPEN}. */
  private file: string | undefined
  /** What the catalog has of each table, until a statement of ours changes it: nobody else's can while the file is open. */
  private readonly known = new Map<string, Promise<TargetTable | undefined>>()

  constructor(path: string, name: string) {
    this.path = path
    this.name = name
    this.rowValidator = new DuckdbRowValidator(
      () => this.open(),
      table => this.table(table),
    )
    this.verifier = duckdbVerifier({
      name,
      open: () => this.open(),
      describe: table => this.describe(table),
      tables: async (loadId, load) => this.tables(loadId, load, (await this.table(load.table))!),
    })
  }

  tableId(table: string): string {
    return JSON.stringify(split(table)).toLowerCase()
  }

  async probe(): Promise<void> {
    await this.open()
  }

  async describe(table: string): Promise<TableSchema | undefined> {
    const found = await this.table(table)
    if (!found) return undefined
    return {
      columns: found.columns.map(({ required: _, generated: __, ...column }) => column),
      key: found.key,
    }
  }

  /** A count is metadata here, and nobody else can open the file meanwhile: the number of rows says it all. */
  async standing(table: string): Promise<TableStanding> {
    const duck = await this.open()
    const count = async (of: string) => Number((await duck.rows(`SELECT count(*) AS n FROM ${of}`))[0]!.n)
    const there = (await this.describe(table)) !== undefined
    const [left] = await duck.rows(
      `SELECT rows, run, run_at FROM nightfreight.tables WHERE lower(name) = ${noted(table)} ORDER BY run_at DESC LIMIT 1`,
    )
    return {
      now: there ? { identity: '', rows: await count(qualified(table)) } : undefined,
      left: left && {
        identity: '',
        rows: Number(left.rows),
        run: String(left.run),
        runAt: String(left.run_at),
      },
    }
  }

  async syncPoints(job: string): Promise<SyncPoint[]> {
    const duck = await this.open()
    const rows = await duck.rows(
      `SELECT extract, value, run FROM nightfreight.sync_points WHERE job = ${quote(job)} ORDER BY extract`,
    )
    return rows.map(({ extract, value, run }) => ({
      extract: String(extract),
      value: value === null ? null : String(value),
      run: String(run),
    }))
  }

  async committed(loadId: string): Promise<CommitResult | undefined> {
    const duck = await this.open()
    const [row] = await duck.rows(`SELECT counts FROM nightfreight.loads WHERE load_id = ${quote(loadId)}`)
    return row && { counts: JSON.parse(String(row.counts)) as LoadCounts[], repeated: true }
  }

  async stage({ loadId, load: planned, paths, keyPaths, rows, progress }: StageRequest): Promise<void> {
    const duck = await this.open()
    const load = await keyedByTable(planned, table => this.describe(table))
    checkChanges(await this.tableChanges(load))
    const names = stagingNames(loadId, load)
    const keys = keyColumns(load).map(name => columnNamed(load.columns, name)!)
    await duck.run(`CREATE OR REPLACE TEMP VIEW ${names.rows} AS ${filesSql(paths, load.columns)}`)
    await duck.run(`CREATE OR REPLACE TEMP VIEW ${names.keys} AS ${filesSql(keyPaths, keys)}`)
    progress(rows)
  }

  async commit(
    commit: LoadCommit,
    signal: AbortSignal,
    check?: (counts: LoadCounts[]) => Promise<void>,
  ): Promise<CommitResult> {
    const { loadId, job, run, runAt, loads, syncPoints } = commit
    const duck = await this.open()
    const earlier = await this.committed(loadId)
    if (earlier) return earlier
    // Nobody else can open the file meanwhile.
    refuseMoved(await this.syncPoints(job), commit, this.name)
    await duck.run('BEGIN TRANSACTION')
    const release = duck.interruptOn(signal)
    try {
      const apply: Apply = async (load, between) => {
        const end = await this.apply(duck, load, { loadId, runAt, loads }, between)
        return async () => this.noted(duck, await end(), run, runAt)
      }
      const counts = await applyInOrder(loads, await referencesOf(duck, loads), apply)
      await check?.(counts)
      await duck.run(
        `INSERT INTO nightfreight.loads VALUES (${[loadId, job, run].map(quote).join(', ')}, now(), ${quote(JSON.stringify(counts))})`,
      )
      for (const { extract, value, run } of syncPoints)
        await duck.run(
          `INSERT OR REPLACE INTO nightfreight.sync_points VALUES (${quote(job)}, ${quote(extract)}, ${value === null ? 'NULL' : quote(value)}, ${quote(run)})`,
        )
      await duck.run('COMMIT')
      // What is committed is; the next commit forgets what this one could not. What is newer is passed over by the row group.
      await duck
        .run(
          `DELETE FROM nightfreight.loads WHERE job = ${quote(job)} AND committed_at < now() - INTERVAL ${KNOWN_DAYS} DAY`,
        )
        .catch(() => {})
      for (const load of loads)
        for (const view of Object.values(stagingNames(loadId, load))) await duck.run(`DROP VIEW ${view}`)
      return { counts, repeated: false }
    } catch (error) {
      release()
      // After COMMIT there is nothing to take back, and the failure is what counts.
      await this.define(duck, 'ROLLBACK').catch(() => {})
      if (signal.aborted) throw new EngineError('INTERRUPTED', `${this.name}: interrupted`, { cause: error })
      throw (await this.explained(duck, loadId, loads, error).catch(() => undefined)) ?? error
    } finally {
      release()
    }
  }

  /** What a load did, with the rows that it left, which are noted. */
  private async noted(duck: Duck, counts: LoadCounts, run: string, runAt: Date): Promise<LoadCounts> {
    const [left] = await duck.rows(`SELECT count(*) AS n FROM ${qualified(counts.table)}`)
    const rows = Number(left!.n)
    const name = noted(counts.table)
    const latest = `greatest(coalesce(max(run_at), ''), ${quote(runAt.toISOString())})`
    await duck.run(
      `INSERT OR REPLACE INTO nightfreight.tables SELECT ${[name, rows, quote(run), latest].join(', ')} FROM nightfreight.tables WHERE lower(name) = ${name}`,
    )
    return { ...counts, rows }
  }

  /** The row that a table refused; undefined where the failure is another. Staging views outlive the rollback. */
  private async explained(duck: Duck, loadId: string, loads: StagedLoad[], error: unknown) {
    const { code } = error as EngineError
    if (code !== 'CONSTRAINT_VIOLATED' && code !== 'SQL_FAILED') return undefined
    const beside = loads.map(({ table }) => table)
    for (const load of loads) {
      const rows = stagingNames(loadId, load).rows
      const table = await this.table(load.table)
      const found =
        table && (await findReject(duck, { load, table }, rows, beside, `${this.name}.${load.table}`))
      if (found) return found
    }
    return stillReferred(error as EngineError)
  }

  async tableChanges(load: PlannedLoad): Promise<TableChanges> {
    const table = await this.table(load.table)
    if (!table) return { statements: [] }
    return changesOf(load, `${this.name}.${load.table}`, one => fittingOf(one, table))
  }

  // Staging views are temporary: they go with the session.
  async abandon(): Promise<void> {}

  async close(): Promise<void> {
    const session = this.session
    this.session = undefined
    ;(await session)?.close()
    this.forget()
  }

  private forget(): void {
    if (this.file !== undefined) OPEN.delete(this.file)
    this.file = undefined
    this.known.clear()
  }

  private async apply(
    duck: Duck,
    planned: StagedLoad,
    { loadId, runAt, loads }: Pick<LoadCommit, 'loadId' | 'runAt' | 'loads'>,
    between?: () => Promise<void>,
  ): Promise<() => Promise<LoadCounts>> {
    const load = await keyedByTable(planned, table => this.describe(table))
    const [schema] = split(load.table)
    const target = qualified(load.table)
    await this.alter(duck, load)
    const existing = await this.table(load.table)
    if (!existing) {
      const columns = load.columns.map(
        column =>
          `${quoteName(column.name)} ${madeType(column)}${column.nullable || !column.origin ? '' : ' NOT NULL'}`,
      )
      for (const { name, type, nullable } of ownColumns(load))
        columns.push(`${quoteName(name)} ${typeName(type)}${nullable ? '' : ' NOT NULL'}`)
      const key = tableKey(load)
      if (key.length > 0) columns.push(`PRIMARY KEY (${key.map(quoteName).join(', ')})`)
      await this.define(duck, `CREATE SCHEMA IF NOT EXISTS ${quoteName(schema)}`)
      await this.define(duck, `CREATE TABLE ${target} (${columns.join(', ')})`)
    }
    const numbers = async (sql: string) => Object.values((await duck.rows(sql))[0]!).map(Number)
    // A statement that changes rows answers with their number.
    const executor = { change: async (sql: string) => (await numbers(sql))[0]!, count: numbers }
    const table = (await this.table(load.table))!
    const tables = this.tables(loadId, load, table)
    const beside = loads.map(other => other.table)
    if (existing) await refuseInexact(duck, { load, table }, tables.staging, beside, tables.where)
    if (load.key.length > planned.key.length) {
      const compared = load.key.map(name => staged(tables, name)).join(', ')
      const keys = { ...tables, compared, shown: `concat_ws(', ', ${load.key.map(labelled).join(', ')})` }
      await refuseTwice(load, keys, sql => duck.rows(sql))
    }
    const end = await applyLoad(load, runAt, tables, executor, !existing, between)
    if (existing) return end
    return async () => {
      const counts = await end()
      for (const { columns, unique } of load.made?.indexes ?? []) {
        const name = quoteName([split(load.table)[1], ...columns, 'idx'].join('_'))
        const list = columns.map(quoteName).join(', ')
        await this.define(duck, `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${name} ON ${target} (${list})`)
      }
      return { ...counts, created: true }
    }
  }

  /** Alters a table. One that is written anew gets its indexes anew. */
  private async alter(duck: Duck, load: StagedLoad): Promise<void> {
    const { statements, refused } = await this.tableChanges(load)
    if (refused) throw refused
    const anew = statements.some(sql => sql.startsWith('CREATE'))
    const indexes = anew ? (await this.table(load.table))!.indexes : []
    for (const { name } of indexes) await this.define(duck, `DROP INDEX ${name}`)
    for (const statement of statements)
      await this.define(duck, statement).catch(error => {
        throw changeError(error, statement)
      })
    for (const { name, sql, comment } of indexes) {
      await this.define(duck, sql)
      if (comment !== undefined) await this.define(duck, `COMMENT ON INDEX ${name} IS ${quote(comment)}`)
    }
  }

  private async table(name: string): Promise<TargetTable | undefined> {
    let found = this.known.get(name)
    if (!found) {
      found = this.open().then(duck => targetTable(duck, name))
      this.known.set(name, found)
      found.catch(() => this.known.delete(name))
    }
    return found
  }

  /** Runs a statement that changes what the catalog has. */
  private async define(duck: Duck, sql: string): Promise<void> {
    this.known.clear()
    await duck.run(sql)
  }

  private tables(loadId: string, load: PlannedLoad, { columns, folds }: TargetTable): LoadTables {
    const { rows: staging, keys } = stagingNames(loadId, load)
    const where = `${this.name}.${load.table}`
    return {
      target: qualified(load.table),
      staging,
      keys,
      where,
      dialect: dialectOf(columns),
      ...expressions(load, columns, folds),
    }
  }

  private open(): Promise<Duck> {
    this.session ??= this.start().catch(error => {
      this.session = undefined
      throw error
    })
    return this.session
  }

  private async start(): Promise<Duck> {
    makeFolder(dirname(this.path))
    const file = existsSync(this.path)
      ? realpathSync(this.path)
      : join(realpathSync(dirname(this.path)), basename(this.path))
    let duck: Duck | undefined
    try {
      if (OPEN.has(file)) throw new Error('it is open in this process')
      OPEN.add(file)
      this.file = file
      // Opened as it is, a file gives its name to all that is in it, and a schema of that name can be meant by no statement.
      duck = await Duck.open({ temp: `${this.path}.tmp` })
      await duck.run(`ATTACH ${quote(resolve(this.path))} AS ${FILE}`)
      await duck.run(`USE ${FILE}`)
      await duck.run('DETACH memory')
      await duck.run(STATE)
      return duck
    } catch (cause) {
      duck?.close()
      this.forget()
      throw openingError(cause as Error, `${this.name}: ${this.path}`)
    }
  }
}

/** A row that is referred to could not go; undefined where the failure is another. */
const stillReferred = ({ code, message, cause }: EngineError) =>
  /still referenced by a foreign key/.test(message)
    ? new EngineError(code, message, {
        cause,
        hint: 'Nothing was loaded. DuckDB lets no row go in the transaction in which others cease to refer to it: drop the foreign key, or keep the rows with mode: merge and deletes: soft.',
      })
    : undefined

/** Files that are open. The system's lock does not keep a process from opening one twice, and both would write it. */
const OPEN = new Set<string>()

/** SQL of the name by which a table is noted: DuckDB takes letters of another case for the same. */
const noted = (table: string) => quote(split(table).join('.').toLowerCase())

function stagingNames(loadId: string, load: PlannedLoad): { rows: string; keys: string } {
  return { rows: quoteName(`rows ${loadId} ${load.table}`), keys: quoteName(`keys ${loadId} ${load.table}`) }
}

/** Parts are read inside the commit's transaction: DuckDB reads Parquet as fast as a table of its own. */
function filesSql(paths: string[], columns: Column[]): string {
  if (paths.length > 0) return `FROM ${parquetSql(paths)}`
  const list = columns.map(({ name, type }) => `NULL::${typeName(type)} AS ${quoteName(name)}`)
  return `SELECT ${list.length > 0 ? list.join(', ') : '1 AS none'} LIMIT 0`
}
