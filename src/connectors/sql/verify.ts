import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { ageColumn, endColumn } from '../../../engine/contracts/semantics.ts'
import {
  type ComparedColumn,
  type RangeFinding,
  VERIFY_COLUMNS,
} from '../../../engine/contracts/verification.ts'
import { quoteName } from '../../../engine/sql/duckdb.ts'
import { typeName } from '../../../engine/types/logical.ts'
import { older } from './dialect.ts'

/** The two tables of a verification, and the dialect. */
export interface VerifyTables {
  /** The target table, quoted and qualified. */
  target: string
  /** The table or view of what should be there. */
  expected: string
  quote(name: string): string
  /** Turns an expected column into the target's type where the dialect does not by itself. */
  cast?(column: string, expression: string): string
  /** SQL of the checksum of row `t`. */
  checksum: string
  /** SQL of a value's text. */
  text(expression: string): string
  /** SQL of whether row `t` of the target is that of expected row `s`, where it is more than equal keys. */
  ofExpected?: string
  /** The same, searched for from the target's side. */
  ofTarget?: string
}

/** Ranges whose wrong rows are named, and rows named of each. */
const NAMED_RANGES = 5
const NAMED_ROWS = 3

const WRONG = `('differs', 'missing', 'lingers')`

/** Asks `rows` (which runs one query) for all findings of a verification. */
export async function findings(
  load: PlannedLoad,
  extra: boolean,
  tables: VerifyTables,
  rows: (sql: string) => Promise<Record<string, unknown>[]>,
): Promise<RangeFinding[]> {
  const { quote, text } = tables
  const judged = judgedSql(load, tables)
  const range = quote(VERIFY_COLUMNS.range)
  const counted = await rows(
    `SELECT ${range} AS range_number, verdict, count(*) AS n FROM (${judged}) AS j GROUP BY ${range}, verdict ORDER BY ${range}, verdict`,
  )
  const found = counted.map(
    ({ range_number, verdict, n }): RangeFinding => ({
      range: Number(range_number),
      verdict: verdict as RangeFinding['verdict'],
      rows: Number(n),
      keys: [],
    }),
  )
  const wrong = found.filter(({ verdict }) => WRONG.includes(`'${verdict}'`))
  const ranges = [...new Set(wrong.map(verdict => verdict.range))].slice(0, NAMED_RANGES)
  const keys = load.key.map((_, index) => `k${index}`)
  const named = load.key.map((name, index) => `${text(quote(name))} AS k${index}`).join(', ')
  const order = load.key.map(quote).join(', ')
  const keysOf = (row: Record<string, unknown>) => keys.map(key => String(row[key]))
  if (ranges.length > 0) {
    const samples = await rows(
      `SELECT ${range} AS range_number, verdict, ${named} FROM (
         SELECT j.*, row_number() OVER (PARTITION BY ${range}, verdict ORDER BY ${order}) AS nth
         FROM (${judged}) AS j WHERE ${range} IN (${ranges.join(', ')}) AND verdict IN ${WRONG}) AS s
       WHERE nth <= ${NAMED_ROWS} ORDER BY ${range}, verdict, nth`,
    )
    for (const row of samples)
      found
        .find(({ range, verdict }) => range === Number(row.range_number) && verdict === row.verdict)
        ?.keys.push(keysOf(row))
  }
  if (extra) {
    const strangers = `FROM ${tables.target} AS t WHERE ${['TRUE', ...alive(load, tables)].join(' AND ')}
      AND NOT EXISTS (SELECT 1 FROM ${tables.expected} AS s WHERE ${tables.ofTarget ?? same(load, tables)})`
    const [count] = await rows(`SELECT count(*) AS n ${strangers}`)
    const samples =
      Number(count!.n) > 0
        ? await rows(`SELECT ${named} ${strangers} ORDER BY ${order} LIMIT ${NAMED_ROWS}`)
        : []
    found.push({ range: -1, verdict: 'extra', rows: Number(count!.n), keys: samples.map(keysOf) })
  }
  return found
}

/** One line for each expected row: range, key, verdict. */
function judgedSql(load: PlannedLoad, tables: VerifyTables): string {
  const { target, expected, quote, checksum, cast } = tables
  const sum = `s.${quote(VERIFY_COLUMNS.sum)}`
  const absent = `t.${quote(load.key[0]!)} IS NULL`
  const age = ageColumn(load)
  const staged = (name: string, column: string) => cast?.(name, `s.${quote(column)}`) ?? `s.${quote(column)}`
  const newer = age && older(staged(age, VERIFY_COLUMNS.newer), `t.${quote(age)}`)
  const keys = load.key.map(name => `s.${quote(name)}`).join(', ')
  return `SELECT s.${quote(VERIFY_COLUMNS.range)}, ${keys}, CASE
      WHEN ${sum} IS NULL AND ${absent} THEN 'equal'
      WHEN ${sum} IS NULL THEN 'lingers'
      WHEN ${absent} THEN 'missing'
      WHEN ${checksum} = ${sum} THEN 'equal'
      ${newer ? `WHEN ${newer} THEN 'newer'` : ''}
      ELSE 'differs' END AS verdict
    FROM ${expected} AS s LEFT JOIN ${target} AS t ON ${[tables.ofExpected ?? same(load, tables), ...alive(load, tables)].join(' AND ')}
    WHERE s.${quote(VERIFY_COLUMNS.range)} >= 0`
}

/** Which rows of the target are rows of today: not those that are marked as deleted, nor earlier versions. */
function alive(load: PlannedLoad, { quote }: VerifyTables): string[] {
  const end = endColumn(load)
  return end === undefined ? [] : [`t.${quote(end)} IS NULL`]
}

function same({ key }: PlannedLoad, { quote, cast }: VerifyTables): string {
  return key
    .map(name => `t.${quote(name)} = ${cast ? cast(name, `s.${quote(name)}`) : `s.${quote(name)}`}`)
    .join(' AND ')
}

/**
 * DuckDB's SQL of a column of row `t`, of type `native`, as a value of the load's type; NULL where it is none: a wider
 * column may hold a value that was never loaded, and it must not be cut to fit.
 */
export function narrowed({ name, type }: ComparedColumn, native: string): string {
  const value = `t.${quoteName(name)}`
  if (native === typeName(type)) return value
  const fitted = `TRY_CAST(${value} AS ${typeName(type)})`
  return `CASE WHEN ${fitted}::${native} = ${value} THEN ${fitted} END`
}
