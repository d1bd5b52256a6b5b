import { counted } from '../../engine/plural.ts'
import { plainName } from '../../engine/sql/duckdb.ts'
import { type Column, typeName } from '../../engine/types/logical.ts'
import { verbatim, yamlOf } from '../config/verbatim.ts'
import { caseFiles } from './case.ts'
import type { SurveyedFiles, SurveyedTable } from './survey.ts'

/** What a job is written from. */
export interface Draft {
  job: string
  /** Names of connections. */
  from: string
  to: string
  /** Schema of the target that tables go to. */
  schema?: string
  tables: SurveyedTable[]
}

/** Rows from which on a table is read by its watermark. */
const LARGE = 1_000_000
/** Rows from which on the job shows how that would be. */
const SIZEABLE = 10_000

const flow = (value: unknown) => yamlOf(verbatim(value), { collectionStyle: 'flow' }).trim()

const TABLES = `# Each table under its own name; table: names another. "*": {} would stand for all tables that the source has; a view
# has a line of its own: paid_orders: {}`
const FILES = `# take: all reads all of a table's files every night, and the target holds what they hold. take: new takes each file once;
# its load then has mode: merge, or append. Columns and their types are found by the first run, from all values, and kept; schema:
# declares them. A key (key: order_id) compares rows by it, so that only those that changed are written, and verifies them.`

/** job.yaml, with comments. */
export function jobText(draft: Draft): string {
  const { job, from, to, schema, tables } = draft
  const model = modelOf(tables)
  return `# yaml-language-server: $schema=https://unpkg.com/nightfreight/docs/job.schema.json
job: ${job}
# Connections are in ../connections.yaml, their URLs in ../.env.

# schedule: { cron: "0 2 * * *", timezone: Europe/Berlin } # for: nightfreight serve
# alerts: { channels: { ops: { webhook: "\${OPS_WEBHOOK}" } }, on: { failure: ops } }

defaults:
  extract: { from: ${from} }
  # replace: the target holds what the source does. Rows are compared by their key, and only what differs is written;
  # rows that are gone are deleted, at most a tenth of a table without asking (guard: { max_delete_share: 0.1 }).
  load: { to: ${to}, mode: replace }

${tables.some(({ files }) => files) ? FILES : TABLES}
extract:
${tables.flatMap(extractLines).join('\n')}

load:
  ${flow(schema === undefined ? '*' : `${schema}.*`)}: { from: "*" } # each extract, under its own name
  ${model.name}: { from: ${model.name}, key: ${flow(model.key)} } # the model in ${model.name}.sql
`
}

function extractLines({ extract, table, key, rows, watermark, files, columns }: SurveyedTable): string[] {
  if (files) return fileLines(extract, files, columns)
  const own = {
    ...(table !== extract && { table }),
    ...(key.length > 0 && { key: key.length === 1 ? key[0] : key }),
  }
  const count =
    rows === undefined ? 'rows not known' : `about ${counted(rows, 'row', n => n.toLocaleString('en-US'))}`
  const keyless = key.length === 0 ? ', without a primary key: compared as whole rows' : ''
  const isLarge = (rows ?? 0) >= LARGE
  const incremental = watermark && {
    ...own,
    incremental: { column: watermark.column, lag: '5m', find_deletes: true },
  }
  const chosen = watermark && inOneLine(`${watermark.column}: ${watermark.why}`)
  if (incremental && key.length > 0 && isLarge)
    return [`  ${extract}: ${flow(incremental)} # ${count}, read by what changed; ${chosen}`]
  const line = `  ${extract}: ${flow(own)} # ${count}${keyless}`
  if (!incremental || key.length === 0 || (rows ?? 0) < SIZEABLE) return [line]
  return [
    line,
    `  # to read only what changed (${chosen}):`,
    `  # ${extract}: ${inOneLine(flow(incremental))}`,
  ]
}

