import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import { type Duck, quoteName } from '../../engine/sql/duckdb.ts'
import { inFile } from '../../engine/sql/locate.ts'
import { parseQuery } from '../../engine/sql/parse.ts'
import { stripped } from '../../engine/sql/text.ts'
import { csvText } from '../util/csv.ts'
import { openRows, refuseRows, strayColumns, strayOutputs, valuesOf } from './rows.ts'

type Row = Record<string, string | null>

/** How a table differs from what was expected: rows as texts, of the columns that were compared. */
export interface Difference {
  columns: string[]
  /** Rows of the same key with other values. */
  changed: { expected: Row; actual: Row }[]
  missing: Row[]
  surplus: Row[]
  /** Rows that are not listed. */
  more: number
}

/** Rows listed of a difference. */
const LISTED = 20

const EXPECTED = '_nf_expected'

/**
 * Compares a table of the session with a file of rows: CSV, or a query. Columns that the file does not name are not
 * compared; values are of the table's types. `key`: columns by which people know rows.
 */
export async function compare(
  duck: Duck,
  table: string,
  file: string,
  key: readonly string[],
): Promise<Difference | undefined> {
  const types = await columnsOf(duck, table)
  const names = await openExpected(duck, file, table, types)
  const typed = names.map(name => {
    const [column, type] = [...types].find(([each]) => each.toLowerCase() === name.toLowerCase())!
    return `coalesce(TRY_CAST(${quoteName(name)} AS ${type})::VARCHAR, ${quoteName(name)}::VARCHAR) AS ${quoteName(column)}`
  })
  const columns = [...types.keys()].filter(column =>
    names.some(name => name.toLowerCase() === column.toLowerCase()),
  )
  const list = columns.map(quoteName).join(', ')
  const expected = `SELECT ${list} FROM (SELECT ${typed.join(', ')} FROM ${EXPECTED})`
  const actual = `SELECT ${columns.map(name => `${quoteName(name)}::VARCHAR AS ${quoteName(name)}`).join(', ')} FROM ${quoteName(table)}`
  const except = async (one: string, other: string) =>
    (await duck.rows(`(${one}) EXCEPT ALL (${other}) ORDER BY ALL`)) as Row[]
  const missing = await except(expected, actual)
  const surplus = await except(actual, expected)
  if (missing.length + surplus.length === 0) return undefined
  const known = columns.filter(column => key.some(name => name.toLowerCase() === column.toLowerCase()))
  const by = known.length > 0 ? known : columns.slice(0, 1)
  const keyOf = (row: Row) => JSON.stringify(by.map(name => row[name]))
  const changed: Difference['changed'] = []
  const left = [...surplus]
  const gone = missing.filter(row => {
    const at = left.findIndex(each => keyOf(each) === keyOf(row))
    if (at < 0) return true
    changed.push({ expected: row, actual: left.splice(at, 1)[0]! })
    return false
  })
  const cut = <T>(rows: T[]) => rows.slice(0, LISTED)
  const more = [changed, gone, left].reduce((sum, rows) => sum + Math.max(0, rows.length - LISTED), 0)
  return { columns, changed: cut(changed), missing: cut(gone), surplus: cut(left), more }
}

/** A table of the session as CSV: of `columns`, or all. */
export async function asCsv(duck: Duck, table: string, columns: readonly string[] = []): Promise<string> {
  const all = [...(await columnsOf(duck, table)).keys()]
  const names = columns.length > 0 ? columns : all
  const rows = await duck.rows(
    `SELECT ${names.map(name => `${quoteName(name)}::VARCHAR AS ${quoteName(name)}`).join(', ')} FROM ${quoteName(table)} ORDER BY ALL`,
  )
  return csvText([[...names], ...rows.map(row => names.map(name => row[name] as string | null))])
}

/** The columns that a file of expected rows names; none of an empty file. */
export const headerOf = (file: string): string[] => openRows(file).names

async function columnsOf(duck: Duck, table: string): Promise<Map<string, string>> {
  const rows = await duck.rows(`DESCRIBE ${quoteName(table)}`)
  return new Map(rows.map(({ column_name, column_type }) => [String(column_name), String(column_type)]))
}

/** Makes a file of expected rows a table, and gives its columns. */
async function openExpected(
  duck: Duck,
  file: string,
  table: string,
  types: ReadonlyMap<string, string>,
): Promise<string[]> {
  const known = [...types.keys()]
  if (extname(file) === '.sql') {
    const text = readFileSync(file, 'utf8')
    const source = { file, sql: text }
    await parseQuery(duck, source, 'what is expected')
    await inFile(source, () => duck.run(`CREATE OR REPLACE TEMP TABLE ${EXPECTED} AS ${stripped(text)}`))
    const names = [...(await columnsOf(duck, EXPECTED)).keys()]
    refuseRows(strayOutputs(source, table, names, known))
    return names
  }
  const rows = openRows(file)
  const { names } = rows
  if (names.length === 0)
    throw new EngineError('CONFIG_INVALID', `${file} is empty`, {
      hint: 'nightfreight test … --write writes what the job gives; read it before you keep it.',
    })
  refuseRows(strayColumns(rows, table, known))
  const columns = names.map(name => `${quoteName(name)} VARCHAR`).join(', ')
  await duck.run(`CREATE OR REPLACE TEMP TABLE ${EXPECTED} (${columns})`)
  if (rows.rows.length > 0) await duck.run(`INSERT INTO ${EXPECTED} VALUES ${valuesOf(rows).join(', ')}`)
  return names
}
