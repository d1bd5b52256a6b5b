import type { Column } from '../types/logical.ts'
import type { Offload, PlannedLoad } from './load.ts'
/** Says whether a table holds the rows that it should, by checksums that the target makes of its own rows. */
export interface Verifier {
  /**
   * Which columns of a load can be compared exactly with what the table holds, and why others cannot. Fails with
   * TABLE_MISSING where there is no table.
   */
  comparable(load: PlannedLoad, signal: AbortSignal): Promise<{ columns: ComparedColumn[]; notes: string[] }>
  compare(request: VerifyRequest, signal: AbortSignal): Promise<RangeFinding[]>
}

export interface ComparedColumn extends Column {
  /** The target does not keep blanks at the end of a text. */
  unpadded?: boolean
  /** The target does not keep the sign of zero. */
  unsignedZero?: boolean
}

/** Names of the columns that the files of a {@link VerifyRequest} have beside the key. */
export const VERIFY_COLUMNS = { newer: '_nf_newer', range: '_nf_range', sum: '_nf_sum' } as const

export interface VerifyRequest {
  loadId: string
  job: string
  load: PlannedLoad
  /** Columns in the checksum, in order. */
  compared: ComparedColumn[]
  /**
   * Local Parquet files with a line for each row: key, {@link VERIFY_COLUMNS.newer} where the target's row may be newer (`ageColumn`),
   * {@link VERIFY_COLUMNS.range} (INTEGER; -1: not judged) and {@link VERIFY_COLUMNS.sum} (BIGINT, the checksum; NULL: the row should not
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
export interface RangeFinding {
  /** -1 for `extra`. */
  range: number
  /**
   * | | |
   * |---|---|
   * | equal | as it should be |
   * | newer | differs, and the target's is newer |
   * | differs, missing | |
   * | lingers | should not be there, and is |
   * | extra | in none of the files |
   */
  verdict: 'equal' | 'newer' | 'differs' | 'missing' | 'lingers' | 'extra'
  rows: number
  keys: string[][]
}
