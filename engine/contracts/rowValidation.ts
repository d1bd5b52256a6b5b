import type { Column } from '../types/logical.ts'
import type { PlannedLoad, StageRequest } from './load.ts'
// What a target can say of rows: which it would refuse, and which it holds.

/** Finds rows that a table would refuse, so that the others can be loaded. */
export interface RowValidator {
  /** Rows that cannot even be sent. */
  unsendable(load: PlannedLoad): Unsendable[]
  /** Rows that the table's types or constraints refuse, as far as it can tell before; none where there is no table yet. */
  findRejects(request: RejectsRequest, signal: AbortSignal): Promise<RejectedRow[]>
}

/** Values that a target cannot be sent: a condition in DuckDB's SQL on the load's columns. */
export interface Unsendable {
  column: string
  condition: string
  /** `x: holds a NUL byte`. */
  reason: string
}

/** Name of the column (BIGINT) that says which row it is, in the parts of a {@link RejectsRequest}. */
export const REJECT_ROW = '_nf_row'

export interface RejectsRequest extends Pick<StageRequest, 'loadId' | 'job' | 'paths' | 'offload' | 'lanes'> {
  load: PlannedLoad
  /** Of the parts: the load's, and {@link REJECT_ROW}. */
  columns: Column[]
  /** Tables that the same commit changes: a foreign key to one of them is not judged. */
  beside: string[]
}

export interface RejectedRow {
  row: number
  /** `name: 'abcd' does not fit character varying(3)`. */
  reason: string
}
