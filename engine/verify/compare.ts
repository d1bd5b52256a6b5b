import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type RowSum, sameSum } from '../batch/rowSum.ts'
import type { PlannedLoad } from '../contracts/load.ts'
import { ageColumn, decidingColumns, removesGone } from '../contracts/semantics.ts'
import type { Part } from '../contracts/staging.ts'
import type { Target } from '../contracts/target.ts'
import type { ComparedColumn, ReadBack, RowTotal } from '../contracts/verification.ts'
import type { Mask } from '../mask.ts'
import { counted } from '../plural.ts'
import { type Duck, quoteName } from '../sql/duckdb.ts'
import { PartSink } from '../staging/partSink.ts'
import { copyParts } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { typeName } from '../types/logical.ts'
import { findings, type RangeFinding, VERIFY_COLUMNS } from './findings.ts'
import { compareKeyless } from './keyless.ts'
import { nothingCompared, type Verification } from './result.ts'
import { canonical, narrowed, rowSum, rowTotal, totalSql } from './rowSum.ts'
import { entriesWithRow, stateSum } from './stateSum.ts'

/** What a load is verified with. Paths are below `root`. */
export interface VerifyMeans {
  duck: Duck
  root: string
  target: Target
  signal: AbortSignal
  mask: Mask
  loadId: string
  /** Folder for what is read back; removed afterwards. */
  folder: string
}

/** SQL of rows that should be in the target; of keys that should not; of keys that may be there or not. */
export interface ExpectedRows {
  expected?: string
  gone?: string
  unjudged?: string
}

export interface Comparison {
  scope: Verification['scope']
  /** Which rows are read back, and whether what the load has staged is still there. */
  of: 'staged' | 'all'
  staged: boolean
  /** Whether rows of the target that are in none of the sets are looked for. */
  extra: boolean
  /** Of how many of the rows the target said that it left them as they were. */
  untouched: number
  /** Whether the load has made the table: then it has left no column alone. */
  created?: boolean
  /** The sum of the expected rows, where the target added them up as it sent them. */
  sent?: RowSum | undefined
  /** Entries of a state, where those with a row are the expected rows. */
  state?: Part[] | undefined
}

/** Reads rows of a load's table back and compares them with what they should be. */
export async function compare(
  means: VerifyMeans,
  load: PlannedLoad,
  rows: ExpectedRows,
  how: Comparison,
): Promise<Verification> {
  const { duck, root, target, signal, loadId, folder } = means
  const deciding = decidingColumns(load)
  const left = load.columns.filter(({ name }) => !deciding.includes(name) && !load.key.includes(name))
  const verification = nothingCompared(load, how.scope)
  const notCompared = left.map(({ name }) =>
    load.insertOnly.includes(name)
      ? `column ${name} is not compared: the load leaves it alone when a row changes`
      : `column ${name} is not compared: it does not decide whether a row has changed`,
  )
  if (!rows.expected && !rows.gone) return { ...verification, notes: notCompared }
  const can = await target.verifier!.comparable(load, signal)
  verification.notes.push(...can.notes)
  const readable = can.columns.filter(({ parsed }) => !parsed || how.staged)
  for (const { name } of can.columns)
    if (!readable.some(column => column.name === name))
      verification.notes.push(
        `column ${name} is not compared: only the target can tell whether it equals a text`,
      )
  const asIs = (name: string): ComparedColumn =>
    readable.find(column => column.name === name) ?? load.columns.find(column => column.name === name)!
  const whole = (left.length === 0 || how.created) && readable.length === load.columns.length
  if (whole && how.sent && (await sumEquals(means, load, readable, rows, how, how.sent, verification)))
    return verification
  verification.notes.unshift(...notCompared)
  const age = ageColumn(load)
  const sides: Side = {
    key: load.key.map(asIs),
    newer: age === undefined ? undefined : asIs(age),
    compared: readable.filter(
      ({ name }) => !load.key.includes(name) && !left.some(column => column.name === name),
    ),
  }
  const columns = distinct([...sides.key, ...(sides.newer ? [sides.newer] : []), ...sides.compared])
  const request = { loadId, load, columns, of: how.of, staged: how.staged }
  if (await stateEquals(means, request, sides, rows, how.state, verification)) return verification
  const sum = sumOf(sides)
  const should = await totalOf(duck, sum, rows)
  const is = should && (await target.verifier!.total?.(request, sum, signal))
  if (await equalAtOnce(duck, should, is, rows, verification)) return verification
  const sink = new PartSink(root, `${folder}/held`)
  try {
    await target.verifier!.read({ ...request, sink }, signal)
    const held = await heldSql(duck, root, sink.parts, columns)
    const found = should && (await totalIn(duck, held, sum))
    if (await equalAtOnce(duck, should, found, rows, verification)) return verification
    if (load.key.length === 0) {
      await compareKeyless(duck, sumOf(sides), rows.expected!, held, verification)
      return verification
    }
    return await compareRows(means, load, sides, rows, held, how, verification)
  } finally {
    rmSync(join(root, folder), { recursive: true, force: true })
  }
}

