import { EngineError } from '../../engine/errors.ts'

/** RFC 4180; an empty value without quotes is NULL. Fails with CONFIG_INVALID, naming the line. */
export function parseCsv(csv: string): (string | null)[][] {
  const lines: (string | null)[][] = []
  const pattern = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/gy
  let line: (string | null)[] = []
  while (pattern.lastIndex < csv.length) {
    const match = pattern.exec(csv)
    if (!match)
      throw new EngineError('CONFIG_INVALID', `line ${lines.length + 1} of the CSV has a quote amiss`, {
        hint: 'A value with a quote, a comma or a line break is in quotes, and each quote in it is doubled.',
      })
    const [, quoted, plain, end] = match
    line.push(quoted !== undefined ? quoted.replaceAll('""', '"') : plain === '' ? null : plain!)
    if (end === ',') continue
    lines.push(line)
    line = []
  }
  return lines
}

/** Lines that {@link parseCsv} reads as they are: NULL is nothing, an empty text is two quotes. */
export const csvText = (lines: (string | null)[][]): string =>
  lines.map(line => `${line.map(field).join(',')}\n`).join('')

const field = (value: string | null) =>
  value === null ? '' : /^$|[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
