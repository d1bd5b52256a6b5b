import type { Column } from '../../engine/types/logical.ts'

/** What a column of files carries for the lanes, in its `wire`. */
export interface FileColumn {
  /** How its values are written, where its type is a guess: `field.ts`. */
  notation?: string
  /** Whether a file may lack it: its rows then have NULL. */
  optional?: boolean
}

export function fileColumn({ wire }: Column): FileColumn {
  return wire === undefined ? {} : (JSON.parse(wire) as FileColumn)
}

export function withFileColumn(column: Column, { notation, optional }: FileColumn): Column {
  const { wire: _wire, ...rest } = column
  if (notation === undefined && !optional) return rest
  return {
    ...rest,
    wire: JSON.stringify({ ...(notation && { notation }), ...(optional && { optional }) }),
  }
}
