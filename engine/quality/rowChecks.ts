import { EngineError } from '../errors.ts'
import type { Check } from '../runtime/spec.ts'
import { type Duck, quote, quoteName } from '../sql/duckdb.ts'

/** What a check found. */
export interface CheckResult {
  name: string
  model?: string
  level: 'pass' | 'warn' | 'reject' | 'stop'
  rows: number
  samples: { reason: string; record: string }[]
}

const SAMPLES = 5

/**
 * SQL of the findings of a row check on a model: `(row, check, severity, reason)`, one line a finding. The check
 * returns the columns that identify its rows, and `reason`; they are matched NULL-safely against `rows`, a table
 * of the model with its row numbers in `row`.
 */
export async function findingsSql(
  duck: Duck,
  check: Check,
  rows: string,
  columns: string[],
): Promise<string> {
  const described = await duck.rows(`DESCRIBE ${stripped(check.sql)}`)
  const names = described.map(column => String(column.column_name))
  const match = names.filter(name => name !== 'reason' && name !== 'severity')
  if (!names.includes('reason') || match.length === 0 || match.some(name => !columns.includes(name)))
    throw new EngineError(
      'MODEL_INVALID',
      `${check.file}: a row check returns columns of ${check.model} and reason`,
      {
        hint: `It returns ${names.join(', ')}; ${check.model} has ${columns.join(', ')}.`,
      },
    )
  const severity = names.includes('severity') ? 'c.severity' : "'reject'"
  const on = match.map(name => `m.${quoteName(name)} IS NOT DISTINCT FROM c.${quoteName(name)}`).join(' AND ')
  return `SELECT m.file_row_number AS row, ${quote(check.name)} AS check_name, ${severity} AS severity, c.reason AS reason
    FROM ${rows} AS m JOIN (SELECT DISTINCT * FROM (${stripped(check.sql)})) AS c ON ${on}`
}

/** Results per check from a table of findings with the rows' records. */
export async function summarise(
  duck: Duck,
  model: string,
  checks: string[],
  findings: string,
): Promise<CheckResult[]> {
  const results: CheckResult[] = []
  for (const name of checks)
    for (const level of ['reject', 'warn'] as const) {
      const where = `check_name = ${quote(name)} AND severity = ${quote(level)}`
      const [count] = await duck.rows(`SELECT count(DISTINCT row) AS n FROM ${findings} WHERE ${where}`)
      const samples = await duck.rows(
        `SELECT reason, record FROM ${findings} WHERE ${where} ORDER BY row LIMIT ${SAMPLES}`,
      )
      if (Number(count!.n) > 0)
        results.push({
          name,
          model,
          level,
          rows: Number(count!.n),
          samples: samples.map(sample => ({ reason: String(sample.reason), record: String(sample.record) })),
        })
    }
  for (const name of checks)
    if (!results.some(result => result.name === name))
      results.push({ name, model, level: 'pass', rows: 0, samples: [] })
  return results
}

/** Runs a set check: rows of `level` ('pass', 'warn', 'stop') and `message`. Its worst level is its result. */
export async function runSetCheck(duck: Duck, check: Check): Promise<CheckResult> {
  const rows = await duck.rows(stripped(check.sql))
  const levels = rows.map(row => String(row.level))
  const wrong = levels.find(level => !['pass', 'warn', 'stop'].includes(level))
  if (wrong !== undefined)
    throw new EngineError(
      'MODEL_INVALID',
      `${check.file}: level is ${wrong}; a set check returns level and message`,
      {
        hint: "level is 'pass', 'warn' or 'stop'.",
      },
    )
  const level = levels.includes('stop') ? 'stop' : levels.includes('warn') ? 'warn' : 'pass'
  const samples = rows
    .filter(row => row.level !== 'pass')
    .map(row => ({ reason: String(row.message), record: '' }))
  return { name: check.name, level, rows: samples.length, samples: samples.slice(0, SAMPLES) }
}

// What stands in a string (E and dollar quotes, too), a name or a comment ends nothing.
const TOKEN =
  /[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$.*?\$\1\$|(?<rest>--[^\n]*|\/\*.*?\*\/|[\s;]+)|./gsu

/** A query without the semicolon and the comments that end it in a file: it can stand within another. */
export function stripped(sql: string): string {
  let end = 0
  for (const match of sql.matchAll(TOKEN))
    if (match.groups!.rest === undefined) end = match.index + match[0].length
  return sql.slice(0, end)
}
