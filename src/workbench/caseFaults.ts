import { existsSync, readdirSync } from 'node:fs'
import { basename, extname, join } from 'node:path'
import { didYouMean } from '../../engine/nearest.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { type Fault, SqlInvalid } from '../../engine/sql/faults.ts'
import { ConfigInvalid } from '../config/invalid.ts'
import { openOutline } from '../runs/knownColumns.ts'
import { openRows, strayColumns, wronglyTyped } from './rows.ts'
import { caseSettings, FOUND, refuseStray } from './testCase.ts'
import { casesIn, inputTables } from './testJob.ts'

/** Columns of what checks and key rules found. */
const FOUND_COLUMNS = ['check_name', 'record', 'severity', 'reason']

/** What is wrong with the files of a job's cases, as far as it is seen without running them. */
export async function caseFaults(folder: string, home: string): Promise<Fault[]> {
  const cases = casesIn(folder)
  if (cases.length === 0) return []
  const outline = await openOutline(folder, home)
  const faults: Fault[] = []
  const collect = async <T>(act: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof ConfigInvalid || error instanceof SqlInvalid)) throw error
      faults.push(...error.faults)
      return undefined
    }
  }
  const tables = await collect(() => inputTables(outline, folder, home))
  const extracts = outline.extracts.map(({ name }) => name)
  const made = [...outline.models.map(({ name }) => name), ...extracts, FOUND]
  const duck = await Duck.open({ threads: 1, folders: [] })
  try {
    for (const name of cases) {
      const place = join(folder, 'tests/cases', name)
      await collect(() => caseSettings(place))
      await collect(() => refuseStray(place, extracts))
      for (const table of extracts) {
        const input = join(place, `${table}.csv`)
        const rows = existsSync(input) ? await collect(() => openRows(input)) : undefined
        const columns = tables?.get(table)?.columns
        if (!rows || !columns) continue
        const known = columns.map(column => column.name)
        faults.push(...strayColumns(rows, table, known), ...(await wronglyTyped(duck, rows, columns)))
      }
      const expected = join(place, 'expected')
      for (const each of existsSync(expected) ? readdirSync(expected).sort() : []) {
        const table = basename(each, extname(each))
        if (!['.csv', '.sql'].includes(extname(each))) continue
        const file = join(expected, each)
        if (!made.includes(table))
          faults.push({ file, message: `no model or extract is called ${table}${didYouMean(table, made)}` })
        const rows = extname(each) === '.csv' ? await collect(() => openRows(file)) : undefined
        const known = table === FOUND ? FOUND_COLUMNS : undefined
        if (rows && known) faults.push(...strayColumns(rows, table, known))
      }
    }
  } finally {
    duck.close()
  }
  return faults
}
