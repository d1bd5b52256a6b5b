import { globSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Enrichment } from '../contracts/enrichment.ts'
import type { Part } from '../contracts/staging.ts'
import { EngineError } from '../errors.ts'
import type { Mask } from '../mask.ts'
import { counted } from '../plural.ts'
import { moduleBeside } from '../pool/entry.ts'
import { saying } from '../pool/ownModule.ts'
import type { Workers } from '../pool/pool.ts'
import { type Duck, quoteName } from '../sql/duckdb.ts'
import { enrichFault } from '../sql/enriched.ts'
import { refuse } from '../sql/faults.ts'
import type { SqlFile } from '../sql/parse.ts'
import { stripped } from '../sql/text.ts'
import { copyFile, copyParts } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { seenType } from '../types/duckType.ts'
import { jsonSql } from '../types/jsonText.ts'
import { type Column, columnNamed, typeName } from '../types/logical.ts'
import { enrichFailed } from './enrichFailed.ts'
import type { EnrichFailure, EnrichInput } from './enrichFile.ts'
import { asStaged } from './modelTypes.ts'

/** Rows that a function is given at a time, at most. */
const BATCH_ROWS = 16_384
/** The column with the number of the first row of the query that is so. */
const ROW = '_nf_row'

/** A model, and what is made of its query's rows. */
export type Enriched = SqlFile & { name: string; enrich: Enrichment }

/** What rows are enriched with. */
export interface EnrichWork {
  duck: Duck
  workers: Workers
  threads: number
  signal: AbortSignal
  mask: Mask
  /** Columns by which people know rows. */
  keys: string[]
  note(text: string): void
  /** What of files that are there already is of the same values: of that version. */
  version: string
  /** Where files are written: an absolute folder, and one below it for those that go again. */
  root: string
  folder: string
  /** Glob of folders below the root that may have some of these files already. */
  begun?: string
}

/**
 * Writes a query's rows, in their order, with what an enrichment makes of them, to a file below the root of `work`. Rows that are
 * alike in what it takes are given to it once, and not where `known` has them: a relation of rows that it was made of before.
 */
export async function enrichRows(
  work: EnrichWork,
  model: Enriched,
  columns: Column[],
  known: string | undefined,
  to: string,
): Promise<Part> {
  const { file, sql, enrich } = model
  const described = columns.map(column => ({ name: column.name, type: seenType(column) }))
  const fault = enrichFault({ file, enrich }, described)
  if (fault) refuse([fault])
  const { root, folder, begun = folder, version } = work
  const takes = enrich.takes.map(take => new Taken(take, columns))
  const same = (a: string[], b: string[]) =>
    a.map((key, index) => `${key} IS NOT DISTINCT FROM ${b[index]}`).join(' AND ')
  const keysOf = (alias: string) => takes.map(take => take.keyOf(take.in(alias)))
  const own = takes.map(take => take.keyOf(take.value('r')))

  const rows = await copyFile(work, asStaged(stripped(sql), columns), `${folder}/rows.parquet`)
  const numbered = `${filesSql(root, [rows], { rowNumber: true })} AS r`
  const wanted = await copyFile(
    work,
    `SELECT ${takes.map(take => `first(${take.value('r')}) AS ${take.quoted}`).join(', ')}, min(file_row_number) AS ${ROW}
     FROM ${numbered} GROUP BY ${own.join(', ')}`,
    `${folder}/wanted.parquet`,
  )
  const given = enrich.gives.map(({ name }) => quoteName(name)).join(', ')
  const list = `${takes.map(({ quoted }) => quoted).join(', ')}, ${given}`
  const made = `made-${version.slice(0, 12)}`
  const kept = globSync(`${begun}/${made}-*.parquet`, { cwd: root }).sort()
  const rowsOf = (files: { file: string }[]) =>
    files.length === 0 ? [] : [`SELECT ${list} FROM ${filesSql(root, files)}`]
  const earlier = [
    ...(known === undefined
      ? []
      : [
          `SELECT ${takes.map(take => `${take.value('r')} AS ${take.quoted}`).join(', ')}, ${given} FROM ${known} AS r`,
        ]),
    ...rowsOf(kept.map(file => ({ file }))),
  ]
  const asked = `SELECT * FROM ${filesSql(root, [wanted])} AS w`
  const fresh =
    earlier.length === 0
      ? asked
      : `${asked} ANTI JOIN (${earlier.join(' UNION ALL ')}) AS k ON ${same(keysOf('w'), keysOf('k'))}`
  const parts = await copyParts(work, fresh, `${folder}/fresh-${kept.length}`, BATCH_ROWS)
  const shares = parts.filter(part => part.rows > 0)
  const count = shares.reduce((sum, share) => sum + share.rows, 0)
  work.note(`${model.name}: ${counted(wanted.rows, 'distinct value')}, ${count} of them new`)
  const stem = `${folder}/${made}-${kept.length}`
  const { files, failure } = await makeAll(work, enrich, shares, stem)
  if (failure) throw await enrichFailed(work, enrich, failure, rows, columns)

  const typed = [...enrich.takes, ...enrich.gives].map(
    ({ name, type }) => `NULL::${typeName(type)} AS ${quoteName(name)}`,
  )
  const all = [`(SELECT ${typed.join(', ')} LIMIT 0)`, ...earlier, ...rowsOf(files)].join(' UNION ALL ')
  const part = await copyFile(
    work,
    `SELECT r.* EXCLUDE (file_row_number), ${enrich.gives.map(({ name }) => `v.${quoteName(name)}`).join(', ')}
     FROM ${numbered} JOIN (SELECT DISTINCT ON (${keysOf('s').join(', ')}) * FROM (${all}) AS s) AS v
       ON ${same(own, keysOf('v'))} ORDER BY r.file_row_number`,
    to,
    { compression: 'snappy' },
  )
  if (part.rows !== rows.rows)
    throw new EngineError(
      'ROWS_UNACCOUNTED',
      `${model.name}: ${counted(rows.rows, 'row')} of its query, ${part.rows} with what ${enrich.own?.file ?? 'its enrichment'} makes of them`,
    )
  rmSync(join(root, folder), { recursive: true, force: true })
  return part
}

