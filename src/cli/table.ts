/** Texts in columns: the first to the left, numbers to the right, the last as it is. */
export function aligned(rows: string[][]): string[] {
  const widths = widthsOf(rows)
  return rows.map(row =>
    row
      .map((text, column) => {
        if (column === row.length - 1) return text
        return column === 0 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!)
      })
      .join('  '),
  )
}

/** Texts in columns, all to the left. */
export function inColumns(rows: string[][]): string[] {
  const widths = widthsOf(rows)
  return rows.map(row =>
    row
      .map((text, column) => text.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
}

const widthsOf = (rows: string[][]): number[] =>
  rows[0]?.map((_, column) => Math.max(...rows.map(row => row[column]!.length))) ?? []
