import { rmSync } from 'node:fs'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { EngineError, type ErrorCode } from '../errors.ts'
import { stagedType } from '../types/duckType.ts'

/** How a session is opened. Paths are absolute. */
export interface DuckOptions {
  /** Database file; in memory when absent. */
  path?: string
  /** Bytes DuckDB may hold before it spills to `temp`. */
  memory?: number
  threads?: number
  /** Folder for spilled data; without it nothing is spilled. */
  temp?: string
  /** When given, SQL can read and write these folders only, and cannot undo that. */
  folders?: string[]
}

/** Rows that a thread gathers before it hands them to the files of their partitions. */
export const PARTITIONED_ROWS = 1 << 18

/** COPY's option for Parquet files without dictionaries. */
export const NO_DICTIONARY = 'DICTIONARY_SIZE_LIMIT 0'
const isDictionary = (option: string) => option.startsWith('DICTIONARY_SIZE_LIMIT')

/** Rows of a row group, as DuckDB writes them, and where those take too much memory. */
const USUAL_GROUP = 122_880
const SMALL_GROUP = 2048
/** Values of a row group at the most: whoever reads it has it in memory. */
const GROUP_CELLS = 1 << 22

const isGroupSize = (option: string) => /^ROW_GROUP_SIZE\b/.test(option)

/** COPY's option for row groups of at most so many rows, where that is less than the usual. */
export const rowGroups = (most: number): string[] =>
  most < USUAL_GROUP ? [`ROW_GROUP_SIZE ${Math.max(1, Math.floor(most))}`] : []

/** Whether a statement needed more memory than it may have. */
export const isOutOfMemory = (error: unknown): error is EngineError =>
  error instanceof EngineError && error.code === 'MEMORY_EXCEEDED'

/** Between two interruptions: each stops one statement, and the next may have begun. */
const INTERRUPT_INTERVAL_MS = 100

/** One row of a small result: numbers and strings as such, every other value as DuckDB's text. */
export type DuckRow = Record<string, unknown>

const MORE_MEMORY =
  'Raise resources.memory of the job (resources: { memory: 4GB }), or lower resources.threads.'

/** A failure of a statement. */
export class SqlError extends EngineError {
  /** `Binder`, `Catalog`, `Conversion` … */
  readonly type: string
  /** What is wrong, without the type. */
  readonly text: string
  readonly statement: string
  /** Where in the statement, in bytes of UTF-8. */
  readonly position: number | undefined
  /** What is not there: of a table, a function, a column. */
  readonly missing: { kind: string; name: string; candidates: string[] } | undefined

  constructor(type: string, said: string, facts: Record<string, string>, statement: string, cause: unknown) {
    // What DuckDB advises is for its own shell.
    const exhausted = type === 'Out of Memory'
    const text = exhausted ? said.split('\n', 1)[0]! : said
    super(codeOf(type, text), `${type} Error: ${text}`, { cause, ...(exhausted && { hint: MORE_MEMORY }) })
    this.type = type
    this.text = text
    this.statement = statement
    this.position = facts.position === undefined ? undefined : Number(facts.position)
    const { error_subtype, name } = facts
    if (name !== undefined && (error_subtype === 'MISSING_ENTRY' || error_subtype === 'COLUMN_NOT_FOUND'))
      this.missing = {
        kind: (facts.type ?? 'column').toLowerCase(),
        name,
        candidates: facts.candidates?.split(',') ?? [],
      }
  }
}

