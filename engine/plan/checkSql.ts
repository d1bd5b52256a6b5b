import { REJECTED } from '../batch/builder.ts'
import { EngineError } from '../errors.ts'
import type { RunContext } from '../runtime/context.ts'
import type { FlowSpec } from '../runtime/spec.ts'
import { bindJob } from '../sql/bind.ts'
import type { Described } from '../sql/checkColumns.ts'
import { quoteName } from '../sql/duckdb.ts'
import { type Fault, faultText, refuse } from '../sql/faults.ts'
import type { SqlGraph } from '../sql/model.ts'
import { warningsOf } from '../sql/warnings.ts'
import { modelColumn, seenType } from '../types/duckType.ts'
import { type Column, isNamed } from '../types/logical.ts'
import type { PlannedRead } from './plan.ts'
import { planLoad } from './planLoad.ts'

/** A table's columns as a job's SQL sees them. */
export const describedColumns = (columns: Column[]): Described[] =>
  columns
    .filter(({ name }) => name !== REJECTED)
    .map(column => ({ name: column.name, type: seenType(column) }))

/**
 * Binds a job's SQL to the columns that will be read, and its loads to what they are made from. Fails with MODEL_INVALID
 * and all that is wrong, before a row is read; what is seldom meant is noted.
 */
export async function checkSql(
  { spec, targets, progress }: RunContext,
  graph: SqlGraph,
  reads: PlannedRead[],
): Promise<void> {
  const known = new Map(
    reads.map(({ extract, columns, absent }) => [extract, describedColumns([...columns, ...absent])]),
  )
  const { faults, columns } = await bindJob(graph, known)
  refuse([...faults, ...loadFaults(spec, columns), ...nameFaults(spec, targets, columns)])
  for (const warning of warningsOf(graph, spec.loads)) progress.note(`warning: ${faultText(warning)}`)
}

/** Names that the targets of loads cannot give a table or a column. */
function nameFaults(
  { loads, places }: Pick<FlowSpec, 'loads' | 'places'>,
  targets: RunContext['targets'],
  tables: ReadonlyMap<string, Described[]>,
): Fault[] {
  const twins = [...Map.groupBy(loads, ({ to }) => to)].flatMap(([to, all]): Fault[] => {
    const target = targets.get(to)
    const groups = Map.groupBy(all, ({ table }) => target?.tableId?.(table) ?? table)
    return [...groups.values()].flatMap(([{ table: one }, second]) => {
      if (!second) return []
      const other = second.table
      const at = { file: 'job.yaml', ...places?.[`load.${other}`] }
      const why = isNamed(one, other) ? `, which does not tell letters' cases apart` : ''
      const message = `load.${other}: is the same table as ${one} for ${to}${why}`
      return [{ ...at, message, hint: 'Load it under another name.' }]
    })
  })
  const named = loads.flatMap(({ table, to, from }) => {
    const target = targets.get(to)
    const at = { file: 'job.yaml', ...places?.[`load.${table}`] }
    const fault = (name: string, of: 'table' | 'column', hint: string): Fault[] => {
      const why = target?.refusesName?.(name, of)
      const message = `load.${table}: no ${of} in ${to} can be called ${name}: ${why}`
      return why === undefined ? [] : [{ ...at, message, hint }]
    }
    return [
      ...table.split('.').flatMap(name => fault(name, 'table', 'Load it under another name.')),
      ...(tables.get(from) ?? []).flatMap(({ name }) =>
        fault(name, 'column', `Give it another name in a model: ${quoteName(name)} AS …`),
      ),
    ]
  })
  return [...twins, ...named]
}

/** What is wrong with loads, where the columns of what they load are known. */
export function loadFaults(
  { loads, places }: Pick<FlowSpec, 'loads' | 'places'>,
  tables: ReadonlyMap<string, Described[]>,
): Fault[] {
  return loads.flatMap((load): Fault[] => {
    const at = { file: 'job.yaml', ...places?.[`load.${load.table}`] }
    const columns = tables.get(load.from)
    if (!columns) return []
    try {
      planLoad(
        load,
        columns.map(({ name, type }) => modelColumn(name, type)),
      )
      return []
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      const { message, hint } = error
      return [{ ...at, message, ...(hint !== undefined && { hint }) }]
    }
  })
}