/** A comment ends with its line, and names may hold several. */
const inOneLine = (text: string) => text.replaceAll(/\s*[\r\n\u0085\u2028\u2029]\s*/g, ' ')

function fileLines(
  extract: string,
  { globs, keys, count, bytes, typed, found }: SurveyedFiles,
  columns: Column[],
): string[] {
  const own = { files: globs.length === 1 ? globs[0] : globs, take: 'all', ...keys }
  const schema = Object.fromEntries(columns.map(({ name, type }) => [name, typeName(type)]))
  const seen =
    typed === count
      ? ''
      : `, as ${typed} of ${counted(count, 'file', n => n.toLocaleString('en-US'))} have them`
  return [
    ...(keys.schema === undefined ? [`  # columns${seen}: schema: ${inOneLine(flow(schema))}`] : []),
    ...found.notes.map(note => `  # ${inOneLine(note)}`),
    `  ${extract}: ${flow(own)} # ${formatFiles(count, bytes)}, without a key: compared as whole rows`,
  ]
}

/** How many files, and their size: `3 files, 1.2 MB`. */
export const formatFiles = (count: number, bytes: number): string =>
  `${counted(count, 'file', n => n.toLocaleString('en-US'))}, ${bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} KB` : `${(bytes / 1e6).toFixed(1)} MB`}`

/** A file of the job's folder. */
export interface Example {
  name: string
  key: string
  sql: string
  /** Checks, and a case: text by path. */
  files: Record<string, string>
}

/** A model of the largest table that has a time, and a check of it; of the largest, where none has. */
export function modelOf(tables: SurveyedTable[]): Example {
  const sizeOf = ({ rows, files }: SurveyedTable) => rows ?? files?.bytes ?? 0
  const bySize = tables.toSorted((a, b) => sizeOf(b) - sizeOf(a))
  const timeOf = ({ columns, watermark }: SurveyedTable) =>
    columns.find(({ type, name }) => isTime(type) && name !== watermark?.column) ??
    columns.find(({ type }) => isTime(type))
  const table = bySize.find(timeOf) ?? bySize[0]!
  const time = timeOf(table)
  const files = {
    'checks/not_empty.sql': `-- A set check: pass, warn, or stop, by which nothing is loaded.
SELECT if(count(*) = 0, 'warn', 'pass') AS level, count(*) || ' rows in ${table.extract}' AS message
FROM ${plainName(table.extract)}
`,
    ...caseFiles(`${table.extract}_${time ? 'by_day' : 'count'}`, table, time),
  }
  if (!time)
    return {
      name: `${table.extract}_count`,
      key: 'table_name',
      files,
      sql: `-- A model is one SELECT in DuckDB's SQL; the file's name is its table's. Extracts and other models are tables.
SELECT '${table.extract}' AS table_name, count(*) AS row_count
FROM ${plainName(table.extract)}
`,
    }
  const column = plainName(time.name)
  const isZoned = time.type.kind === 'timestamp' && time.type.zoned
  return {
    name: `${table.extract}_by_day`,
    key: 'day',
    files: {
      ...files,
      [`checks/${table.extract}_by_day/in_the_future.sql`]: `-- A row check: the keys of rows that are wrong, and why. They go to the quarantine; severity 'warn' only tells.
SELECT day, 'lies in the future' AS reason, 'warn' AS severity
FROM ${table.extract}_by_day
WHERE day > getvariable('run_at')::TIMESTAMPTZ::DATE + 1
`,
    },
    sql: `-- A model is one SELECT in DuckDB's SQL; the file's name is its table's. Extracts and other models are tables.
SELECT ${isZoned ? `(${column} AT TIME ZONE 'UTC')` : column}::DATE AS day, count(*) AS row_count
FROM ${plainName(table.extract)}
WHERE ${column} IS NOT NULL
GROUP BY ALL
`,
  }
}

const isTime = ({ kind }: Column['type']) => kind === 'timestamp' || kind === 'date'
