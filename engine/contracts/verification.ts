import type { RowSum } from '../batch/rowSum.ts'
import type { Column } from '../types/logical.ts'
import type { PlannedLoad } from './load.ts'
import type { Sink } from './source.ts'

/** Reads back what a table holds, on the connection that commits to it: what its readers will see. */
export interface Verifier {
  /**
   * How the table keeps a load's columns, and which it does not keep so that they can be compared, and why. Fails with
   * TABLE_MISSING where there is no table.
   */
  comparable(load: PlannedLoad, signal: AbortSignal): Promise<{ columns: ComparedColumn[]; notes: string[] }>
  read(request: ReadBack, signal: AbortSignal): Promise<void>
  /**
   * The sum of the rows that {@link read} would give; undefined where it gives other types than the load's. Absent where
   * nothing is sent by whoever could add it up.
   */
  sum?(request: Omit<ReadBack, 'sink'>, signal: AbortSignal): Promise<RowSum | undefined>
  /**
   * Of what DuckDB reads: the sum of `expression`, SQL of such a row, over the rows that {@link read} would give; undefined
   * where it gives other types than the columns'.
   */
  total?(
    request: Omit<ReadBack, 'sink'>,
    expression: string,
    signal: AbortSignal,
  ): Promise<RowTotal | undefined>
}

/** How many rows there are, and the sum over them, as text. */
export interface RowTotal {
  rows: number
  total: string
}

export interface ComparedColumn extends Column {
  /** The target does not keep blanks at the end of a text. */
  unpadded?: boolean
  /** The target does not keep the sign of zero. */
  unsignedZero?: boolean
  /**
   * The target parses the text into a type with a notation of its own. A value that equals the staged one by the target's
   * own equality is read back as the staged text; without staged rows it cannot be compared.
   */
  parsed?: boolean
}

/** What is read back: rows of today, none that is marked as deleted, no earlier version. */
export interface ReadBack {
  loadId: string
  load: PlannedLoad
  /** Columns of the load, in order; their types are the table's. */
  columns: ComparedColumn[]
  /** Rows of the keys that this load has staged, or all. */
  of: 'staged' | 'all'
  /** Whether what the load has staged is still there: always during its commit. */
  staged: boolean
  sink: Sink
}