/** A DuckDB session. The only module that knows the driver; results of any size stay in SQL, `rows` is for small ones. */
export class Duck {
  private readonly instance: DuckDBInstance
  private readonly connection: DuckDBConnection
  /** Its version, once it was asked for. */
  private own: string | undefined

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.instance = instance
    this.connection = connection
  }

  static async open(options: DuckOptions): Promise<Duck> {
    const settings: Record<string, string> = {
      autoinstall_known_extensions: 'false',
      // What went wrong and where, as data; {@link SqlError} is made from it.
      errors_as_json: 'true',
      // It takes a file that was written over within a clock step for the old one; the system caches pages anyway.
      enable_external_file_cache: 'false',
      partitioned_write_flush_threshold: String(PARTITIONED_ROWS),
      // What a statement has freed goes back to the system: the C library keeps it otherwise, in pieces too small for
      // the next one, and the process grows with the number of statements. Pieces of less are not worth the way.
      allocator_bulk_deallocation_flush_threshold: '16MB',
    }
    if (options.memory) settings.memory_limit = `${Math.floor(options.memory / 1024)}KiB`
    if (options.threads) settings.threads = String(options.threads)
    if (options.temp) settings.temp_directory = options.temp
    const instance = await DuckDBInstance.create(options.path ?? ':memory:', settings)
    const duck = new Duck(instance, await instance.connect())
    await duck.run("SET TimeZone = 'UTC'")
    // A file whose note on geometry it does not understand would be refused whole; another's bytes would get a type of their own.
    await duck.run('SET enable_geoparquet_conversion = false')
    if (options.folders) {
      // Paths are compared as they are written: as names, and as the patterns that stand for them.
      const folders = options.folders.flatMap(folder => [folder, literalPattern(folder)])
      await duck.run(`SET allowed_directories = [${folders.map(quote).join(', ')}]`)
      await duck.run('SET enable_external_access = false')
    }
    return duck
  }

  /** Forbids every later change of settings: call once the engine's own settings are made. */
  async lock(): Promise<void> {
    await this.run('SET lock_configuration = true')
  }

  async run(sql: string): Promise<void> {
    await this.guard(sql, () => this.connection.run(sql))
  }

  /** Runs one statement and returns its rows. BIGINT comes as number when it is safe, otherwise as text. */
  async rows(sql: string): Promise<DuckRow[]> {
    const reader = await this.guard(sql, () => this.connection.runAndReadAll(sql))
    const names = reader.deduplicatedColumnNames()
    return reader
      .getRows()
      .map(row => Object.fromEntries(row.map((value, column) => [names[column]!, plain(value)])))
  }

  /** Runs one statement, whatever it is, and gives its first rows as texts, with DuckDB's names of their types. */
  async answer(
    sql: string,
    most: number,
  ): Promise<{ columns: { name: string; type: string }[]; rows: (string | null)[][] }> {
    const reader = await this.guard(sql, () => this.connection.streamAndReadUntil(sql, most))
    const columns = reader
      .columnNames()
      .map((name, column) => ({ name, type: String(reader.columnType(column)) }))
    const rows = reader.getRows().slice(0, most)
    return { columns, rows: rows.map(row => row.map(value => (value === null ? null : String(value)))) }
  }

  /**
   * Writes a query's rows as one Parquet file, or as a folder of them where `options` (COPY's) say so. Floating-point
   * columns go without dictionaries, since DuckDB's know one zero and would make 0 of -0.
   */
  async copyParquet(sql: string, path: string, ...options: string[]): Promise<void> {
    await this.copyTyped(await this.writtenTypes(sql), sql, path, ...options)
  }

  /** The same of a query whose columns have these types, which Parquet gives back: a long one costs to be asked. */
  async copyTyped(types: string[], sql: string, path: string, ...options: string[]): Promise<void> {
    const floats = types.some(type => /\b(FLOAT|DOUBLE)\b/.test(type))
    const asked = options.filter(isGroupSize).map(option => Number(option.split(' ')[1]))
    const others = options.filter(option => !isGroupSize(option) && !(floats && isDictionary(option)))
    const all = new Set(['FORMAT parquet', ...(floats ? [NO_DICTIONARY] : []), ...others])
    await this.write(sql, path, [...all], Math.min(...asked, GROUP_CELLS / types.length))
  }

  /**
   * Copies a query's rows to a new file or folder. The writer holds a row group per thread: where wide rows of the usual
   * number do not fit into memory, they are written again in small ones.
   */
  async copy(sql: string, path: string, ...options: string[]): Promise<void> {
    await this.write(sql, path, options)
  }

  /** `most`: rows of a row group. */
  private async write(sql: string, path: string, options: string[], most = USUAL_GROUP): Promise<void> {
    const write = (more: string[]) =>
      this.run(`COPY (${sql}\n) TO ${quote(path)} (${[...options, ...more].join(', ')})`)
    try {
      await write(rowGroups(most))
    } catch (error) {
      if (options.some(isGroupSize) || most <= SMALL_GROUP || !isOutOfMemory(error)) throw error
      rmSync(path, { recursive: true, force: true })
      await write([`ROW_GROUP_SIZE ${SMALL_GROUP}`])
    }
  }

  /** The types of a query's columns, each of which Parquet gives back as it is. Fails with TYPE_UNSUPPORTED. */
  async writtenTypes(sql: string): Promise<string[]> {
    const columns = await this.rows(`DESCRIBE SELECT * FROM (${sql}\n)`)
    for (const { column_name, column_type } of columns)
      if (stagedType(String(column_type)) !== column_type)
        throw new EngineError(
          'TYPE_UNSUPPORTED',
          `column ${column_name}: Parquet would give back another type than ${column_type}`,
        )
    return columns.map(({ column_type }) => String(column_type))
  }

  /** DuckDB's version: `v1.5.6`. */
  async version(): Promise<string> {
    this.own ??= String((await this.rows('SELECT version() AS version'))[0]!.version)
    return this.own
  }

  /** Stops the statement under way; its promise rejects. */
  interrupt(): void {
    this.connection.interrupt()
  }

  /**
   * Lets an abort stop the statement under way, and those that follow it, until the function returned is called.
   */
  interruptOn(signal: AbortSignal): () => void {
    let timer: NodeJS.Timeout | undefined
    const abort = () => {
      this.interrupt()
      timer = setInterval(() => this.interrupt(), INTERRUPT_INTERVAL_MS)
    }
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    return () => {
      clearInterval(timer)
      signal.removeEventListener('abort', abort)
    }
  }

  close(): void {
    this.connection.closeSync()
    this.instance.closeSync()
  }

  private async guard<T>(sql: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (cause) {
      throw sqlError(cause, sql)
    }
  }
}

