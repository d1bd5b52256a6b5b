import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Enrichment } from '../contracts/enrichment.ts'
import type { Part } from '../contracts/staging.ts'
import { counted } from '../plural.ts'
import { moduleBeside } from '../pool/entry.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { quoteName } from '../sql/duckdb.ts'
import { stripped } from '../sql/text.ts'
import { copyFile } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { partOf, readManifest, writeManifest } from '../staging/store.ts'
import { typeName } from '../types/logical.ts'
import type { EnrichInput } from './enrichFile.ts'

/** Rows below which another thread takes more time than it saves. */
const WORTH = 2000

/** What the last run made, kept beside the job's runs: a part of that run. */
interface Memory {
  version: string
  parts: Part[]
}

/**
 * Writes what an enrichment makes of a query's distinct rows, as one Parquet file in the order of these. Rows that the
 * last run had made are taken from there; the others are shared out among worker threads.
 */
export async function enrich(
  context: RunContext,
  { name, sql, enrich }: { name: string; sql: string; enrich: Enrichment },
): Promise<Part> {
  const { root, staging, spec } = context
  const { takes, gives, version } = enrich
  const given = takes.map(quoteName).join(', ')
  const all = [...takes, ...gives.map(column => column.name)].map(quoteName).join(', ')
  const folder = ownFile(context, `enriched/${name}`)
  const texts = takes.map(column => `${quoteName(column)}::VARCHAR AS ${quoteName(column)}`).join(', ')
  try {
    const wanted = await copyFile(
      context,
      `SELECT DISTINCT ${texts} FROM (${stripped(sql)}) WHERE ${quoteName(takes[0]!)} IS NOT NULL`,
      `${folder}/wanted.parquet`,
    )
    const memory = `${spec.job}/enriched/${name}.json`
    const last = await readManifest<Memory>(staging, memory)
    const known = last?.version === version ? last.parts : []
    const same = takes.map(column => `k.${quoteName(column)} IS NOT DISTINCT FROM w.${quoteName(column)}`)
    const asked = `${filesSql(root, [wanted])} AS w`
    const earlier = known.length > 0 ? `${filesSql(root, known)} AS k` : undefined
    const fresh = earlier ? `${asked} ANTI JOIN ${earlier} ON ${same.join(' AND ')}` : asked
    const query = `SELECT ${given} FROM ${fresh}`
    const [found] = await context.duck.rows(`SELECT count(*) AS n FROM (${query})`)
    const count = Number(found!.n)
    context.progress.note(`${name}: ${counted(wanted.rows, 'distinct value')}, ${count} of them new`)
    const made = await make(context, enrich, query, count, folder)
    const nulls = gives.map(({ name, type }) => `NULL::${typeName(type)} AS ${quoteName(name)}`)
    const sources = [
      `SELECT ${[given, ...nulls].join(', ')} FROM ${asked} LIMIT 0`,
      ...(earlier ? [`SELECT ${all} FROM ${earlier} SEMI JOIN ${asked} ON ${same.join(' AND ')}`] : []),
      ...(made.length > 0 ? [`SELECT ${all} FROM ${filesSql(root, made)}`] : []),
    ]
    const rows = `FROM (${sources.map(source => `(${source})`).join(' UNION ALL ')}) ORDER BY ${given}`
    const part = await copyFile(context, rows, ownFile(context, `transformed/${name}`, '.parquet'), 'snappy')
    // Of a run that is not committed, too: what a value becomes depends on the value alone.
    await writeManifest(staging, memory, { version, parts: [part] } satisfies Memory)
    return part
  } finally {
    rmSync(join(root, folder), { recursive: true, force: true })
  }
}

/** The `count` rows of `fresh` with the columns that the enrichment gives, in some files below `folder`. */
async function make(
  context: RunContext,
  { module, takes, gives }: Enrichment,
  fresh: string,
  count: number,
  folder: string,
): Promise<Part[]> {
  const { root, spec, workers, signal } = context
  const threads = Math.min(spec.resources.threads, Math.ceil(count / WORTH))
  const shares = await Promise.all(
    Array.from({ length: threads }, (_, index) =>
      copyFile(
        context,
        `FROM (${fresh}) WHERE hash(${quoteName(takes[0]!)}) % ${threads} = ${index}`,
        `${folder}/share-${index}.parquet`,
      ),
    ),
  )
  const made = await Promise.all(
    shares.map(({ file }, index) => {
      const stem = `${folder}/made-${index}`
      const input: EnrichInput = { module, gives, path: join(root, file), stem: join(root, stem) }
      return workers.offload<number>(moduleBeside(import.meta.url, 'enrichFile'), 'enrichFile', input, signal)
    }),
  )
  const files = made.flatMap((count, index) =>
    Array.from({ length: count }, (_, number) => `${folder}/made-${index}-${number}.parquet`),
  )
  return Promise.all(files.map(file => partOf(root, file)))
}
