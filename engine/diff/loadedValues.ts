import type { PlannedLoad } from '../contracts/load.ts'
import { EngineError } from '../errors.ts'
import type { RunContext } from '../runtime/context.ts'
import { quoteName, SqlError } from '../sql/duckdb.ts'
import { allRows, type DataSet } from '../staging/dataSet.ts'
import { loadedSql, seenType } from '../types/duckType.ts'
import { type Column, columnNamed } from '../types/logical.ts'

interface Converted {
  column: Column
  value: string
}

/** The columns that a load brings in another form than they are staged in. */
function convertedOf(load: PlannedLoad, columns: Column[]): Converted[] {
  return load.columns.flatMap(to => {
    const column = columnNamed(columns, to.name)!
    const value = loadedSql(column, to, quoteName(column.name))
    return value === undefined ? [] : [{ column, value }]
  })
}

/** Rows as the load's columns have them, where that is another form than they are staged in. */
export function asLoaded(load: PlannedLoad, columns: Column[], set: DataSet): DataSet {
  const values = convertedOf(load, columns).map(
    ({ column, value }) => `${value} AS ${quoteName(column.name)}`,
  )
  return values.length > 0 ? { ...set, values: values.join(', ') } : set
}

/**
 * Fails with VALUE_INEXACT where a failure comes of a value that the target's type does not hold: with the column and the
 * row.
 */
export async function refuseUnheld(
  { duck, root, mask }: RunContext,
  load: PlannedLoad,
  columns: Column[],
  set: DataSet,
  failure: unknown,
): Promise<void> {
  if (!(failure instanceof SqlError)) return
  const keys = load.key.map(name => `${quoteName(name)}::VARCHAR AS ${quoteName(`key ${name}`)}`)
  for (const { column, value } of convertedOf(load, columns)) {
    const name = quoteName(column.name)
    const [found] = await duck.rows(
      `SELECT ${[...keys, `${name}::VARCHAR AS value`].join(', ')} FROM ${allRows(root, set)}
       WHERE ${name} IS NOT NULL AND TRY(${value}) IS NULL LIMIT 1`,
    )
    if (!found) continue
    const { sensitive = [] } = load
    const row = load.key.map(key => `${key} = ${mask.value(sensitive, key, String(found[`key ${key}`]))}`)
    throw new EngineError(
      'VALUE_INEXACT',
      `${load.to}.${load.table}.${column.name}: ${mask.value(sensitive, column.name, String(found.value))} is no ${seenType(column)}${row.length > 0 ? `, where ${row.join(', ')}` : ''}`,
      { hint: `Set columns: { ${column.name}: text } of the extract, which brings the text of all values.` },
    )
  }
}
