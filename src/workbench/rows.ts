import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { counted } from '../../engine/plural.ts'
import { quote } from '../../engine/sql/duckdb.ts'

/** Lines of a CSV file below its first, `names`, as rows of VALUES. Fails with CONFIG_INVALID, naming the line. */
export function valuesOf(file: string, names: string[], lines: (string | null)[][]): string[] {
  const wide = lines.findIndex(line => line.length !== names.length)
  if (wide >= 0)
    throw new EngineError(
      'CONFIG_INVALID',
      `${file}:${wide + 2}: ${counted(lines[wide]!.length, 'value')} where the first line has ${names.length}`,
    )
  return lines.map(line => `(${line.map(value => (value === null ? 'NULL' : quote(value))).join(', ')})`)
}

/** Fails with CONFIG_INVALID where a file names a column that its table has not. */
export function refuseStrayColumn(file: string, table: string, names: string[], known: string[]): void {
  const stray = names.find(name => !known.some(column => column.toLowerCase() === name.toLowerCase()))
  if (stray === undefined) return
  throw new EngineError(
    'CONFIG_INVALID',
    `${file}: ${table} has no column ${stray}${didYouMean(stray, known)}`,
    { hint: `Its columns: ${known.join(', ')}.` },
  )
}
