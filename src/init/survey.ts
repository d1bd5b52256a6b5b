import type { ListedTable, TableSchema } from '../../engine/contracts/source.ts'
import type { Column } from '../../engine/types/logical.ts'
import { identifierOf, nameTables, tablesAmong, viewsLeft } from '../config/tableNames.ts'
import type { FoundFile } from '../copy/files.ts'
import type { FileKeys } from '../copy/set.ts'
import { openSource } from '../copy/source.ts'

/** A table as a job may read it. */
export interface SurveyedTable {
  /** Its name for models. */
  extract: string
  /** As an extract names it. */
  table: string
  key: string[]
  /** An estimate. */
  rows?: number
  columns: Column[]
  /** The column that says best when a row changed, where one may. */
  watermark?: Watermark
  /** Of files. */
  files?: SurveyedFiles
}

/** Files that a table is read from. */
export interface SurveyedFiles {
  globs: string[]
  /** Keys of the extract that say how they are written. */
  keys: FileKeys
  found: FoundFile
  count: number
  bytes: number
  /** How many of them the types were found in, all values of each. */
  typed: number
}

export interface Watermark {
  column: string
  /** Why it was chosen: `TIMESTAMP, indexed, NOT NULL`. */
  why: string
}

/** Looks at the tables of a database that are asked for: keys, sizes, columns. Reads no row. `views`: those that are left out. */
export async function survey(
  url: string,
  { tables, exclude }: { tables: string[]; exclude: string[] },
  signal: AbortSignal,
): Promise<{ tables: SurveyedTable[]; views: string[] }> {
  const { source, parse } = openSource(url)
  try {
    const listed = await source.tables!(signal)
    const chosen = tablesAmong(listed, { tables, exclude })
    const surveyed: SurveyedTable[] = []
    for (const { table, extract } of nameTables(chosen)) {
      const options = parse({ table: table.name })
      const spec = { name: extract, from: 'source', key: [], columns: {}, options }
      surveyed.push({ extract, ...described(table, await source.describe(spec, signal)) })
    }
    return { tables: surveyed, views: viewsLeft(listed, { tables, exclude }).map(({ name }) => name) }
  } finally {
    await source.close()
  }
}

function described(table: ListedTable, { columns, rows }: TableSchema): Omit<SurveyedTable, 'extract'> {
  const known = rows ?? table.rows
  const watermark = watermarkOf(table, columns)
  return {
    table: table.name,
    key: table.key,
    columns,
    ...(known !== undefined && { rows: known }),
    ...(watermark && { watermark }),
  }
}

/** Names that columns have which change with their rows. */
const CHANGED =
  /(^|_)(updated|modified|changed|last_?(update|change|modified)|mtime)(_|$)|(updated|modified|changed)(at|on)$/i

/** Of the timestamps that are called as if they changed with their rows, the one with an index and without NULLs. */
export function watermarkOf({ indexed }: ListedTable, columns: Column[]): Watermark | undefined {
  const candidates = columns
    .filter(({ name, type }) => type.kind === 'timestamp' && CHANGED.test(name))
    .map(({ name, native, nullable }) => ({ name, native, nullable, isIndexed: indexed.includes(name) }))
    .sort((a, b) => Number(b.isIndexed) - Number(a.isIndexed) || Number(a.nullable) - Number(b.nullable))
  const [best] = candidates
  if (!best) return undefined
  const index = best.isIndexed ? 'indexed' : 'without an index'
  return { column: best.name, why: `${best.native}, ${index}, ${best.nullable ? 'may be NULL' : 'NOT NULL'}` }
}

/** The name of a database, a file or a bucket, as a connection's. */
export function connectionName(url: string): string {
  const path = url.replace(/[?#].*$/, '').replace(/\/+$/, '')
  const last = path.split('/').at(-1)!.split(':').at(-1)!
  return identifierOf(last.replace(/\.[A-Za-z0-9]+$/, '')).toLowerCase() || 'data'
}
