import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import { lineageOf, type MadeColumn, type Mentioned, type TableLineage } from '../../engine/lineage/job.ts'
import { partsOf, type Refs, ref } from '../../engine/lineage/refs.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { describedColumns } from '../../engine/plan/checkSql.ts'
import { bindJob } from '../../engine/sql/bind.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { refuse } from '../../engine/sql/faults.ts'
import { parseJob } from '../../engine/sql/graph.ts'
import type { JobOutline } from '../config/outline.ts'
import { openOutline, outlineTables } from '../runs/knownColumns.ts'

/** A column of a table of the project. */
export interface ColumnId {
  table: string
  column: string
}

export interface ProjectColumn extends Omit<MadeColumn, 'from'> {
  from: ColumnId[]
}

/** A table of a project: what a job reads, makes or loads. */
export interface ProjectTable {
  /** `shop/revenue` of what a job reads or makes, `shop/warehouse.revenue` of what it loads. */
  id: string
  job: string
  name: string
  kind: 'extract' | 'model' | 'loaded'
  /** Of an extract, the connection and table that it reads. */
  source?: string
  /** Relative to the job's folder. */
  file: string
  columns: ProjectColumn[]
  /** Columns that decide which rows it has. */
  rows: ColumnId[]
  /** Tables that it is made of, in all. */
  reads: string[]
  /** What its query names, or of a load its settings: it fails where one is gone. */
  mentions: { column: ColumnId; at: Mentioned }[]
  unsure?: string
}

export interface ProjectCheck {
  job: string
  file: string
  /** Ids of the tables that it judges: the one whose rows it marks, or all that a set check reads. */
  judges: string[]
  /** It leaves rows out. */
  rejects: boolean
  mentions: ProjectTable['mentions']
}

export interface ProjectLineage {
  /** The job that was asked for, where it was one. */
  own?: string
  tables: Map<string, ProjectTable>
  checks: ProjectCheck[]
  /** The jobs that were read. */
  jobs: JobOutline[]
  /** Jobs beside that are not valid, with the reason: what they read is not known. */
  left: { job: string; reason: string }[]
}

export const idOf = (job: string, table: string) => `${job}/${table}`

/** A column as a text: for sets. */
export const columnKey = ({ table, column }: ColumnId): string => ref(table, column)

/** The job's folder and those beside it that hold a job; or those in a folder of jobs. */
export function foldersOf(folder: string): { own?: string; all: string[] } {
  const isJob = (path: string) => existsSync(join(path, 'job.yaml'))
  const below = (path: string) =>
    readdirSync(path, { withFileTypes: true })
      .filter(entry => entry.isDirectory() && isJob(join(path, entry.name)))
      .map(({ name }) => join(path, name))
      .sort()
  const own = resolve(folder)
  if (isJob(own)) return { own, all: below(dirname(own)) }
  return { all: existsSync(own) ? below(own) : [] }
}

/**
 * Where every column of a job, and of the jobs beside it, comes from and goes to; no source is read. Fails with
 * CONFIG_INVALID or MODEL_INVALID where the job itself is not valid; of others that are not, the reason is given.
 */
export async function openLineage(folder: string, home: string): Promise<ProjectLineage> {
  const { own, all } = foldersOf(folder)
  if (all.length === 0)
    throw new EngineError('CONFIG_INVALID', `${folder} is no job, and holds none`, {
      hint: 'A job is a folder with a job.yaml in it.',
    })
  return readJobs(own, all, home)
}

/** The same of one job alone: what it reads ends at its sources. */
export async function openJobLineage(folder: string, home: string): Promise<ProjectLineage> {
  const own = resolve(folder)
  return readJobs(own, [own], home)
}

async function readJobs(own: string | undefined, all: string[], home: string): Promise<ProjectLineage> {
  const found: ProjectLineage = { tables: new Map(), checks: [], jobs: [], left: [] }
  const duck = await Duck.open({ threads: 1 })
  try {
    for (const each of all)
      try {
        const outline = await openOutline(each, home)
        await addJob(duck, found, outline, home)
        found.jobs.push(outline)
        if (each === own) found.own = outline.job
      } catch (error) {
        if (each === own || !(error instanceof EngineError)) throw error
        const [reason = ''] = error.message.split('\n')
        found.left.push({ job: basename(each), reason })
      }
  } finally {
    duck.close()
  }
  joinJobs(found)
  return found
}

