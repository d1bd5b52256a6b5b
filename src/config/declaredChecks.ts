import { didYouMean } from '../../engine/nearest.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { quote, quoteName } from '../../engine/sql/duckdb.ts'
import type { Check } from '../spec/job.ts'
import { parseDuration } from '../util/units.ts'
import { driftChecks, MEASURES, percent, rowsChange } from './changeChecks.ts'
import { type ColumnRules, type Rules, rules, type TableRules } from './checksSchema.ts'
import type { Document } from './document.ts'
import type { JobYaml } from './schema.ts'

/** The checks that job.yaml declares, as queries. Problems go to the document. */
export function readDeclaredChecks(document: Document, yaml: JobYaml, models: { name: string }[]): Check[] {
  const tables = [...Object.keys(yaml.extract), ...models.map(({ name }) => name)]
  const found: Check[] = []
  const named = new Map<string, string>()
  for (const [name, { rows, fresh, ...columns }] of Object.entries(yaml.checks)) {
    const path = ['checks', name]
    const table = tables.includes(name) ? name : ownValue(yaml.load, name)?.from
    if (table === undefined) {
      const known = [...tables, ...Object.keys(yaml.load)]
      document.problem(
        path,
        `checks.${name}: no model, extract or load "${name}"${didYouMean(name, known)}`,
        'key',
      )
      continue
    }
    const other = named.get(table)
    if (other !== undefined)
      document.problem(
        path,
        `checks.${name}: is of the rows of ${table}, as checks.${other} is: write all its rules there`,
        'key',
      )
    named.set(table, name)
    if (rows === undefined && fresh === undefined && Object.keys(columns).length === 0)
      document.problem(path, `checks.${name}: names no column, nor rows or fresh: nothing is checked`, 'key')
    for (const [column, given] of Object.entries(columns as Record<string, ColumnRules>))
      found.push(...readColumn(document, { name, table, column, given }))
    if (rows) {
      const file = `${document.placeText([...path, 'rows'])}: checks.${name}.rows`
      const { min, max, change, severity } = rows
      if (min === undefined && max === undefined && change === undefined)
        document.problem([...path, 'rows'], `checks.${name}.rows: says no number: min, max, change`)
      else if ((min ?? 1) <= 0 && max === undefined && change === undefined)
        document.problem(
          [...path, 'rows', 'min'],
          `checks.${name}.rows.min: no table has fewer rows than ${min}: this check can never fail`,
        )
      if (min !== undefined || max !== undefined) found.push(rowsCheck(table, rows, file))
      if (change !== undefined) found.push(rowsChange(table, change, severity, `${file}.change`))
    }
    if (fresh !== undefined) {
      const check = freshCheck(document, yaml, { name, table, fresh })
      if (check) found.push(check)
    }
  }
  return found
}

/** The checks of a column: of one rule, or of each of a list. */
function readColumn(
  document: Document,
  { name, table, column, given }: { name: string; table: string; column: string; given: ColumnRules },
): Check[] {
  const found: Check[] = []
  const counts = new Map<string, number>()
  for (const [index, each] of (Array.isArray(given) ? given : [given]).entries()) {
    const path = ['checks', name, column, ...(Array.isArray(given) ? [index] : [])]
    const rule = typeof each === 'string' ? rules.parse({ [each]: true }) : each
    const checks = columnChecks(table, column, rule)
    if (checks.length === 0)
      document.problem(
        path,
        `checks.${name}.${column}: names no rule: unique, not_null, in, one_of, between, matches, drift`,
      )
    else
      for (const problem of [...problemsOf(rule, checks.length), ...neverFails(rule, table, column)])
        document.problem(path, `checks.${name}.${column}.${problem}`)
    for (const { rule: kind, ...check } of checks) {
      const count = (counts.get(kind) ?? 0) + 1
      counts.set(kind, count)
      const at = count > 1 ? `[${index}]` : ''
      found.push({
        ...check,
        name: count > 1 ? `${check.name}_${count}` : check.name,
        file: `${document.placeText(path)}: checks.${name}.${column}${at}.${kind}`,
      })
    }
  }
  return found
}

