import { cutTo, padded, widthOf } from '../../engine/width.ts'
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
    Math.max(widthOf(name), ...cells.map(row => widthOf(row[column] ?? ''))),
  )
  const line = (values: readonly string[]) =>
    values
      .map((value, column) => padded(value, widths[column]!, numeric[column]))
      .join('  ')
      .trimEnd()
  return [line(heads), widths.map(each => '─'.repeat(each)).join('  '), ...cells.map(line)]
}

/** Columns of the terminal behind an indent; undefined in a pipe, which gets all. */
export const terminalWidth = (indent = 0): number | undefined =>
  process.stdout.isTTY ? process.stdout.columns - indent : undefined

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
  most: number | undefined = terminalWidth(),
): string[] {
  const isWide = (lines: string[]) => most !== undefined && lines.some(line => widthOf(line) > most)
  const whole = tableText(names, rows, numeric)
  if (!isWide(whole)) return whole
  if (rows.length <= FEW) {
    const pad = Math.max(...names.map(widthOf))
    const room = Math.max(1, most! - pad - 2)
    return rows.flatMap((row, index) => [
      ...(index > 0 ? [''] : []),
      ...names.map((name, column) => `${padded(name, pad)}  ${shownValue(row[column] ?? null, room)}`),
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

/**
 * Rows of a difference within the width of a terminal, each behind its mark. Where they are wider, the columns that say most
 * stand first: `telling`, a key and what differs.
 */
export function markedText(
  names: readonly string[],
  rows: readonly (readonly (string | null)[])[],
  telling: readonly string[],
  indent = '',
  most: number | undefined = terminalWidth(indent.length),
): string[] {
  const whole = tableText(['', ...names], rows)
  const fits = most === undefined || whole.every(line => widthOf(line) <= most)
  const order = [...new Set([...telling.filter(name => names.includes(name)), ...names])]
  const at = [0, ...order.map(name => names.indexOf(name) + 1)]
  const lines = fits
    ? whole
    : fittedText(
        ['', ...order],
        rows.map(row => at.map(index => row[index] ?? null)),
        [],
        most,
      )
  return lines.map(line => line && `${indent}${line}`)
}

/** A value in one line, of a bounded length. */
export function shownValue(value: string | null, most = WIDTH): string {
  if (value === null) return 'NULL'
  if (value === '') return "''"
  return cutTo(oneLine(value), most)
}

// What steers a terminal is seen to be what it is: two values that differ by it look different.
const oneLine = (text: string) => printable(text.replaceAll(/\s+/gu, ' '))
