import { cutFrom, cutTo, widthOf } from '../width.ts'

// What stands in a string (E and dollar quotes, too), a name or a comment ends nothing.
const TOKEN =
  /[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$.*?\$\1\$|(?<rest>--[^\n]*|\/\*.*?\*\/|\s+)|[\p{L}_][\p{L}\p{N}_$]*|./gsu

/** The words, literals and signs of a text, without comments and white space. */
export function* tokensOf(sql: string): Generator<StatementText> {
  for (const { index, 0: text, groups } of sql.matchAll(TOKEN))
    if (groups!.rest === undefined) yield { start: index, text }
}

/** A piece of a file; `start` counts characters. */
export interface StatementText {
  start: number
  text: string
}

/** The statements of a file, in order; comments alone are none. */
export function statementsOf(sql: string): StatementText[] {
  const found: StatementText[] = []
  let start: number | undefined
  let end = 0
  const close = () => {
    if (start !== undefined) found.push({ start, text: sql.slice(start, end) })
    start = undefined
  }
  for (const token of tokensOf(sql)) {
    if (token.text === ';') {
      close()
      continue
    }
    start ??= token.start
    end = token.start + token.text.length
  }
  close()
  return found
}

/** A query without the semicolon and the comments that end it in a file: it can stand within another. */
export function stripped(sql: string): string {
  const last = statementsOf(sql).at(-1)
  return last ? sql.slice(0, last.start + last.text.length) : ''
}

/** Where something stands in a file: counted from 1, and the line with a caret below it. */
export interface Place {
  line: number
  column: number
  /** The column after the word that begins there. */
  end: number
  excerpt: string
}

/** Where in which file, by the name that messages have for it. */
export interface FilePlace {
  file: string
  place: Place
}

/** Columns that an excerpt takes: it is shown behind four spaces of a line of 80. */
const EXCERPT = 76

/** The place of a character of a file; what is beyond its text is where that ends. A byte order mark is no character of it. */
export function placeOf(sql: string, character: number): Place {
  const at = Math.min(character, sql.trimEnd().length)
  const before = sql.slice(0, at)
  const start = Math.max(before.lastIndexOf('\n') + 1, /^\ufeff?/.exec(before)![0].length)
  const end = sql.indexOf('\n', at)
  const line = sql.slice(start, end < 0 ? undefined : end).replace(/\r$/, '')
  const column = Math.max(0, at - start)
  return {
    line: before.split('\n').length,
    column: column + 1,
    end: column + 1 + (/^[\p{L}\p{N}_$]+|^./u.exec(line.slice(column))?.[0].length ?? 0),
    excerpt: excerptOf(line, column),
  }
}

/** A line with a caret below the character that it is about, as a terminal shows both. */
function excerptOf(line: string, character: number): string {
  // A line may be a whole file: of what is far from the caret nothing is measured.
  const near = 4 * EXCERPT
  const [left, right] = [
    line.slice(Math.max(0, character - near), character),
    line.slice(character, character + near),
  ].map(part => part.replaceAll('\t', ' '))
  const shown = cutFrom(left!, Math.max(EXCERPT / 2, EXCERPT - widthOf(right!)))
  return `${shown}${cutTo(right!, EXCERPT - widthOf(shown))}\n${' '.repeat(widthOf(shown))}^`
}

/** The number of characters in the first `bytes` of a text's UTF-8, which is what DuckDB counts positions in. */
export const charactersIn = (sql: string, bytes: number) =>
  new TextDecoder().decode(new TextEncoder().encode(sql).subarray(0, bytes)).length

/** The number of bytes of UTF-8 in the first `characters` of a text. */
export const bytesIn = (sql: string, characters: number) => Buffer.byteLength(sql.slice(0, characters))

/** A name as it is, of one that may stand in quotes. */
export const nameIn = (written: string): string =>
  written.startsWith('"') ? written.slice(1, -1).replaceAll('""', '"') : written