/** The columns that both sides are compared by. */
interface Side {
  key: ComparedColumn[]
  newer: ComparedColumn | undefined
  compared: ComparedColumn[]
}

const distinct = (columns: ComparedColumn[]) =>
  columns.filter(({ name }, index) => columns.findIndex(column => column.name === name) === index)

/** SQL of what was read back, every column as a value of the load's type. */
export async function heldSql(
  duck: Duck,
  root: string,
  parts: Part[],
  columns: ComparedColumn[],
): Promise<string> {
  if (parts.length === 0) {
    const none = columns.map(({ name, type }) => `NULL::${typeName(type)} AS ${quoteName(name)}`)
    return `SELECT ${none.join(', ')} WHERE false`
  }
  const from = filesSql(root, parts)
  // The table may spell a name otherwise than the load.
  const found = await duck.rows(`DESCRIBE FROM ${from}`)
  const types = new Map(found.map(row => [String(row.column_name).toLowerCase(), String(row.column_type)]))
  const values = columns.map(
    column => `${narrowed(column, types.get(column.name.toLowerCase())!)} AS ${quoteName(column.name)}`,
  )
  return `SELECT ${values.join(', ')} FROM ${from}`
}

/** The key as it is compared: what the target does not tell apart is the same. */
export const keysOf = ({ key }: Side) =>
  key.map(column => `${canonical(column, quoteName(column.name))} AS ${quoteName(column.name)}`).join(', ')

export const sumOf = ({ key, compared }: Side) => {
  const columns = [...key, ...compared]
  return rowSum(
    columns,
    columns.map(({ name }) => quoteName(name)),
  )
}

/** Whether the sum of what is read back is that of what was sent: then no row is written out for a comparison. */
async function sumEquals(
  { duck, target, signal, loadId }: VerifyMeans,
  load: PlannedLoad,
  columns: ComparedColumn[],
  { expected, gone, unjudged }: ExpectedRows,
  { of, staged }: Comparison,
  sent: RowSum,
  verification: Verification,
): Promise<boolean> {
  if (!expected || unjudged || columns.some(({ parsed }) => parsed)) return false
  const held = await target.verifier!.sum?.({ loadId, load, columns, of, staged }, signal)
  if (!held || !sameSum(held, sent)) return false
  await allEqual(duck, sent.rows, gone, verification)
  return true
}

/** Whether the sum of what is read back is that of the hashes by which the rows were compared: then they are hashed once. */
async function stateEquals(
  { duck, root, target, signal }: VerifyMeans,
  request: Omit<ReadBack, 'sink'>,
  { key, compared }: Side,
  rows: ExpectedRows,
  state: Part[] | undefined,
  verification: Verification,
): Promise<boolean> {
  const sum = state && !rows.unjudged ? stateSum(request.load, key, compared) : undefined
  const is = sum && (await target.verifier!.total?.(request, sum.row, signal))
  if (!is) return false
  const should = await totalIn(duck, entriesWithRow(filesSql(root, state!)), sum.entry)
  return equalAtOnce(duck, should, is, rows, verification)
}

async function allEqual(duck: Duck, rows: number, gone: string | undefined, verification: Verification) {
  const [none] = gone ? await duck.rows(`SELECT count(*) AS n FROM (${gone})`) : [{ n: 0 }]
  verification.rows = rows + Number(none!.n)
  verification.equal = verification.rows
  verification.ranges = rangesOf(rows) + rangesOf(Number(none!.n))
}

