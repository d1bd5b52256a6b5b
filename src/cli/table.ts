import { padded, widthOf } from '../../engine/width.ts'

/** Texts in columns: the first to the left, numbers to the right, the last as it is. */
export function aligned(rows: string[][]): string[] {
  const widths = widthsOf(rows)
  return rows.map(row =>
    row
      .map((text, column) => {
        if (column === row.length - 1) return text
        return padded(text, widths[column]!, column > 0)
      })
      .join('  '),
  )
}

/** Texts in columns, all to the left. */
export function inColumns(rows: string[][]): string[] {
  const widths = widthsOf(rows)
  return rows.map(row =>
    row
      .map((text, column) => padded(text, widths[column]!))
      .join('  ')
      .trimEnd(),
  )
}

const widthsOf = (rows: string[][]): number[] =>
  rows[0]?.map((_, column) => Math.max(...rows.map(row => widthOf(row[column]!)))) ?? []
