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

/** Rows that are shown one below the other where they are wider than the terminal. */
const FEW = 3

/**
 * The same within the width of a terminal, in characters: a few rows stand one below the other, a line a value; of more, the
 * columns that do not fit are left out, and named. `width`: none in a pipe, which gets all.
 */
export function fittedText(
  names: readonly string[],
  rows: readonly (readonly (string | null)[])[],
  numeric: readonly boolean[] = [],
  most: number | undefined = process.stdout.isTTY ? process.stdout.columns : undefined,
): string[] {
  const isWide = (lines: string[]) => most !== undefined && lines.some(line => width(line) > most)
  const whole = tableText(names, rows, numeric)
  if (!isWide(whole)) return whole
  if (rows.length <= FEW) {
    const pad = Math.max(...names.map(width))
    return rows.flatMap((row, index) => [
      ...(index > 0 ? [''] : []),
      ...names.map(
        (name, column) => `${name}${' '.repeat(pad - width(name))}  ${shownValue(row[column] ?? null)}`,
      ),
    ])
  }
  let count = names.length - 1
  const upTo = () =>
    tableText(
      names.slice(0, count),
      rows.map(row => row.slice(0, count)),
      numeric,
    )
  while (count > 1 && isWide(upTo())) count--
  const left = names.slice(count)
  return [...upTo(), '', `not shown, for want of width: ${left.join(', ')}`]
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
