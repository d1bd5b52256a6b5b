import { printable } from '../util/printable.ts'

/** Characters of a value that are shown. */
const WIDTH = 48

/** Rows as an aligned table for a terminal: a line of names, a rule, a line a row; numbers to the right. */
export function tableText(
  names: readonly string[],
  rows: readonly (readonly (string | null)[])[],
  numeric: readonly boolean[] = [],
): string[] {
  const heads = names.map(oneLine)
  const cells = rows.map(row => row.map(value => shownValue(value)))
  const widths = heads.map((name, column) =>
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
  return [line(heads), widths.map(each => '─'.repeat(each)).join('  '), ...cells.map(line)]
}

/** A value in one line, of a bounded length. */
export function shownValue(value: string | null): string {
  if (value === null) return 'NULL'
  if (value === '') return "''"
  const text = oneLine(value)
  return text.length > WIDTH ? `${text.slice(0, WIDTH - 1)}…` : text
}

// What steers a terminal is seen to be what it is: two values that differ by it look different.
const oneLine = (text: string) => printable(text.replaceAll(/\s+/gu, ' '))

const width = (text: string) => [...text].length
