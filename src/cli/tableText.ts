/** Characters of a value that are shown. */
const WIDTH = 48

/** Rows as an aligned table for a terminal: a line of names, a rule, a line a row; numbers to the right. */
export function tableText(
  names: readonly string[],
  rows: readonly (readonly (string | null)[])[],
  numeric: readonly boolean[] = [],
): string[] {
  const cells = rows.map(row => row.map(value => shownValue(value)))
  const widths = names.map((name, column) =>
    Math.max(width(name), ...cells.map(row => width(row[column] ?? ''))),
  )
  const line = (values: readonly string[]) =>
    values
      .map((value, column) => {
        const gap = ' '.repeat(widths[column]! - width(value))
        return numeric[column] ? gap + value : value + gap
      })
      .join('  ')
      .trimEnd()
  return [line(names), widths.map(each => '─'.repeat(each)).join('  '), ...cells.map(line)]
}

/** A value in one line, of a bounded length. */
export function shownValue(value: string | null): string {
  if (value === null) return 'NULL'
  if (value === '') return "''"
  // A value must not steer the terminal.
  const text = value.replaceAll(/[\s\p{Cc}]+/gu, ' ')
  return text.length > WIDTH ? `${text.slice(0, WIDTH - 1)}…` : text
}

const width = (text: string) => [...text].length
