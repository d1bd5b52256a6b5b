import type { Vector } from '../../../engine/batch/batch.ts'
/** One column of a batch on its way out. */
export interface Values {
  vector: Vector
  validity: Uint8Array | undefined
  source: DataView
  /** The column, for errors. */
  where: string
}

export const present = (validity: Uint8Array, row: number) => (validity[row >> 3]! & (1 << (row & 7))) !== 0
