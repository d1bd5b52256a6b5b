/** Texts in columns: the first to the left, numbers to the right, the last as it is. */
export function aligned(rows: string[][]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map(row => row[column]!.length))) ?? []
  return rows.map(row =>
    row
      .map((text, column) => {
        if (column === row.length - 1) return text
        return column === 0 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!)
      })
      .join('  '),
  )
}