/** A path as DuckDB's pattern of it alone: it takes some characters for others. */
export const literalPattern = (path: string): string => path.replace(/[*?[\]]/g, '[$&]')

/** A string as SQL: a literal, unless it has a NUL, at which DuckDB takes a statement to end. */
export function quote(text: string): string {
  const [first, ...more] = text.split('\0').map(part => `'${part.replaceAll("'", "''")}'`)
  return more.length === 0 ? first! : `concat(${[first, ...more].join(', chr(0), ')})`
}

/** COPY's options for a codec of Parquet; `level` where it has levels (zstd: 1 to 22, 3 without). */
export function parquetCodec({ compression, level }: { compression: string; level?: number }): string {
  return `COMPRESSION ${compression}${level === undefined ? '' : `, COMPRESSION_LEVEL ${level}`}`
}

/** An identifier. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

// Its categories reserved and type_function in duckdb_keywords().
const RESERVED = new Set(
  'all analyse analyze and anti any array as asc asof asymmetric at authorization binary both by case cast check collate collation column columns concurrently constraint create cross default deferrable desc describe distinct do else end except false fetch for foreign freeze from full generated glob group having ilike in initially inner intersect into is isnull join lambda lateral leading left like limit map natural not notnull null offset on only or order outer overlaps pivot pivot_longer pivot_wider placing positional primary qualify references returning right select semi show similar some struct summarize symmetric table tablesample then to trailing true try_cast union unique unpack unpivot using variadic verbose when where window with'.split(
    ' ',
  ),
)

/** A name as a person writes it: in quotes only where DuckDB needs them. */
export const plainName = (name: string): string =>
  /^[a-z_][a-z0-9_]*$/.test(name) && !RESERVED.has(name) ? name : quoteName(name)

function sqlError(cause: unknown, statement: string): SqlError {
  const message = cause instanceof Error ? cause.message : String(cause)
  const json = message.indexOf('{"exception_type"')
  const { exception_type, exception_message, ...facts }: Record<string, string> =
    json < 0 ? {} : JSON.parse(message.slice(json))
  const type = exception_type ?? /^(.*?) Error: /.exec(message)?.[1] ?? 'Internal'
  const text = exception_message ?? message.replace(`${type} Error: `, '')
  return new SqlError(type, text, facts, statement, cause)
}

/** What DuckDB says where the machine has no more of something. */
export const EXHAUSTED = /No space left on device|Too many open files/

function codeOf(type: string, text: string): ErrorCode {
  // The same query needs the same memory again.
  if (type === 'Out of Memory') return 'MEMORY_EXCEEDED'
  if (type === 'IO' && EXHAUSTED.test(text)) return 'RESOURCE_EXHAUSTED'
  if (['Parser', 'Binder', 'Catalog', 'Permission'].includes(type)) return 'MODEL_INVALID'
  if (type === 'Constraint') return 'CONSTRAINT_VIOLATED'
  return 'SQL_FAILED'
}

function plain(value: unknown): unknown {
  if (value === null || typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string')
    return value
  if (typeof value === 'bigint')
    return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
      ? Number(value)
      : value.toString()
  return String(value)
}
