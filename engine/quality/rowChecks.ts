import { REJECTED } from '../batch/builder.ts'
import type { Mask } from '../mask.ts'
import type { RunContext } from '../runtime/context.ts'
import { rowCheckColumns, setCheckColumns } from '../sql/checkColumns.ts'
import { type Duck, quote, quoteName } from '../sql/duckdb.ts'
import { SqlInvalid } from '../sql/faults.ts'
import type { Check } from '../sql/model.ts'
import { stripped } from '../sql/text.ts'
import { REJECT, WORDS, type Word, wrongWord } from '../sql/words.ts'

/** What a check found. */
export interface CheckResult {
  name: string
  model?: string
  level: Word<'level'> | Word<'severity'>
  rows: number
  /** What a set check measured: the greatest `value` of its rows. */
  value?: number
  /** It is made of sensitive values: the next run may compare with it, nobody is shown it. */
  hidden?: true
  samples: { reason: string; record: string }[]
}

const SAMPLES = 5

/** Table of the session that takes a data set's findings, one line a finding. */
export const FINDINGS = '_nf_findings'

/** Empties {@link FINDINGS}. */
export const openFindings = (duck: Duck): Promise<void> =>
  duck.run(
    `CREATE OR REPLACE TEMP TABLE ${FINDINGS} (row BIGINT, check_name VARCHAR, severity VARCHAR, reason VARCHAR, subject VARCHAR)`,
  )

/**
 * Runs a row check and adds what it finds to {@link FINDINGS}. The check returns the columns that identify its rows,
 * `reason`, and `severity` where it is not 'reject'; they are matched NULL-safely against `rows`, SQL of the table with its
 * row numbers as `file_row_number`. Fails with MODEL_INVALID where what it returns has no meaning.
 */
export async function findRows(duck: Duck, check: Check, rows: string, columns: string[]): Promise<void> {
  const described = await duck.rows(`DESCRIBE ${stripped(check.sql)}`)
  const { match, severity } = rowCheckColumns(
    check,
    described.map(({ column_name, column_type }) => ({
      name: String(column_name),
      type: String(column_type),
    })),
    columns,
  )
  const on = match.map(name => `_nf_m.${quoteName(name)} IS NOT DISTINCT FROM _nf_c.${quoteName(name)}`)
  const subject = match.map(
    name => `${quote(`${name} = `)} || coalesce(_nf_c.${quoteName(name)}::VARCHAR, 'NULL')`,
  )
  // Named, for beside a DISTINCT DuckDB reads all columns of what is joined.
  const matched = `(SELECT ${[...match.map(quoteName), 'file_row_number'].join(', ')} FROM ${rows})`
  await duck.run(
    `INSERT INTO ${FINDINGS} SELECT _nf_m.file_row_number, ${quote(check.name)},
       ${severity ? '_nf_c.severity::VARCHAR' : quote(REJECT)}, _nf_c.reason::VARCHAR, concat_ws(', ', ${subject.join(', ')})
     FROM (SELECT DISTINCT * FROM (${stripped(check.sql)}\n)) AS _nf_c LEFT JOIN ${matched} AS _nf_m ON ${on.join(' AND ')}`,
  )
  const [wrong] = await duck.rows(
    `SELECT row, severity, reason, subject FROM ${FINDINGS} WHERE check_name = ${quote(check.name)}
       AND (row IS NULL OR reason IS NULL OR severity IS NULL OR severity NOT IN (${WORDS.severity.map(quote).join(', ')}))
     ORDER BY ALL LIMIT 1`,
  )
  if (!wrong) return
  const said = wrong.severity === null ? null : String(wrong.severity)
  if (said === null || !WORDS.severity.some(word => word === said))
    throw wrongCheck(check, `${wrongWord('severity', said)} (${wrong.subject})`)
  if (wrong.reason === null)
    throw wrongCheck(
      check,
      `reason is NULL for ${wrong.subject}`,
      "A text put together by || is NULL where a part of it is: write concat('n is ', n), or coalesce(n::VARCHAR, 'missing').",
    )
  throw wrongCheck(
    check,
    `finds ${wrong.subject}, which is no row of ${check.model}`,
    `Return the columns of ${check.model} as they are: changed, they lead to no row.`,
  )
}

