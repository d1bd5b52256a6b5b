import type { Duck } from './duckdb.ts'
import type { Macro } from './macros.ts'
import type { Mention } from './parse.ts'

/** Table functions that see nothing but what they are given. */
const TABLE_FUNCTIONS = [
  'generate_series',
  'json_each',
  'json_tree',
  'range',
  'repeat',
  'repeat_row',
  'unnest',
]

/** Functions that see or change more than their arguments: the process, its settings, other statements. */
const FUNCTIONS = [
  'current_query',
  'current_setting',
  'currval',
  'getenv',
  'nextval',
  'setseed',
  'sleep_ms',
  'write_log',
]

const FILES = /^(read_|parquet_|sniff_|glob$|.*_scan$)/

/** What a query calls that no job's SQL may: only the job's own tables are there for it. */
export function forbidden(
  { functions, tableFunctions }: Pick<Macro['mentions'], 'functions' | 'tableFunctions'>,
  isMacro: (name: string) => boolean,
): { mention: Mention; message: string }[] {
  const found: { mention: Mention; message: string }[] = []
  for (const mention of tableFunctions) {
    const { name } = mention
    if (TABLE_FUNCTIONS.includes(name) || isMacro(name)) continue
    const message = FILES.test(name)
      ? 'reads a file; models see extracts and models only'
      : `${name} is no table function of a job's SQL: it sees more than the job's own tables, or is unknown`
    found.push({ mention, message })
  }
  for (const mention of functions)
    if (FUNCTIONS.includes(mention.name))
      found.push({ mention, message: `${mention.name}() sees or changes more than the job's own tables` })
  return found
}

/** Functions that DuckDB has, by whether their answer is the same each time. */
export async function ownFunctions(duck: Duck): Promise<ReadonlyMap<string, boolean>> {
  const rows = await duck.rows(
    `SELECT function_name AS name, bool_or(stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')) AS volatile
     FROM duckdb_functions() WHERE internal GROUP BY ALL`,
  )
  return new Map(rows.map(({ name, volatile }) => [String(name).toLowerCase(), volatile === true]))
}

/** Names that say where a statement runs, and a function that only fails. */
const STABLE = ['error', 'current_database', 'current_schema', 'current_schemas', 'in_search_path']

/** Of which DuckDB does not say that they go by the clock. */
const CLOCKS = [
  'ago',
  'current_localtimestamp',
  'current_localtime',
  'pg_postmaster_start_time',
  'pg_conf_load_time',
]

export const isVolatile = (name: string, functions: ReadonlyMap<string, boolean>): boolean =>
  (functions.get(name) === true && !STABLE.includes(name)) || CLOCKS.includes(name)
