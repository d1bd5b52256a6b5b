import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type {
  CommitResult,
  LoadCommit,
  LoadCounts,
  PlannedLoad,
  StagedLoad,
  StageRequest,
  SyncPoint,
} from '../../../engine/contracts/load.ts'
import type { TableSchema } from '../../../engine/contracts/source.ts'
import type { TableStanding, Target } from '../../../engine/contracts/target.ts'
import type { Verifier } from '../../../engine/contracts/verification.ts'
import { EngineError } from '../../../engine/errors.ts'
import { Duck, quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { parquetSql } from '../../../engine/sql/files.ts'
import { parquetType, seenSql, seenType, stagedType } from '../../../engine/types/duckType.ts'
import {
  type Column,
  columnNamed,
  type LogicalType,
  typeFromName,
  typeName,
} from '../../../engine/types/logical.ts'
import { sameType } from '../../../engine/types/nestedType.ts'
import { widens } from '../../../engine/types/widen.ts'
import { applyLoad } from '../sql/apply.ts'
import {
  checkOwnColumns,
  keyColumns,
  type LoadTables,
  ownColumns,
  standard,
  tableKey,
} from '../sql/dialect.ts'
import { addsColumn, Obstacles, widensColumn } from '../sql/obstacles.ts'
import { duckdbVerifier } from './verifier.ts'

const DIALECT = standard(quoteName, typeName)

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
  private readonly path: string
  private readonly name: string
  private session: Promise<Duck> | undefined

  constructor(path: string, name: string) {
    this.path = path
    this.name = name
    this.verifier = duckdbVerifier({
      name,
      open: () => this.open(),
      describe: table => this.describe(table),
      tables: (loadId, load, columns) => this.tables(loadId, load, columns),
    })
  }

  async probe(): Promise<void> {
    await this.open()
  }

  async describe(table: string): Promise<TableSchema | undefined> {
    const duck = await this.open()
    const [schema, name] = split(table)
    const where = `schema_name = ${quote(schema)} AND table_name = ${quote(name)}`
    const columns = await duck.rows(
      `SELECT column_name, data_type, is_nullable FROM duckdb_columns() WHERE ${where} ORDER BY column_index`,
    )
    if (columns.length === 0) return undefined
    const keys = await duck.rows(
      `SELECT unnest(constraint_column_names) AS name FROM duckdb_constraints() WHERE ${where} AND constraint_type = 'PRIMARY KEY'`,
    )
    return {
      columns: columns.map(column => ({
        name: String(column.column_name),
        type: parquetType(String(column.data_type)) ?? { kind: 'text' },
        nullable: Boolean(column.is_nullable),
        native: String(column.data_type),
      })),
      key: keys.map(key => String(key.name)),
    }
  }

  /** A count is metadata here, and nobody else can open the file meanwhile: the number of rows says it all. */
  async standing(table: string): Promise<TableStanding> {
    const duck = await this.open()
    const count = async (of: string) => Number((await duck.rows(`SELECT count(*) AS n FROM ${of}`))[0]!.n)
    const there = (await this.describe(table)) !== undefined
    const [left] = await duck.rows(
      `SELECT rows, run, run_at FROM nightfreight.tables WHERE name = ${quote(split(table).join('.'))}`,
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

  async stage({ loadId, load, paths, keyPaths, rows, progress }: StageRequest): Promise<void> {
    const duck = await this.open()
    const existing = await this.describe(load.table)
    const where = `${this.name}.${load.table}`
    checkOwnColumns(load, where)
    if (existing) checkTarget(load, existing, where)
    const names = stagingNames(loadId, load)
    const keys = keyColumns(load).map(name => columnNamed(load.columns, name)!)
    await duck.run(`CREATE OR REPLACE TEMP VIEW ${names.rows} AS ${filesSql(paths, load.columns)}`)
    await duck.run(`CREATE OR REPLACE TEMP VIEW ${names.keys} AS ${filesSql(keyPaths, keys)}`)
    progress(rows)
  }

  async commit(
    { loadId, job, run, runAt, loads, syncPoints }: LoadCommit,
    signal: AbortSignal,
    check?: (counts: LoadCounts[]) => Promise<void>,
  ): Promise<CommitResult> {
    const duck = await this.open()
    const earlier = await this.committed(loadId)
    if (earlier) return earlier
    await duck.run('BEGIN TRANSACTION')
    const release = duck.interruptOn(signal)
    try {
      const counts: LoadCounts[] = []
      for (const load of loads) {
        const done = await this.apply(duck, loadId, load, runAt)
        const [left] = await duck.rows(`SELECT count(*) AS n FROM ${qualified(load.table)}`)
        const rows = Number(left!.n)
        counts.push({ ...done, rows })
        const values = [quote(run), `greatest(coalesce(run_at, ''), ${quote(runAt.toISOString())})`]
        await duck.run(
          `INSERT OR REPLACE INTO nightfreight.tables
           SELECT name, ${rows}, ${values.join(', ')}
           FROM (SELECT ${quote(split(load.table).join('.'))} AS name) LEFT JOIN (FROM nightfreight.tables) USING (name)`,
        )
      }
      await check?.(counts)
      await duck.run(
        `INSERT INTO nightfreight.loads VALUES (${[loadId, job, run].map(quote).join(', ')}, now(), ${quote(JSON.stringify(counts))})`,
      )
      for (const { extract, value, run } of syncPoints)
        await duck.run(
          `INSERT OR REPLACE INTO nightfreight.sync_points VALUES (${quote(job)}, ${quote(extract)}, ${value === null ? 'NULL' : quote(value)}, ${quote(run)})`,
        )
      await duck.run('COMMIT')
      for (const load of loads)
        for (const view of Object.values(stagingNames(loadId, load))) await duck.run(`DROP VIEW ${view}`)
      return { counts, repeated: false }
    } catch (error) {
      release()
      // After COMMIT there is nothing to take back, and the failure is what counts.
      await duck.run('ROLLBACK').catch(() => {})
      if (signal.aborted) throw new EngineError('INTERRUPTED', `${this.name}: interrupted`, { cause: error })
      throw error
    } finally {
      release()
    }
  }

  async alterations(load: PlannedLoad): Promise<string[]> {
    const columns = (await this.describe(load.table))?.columns
    if (!columns) return []
    const added = neededColumns(load)
      .filter(({ name }) => !columnNamed(columns, name) && addsColumn(load, name))
      .map(column => addColumn(load, column))
    const widened = load.columns
      .filter(({ name, type }) => {
        const column = columnNamed(columns, name)
        return column && isWidened(load, name, type, column.native)
      })
      .map(
        ({ name, type }) =>
          `ALTER TABLE ${qualified(load.table)} ALTER COLUMN ${quoteName(name)} TYPE ${typeName(type)};`,
      )
    return [...added, ...widened]
  }

  // Staging views are temporary: they go with the session.
  async abandon(): Promise<void> {}

  async close(): Promise<void> {
    const session = this.session
    this.session = undefined
    ;(await session)?.close()
  }

  private async apply(duck: Duck, loadId: string, load: StagedLoad, runAt: Date): Promise<LoadCounts> {
    const [schema] = split(load.table)
    const target = qualified(load.table)
    const where = `${this.name}.${load.table}`
    for (const statement of await this.alterations(load)) await duck.run(statement)
    const existing = await this.describe(load.table)
    if (existing) checkTarget(load, existing, where)
    else {
      const columns = load.columns.map(
        column =>
          `${quoteName(column.name)} ${madeType(column)}${column.nullable || !column.origin ? '' : ' NOT NULL'}`,
      )
      for (const { name, type, nullable } of ownColumns(load))
        columns.push(`${quoteName(name)} ${typeName(type)}${nullable ? '' : ' NOT NULL'}`)
      const key = tableKey(load)
      if (key.length > 0) columns.push(`PRIMARY KEY (${key.map(quoteName).join(', ')})`)
      await duck.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(schema)}`)
      await duck.run(`CREATE TABLE ${target} (${columns.join(', ')})`)
    }
    const numbers = async (sql: string) => Object.values((await duck.rows(sql))[0]!).map(Number)
    // A statement that changes rows answers with their number.
    const executor = { change: async (sql: string) => (await numbers(sql))[0]!, count: numbers }
    const tables = await this.tables(loadId, load, (await this.describe(load.table))!.columns)
    const counts = await applyLoad(load, runAt, tables, executor, !existing)
    return existing ? counts : { ...counts, created: true }
  }

  private async tables(loadId: string, load: PlannedLoad, columns: Column[]): Promise<LoadTables> {
    const { rows: staging, keys } = stagingNames(loadId, load)
    const where = `${this.name}.${load.table}`
    const meet = expressions(load, columns, await this.folds(load.table))
    return { target: qualified(load.table), staging, keys, where, dialect: DIALECT, ...meet }
  }

  /** Whether texts of the table that differ can be equal: a column has a collation. */
  private async folds(table: string): Promise<boolean> {
    const [schema, name] = split(table)
    const [found] = await (await this.open()).rows(
      `SELECT sql FROM duckdb_tables() WHERE schema_name = ${quote(schema)} AND table_name = ${quote(name)}`,
    )
    return /\bCOLLATE\b/i.test(String(found?.sql))
  }

  private open(): Promise<Duck> {
    this.session ??= this.start()
    return this.session
  }

  private async start(): Promise<Duck> {
    mkdirSync(dirname(this.path), { recursive: true })
    try {
      const duck = await Duck.open({ path: this.path })
      await duck.run(STATE)
      return duck
    } catch (cause) {
      this.session = undefined
      throw new EngineError(
        'CONNECTION_FAILED',
        `${this.name}: ${this.path} cannot be opened: ${(cause as Error).message}`,
        {
          cause,
          hint: 'Another process may hold the file: DuckDB lets one process write at a time.',
        },
      )
    }
  }
}

/** The type that a column has in a table that we make: that whose text it is, else as it is staged. */
const madeType = (column: Needed) => seenType(column as Column)

const addColumn = ({ table }: PlannedLoad, column: Needed) =>
  `ALTER TABLE ${qualified(table)} ADD COLUMN ${quoteName(column.name)} ${madeType(column)};`

type Needed = Pick<Column, 'name' | 'type' | 'duck' | 'written'>

const neededColumns = (load: PlannedLoad): Needed[] => [...load.columns, ...ownColumns(load)]

/** Fails with TARGET_INCOMPATIBLE where a table cannot take a load's rows exactly; `where` names the table. */
function checkTarget(load: StagedLoad, { columns }: TableSchema, where: string): void {
  const obstacles = new Obstacles(where)
  for (const needed of neededColumns(load)) {
    const { name, type } = needed
    const column = columnNamed(columns, name)
    if (!column && !addsColumn(load, name))
      obstacles.add(`: has no column ${name}`, `${addColumn(load, needed)} or leave it out of ${load.from}.`)
    if (column && !fits(needed, column.native) && !isWidened(load, name, type, column.native))
      obstacles.add(
        `.${name}: ${madeType(needed)} does not fit ${column.native} exactly`,
        `Cast ${name} in ${load.from}, or ALTER TABLE ${load.table} ALTER COLUMN ${quoteName(name)} TYPE ${madeType(needed)};`,
      )
  }
  obstacles.check()
}

/** Whether the load changes a column's type to its own, which holds every value of it. */
function isWidened(load: PlannedLoad, name: string, type: LogicalType, native: string): boolean {
  const own = typeFromName(native)
  return own !== undefined && widensColumn(load, name) && widens(own, type)
}

/** What {@link LoadTables} say of a table's columns; `folds`: its texts may have a collation. */
function expressions(load: PlannedLoad, columns: Column[], folds: boolean) {
  const native = (name: string) => columnNamed(columns, name)!.native
  const folded = (name: string) => folds && typeFromName(native(name))?.kind === 'text'
  return {
    cast(name: string, expression: string) {
      const column = columnNamed(load.columns, name)!
      if (sameType(native(name), column.duck)) return seenSql(column, expression)
      return sameType(native(name), typeName(column.type))
        ? expression
        : `CAST(${expression} AS ${native(name)})`
    },
    differs(name: string, target: string, staged: string) {
      const type = typeFromName(native(name))
      // What DuckDB takes for equal may be different: an interval of 1 day and of 24 hours.
      if (!type) return `CAST(${target} AS VARCHAR) IS DISTINCT FROM CAST(${staged} AS VARCHAR)`
      return folded(name)
        ? `encode(${target}) IS DISTINCT FROM encode(${staged})`
        : `${target} IS DISTINCT FROM ${staged}`
    },
    identical: (name: string, target: string, staged: string) =>
      folded(name) ? `encode(${target}) = encode(${staged})` : undefined,
    order: (name: string, expression: string) => (folded(name) ? `encode(${expression})` : expression),
  }
}

/** Whether DuckDB's own assignment holds every value exactly, or raises where one does not fit: it rounds silently. */
function fits(column: Needed, native: string): boolean {
  const { type } = column
  if (sameType(native, madeType(column))) return true
  const into = typeFromName(native)
  // A type that none of ours is (UUID, ENUM, INTEGER[] …) is parsed from text, and raises.
  if (!into) return type.kind === 'text' || stagedType(native) === typeName(type)
  if (into.kind === 'text' || typeName(into) === typeName(type) || widens(type, into)) return true
  const scale = type.kind === 'decimal' ? type.scale : type.kind === 'int' ? 0 : Infinity
  return into.kind === 'int' ? scale === 0 : into.kind === 'decimal' && into.scale >= scale
}

function split(table: string): [string, string] {
  const [schema, name] = table.split('.')
  return name === undefined ? ['main', table] : [schema!, name]
}

function qualified(table: string): string {
  return split(table).map(quoteName).join('.')
}

function stagingNames(loadId: string, load: PlannedLoad): { rows: string; keys: string } {
  return { rows: quoteName(`rows ${loadId} ${load.table}`), keys: quoteName(`keys ${loadId} ${load.table}`) }
}

/** Parts are read inside the commit's transaction: DuckDB reads Parquet as fast as a table of its own. */
function filesSql(paths: string[], columns: Column[]): string {
  if (paths.length > 0) return `FROM ${parquetSql(paths)}`
  const list = columns.map(({ name, type }) => `NULL::${typeName(type)} AS ${quoteName(name)}`)
  return `SELECT ${list.length > 0 ? list.join(', ') : '1 AS none'} LIMIT 0`
}