/** Keys beside a rule that would do nothing, each with what to write. */
function* problemsOf({ drift, severity, warn_if, stop_if }: Rules, checks: number): Generator<string> {
  const limit = stop_if ? 'stop_if' : warn_if ? 'warn_if' : undefined
  const apart = checks > MEASURES ? ', as an item of its own: [{ … }, { drift: … }]' : ''
  if (drift !== undefined) {
    const wanted = `drift: ${percent(drift)}%, severity: ${stop_if ? 'stop' : 'warn'}`
    if (limit) yield `${limit}: counts rows, and drift is of all rows together: write ${wanted}${apart}`
    if (severity === 'quarantine')
      yield `severity: of drift no row is to blame: it is warn or stop: write ${wanted}${apart}`
    return
  }
  if (warn_if && severity !== 'warn')
    yield 'warn_if: goes with severity: warn; rows that are wrong are quarantined, each of them'
  if (stop_if && severity === 'stop')
    yield 'stop_if: severity: stop stops at the first row that is wrong: leave out one of both'
}

/** Rules that every value keeps, each with why. */
function* neverFails({ matches, in: among, warn_if, stop_if }: Rules, table: string, column: string) {
  if (matches !== undefined && /^\^?\(?\.\*\)?\$?$/.test(matches))
    yield `matches: every text matches ${matches}: this check can never fail`
  if (among === `${table}.${column}`) yield `in: ${among} is the column itself: this check can never fail`
  const [warn, stop] = (['share', 'rows'] as const)
    .map(kind => [warn_if, stop_if].map(limit => limit && (limit as { [key: string]: number })[kind]))
    .find(([least, most]) => least !== undefined && most !== undefined) ?? [undefined, undefined]
  if (warn !== undefined && stop !== undefined && warn >= stop)
    yield 'warn_if: is reached no sooner than stop_if: nothing would ever be warned of'
}

/** Columns that a row check has of its own. */
const WORDS = /^(reason|severity)$/i

type Compiled = Omit<Check, 'file'> & { rule: string }

function columnChecks(table: string, column: string, rule: Rules): Compiled[] {
  const [from, value] = [quoteName(table), quoteName(column)]
  const shown = `${quote(`${column} = `)} || ${value}::VARCHAR`
  const checks: Compiled[] = []
  const add = (kind: string, sql: string, other?: { table: string; column: string }) => {
    const limits = {
      ...(rule.warn_if && { warnIf: rule.warn_if }),
      ...(rule.stop_if && { stopIf: rule.stop_if }),
      ...(rule.severity === 'stop' && { stopIf: { rows: 0 } }),
    }
    checks.push({
      rule: kind,
      name: `${column}_${kind}`,
      model: table,
      sql,
      columns: [{ table, column, ...typed(rule, kind) }, ...(other ? [other] : [])],
      ...(Object.keys(limits).length > 0 && { limits }),
    })
  }
  const severity = quote(rule.severity === 'warn' ? 'warn' : 'reject')
  // What a row check says itself leads to no row: the others do.
  const isWord = WORDS.test(column)
  const key = isWord ? `COLUMNS(c -> NOT regexp_matches(c, ${quote(WORDS.source)}, 'i'))` : value
  const wrong = (reason: string, condition: string) =>
    `SELECT DISTINCT ${key}, ${severity} AS severity, ${reason} AS reason FROM ${from} WHERE ${condition}`
  if (rule.not_null) add('not_null', wrong(quote(`${column} is NULL`), `${value} IS NULL`))
  if (rule.unique && isWord) {
    const several = `SELECT ${value} FROM ${from} GROUP BY ${value} HAVING count(*) > 1`
    add('unique', wrong(`${shown} || ' stands in several rows'`, `${value} IN (${several})`))
  } else if (rule.unique)
    add(
      'unique',
      `SELECT ${value}, ${severity} AS severity, ${shown} || ' stands in ' || count(*) || ' rows' AS reason FROM ${from} WHERE ${value} IS NOT NULL GROUP BY ${value} HAVING count(*) > 1`,
    )
  if (rule.in !== undefined) {
    const [other, key] = rule.in.split('.') as [string, string]
    const among = `SELECT ${quoteName(key)} FROM ${quoteName(other)} WHERE ${quoteName(key)} IS NOT NULL`
    add('in', wrong(`${shown} || ${quote(` is not in ${rule.in}`)}`, `${value} NOT IN (${among})`), {
      table: other,
      column: key,
    })
  }
  if (rule.one_of) {
    const list = rule.one_of.map(literal).join(', ')
    add(
      'one_of',
      wrong(`${shown} || ${quote(` is none of ${rule.one_of.join(', ')}`)}`, `${value} NOT IN (${list})`),
    )
  }
  if (rule.between) {
    const [least, most] = rule.between
    const beyond = [
      ...(least === null ? [] : [`${value} < ${literal(least)}`]),
      ...(most === null ? [] : [`${value} > ${literal(most)}`]),
    ]
    const range = `${least ?? '…'} and ${most ?? '…'}`
    add('between', wrong(`${shown} || ${quote(` is not between ${range}`)}`, beyond.join(' OR ') || 'false'))
  }
  // Of a table as a whole no row is to blame.
  if (rule.drift !== undefined)
    checks.push(...driftChecks(table, column, rule.drift, rule.severity === 'stop' ? 'stop' : 'warn'))
  if (rule.matches !== undefined)
    add(
      'matches',
      wrong(
        `${shown} || ${quote(` does not match ${rule.matches}`)}`,
        `NOT regexp_full_match(${value}::VARCHAR, ${quote(rule.matches)})`,
      ),
    )
  return checks
}