/** A column that a function takes: of a query's rows, and by its own name among the values that were given. */
class Taken {
  readonly quoted: string
  readonly take: Column
  private readonly found: Column

  constructor(take: Column, columns: Column[]) {
    this.take = take
    this.found = columnNamed(columns, take.name)!
    this.quoted = quoteName(take.name)
  }

  /** SQL of the value, of a row of the query. */
  value(alias: string): string {
    const { name, type } = this.found
    const value = `${alias}.${quoteName(name)}`
    return type.kind === 'nested' ? `${jsonSql(value, typeName(type))}::VARCHAR` : value
  }

  in(alias: string): string {
    return `${alias}.${this.quoted}`
  }

  /** SQL that is equal of values that are the same: of floats, 0.0 and -0.0 are not. */
  keyOf(value: string): string {
    return this.take.type.kind === 'float' ? `(${value})::VARCHAR` : value
  }
}

/** Has worker threads make all shares, until one fails. */
async function makeAll(
  { workers, threads, signal, root }: EnrichWork,
  { module, gives, own }: Enrichment,
  shares: Part[],
  stem: string,
): Promise<{ files: { file: string }[]; failure?: EnrichFailure | undefined }> {
  let next = 0
  let failure: EnrichFailure | undefined
  const files: { file: string }[] = []
  const work = async () => {
    while (!failure && next < shares.length) {
      const index = next++
      const input: EnrichInput = {
        ...{ module, gives, ...(own && { own }) },
        path: join(root, shares[index]!.file),
        number: ROW,
        stem: join(root, `${stem}-${index}`),
      }
      const entry = moduleBeside(import.meta.url, 'enrichFile')
      const made = await workers
        .offload<number | EnrichFailure>(entry, 'enrichFile', input, signal)
        .catch((error): EnrichFailure => {
          if (!own || signal.aborted || error instanceof EngineError) throw error
          return threadEnded(error)
        })
      if (typeof made !== 'number') failure ??= made
      else
        for (let number = 0; number < made; number++)
          files.push({ file: `${stem}-${index}-${number}.parquet` })
    }
  }
  await Promise.all(Array.from({ length: Math.min(threads, shares.length) }, work))
  return { files, failure }
}

const threadEnded = (error: Error): EnrichFailure => ({
  message: `its thread ended: ${saying(error)}`,
  thrown: true,
  hint: 'A function throws, or its promise rejects, where it cannot go on; what it begins, it awaits; and rows of a batch fit into memory.',
})
