import { didYouMean } from '../../engine/nearest.ts'
import { loadFaults } from '../../engine/plan/checkSql.ts'
import { adviceOf } from '../../engine/sql/advice.ts'
import { type Bound, bindJob } from '../../engine/sql/bind.ts'
import type { Described } from '../../engine/sql/checkColumns.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { type Fault, refuse } from '../../engine/sql/faults.ts'
import { parseJob } from '../../engine/sql/graph.ts'
import type { SqlGraph } from '../../engine/sql/model.ts'
import { warningsOf } from '../../engine/sql/warnings.ts'
import { loadJob } from '../config/load.ts'
import type { JobSpec, Model } from '../spec/job.ts'
import { jobNameOf } from './jobName.ts'
import { knownColumns, readIn } from './knownColumns.ts'

/** A job's folder that is valid. */
export interface Valid {
  spec: JobSpec
  graph: SqlGraph
  warnings: Fault[]
  /** What could not be bound, since the columns of these extracts are not known. */
  unknown: Bound['unknown']
}

/** What connectors have to say of the extracts that read from them. */
function connectorAdvice({ extracts, connections }: JobSpec): Fault[] {
  return extracts.flatMap(({ name, from, options }) => {
    const advice = connections[from]?.connector.advise?.(options as Record<string, unknown>)
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
 * extracts are globs, and a `signal` is given. Fails with CONFIG_INVALID
 * or MODEL_INVALID.
 */
export async function validateJob(
  folder: string,
  env: Record<string, string | undefined>,
  home: string,
  signal?: AbortSignal,
): Promise<Valid> {
  const spec = await loadJob(folder, env, { signal, read: readIn(home)(jobNameOf(folder)) })
  const duck = await Duck.open({ threads: 1 })
  try {
    const { graph, faults } = await parseJob(duck, spec)
    const bound = await bindJob(
      graph,
      knownColumns(spec, home),
      new Set(faults.map(({ file }) => file)),
      true,
    )
    const wrong = [...faults, ...bound.faults, ...loadFaults(spec, bound.columns)]
    const keyed = [...spec.extracts.map(({ name, key }) => ({ from: name, key })), ...spec.loads]
    const keys = new Map(keyed.filter(({ key }) => key.length > 0).map(({ from, key }) => [from, key]))
    const advice = adviceOf(graph, { columns: bound.columns, keys, loads: spec.loads })
    const own = warningsOf(graph, spec.loads)
    const headers = spec.models.flatMap(model => headerWarnings(model, bound.columns.get(model.name)))
    const warnings = [
      ...own,
      ...bound.failing,
      ...advice,
      ...headers,
      ...connectorAdvice(spec),
      ...(spec.passedOver ?? []),
    ]
    refuse([...wrong, ...own.filter(({ file }) => wrong.some(fault => fault.file === file))])
    return { spec, graph, warnings, unknown: bound.unknown }
  } finally {
    duck.close()
  }
}
