/** Characters that steer a terminal, or turn the direction of text around. */
const STEERING = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

const escaped = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`

/** A text of others in one line of a terminal: nothing in it steers. */
export const printable = (text: string): string => text.replaceAll(STEERING, escaped)

const visible = (text: string, kept: RegExp) =>
  text.replaceAll(STEERING, char => (kept.test(char) ? char : escaped(char)))

/** What of a text is left as it is where it has several lines, and in a cell. */
const OF_LINES = /[\t\n]/
const OF_CELL = /[\t\r\n]/

/** The same for a text of several lines, or JSON, which stays what it is. */
export const legible = (text: string): string => visible(text.replaceAll('\r\n', '\n'), OF_LINES)

/**
 * What somebody made of `was` in a form that showed it by {@link legible}: line ends, and characters that were made
 * visible, are those of `was` again. Undefined where nobody can tell which are meant.
 */
export function ofLegible(text: string, was: string): string | undefined {
  const ends = new Set(was.match(/\r?\n/g))
  if (ends.size > 1) return undefined
  const lines = hidden(text.replaceAll('\r\n', '\n'), was.replaceAll('\r\n', '\n'), OF_LINES)
  return lines?.replaceAll('\n', [...ends][0] ?? '\n')
}

/** A value in a cell of a spreadsheet: no formula, and nothing steers the terminal that shows the file. */
export function cell(value: string): string {
  const shown = visible(value, OF_CELL)
  return /^(?:[=@'\t\r]|[-+](?!\d+(?:\.\d+)?$))/.test(shown) ? `'${shown}` : shown
}

/** What somebody made of `was` in a cell that {@link cell} may have made; undefined where nobody can tell what is meant. */
export const ofCell = (text: string, was: string): string | undefined =>
  hidden(/^'[=@'\t\r+-]/.test(text) ? text.slice(1) : text, was, OF_CELL)

/** A text with the characters that were made visible of `was`; undefined where `was` has what stands for one, too. */
function hidden(text: string, was: string, kept: RegExp): string | undefined {
  let found = text
  for (const char of new Set(was.match(STEERING))) {
    // One that is there as it is was never made visible.
    if (kept.test(char) || text.includes(char) || !text.includes(escaped(char))) continue
    if (was.includes(escaped(char))) return undefined
    found = found.replaceAll(escaped(char), char)
  }
  return found
}
