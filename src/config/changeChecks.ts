import { quote, quoteName } from '../../engine/sql/duckdb.ts'
import { LAST_VALUES } from '../../engine/sql/ownVariables.ts'
import type { Check } from '../spec/job.ts'

/** A number that is made of a table, and how far it may be from what the last run that loaded had. */
interface Measure {
  name: string
  table: string
  /** An aggregate of the table's rows. */
  sql: string
  /** What it is, in a sentence: `orders: rows`. */
  what: string
  /** Largest change, as a share of what it was; of a measure that is a share itself, in points. */
  most: number
  points?: boolean
  severity: 'warn' | 'stop'
}

export const percent = (share: number) => `${Math.round(share * 1e6) / 1e4}`

/** How many checks a column's drift is. */
export const MEASURES = 3

/** SQL of a set check of one measure. Without a last run, it passes. */
function changeSql({ name, table, sql, what, most, points, severity }: Measure): string {
  const limit = points ? `${most}` : `${most} * abs(last)`
  const shown = (value: string) =>
    points
      ? `coalesce(round(100 * ${value}, 2) || ${quote(' %')}, 'none')`
      : `coalesce(regexp_replace(TRY_CAST(${value} AS DECIMAL(38,4))::VARCHAR, '\\.?0+$', ''), ${value}::VARCHAR, 'none')`
  const allowed = `${percent(most)} ${points ? 'points' : '%'}`
  const message = `${quote(`${what}: `)} || ${shown('value')} || ${quote(', was ')} || ${shown('last')} || ${quote(` in the last run; it may change by ${allowed}`)}`
  // Of a table without rows, or a column without values, nothing is measured any more.
  const differs = `abs(value - last) > ${limit} OR (value IS NULL AND last IS NOT NULL)`
  return `SELECT if(${differs}, ${quote(severity)}, 'pass') AS level, ${message} AS message, value
FROM (SELECT (${sql})::DOUBLE AS value, getvariable(${quote(LAST_VALUES)})[${quote(name)}] AS last FROM ${quoteName(table)})`
}

/** The check of `rows: { change }`. */
export function rowsChange(table: string, most: number, severity: 'warn' | 'stop', file: string): Check {
  const name = `${table}_rows_change`
  const sql = changeSql({ name, table, sql: 'count(*)', what: `rows of ${table}`, most, severity })
  return { name, file, columns: [], sql }
}

/** The checks of a column's `drift`: its mean, where it has numbers; how many values it has; the share of NULL. */
export function driftChecks(
  table: string,
  column: string,
  most: number,
  severity: 'warn' | 'stop',
): (Omit<Check, 'file'> & { rule: string })[] {
  const value = quoteName(column)
  const measures: [string, string, string, boolean?][] = [
    ['mean', `avg(TRY_CAST(${value}::VARCHAR AS DOUBLE))`, 'mean'],
    ['distinct', `count(DISTINCT ${value})`, 'distinct values'],
    ['nulls', `1 - count(${value}) / nullif(count(*), 0)`, 'NULL', true],
  ]
  return measures.map(([rule, sql, what, points]) => {
    // A table's name has no dot: no other column's is the same.
    const name = `${table}.${column}_drift_${rule}`
    return {
      rule: `drift.${rule}`,
      name,
      columns: [{ table, column }],
      sql: changeSql({
        name,
        table,
        sql,
        what: `${what} of ${table}.${column}`,
        most,
        severity,
        ...(points && { points }),
      }),
    }
  })
}
