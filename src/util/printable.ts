/** Characters that steer a terminal, or turn the direction of text around. */
const STEERING = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

const escaped = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`

/** A text of others in one line of a terminal: nothing in it steers. */
export const printable = (text: string): string => text.replaceAll(STEERING, escaped)

/** The same for a text of several lines, or JSON, which stays what it is. */
export const legible = (text: string): string =>
  text.replaceAll('\r\n', '\n').replaceAll(STEERING, char => (/[\t\n]/.test(char) ? char : escaped(char)))

/** A value in a cell of a spreadsheet: no formula, and nothing steers the terminal that shows the file. */
export function cell(value: string): string {
  const shown = value.replaceAll(STEERING, char => (/[\t\r\n]/.test(char) ? char : escaped(char)))
  return /^(?:[=@'\t\r]|[-+](?!\d+(?:\.\d+)?$))/.test(shown) ? `'${shown}` : shown
}

/** What somebody wrote into a cell that {@link cell} may have made. */
export const ofCell = (text: string): string => (/^'[=@'\t\r+-]/.test(text) ? text.slice(1) : text)
