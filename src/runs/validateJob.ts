import { join } from 'node:path'
import { didYouMean } from '../../engine/nearest.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { describedColumns, loadFaults } from '../../engine/plan/checkSql.ts'
import { adviceOf } from '../../engine/sql/advice.ts'
import { type Bound, bindJob } from '../../engine/sql/bind.ts'
import type { Described } from '../../engine/sql/checkColumns.ts'
import { missingCommas } from '../../engine/sql/commas.ts'
import { Duck, type DuckRow } from '../../engine/sql/duckdb.ts'
import { type Fault, refuse } from '../../engine/sql/faults.ts'
import { parseJob } from '../../engine/sql/graph.ts'
import type { SqlGraph, SqlSources } from '../../engine/sql/model.ts'
import { passedOnKeys } from '../../engine/sql/passedOn.ts'
import { warningsOf } from '../../engine/sql/warnings.ts'
import { ConfigInvalid } from '../config/invalid.ts'
import { loadJob } from '../config/load.ts'
import type { Draft, JobOutline } from '../config/outline.ts'
import { isUnset } from '../config/variables.ts'
import type { JobSpec, Model } from '../spec/job.ts'
import { jobNameOf } from './jobName.ts'
import { knownColumns, openDraft, outlineTables, readIn } from './knownColumns.ts'

/** A job's folder that is valid. */
export interface Valid {
  spec: Pick<JobSpec, 'job' | 'environment' | 'extracts' | 'checks' | 'loads'>
  graph: SqlGraph
  warnings: Fault[]
  /** What could not be bound, since the columns of these extracts are not known. */
  unknown: Bound['unknown']
}

/** What connectors have to say of the extracts that read from them. */
function connectorAdvice({ extracts, connections }: JobSpec): Fault[] {
  return extracts.flatMap(({ name, from, options }) => {
    const advice = ownValue(connections, from)?.connector.advise?.(options as Record<string, unknown>)
    return advice
      ? [{ file: 'job.yaml', message: `extract.${name}: ${advice.message}`, hint: advice.hint }]
      : []
  })
}

/** What is not understood of a model's comments, and the columns that they name and it has not. */
function headerWarnings({ name, file, header }: Model, columns: Described[] | undefined): Fault[] {
  const names = columns?.map(column => column.name)
  const missing = (header?.columns ?? []).filter(
    column => names && !names.some(each => each.toLowerCase() === column.name.toLowerCase()),
  )
  return [
    ...(header?.warnings ?? []),
    ...missing.map(({ name: column, place }) => ({
      file,
      place,
      message: `@column ${column}: ${name} has no such column${didYouMean(column, names ?? [])}`,
      hint: `Its columns: ${names?.join(', ')}.`,
    })),
  ]
}

/**
 * Checks a job's folder; `home` may know the columns of its extracts. No system is touched, but that sources list their tables where
 * extracts are globs, and a `signal` is given; variables of the environment that are not set are warned of, and what needs
 * them is not looked at. Fails with CONFIG_INVALID
 * or MODEL_INVALID, and with all that is wrong: the SQL is looked at where the settings are wrong, too.
 */
export async function validateJob(
  folder: string,
  env: Record<string, string | undefined>,
  home: string,
  signal?: AbortSignal,
): Promise<Valid> {
  const read = readIn(home)(jobNameOf(folder))
  try {
    const spec = await loadJob(folder, env, { signal, read })
    const looked = await look(spec, knownColumns(spec, home))
    return validated(spec, looked, [...connectorAdvice(spec), ...(spec.passedOver ?? [])])
  } catch (error) {
    if (!(error instanceof ConfigInvalid)) throw error
    const draft = await lookAtDraft(folder, home)
    const isWhole = error.faults.every(({ message }) => isUnset(message))
    if (draft && isWhole && draft.faults.length === 0) {
      const unset = error.faults.map(fault => ({
        ...fault,
        message: `${fault.message}. Connections were not looked at`,
      }))
      return validated(draft.outline, draft.looked, unset)
    }
    const own = (draft?.looked.faults ?? []).map(fault => ({ ...fault, file: join(folder, fault.file) }))
    throw new ConfigInvalid([...error.faults, ...(draft?.faults ?? []), ...own])
  }
}

