import type { Offload, PlannedLoad, StageRequest } from './loads.ts'
import type { Column } from './types/logical.ts'

// What a target can say of rows: which it would refuse, and which it holds.

/** Finds rows that a table would refuse, so that the others can be loaded. */
export interface Fitter {
  /** Rows that cannot even be sent: conditions in DuckDB's SQL on the load's columns. */
  unsendable(load: PlannedLoad): { condition: string; reason: string }[]
  /** Rows that the table's types or constraints refuse, as far as it can tell before; none where there is no table yet. */
  misfits(request: FitRequest, signal: AbortSignal): Promise<Misfit[]>
}

/** Name of the column (BIGINT) that says which row it is, in the parts of a {@link FitRequest}. */
export const FIT_ROW = '_nf_row'

export interface FitRequest extends Pick<StageRequest, 'loadId' | 'job' | 'paths' | 'offload' | 'lanes'> {
  load: PlannedLoad
  /** Of the parts: the load's, and {@link FIT_ROW}. */
  columns: Column[]
  /** Tables that the same commit changes: a foreign key to one of them is not judged. */
  beside: string[]
}

export interface Misfit {
  row: number
  /** `name: 'abcd' does not fit character varying(3)`. */
  reason: string
}

/** Says whether a table holds the rows that it should, by checksums that the target makes of its own rows. */
export interface Prover {
  /**
   * Which columns of a load can be compared exactly with what the table holds, and why others cannot. Fails with
   * TABLE_MISSING where there is no table.
   */
  comparable(load: PlannedLoad, signal: AbortSignal): Promise<{ columns: ComparedColumn[]; notes: string[] }>
  compare(request: ProofRequest, signal: AbortSignal): Promise<Verdict[]>
}

export interface ComparedColumn extends Column {
  /** The target does not keep blanks at the end of a text. */
  unpadded?: boolean
  /** The target does not keep the sign of zero. */
  unsignedZero?: boolean
}

/** Names of the columns that the files of a {@link ProofRequest} have beside the key. */
export const PROOF = { newer: '_nf_newer', range: '_nf_range', sum: '_nf_sum' } as const

export interface ProofRequest {
  loadId: string
  job: string
  load: PlannedLoad
  /** Columns in the checksum, in order. */
  compared: ComparedColumn[]
  /**
   * Local Parquet files with a line for each row: key, {@link PROOF.newer} where the load has `newer`,
   * {@link PROOF.range} (INTEGER; -1: not judged) and {@link PROOF.sum} (BIGINT, the checksum; NULL: the row should not
   * be there). `columns` are their columns.
   */
  paths: string[]
  columns: Column[]
  rows: number
  /** Whether rows that are in none of the files are looked for. */
  extra: boolean
  offload: Offload
  lanes: number
}

/** How many rows of a range are so, with the keys of a few that are wrong (columns' texts). */
export interface Verdict {
  /** -1 for `extra`. */
  range: number
  /**
   * | | |
   * |---|---|
   * | equal | as it should be |
   * | newer | differs, and the target's is newer |
   * | sameAge | differs, and neither is newer |
   * | differs, missing | |
   * | lingers | should not be there, and is |
   * | extra | in none of the files |
   */
  verdict: 'equal' | 'newer' | 'sameAge' | 'differs' | 'missing' | 'lingers' | 'extra'
  rows: number
  keys: string[][]
}
