import { memoryOf } from '../../engine/transform/enrich.ts'
import { type Enriched, enrichRows } from '../../engine/transform/enrichRows.ts'
import { columnsOf, openSet } from '../../engine/transform/modelTypes.ts'
import type { Scratch } from './scratch.ts'

/** Makes a table of an enrichment a view of the session, by its function as it is now: rows that the last run has made by the same are taken from there. */
export async function openEnriched(context: Scratch, model: Enriched): Promise<void> {
  const { spec, temporary } = context
  const columns = await columnsOf(context, model)
  const { version, known } = await memoryOf(context, model, columns)
  const work = {
    ...context,
    root: temporary,
    threads: spec.resources.threads,
    keys: [...spec.loads, ...spec.extracts].flatMap(({ key }) => key),
    note() {},
    version,
    folder: `enriched/${model.name}`,
  }
  const part = await enrichRows(work, model, columns, known, `${model.name}.parquet`)
  const set = { name: model.name, parts: [part], columns: [...columns, ...model.enrich.gives] }
  await openSet({ duck: context.duck, root: temporary }, set)
}