/** Number and sum of the rows that should be there; undefined where nothing is, or where some are not judged. */
async function totalOf(
  duck: Duck,
  sum: string,
  { expected, unjudged }: ExpectedRows,
): Promise<RowTotal | undefined> {
  if (!expected) return undefined
  const [spared] = unjudged ? await duck.rows(`SELECT count(*) AS n FROM (${unjudged})`) : [{ n: 0 }]
  if (Number(spared!.n) > 0) return undefined
  return totalIn(duck, expected, sum)
}

async function totalIn(duck: Duck, sql: string, sum: string): Promise<RowTotal> {
  const [row] = await duck.rows(totalSql(sql, sum))
  return rowTotal(row!)
}

/** Whether as many rows as expected are held, and the sums of all rows are the same: then there is no more to ask. */
async function equalAtOnce(
  duck: Duck,
  should: RowTotal | undefined,
  is: RowTotal | undefined,
  { gone }: ExpectedRows,
  verification: Verification,
): Promise<boolean> {
  if (!should || !is || should.rows !== is.rows || should.total !== is.total) return false
  await allEqual(duck, should.rows, gone, verification)
  return true
}

/** Ranges of at most 10,000 rows, or 64 of them: small enough to look at, few enough to count. */
const rangesOf = (rows: number) => Math.min(rows, Math.max(64, Math.ceil(rows / 10_000)))

async function compareRows(
  means: VerifyMeans,
  load: PlannedLoad,
  side: Side,
  rows: ExpectedRows,
  held: string,
  how: Comparison,
  verification: Verification,
): Promise<Verification> {
  const { duck, root, folder } = means
  const parts = await copyParts(means, await expectedSql(duck, side, rows), `${folder}/expected`)
  const expected = `SELECT * FROM ${filesSql(root, parts)}`
  const age = side.newer ? `${quoteName(side.newer.name)} AS ${VERIFY_COLUMNS.newer}, ` : ''
  const found = await findings(
    duck,
    { key: load.key, aged: side.newer !== undefined },
    {
      expected,
      held: `SELECT ${keysOf(side)}, ${age}${sumOf(side)} AS ${VERIFY_COLUMNS.sum} FROM (${held})`,
      extra: how.extra,
    },
  )
  await weigh(means, load, verification, found, expected, how.untouched)
  if (verification.wrong.rows > 0 && rows.expected)
    verification.notes.push(...(await differingColumns(duck, side, rows.expected, held)))
  return verification
}

async function expectedSql(duck: Duck, side: Side, rows: ExpectedRows): Promise<string> {
  const keys = side.key.map(({ name }) => quoteName(name)).join(', ')
  const age = side.newer && VERIFY_COLUMNS.newer
  const line = (sql: string, range: string, valued: boolean) => {
    const newer = side.newer && (valued ? quoteName(side.newer.name) : `NULL::${typeName(side.newer.type)}`)
    const sum = valued ? sumOf(side) : 'NULL::UBIGINT'
    // The sum below the window: whole rows are not sorted.
    return `SELECT ${keys}, ${age ? `${age}, ` : ''}${range} AS ${VERIFY_COLUMNS.range}, ${VERIFY_COLUMNS.sum}
     FROM (SELECT ${keysOf(side)}, ${age ? `${newer} AS ${age}, ` : ''}${sum} AS ${VERIFY_COLUMNS.sum} FROM (${sql}))`
  }
  const parts: string[] = []
  let from = 0
  const ranged = async (sql: string, valued: boolean) => {
    const [count] = await duck.rows(`SELECT count(*) AS n FROM (${sql})`)
    const ranges = rangesOf(Number(count!.n))
    parts.push(
      line(sql, `(ntile(${Math.max(1, ranges)}) OVER (ORDER BY ${keys}) - 1 + ${from})::INTEGER`, valued),
    )
    from += ranges
  }
  if (rows.expected) await ranged(rows.expected, true)
  if (rows.gone) await ranged(rows.gone, false)
  if (rows.unjudged) parts.push(line(rows.unjudged, '-1::INTEGER', false))
  return parts.join(' UNION ALL ')
}

const LINGERS = 'should be gone and is there'
/** Differing ranges that a verification lists. */
const SHOWN = 100

const WORDS = {
  differs: 'differs',
  missing: 'is missing',
  lingers: LINGERS,
  extra: LINGERS,
} as const

