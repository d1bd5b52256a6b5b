import { REJECTED } from '../batch/builder.ts'
import type { ChangeCounts } from '../contracts/changes.ts'
import type { Part } from '../contracts/staging.ts'
import type { ErrorData } from '../errors.ts'
import type { PlannedRead } from '../plan/plan.ts'
import type { Night } from '../staging/image.ts'
import type { Reconciled } from './reconciled.ts'

/** What one extract left in staging. */
export interface Extracted {
  extract: string
  parts: Part[]
  rows: number
  /** Keys of rows of earlier nights that the source has no more, where the job asks for them. */
  gone?: Part[]
  /** Highest value of the incremental column, of this night or an earlier one; DuckDB's text. */
  watermark: string | null
  /** How consistent the view was, where it was less than one snapshot. */
  note?: string
  /** Of an accumulating source: all that has been read of it, this run included; of a log, how far. */
  cursor?: unknown
  /** Why it was not read, where the run goes on without it. */
  failed?: ErrorData
  /** Of a log: what was read of it. */
  changes?: ChangeCounts
  reconciled?: Reconciled
  /** Nights that take the place of those of the image that it builds on. */
  folded?: Night[]
}

/** A read as its parts have it: without the column of rejects where none of them has it. */
export function asStaged(read: PlannedRead, found: Extracted | undefined): PlannedRead {
  if (!found?.parts.every(({ exact }) => exact)) return read
  return { ...read, columns: read.columns.filter(({ name }) => name !== REJECTED) }
}
