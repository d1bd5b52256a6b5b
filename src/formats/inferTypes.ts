import type { Duck } from '../../engine/sql/duckdb.ts'
import { declaredType } from '../connectors/declare/declared.ts'
import { fieldSql } from './field.ts'

/** Tried in this order; the first that holds every value of a column exactly is its type, VARCHAR where none does. */
const CANDIDATES = ['BIGINT', 'DECIMAL(38,10)', 'DOUBLE', 'DATE', 'TIMESTAMP', 'TIMESTAMPTZ', 'BOOLEAN']

/** A number whose digits alone do not say all of it: a postal code, an account. */
const LEADING_ZERO = String.raw`[+-]?0\d.*|\+.*`
const FLAG = 'true|false'
const NUMBER = String.raw`-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?`

/** The types of columns of text by their values. A column without any value is VARCHAR. */
export async function inferTypes(
  duck: Duck,
  from: string,
  names: string[],
  text: (name: string) => string,
): Promise<Record<string, string>> {
  const types: Record<string, string> = {}
  for (const name of names) {
    const field = text(name)
    const fits = CANDIDATES.map((candidate, index) => {
      const { bad } = fieldSql('v', declaredType(candidate)!)
      const form = index < 3 ? ` OR regexp_full_match(v, '${LEADING_ZERO}')` : ''
      const also =
        candidate === 'BOOLEAN'
          ? ` OR NOT regexp_full_match(lower(v), '${FLAG}')`
          : candidate === 'DOUBLE'
            ? ` OR NOT regexp_full_match(v, '${NUMBER}')`
            : ''
      return `coalesce(bool_and(NOT (${bad}${form}${also})), false) AS t${index}`
    })
    const [row] = await duck.rows(
      `SELECT ${fits.join(', ')} FROM (SELECT ${field} AS v FROM ${from}) WHERE v IS NOT NULL AND v <> ''`,
    )
    types[name] = CANDIDATES.find((_candidate, index) => row![`t${index}`] === true) ?? 'VARCHAR'
  }
  return types
}