/** What the column must be for a rule's own values. */
function typed({ one_of, between }: Rules, kind: string): { type?: 'number' | 'boolean' } {
  const values = (kind === 'one_of' ? one_of : kind === 'between' ? between : undefined) ?? []
  const type = (['number', 'boolean'] as const).find(each => values.some(value => typeof value === each))
  return type ? { type } : {}
}

const literal = (value: string | number | boolean) =>
  typeof value === 'string' ? quote(value) : String(value)

function rowsCheck(
  table: string,
  { min, max, severity }: NonNullable<TableRules['rows']>,
  file: string,
): Check {
  const wrong = [...(min === undefined ? [] : [`n < ${min}`]), ...(max === undefined ? [] : [`n > ${max}`])]
  const expected = [
    ...(min === undefined ? [] : [`at least ${min}`]),
    ...(max === undefined ? [] : [`at most ${max}`]),
  ]
  const message = `${quote(`${table} has `)} || n || if(n = 1, ' row', ' rows') || ${quote(`, expected ${expected.join(' and ')}`)}`
  return {
    name: `${table}_rows`,
    file,
    columns: [],
    ofNight: true,
    sql: `SELECT if(${wrong.join(' OR ') || 'false'}, ${quote(severity)}, 'pass') AS level, ${message} AS message FROM (SELECT count(*) AS n FROM ${quoteName(table)})`,
  }
}

function freshCheck(
  document: Document,
  yaml: JobYaml,
  { name, table, fresh }: { name: string; table: string; fresh: NonNullable<TableRules['fresh']> },
): Check | undefined {
  const path = ['checks', name, 'fresh']
  const { within, severity, column } =
    typeof fresh === 'string' ? { within: fresh, severity: 'stop', column: momentOf(yaml, table) } : fresh
  const micros = parseDuration(within)
  if (micros === undefined) {
    document.problem(
      path,
      `checks.${name}.fresh: expected a duration such as 24h; found ${JSON.stringify(within)}`,
    )
    return undefined
  }
  if (column === undefined) {
    document.problem(
      path,
      `checks.${name}.fresh: which column says when a row was last changed? Write fresh: { column: updated_at, within: ${within} }`,
    )
    return undefined
  }
  // One wrong moment in years to come would have the table fresh till then; zones, and clocks that differ, are within the limit.
  const horizon = `greatest(getvariable('run_at')::TIMESTAMPTZ, now()) + to_microseconds(${micros})`
  const stale = `newest IS NULL OR newest < getvariable('run_at')::TIMESTAMPTZ - to_microseconds(${micros})`
  const ahead = `CASE later WHEN 0 THEN '' WHEN 1 THEN '; 1 row in the future is not counted: ' || last ELSE '; ' || later || ' rows in the future are not counted, up to ' || last END`
  const message = `${quote(`the newest ${column} of ${table} is `)} || coalesce(newest::VARCHAR, 'none') || ${quote(`, expected within ${within}`)} || ${ahead}`
  return {
    name: `${table}_fresh`,
    file: `${document.placeText(path)}: checks.${name}.fresh`,
    columns: [{ table, column }],
    ofNight: true,
    sql: `SELECT if(${stale}, ${quote(severity)}, 'pass') AS level, ${message} AS message FROM (SELECT max(moment) FILTER (moment <= ${horizon}) AS newest,
      count(*) FILTER (moment > ${horizon}) AS later, max(moment) FILTER (moment > ${horizon})::VARCHAR AS last
    FROM (SELECT ${quoteName(column)}::TIMESTAMPTZ AS moment FROM ${quoteName(table)}))`,
  }
}

/** The column that says when a table's rows were last changed, where the job says so elsewhere. */
function momentOf(yaml: JobYaml, table: string): string | undefined {
  const newer = Object.values(yaml.load).find(({ from, newer }) => from === table && newer)?.newer
  const { incremental } = (ownValue(yaml.extract, table) ?? {}) as { incremental?: { column?: string } }
  return newer ?? incremental?.column
}
