import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describedColumns } from '../../engine/plan/checkSql.ts'
import type { Described } from '../../engine/sql/checkColumns.ts'
import { type StagedSchema, schemaFile } from '../../engine/staging/image.ts'
import type { Column } from '../../engine/types/logical.ts'
import { type JobOutline, readOutline } from '../config/outline.ts'
import { declaredTable } from '../connectors/declare/declared.ts'
import type { JobSpec } from '../spec/job.ts'

/**
 * The columns of a job's extracts as far as they are known without asking a system: as they are declared, or as the last
 * run in `home` knew them.
 */
export function knownColumns(spec: JobSpec, home: string): Map<string, Described[]> {
  const known = new Map<string, Described[]>()
  for (const { name, from, options, columns: policies } of spec.extracts) {
    const declared = spec.connections[from]?.connector.declared?.(options as Record<string, unknown>)
    const columns = declared
      ? declaredTable(`${from}.${name}`, declared).columns
      : lastSchema(spec.job, name, home)?.columns
    const asRead = (column: Column): Column =>
      policies[column.name] === 'text' ? { ...column, type: { kind: 'text' } } : column
    if (columns) known.set(name, describedColumns(columns.map(asRead)))
  }
  return known
}

/** A job's folder without its connections; globs stand for the tables that runs in `home` have read. */
export const openOutline = (folder: string, home: string): Promise<JobOutline> =>
  readOutline(folder, job => {
    const root = join(home, 'staging')
    const files = globSync(schemaFile(job, '*', '*'), { cwd: root })
    const names = [...new Set(files.map(file => basename(file, '.json')))]
    return names.map(name => ({ name, key: lastSchema(job, name, home)?.key ?? [] }))
  })

/** The columns of a job whose connections were not read: columns, and the key of each. */
export function outlineTables(
  { job, extracts, declared }: JobOutline,
  home: string,
): Map<string, { columns: Column[]; key: string[] }> {
  const known = new Map<string, { columns: Column[]; key: string[] }>()
  for (const { name, from, key, columns: policies } of extracts) {
    const last = lastSchema(job, name, home)
    const own = declared[name]
    const columns = own ? declaredTable(`${from}.${name}`, own).columns : last?.columns
    const asRead = (column: Column): Column =>
      policies[column.name] === 'text' ? { ...column, type: { kind: 'text' } } : column
    if (columns)
      known.set(name, { columns: columns.map(asRead), key: key.length > 0 ? key : (last?.key ?? []) })
  }
  return known
}

/** What the last run in `home` knew of an extract's table. */
function lastSchema(job: string, extract: string, home: string): StagedSchema | undefined {
  const root = join(home, 'staging')
  const folder = join(root, job)
  const runs = existsSync(folder) ? readdirSync(folder).sort().reverse() : []
  const file = runs.map(run => join(root, schemaFile(job, run, extract))).find(path => existsSync(path))
  return file === undefined ? undefined : (JSON.parse(readFileSync(file, 'utf8')) as StagedSchema)
}
