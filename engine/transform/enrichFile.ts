import { type Batch, isValid, sliceBatch, type Vector } from '../batch/batch.ts'
import { valueReader } from '../batch/values.ts'
import type { EnrichModule, Enrichment } from '../contracts/enrichment.ts'
import { encodeParquet } from '../parquet/encode.ts'
import { readParquet } from '../parquet/read.ts'
import { type CodePlace, importOwn, OwnModuleInvalid, saying, whereOf } from '../pool/ownModule.ts'
import { atomicWriteBytes } from '../staging/store.ts'
import { GivenWrong, givenVectors, takenColumns } from './enrichColumns.ts'

/** What a worker thread is asked: plain data. Paths are absolute. */
export interface EnrichInput extends Pick<Enrichment, 'module' | 'gives' | 'own'> {
  /** Parquet file of the columns that the module takes, and of {@link number}. */
  path: string
  /** The column with the number of the first row of the query that is so. */
  number: string
  /** Beginning of the names of the files to write, one a row group: `STEM-0.parquet`. */
  stem: string
}

/** Why the function did not give what it declares. */
export interface EnrichFailure {
  /** What it threw; of a fault of what it gave, which one. */
  message: string
  thrown: boolean
  hint?: string
  at?: CodePlace
  /** The row of the query, and the values that were given of it. */
  row?: number
  values?: Record<string, string | null>
}

/** Writes the rows of a file with what the module makes of them; gives the number of files, or why there is no more. Worker thread. */
export async function enrichFile({
  module,
  gives,
  own,
  path,
  number,
  stem,
}: EnrichInput): Promise<number | EnrichFailure> {
  let made: EnrichModule
  try {
    made = (own ? (await importOwn(module, own)).exports : await import(module)) as EnrichModule
  } catch (error) {
    if (!own) throw error
    return { ...failureOf(error, own.folder), thrown: !(error instanceof OwnModuleInvalid) }
  }
  const call = async (batch: Batch) => {
    const { rows, vectors } = batch
    return givenVectors(await made.enrich(takenColumns(batch), rows), gives, rows).concat(vectors)
  }
  let files = 0
  let failure: EnrichFailure | undefined
  await readParquet(path, async whole => {
    if (failure) return
    const at = whole.vectors.findIndex(({ column }) => column.name === number)
    const numbers = whole.vectors[at]!
    const batch = { rows: whole.rows, vectors: whole.vectors.toSpliced(at, 1) }
    let vectors: Vector[]
    try {
      vectors = await call(batch)
    } catch (error) {
      if (!own) throw error
      const first = error instanceof GivenWrong ? { row: error.row, error } : await firstThrowing(batch, call)
      failure = failureOf(first?.error ?? error, own.folder)
      const row = first?.row
      if (row === undefined) return
      failure.row = Number(valueReader(numbers, whole.rows)(row))
      const values = batch.vectors.map(vector => {
        const value = isValid(vector, row) ? String(valueReader(vector, whole.rows)(row)) : null
        return [vector.column.name, value]
      })
      failure.values = Object.fromEntries(values)
      return
    }
    atomicWriteBytes(`${stem}-${files++}.parquet`, encodeParquet({ rows: batch.rows, vectors }))
  })
  return failure ?? files
}

function failureOf(error: unknown, folder: string): EnrichFailure {
  const at = whereOf(error, folder)
  const hint = error instanceof GivenWrong || error instanceof OwnModuleInvalid ? error.hint : undefined
  return {
    message: saying(error),
    thrown: !(error instanceof GivenWrong),
    ...(hint !== undefined && { hint }),
    ...(at && { at }),
  }
}

/** The first row that a function fails on by itself, found by halves; undefined where it fails on none alone. */
async function firstThrowing(
  batch: Batch,
  call: (batch: Batch) => Promise<unknown>,
): Promise<{ row: number; error: unknown } | undefined> {
  let [from, to] = [0, batch.rows]
  while (to - from > 1) {
    const middle = (from + to) >> 1
    if (await failureIn(() => call(sliceBatch(batch, from, middle)))) to = middle
    else from = middle
  }
  const alone = await failureIn(() => call(sliceBatch(batch, from, to)))
  return alone && { row: from, error: alone.error }
}

async function failureIn(act: () => Promise<unknown>): Promise<{ error: unknown } | undefined> {
  try {
    await act()
    return undefined
  } catch (error) {
    return { error }
  }
}