/** What there is to say of a job, where nothing is wrong with it. */
function validated(spec: Valid['spec'], looked: Looked, more: Fault[]): Valid {
  const { graph, unknown, faults, warnings, commas, advice } = looked
  refuse(
    faults,
    // A column that a comma has taken is missed in other files.
    [...commas, ...warnings.filter(({ file }) => faults.some(fault => fault.file === file))],
  )
  return { spec, graph, warnings: [...warnings, ...commas, ...advice, ...more], unknown }
}

/** A job whose settings are wrong, as far as it is understood; undefined where they are no YAML, and what tables there are is not known. */
async function lookAtDraft(
  folder: string,
  home: string,
): Promise<{ outline: JobOutline; looked: Looked; faults: Fault[] } | undefined> {
  let draft: Draft
  try {
    draft = await openDraft(folder, home)
  } catch (error) {
    if (error instanceof ConfigInvalid) return undefined
    throw error
  }
  const { outline, faults } = draft
  // Of two of one name it is not known which is meant.
  const names = [...outline.extracts, ...outline.models].map(({ name }) => name.toLowerCase())
  const isTwin = ({ name }: { name: string }) => names.filter(each => each === name.toLowerCase()).length > 1
  const extracts = outline.extracts.filter(extract => !isTwin(extract))
  const models = outline.models.filter(model => !isTwin(model))
  const partial = draft.partial || extracts.length + models.length < names.length
  const tables = [...outlineTables({ ...outline, extracts }, home)]
  const columns = new Map(tables.map(([name, table]) => [name, describedColumns(table.columns)]))
  const looked = await look({ ...outline, extracts, models, partial }, columns)
  return { outline, looked, faults }
}

/** Columns that the settings' checks let no NULL into: such rows are rejected, or stop the run. */
function presentColumns({ checks }: SqlGraph): Map<string, Set<string>> {
  const present = new Map<string, Set<string>>()
  for (const { name, sql, columns: [only] = [] } of checks)
    if (only && name === `${only.column}_not_null` && !sql.includes("'warn' AS severity"))
      present.set(only.table, (present.get(only.table) ?? new Set()).add(only.column.toLowerCase()))
  return present
}

interface Looked {
  graph: SqlGraph
  unknown: Bound['unknown']
  faults: Fault[]
  /** What is so whether there are faults or not. */
  warnings: Fault[]
  commas: Fault[]
  /** What would follow from a fault, where there is one. */
  advice: Fault[]
}

/** What there is to say of a job's SQL. */
async function look(
  job: (JobOutline | JobSpec) & Pick<SqlSources, 'partial'>,
  known: ReadonlyMap<string, Described[]>,
): Promise<Looked> {
  const duck = await Duck.open({ threads: 1 })
  try {
    const { graph, faults } = await parseJob(duck, job)
    const bound = await bindJob(graph, known, new Set(faults.map(({ file }) => file)), true)
    const keyed = [...job.extracts.map(({ name, key }) => ({ from: name, key })), ...job.loads]
    const keys = new Map(keyed.filter(({ key }) => key.length > 0).map(({ from, key }) => [from, key]))
    const rows = new Map<string, DuckRow[]>()
    for (const { name, sql, seed } of job.models)
      if (seed && graph.models.some(({ reads }) => reads.includes(name))) rows.set(name, await duck.rows(sql))
    return {
      graph,
      unknown: bound.unknown,
      faults: [...faults, ...bound.faults, ...loadFaults(job, bound.columns)],
      warnings: warningsOf(graph, job.loads),
      commas: missingCommas(graph, bound.columns),
      advice: [
        ...bound.failing,
        ...adviceOf(graph, {
          columns: bound.columns,
          keys: passedOnKeys(graph, { columns: bound.columns, keys }),
          rows,
          present: presentColumns(graph),
          loads: job.loads,
        }),
        ...job.models.flatMap(model => headerWarnings(model, bound.columns.get(model.name))),
      ],
    }
  } finally {
    duck.close()
  }
}