/** Adds the findings up. `untouched`: of how many of these rows the target said that it left them as they were. */
async function weigh(
  means: VerifyMeans,
  load: PlannedLoad,
  verification: Verification,
  found: RangeFinding[],
  expected: string,
  untouched: number,
): Promise<void> {
  const total = (of: RangeFinding['verdict']) =>
    found.filter(({ verdict }) => verdict === of).reduce((sum, { rows }) => sum + rows, 0)
  const others = total('extra')
  verification.equal = total('equal')
  verification.newer = total('newer')
  verification.rows = found.reduce((sum, { rows }) => sum + rows, 0) - others
  verification.ranges = new Set(found.flatMap(({ range }) => (range < 0 ? [] : [range]))).size
  const wrong: RangeFinding['verdict'][] = ['missing', 'lingers']
  const differing = total('differs')
  if (differing <= untouched) verification.leftAlone = differing
  else wrong.push('differs')
  if (removesGone(load)) wrong.push('extra')
  else verification.others = others
  const bad = found.filter(({ verdict, rows }) => rows > 0 && wrong.includes(verdict))
  const groups = [...Map.groupBy(bad, finding => finding.range)]
  verification.wrong = { rows: bad.reduce((sum, { rows }) => sum + rows, 0), ranges: groups.length }
  const shown = groups.slice(0, SHOWN)
  const names = await rangeNames(
    means,
    load,
    expected,
    shown.map(([range]) => range),
  )
  for (const [range, own] of shown)
    verification.differing.push({
      range: names.get(range) ?? 'rows that are not staged',
      rows: own.reduce((sum, { rows }) => sum + rows, 0),
      samples: own.flatMap(({ verdict, keys }) =>
        keys.map(key => `${keyText(means, load, key)} ${WORDS[verdict as keyof typeof WORDS]}`),
      ),
    })
}

const keyText = ({ mask }: VerifyMeans, { key, sensitive = [] }: PlannedLoad, values: string[]) =>
  key.map((name, index) => `${name} = ${mask.value(sensitive, name, values[index]!)}`).join(', ')

/** Which columns rows differ in that are on both sides: `differing: amount in 12 rows, name in 1`. */
async function differingColumns(
  duck: Duck,
  { key, compared }: Side,
  expected: string,
  held: string,
): Promise<string[]> {
  if (compared.length === 0) return []
  const of = (column: ComparedColumn, alias: string) =>
    canonical(column, `${alias}.${quoteName(column.name)}`)
  const same = key.map(column => `${of(column, 's')} = ${of(column, 't')}`).join(' AND ')
  const counts = compared.map(
    (column, index) => `count_if(${of(column, 's')} IS DISTINCT FROM ${of(column, 't')}) AS _nf_${index}`,
  )
  const [row] = await duck.rows(
    `SELECT ${counts.join(', ')} FROM (${expected}) AS s JOIN (${held}) AS t ON ${same}`,
  )
  const found = compared.flatMap(({ name }, index) => {
    const rows = Number(row![`_nf_${index}`])
    return rows > 0 ? [`${name} in ${counted(rows, 'row')}`] : []
  })
  return found.length > 0 ? [`differing: ${found.join(', ')}`] : []
}

/** `member_id 17 to 250`, by range. */
async function rangeNames(
  { duck, mask }: VerifyMeans,
  { key, sensitive = [] }: PlannedLoad,
  expected: string,
  ranges: number[],
): Promise<Map<number, string>> {
  if (ranges.length === 0) return new Map()
  const shown = `[${key.map(name => `${quoteName(name)}::VARCHAR`).join(', ')}]`
  const order = key.map(quoteName).join(', ')
  const found = await duck.rows(
    `SELECT ${VERIFY_COLUMNS.range} AS _nf_of, to_json(first(${shown} ORDER BY ${order}))::VARCHAR AS _nf_low, to_json(last(${shown} ORDER BY ${order}))::VARCHAR AS _nf_high
     FROM (${expected}) WHERE ${VERIFY_COLUMNS.range} >= 0 AND ${VERIFY_COLUMNS.range} IN (${ranges.join(', ')}) GROUP BY ALL`,
  )
  const text = (values: unknown) =>
    (JSON.parse(String(values)) as string[])
      .map((value, i) => mask.value(sensitive, key[i]!, value))
      .join(', ')
  return new Map(
    found.map(row => [Number(row._nf_of), `${key.join(', ')} ${text(row._nf_low)} to ${text(row._nf_high)}`]),
  )
}