async function addJob(duck: Duck, found: ProjectLineage, outline: JobOutline, home: string): Promise<void> {
  const { job } = outline
  const { graph, faults } = await parseJob(duck, outline)
  refuse(faults)
  const known = new Map(
    [...outlineTables(outline, home)].map(([name, { columns }]) => [name, describedColumns(columns)]),
  )
  const bound = await bindJob(graph, known)
  refuse(bound.faults)
  const extracts = outline.extracts.map(({ name }) => name)
  const lineage = await lineageOf(duck, graph, extracts, bound.columns)
  const id = (table: string) => idOf(job, table)
  const ids = (refs: Refs): ColumnId[] =>
    [...refs].map(partsOf).map(({ table, column }) => ({ table: id(table), column }))
  const mentionsOf = (mentions: TableLineage['mentions']) =>
    [...mentions].map(([each, at]) => {
      const { table, column } = partsOf(each)
      return { column: { table: id(table), column }, at }
    })
  const reads = new Map(graph.models.map(model => [model.name, model.reads]))
  for (const table of lineage.tables.values()) {
    const { name, file, isExtract, unsure } = table
    const from = outline.extracts.find(extract => extract.name === name)?.from
    found.tables.set(id(name), {
      id: id(name),
      job,
      name,
      kind: isExtract ? 'extract' : 'model',
      ...(isExtract && { source: [from, ownValue(outline.sourceTables, name)].filter(Boolean).join(': ') }),
      file,
      columns: table.columns.map(column => ({ ...column, from: ids(column.from) })),
      rows: ids(table.rows),
      reads: isExtract ? [] : (reads.get(name) ?? []).map(id),
      mentions: mentionsOf(table.mentions),
      ...(unsure !== undefined && { unsure }),
    })
  }
  for (const load of outline.loads) {
    const from = found.tables.get(id(load.from))
    if (!from) continue
    const name = `${load.to}.${load.table}`
    const own = (column: string): ColumnId => ({ table: from.id, column })
    const named = [...load.key, load.newer, load.stamp, ...load.insertOnly, ...load.partitionBy]
    const at = outline.places[`load.${load.table}`] ?? { file: 'job.yaml' }
    found.tables.set(id(name), {
      id: id(name),
      job,
      name,
      kind: 'loaded',
      file: at.file,
      columns: from.columns.map(({ name, type }) => ({ name, ...(type && { type }), from: [own(name)] })),
      rows: [],
      reads: [from.id],
      mentions: from.columns
        .filter(({ name }) => named.includes(name))
        .map(({ name }) => ({ column: own(name), at })),
    })
  }
  for (const check of lineage.checks)
    found.checks.push({
      job,
      file: check.file,
      judges: check.judges.map(id),
      rejects: check.rejects,
      mentions: mentionsOf(check.mentions),
    })
}

/** What one job loads, or makes, and another reads is one table. */
function joinJobs(found: ProjectLineage): void {
  const loaded = found.jobs.flatMap(({ job, loads, identities }) =>
    loads.map(({ to, table }) => ({
      id: idOf(job, `${to}.${table}`),
      place: ownValue(identities, to),
      table,
    })),
  )
  for (const { job, extracts, identities, sourceTables, sharedModels } of found.jobs)
    for (const { name, from } of extracts) {
      const reader = found.tables.get(idOf(job, name))!
      const source = loaded.find(
        ({ place, table }) =>
          place === ownValue(identities, from) && isSameTable(table, ownValue(sourceTables, name)),
      )
      const shared = ownValue(sharedModels, name)
      const id = shared ? idOf(shared.job, shared.model) : source?.id
      const target = id === undefined ? undefined : found.tables.get(id)
      if (!target) continue
      reader.reads = [target.id]
      for (const column of reader.columns) {
        const same = target.columns.find(each => each.name.toLowerCase() === column.name.toLowerCase())
        if (same) column.from = [{ table: target.id, column: same.name }]
      }
    }
}

const DEFAULT_SCHEMA = /^(public|main)\./

const isSameTable = (one: string, other: string | undefined) =>
  one.toLowerCase().replace(DEFAULT_SCHEMA, '') === other?.toLowerCase().replace(DEFAULT_SCHEMA, '')
