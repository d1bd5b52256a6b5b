import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { ExtractSpec } from '../../engine/contracts/source.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { describedColumns } from '../../engine/plan/checkSql.ts'
import type { Described } from '../../engine/sql/checkColumns.ts'
import { type StagedSchema, schemaFile } from '../../engine/staging/image.ts'
import { asText, type Column } from '../../engine/types/logical.ts'
import { type Draft, draftOutline, type JobOutline, type Remembered, readOutline } from '../config/outline.ts'
import { declaredTable } from '../connectors/declare/declared.ts'
import type { JobSpec } from '../spec/job.ts'

/** A table as models see it, and its key. */
interface KnownTable {
  columns: Column[]
  key: string[]
}

/**
 * The columns of a job's extracts as far as they are known without asking a system: as they are declared, or as the last
 * run in `home` knew them.
 */
export function knownColumns(
  { job, extracts, connections }: JobSpec,
  home: string,
): Map<string, Described[]> {
  const known = knownTables(job, extracts, home, ({ from, options }) =>
    ownValue(connections, from)?.connector.declared?.(options as Record<string, unknown>),
  )
  return new Map([...known].map(([name, { columns }]) => [name, describedColumns(columns)]))
}

/** The same of a job whose connections were not read. */
export const outlineTables = ({ job, extracts, declared }: JobOutline, home: string) =>
  knownTables(job, extracts, home, ({ name }) => ownValue(declared, name))

function knownTables<Extract extends Pick<ExtractSpec, 'name' | 'from' | 'key' | 'columns'>>(
  job: string,
  extracts: Extract[],
  home: string,
  declaredOf: (extract: Extract) => Record<string, string> | undefined,
): Map<string, KnownTable> {
  const known = new Map<string, KnownTable>()
  for (const extract of extracts) {
    const { name, from, key, columns: policies } = extract
    const declared = declaredOf(extract)
    const table = declared ? declaredTable(`${from}.${name}`, declared) : lastSchema(job, name, home)
    if (!table) continue
    const columns = table.columns.map(column =>
      ownValue(policies, column.name) === 'text' ? asText(column) : column,
    )
    known.set(name, { columns, key: key.length > 0 ? key : table.key })
  }
  return known
}

/** What runs in `home` have read. */
export const readIn =
  (home: string): Remembered =>
  job => {
    const files = globSync(schemaFile(job, '*', '*'), { cwd: join(home, 'staging') })
    const names = [...new Set(files.map(file => basename(file, '.json')))]
    return names.map(name => {
      const { key = [], catalog } = lastSchema(job, name, home) ?? {}
      return { name, key, catalog }
    })
  }

/** A job's folder without its connections; globs stand for the tables that runs in `home` have read. */
export const openOutline = (folder: string, home: string): Promise<JobOutline> =>
  readOutline(folder, readIn(home))

/** The same of a job whose settings may be wrong. */
export const openDraft = (folder: string, home: string): Promise<Draft> => draftOutline(folder, readIn(home))

/** What the last run in `home` knew of an extract's table. */
function lastSchema(job: string, extract: string, home: string): StagedSchema | undefined {
  const root = join(home, 'staging')
  const folder = join(root, job)
  const runs = existsSync(folder) ? readdirSync(folder).sort().reverse() : []
  const file = runs.map(run => join(root, schemaFile(job, run, extract))).find(path => existsSync(path))
  return file === undefined ? undefined : (JSON.parse(readFileSync(file, 'utf8')) as StagedSchema)
}
