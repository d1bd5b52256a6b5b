import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { Duck, quote, quoteName, SqlError } from '../../engine/sql/duckdb.ts'
import { MacroSession } from '../../engine/sql/macroSession.ts'
import type { SqlGraph } from '../../engine/sql/model.ts'
import { openRows } from './rows.ts'

/** Rows of a macro's test that gave something else. */
export interface MacroResult {
  macro: string
  rows: number
  failures: { line: number; call: string; expected: string | null; actual: string | null }[]
}

/**
 * Runs the tests of macros in a folder: `<macro>.csv`, a column an argument, in order (`since:DATE` where it is no text), and
 * `expected`, the result's text.
 */
export async function testMacros(folder: string, { macros }: SqlGraph): Promise<MacroResult[]> {
  const files = readdirSync(folder)
    .filter(name => name.endsWith('.csv'))
    .sort()
  const duck = await Duck.open({ threads: 1, folders: [] })
  try {
    await new MacroSession(duck, macros).made([])
    const results: MacroResult[] = []
    for (const file of files) {
      const name = basename(file, '.csv')
      const names = macros.map(macro => macro.name)
      if (!names.includes(name))
        throw new EngineError(
          'CONFIG_INVALID',
          `${join(folder, file)}: no macro is called ${name}${didYouMean(name, names)}`,
          {
            hint: 'A test of a macro is a file of its name.',
          },
        )
      results.push(await testMacro(duck, name, join(folder, file)))
    }
    return results
  } finally {
    duck.close()
  }
}

async function testMacro(duck: Duck, macro: string, file: string): Promise<MacroResult> {
  const { names: header, rows } = openRows(file)
  const at = header.indexOf('expected')
  if (at < 0)
    throw new EngineError('CONFIG_INVALID', `${file}: no column is called expected`, {
      hint: 'A column is an argument of the macro, and expected is its result.',
    })
  const failures: MacroResult['failures'] = []
  for (const { line, values: given } of rows) {
    const values = header.flatMap((name, column) => {
      if (column === at) return []
      const [, type = 'VARCHAR'] = /:(.+)$/.exec(name) ?? []
      const value = given[column] ?? null
      return [
        value === null ? `NULL::${type}` : type === 'VARCHAR' ? quote(value) : `${quote(value)}::${type}`,
      ]
    })
    const call = `${macro}(${values.join(', ')})`
    const expected = given[at] ?? null
    const actual = await duck
      .rows(`SELECT (${quoteName(macro)}(${values.join(', ')}))::VARCHAR AS actual`)
      .then(([row]) => row!.actual as string | null)
      .catch((error: unknown) => {
        if (error instanceof SqlError) return `error: ${error.text.split('\n')[0]}`
        throw error
      })
    if (actual !== expected) failures.push({ line, call, expected, actual })
  }
  return { macro, rows: rows.length, failures }
}