const wrongCheck = ({ file }: Check, message: string, hint?: string) =>
  new SqlInvalid([{ file, message, ...(hint && { hint }) }])

/** Results per check from a table of findings with the rows' records; their samples as people may see them. */
export async function summarise(
  duck: Duck,
  model: string,
  checks: string[],
  findings: string,
  mask: Mask,
): Promise<CheckResult[]> {
  const sensitive = mask.columnsOf(model)
  const results: CheckResult[] = []
  for (const name of checks)
    for (const level of WORDS.severity) {
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
          samples: samples.map(sample =>
            shownSample(mask, sensitive, String(sample.reason), String(sample.record)),
          ),
        })
    }
  for (const name of checks)
    if (!results.some(result => result.name === name))
      results.push({ name, model, level: 'pass', rows: 0, samples: [] })
  return results
}

function shownSample(
  mask: Mask,
  sensitive: string[],
  reason: string,
  text: string,
): CheckResult['samples'][number] {
  if (sensitive.length === 0) return { reason, record: text }
  const record = JSON.parse(text) as Record<string, string | null>
  return {
    reason: mask.about(sensitive, withInexact(record), reason),
    record: JSON.stringify(mask.record([...sensitive, REJECTED], record)),
  }
}

/** A row's values with those that a type could not hold, as the source gave them. */
export function withInexact({
  [REJECTED]: inexact,
  ...record
}: Record<string, string | null>): Record<string, string | null> {
  const raw = JSON.parse(inexact ?? '[]') as { column: string; value: string }[]
  return { ...record, ...Object.fromEntries(raw.map(({ column, value }) => [column, value])) }
}

/**
 * Runs a set check: rows of `level`, `message` and, where it measures something, `value`. Its worst level is its result.
 * `hidden`: what it says may show sensitive values.
 */
export async function runSetCheck(
  { duck, mask, progress }: Pick<RunContext, 'duck' | 'mask' | 'progress'>,
  check: Check,
  hidden: boolean,
): Promise<CheckResult> {
  const described = await duck.rows(`DESCRIBE ${stripped(check.sql)}`)
  const measures = setCheckColumns(
    check,
    described.map(({ column_name, column_type }) => ({
      name: String(column_name),
      type: String(column_type),
    })),
  )
  const rows = await duck.rows(
    `SELECT level::VARCHAR AS level, message::VARCHAR AS message${measures ? ', value::DOUBLE AS value' : ''} FROM (${stripped(check.sql)}\n)`,
  )
  const words: readonly unknown[] = WORDS.level
  for (const { level, message } of rows) {
    if (!words.includes(level)) throw wrongCheck(check, wrongWord('level', level as string | null))
    if (message === null && level !== 'pass')
      throw wrongCheck(check, `message is NULL where level is '${level}'`)
  }
  const levels = rows.map(({ level }) => level)
  const level = levels.includes('stop') ? 'stop' : levels.includes('warn') ? 'warn' : 'pass'
  const samples = rows
    .filter(row => row.level !== 'pass')
    .toSorted((a, b) => words.indexOf(b.level) - words.indexOf(a.level))
    .map(({ message }) => ({
      reason: hidden ? mask.ownWords(String(message), check.sql) : mask.text(String(message)),
      record: '',
    }))
  const measured = rows.flatMap(({ value }) => (value === undefined || value === null ? [] : [Number(value)]))
  const values = measured.filter(Number.isFinite)
  const odd = measured.find(value => !Number.isFinite(value))
  if (odd !== undefined)
    progress.note(
      `check ${check.name}: its value is ${odd}, which is not kept: ${values.length > 0 ? 'that of its other rows is' : 'the next run has none to compare with'}`,
    )
  return {
    name: check.name,
    level,
    rows: samples.length,
    ...(values.length > 0 && { value: Math.max(...values), ...(hidden && { hidden: true as const }) }),
    samples: samples.slice(0, SAMPLES),
  }
}
