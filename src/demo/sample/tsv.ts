/** What a column may hold, already as text or number; null is NULL. */
export type Cell = string | number | null

const SPECIAL = /[\\\t\n\r\0]/g
const ESCAPES: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r', '\0': '' }

/**
 * A line of the text format that Postgres (COPY … FORMAT text) and MySQL (LOAD DATA with its defaults) share: tabs,
 * `\N` for NULL, backslash escapes. NUL, which Postgres cannot store, is left out.
 */
export function tsvLine(cells: readonly Cell[]): string {
  let line = ''
  for (let i = 0; i < cells.length; i++) {
    const cell = cells[i]
    if (i > 0) line += '\t'
    if (cell === null || cell === undefined) line += '\\N'
    else if (typeof cell === 'number') line += cell
    else line += SPECIAL.test(cell) ? cell.replace(SPECIAL, char => ESCAPES[char]!) : cell
    SPECIAL.lastIndex = 0
  }
  return `${line}\n`
}

/** The lines of all rows in buffers of about 128 KiB, made as they are asked for. */
export function* tsv(rows: Iterable<readonly Cell[]>): Generator<Buffer> {
  let text = ''
  for (const row of rows) {
    text += tsvLine(row)
    if (text.length > 131_072) {
      yield Buffer.from(text)
      text = ''
    }
  }
  if (text) yield Buffer.from(text)
}

/** A text[] value as Postgres reads it. */
export const arrayLiteral = (items: string[]): string =>
  `{${items.map(item => `"${item.replace(/["\\]/g, char => `\\${char}`)}"`).join(',')}}`
