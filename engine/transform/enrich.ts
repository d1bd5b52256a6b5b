import { createHash } from 'node:crypto'
import type { Part } from '../contracts/staging.ts'
import { ownFile, type RunContext, runFolder } from '../runtime/context.ts'
import { filesSql } from '../staging/read.ts'
import { readManifest, writeManifest } from '../staging/store.ts'
import { type Column, columnNamed } from '../types/logical.ts'
import { type Enriched, enrichRows } from './enrichRows.ts'
import { columnsOf } from './modelTypes.ts'

/** What the last run made, kept beside the job's runs: a part of that run. */
interface Memory {
  version: string
  parts: Part[]
}

/** Writes the rows of a query with what an enrichment makes of them. Rows that a run has made it of are taken from there. */
export async function enrich(
  context: RunContext,
  model: Enriched,
): Promise<{ part: Part; columns: Column[] }> {
  const { staging, spec, progress } = context
  const { name } = model
  const columns = await columnsOf(context, model)
  const { version, known } = await memoryOf(context, model, columns)
  const work = {
    ...context,
    threads: spec.resources.threads,
    keys: [...spec.loads, ...spec.extracts].flatMap(({ key }) => key),
    note: (text: string) => progress.note(text),
    version,
    folder: ownFile(context, `enriched/${name}`),
    // Of an attempt at this run that was ended, too.
    begun: `${runFolder(context)}/enriched/${name}{,.*}`,
  }
  const to = ownFile(context, `transformed/${name}`, '.parquet')
  const part = await enrichRows(work, model, columns, known, to)
  // Of a run that is not committed, too: what a value becomes depends on the value alone.
  await writeManifest(staging, memoryFile(spec.job, name), { version, parts: [part] } satisfies Memory)
  return { part, columns: [...columns, ...model.enrich.gives] }
}

/** Below the staging root. */
const memoryFile = (job: string, name: string) => `${job}/enriched/${name}.json`

/** A relation of the rows that the last run has made by the same function, of values of the same types; undefined where there are none. */
export async function memoryOf(
  { root, staging, spec }: Pick<RunContext, 'root' | 'staging' | 'spec'>,
  { name, enrich }: Pick<Enriched, 'name' | 'enrich'>,
  columns: Column[],
): Promise<{ version: string; known: string | undefined }> {
  const types = enrich.takes.map(take => columnNamed(columns, take.name)?.type)
  const version = createHash('sha256')
    .update(JSON.stringify([enrich.version, types]))
    .digest('hex')
  const last = await readManifest<Memory>(staging, memoryFile(spec.job, name))
  return { version, known: last?.version === version ? filesSql(root, last.parts) : undefined }
}
