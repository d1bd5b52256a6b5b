import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Loaded, Offload, PlannedLoad } from '../contracts/load.ts'
import { ageColumn, decidingColumns, removesGone } from '../contracts/semantics.ts'
import type { Part } from '../contracts/staging.ts'
import type { Target } from '../contracts/target.ts'
import { taskName } from '../contracts/taskName.ts'
import { type ComparedColumn, type RangeFinding, VERIFY_COLUMNS } from '../contracts/verification.ts'
import type { Changes } from '../diff/changeSet.ts'
import { ROW } from '../diff/compare.ts'
import { EngineError } from '../errors.ts'
import { type RunContext, runFolder } from '../runtime/context.ts'
import { runTask } from '../runtime/task.ts'
import { type Duck, quoteName } from '../sql/duckdb.ts'
import { allRows, goodRows, rejectedRows } from '../staging/dataSet.ts'
import { copyParts } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { pathsOf, rowsIn } from '../staging/store.ts'
import { typeName } from '../types/logical.ts'
import { checksumOf } from './checksum.ts'
import { describeVerification, type Verification } from './result.ts'

/** What a load is verified with: its staged rows and the target. Paths are below `root`. */
export interface VerifyMeans {
  duck: Duck
  root: string
  target: Target
  signal: AbortSignal
  offload: Offload
  lanes: number
  job: string
  loadId: string
  /** Folder for what is sent to the target; removed afterwards. */
  folder: string
}

/**
 * Compares the targets with what was loaded, as each load's `verify` says, and adds to `verifications`. Fails with
 * VERIFY_FAILED where one differs.
 */
export async function verify(
  context: RunContext,
  changes: Changes[],
  loaded: Loaded[],
  verifications: Verification[],
): Promise<void> {
  const { progress, spec, run } = context
  for (const change of changes) {
    const { load } = change
    const { verify = 'changes' } = load
    const result = loaded.find(({ to, table }) => to === load.to && table === load.table)
    if (verify === 'off' || !result) continue
    const target = context.targets.get(load.to)!
    if (!target.verifier || load.key.length === 0) {
      const reason = target.verifier ? 'it has no key' : 'loads there cannot be verified'
      progress.note(`${load.to}.${load.table} is not verified: ${reason}`)
      continue
    }
    const task = taskName('verify', load.table)
    const { unchanged } = result
    const means: Omit<VerifyMeans, 'signal'> = {
      ...context,
      target,
      offload: context.workers.offload,
      lanes: spec.resources.threads,
      job: spec.job,
      loadId: `${spec.job}/${run}/${load.to}`,
      folder: `${runFolder(context)}/verify/${load.table}`,
    }
    const verification = await runTask(context, task, async ({ signal }) => {
      progress.started(task)
      const verification =
        verify === 'all'
          ? await verifyAll({ ...means, signal }, { ...change, state: change.state! })
          : await verifyChanges({ ...means, signal }, change, unchanged)
      progress.finished(task, describeVerification(verification))
      return verification
    })
    verifications.push(verification)
  }
  const failed = verifications.filter(({ wrong }) => wrong.rows > 0)
  if (failed.length > 0)
    throw new EngineError(
      'VERIFY_FAILED',
      failed
        .map(
          verification => `${verification.to}.${verification.table}: ${describeVerification(verification)}`,
        )
        .join('; '),
      {
        hint: `The load is committed. Something changes rows as they are written (a trigger, a rule) or has since: stop it, correct the rows named, and look again with nightfreight verify.`,
      },
    )
}

/** Compares the rows that one load staged: upserts are there and equal, deleted keys are gone. */
async function verifyChanges(means: VerifyMeans, changes: Changes, unchanged: number): Promise<Verification> {
  const { load, whole, upserts, keys } = changes
  const { root } = means
  const files = (parts: Part[]) => `SELECT * FROM ${filesSql(root, parts)}`
  const rows: Rows = {}
  if (upserts.length > 0) rows.expected = files(upserts)
  const removed = load.mode === 'merge' || load.mode === 'scd2'
  if (keys.length > 0 && removed && !whole) rows.gone = files(keys)
  if (keys.length > 0 && whole) rows.unjudged = files(keys)
  // Where nothing is known of a row, only the target knows that it did not write it.
  const untouched = load.mode === 'append' ? unchanged : 0
  return compare(means, load, 'changes', rows, { extra: whole && removesGone(load), untouched })
}

/** Compares the whole data set that was staged last. */
export async function verifyAll(means: VerifyMeans, staged: StagedRows): Promise<Verification> {
  const { root } = means
  const { load, table, state } = staged
  const keys = load.key.map(quoteName)
  const stated = filesSql(root, state)
  const unjudged = [`SELECT ${keys.join(', ')} FROM ${stated} WHERE ${ROW} < 0`]
  if (table.findings)
    unjudged.push(`SELECT ${keys.join(', ')} FROM ${allRows(root, table)}
      WHERE file_row_number IN (${rejectedRows(root, table.findings)})
        AND ${keys.map(key => `${key} IS NOT NULL`).join(' AND ')}
        AND (${keys.join(', ')}) NOT IN (SELECT (${keys.join(', ')}) FROM ${stated})`)
  const rows: Rows = { expected: stagedRows(root, staged), unjudged: unjudged.join(' UNION ') }
  return compare(means, load, 'all', rows, { extra: true, untouched: 0 })
}

/** Compares some rows of a data set: those that `state` names. What a load may have left alone is no difference. */
export function verifySome(means: VerifyMeans, staged: StagedRows): Promise<Verification> {
  const rows: Rows = { expected: stagedRows(means.root, staged) }
  const untouched = staged.load.mode === 'append' ? Infinity : 0
  return compare(means, staged.load, 'changes', rows, { extra: false, untouched })
}

/** Rows of a data set: `state` has their numbers. */
type StagedRows = Pick<Changes, 'load' | 'table'> & { state: Part[] }

const stagedRows = (root: string, { table, state }: StagedRows) =>
  `SELECT * EXCLUDE (file_row_number) FROM (${goodRows(root, table, true)})
   WHERE file_row_number IN (SELECT ${ROW} FROM ${filesSql(root, state)} WHERE ${ROW} >= 0)`

/** SQL of rows that should be in the target; of keys that should not; of keys that may be there or not. */
interface Rows {
  expected?: string
  gone?: string
  unjudged?: string
}

async function compare(
  means: VerifyMeans,
  load: PlannedLoad,
  scope: Verification['scope'],
  rows: Rows,
  { extra, untouched }: { extra: boolean; untouched: number },
): Promise<Verification> {
  const { root, target, signal, job, loadId, offload, lanes, folder } = means
  const deciding = decidingColumns(load)
  const left = load.columns.filter(({ name }) => !deciding.includes(name) && !load.key.includes(name))
  const verification: Verification = {
    table: load.table,
    to: load.to,
    scope,
    rows: 0,
    ranges: 0,
    equal: 0,
    newer: 0,
    leftAlone: 0,
    others: 0,
    wrong: { rows: 0, ranges: 0 },
    differing: [],
    notes: left.map(({ name }) =>
      load.insertOnly.includes(name)
        ? `column ${name} is not compared: the load leaves it alone when a row changes`
        : `column ${name} is not compared: it does not decide whether a row has changed`,
    ),
  }
  if (!rows.expected && !rows.gone) return verification
  const can = await target.verifier!.comparable(load, signal)
  // Like ones side by side: they are summed up together.
  const compared = can.columns
    .filter(({ name }) => !load.key.includes(name) && !left.some(column => column.name === name))
    .sort((a, b) => (typeName(a.type) < typeName(b.type) ? -1 : typeName(a.type) > typeName(b.type) ? 1 : 0))
  verification.notes.push(...can.notes)
  const parts = await copyParts(means, await expectedSql(means, load, compared, rows), folder)
  if (parts.length === 0) return verification
  const from = filesSql(root, parts)
  const paths = pathsOf(root, parts)
  try {
    const newer = ageColumn(load)
    const bigint = { kind: 'int', bits: 64, signed: true } as const
    const extras = [
      ...(newer
        ? [{ name: VERIFY_COLUMNS.newer, type: load.columns.find(({ name }) => name === newer)!.type }]
        : []),
      { name: VERIFY_COLUMNS.range, type: { ...bigint, bits: 32 as const } },
      { name: VERIFY_COLUMNS.sum, type: bigint },
    ]
    const columns = [
      ...load.key.map(key => load.columns.find(({ name }) => name === key)!),
      ...extras.map(column => ({ ...column, nullable: true, native: '' })),
    ]
    const count = rowsIn(parts)
    const verdicts = await target.verifier!.compare(
      { loadId, job, load, compared, paths, columns, rows: count, extra, offload, lanes },
      signal,
    )
    await weigh(means, load, verification, verdicts, from, untouched)
    return verification
  } finally {
    rmSync(join(root, folder), { recursive: true, force: true })
  }
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

// Ranges of at most 10,000 rows, or 64 of them: small enough to look at, few enough to count.
async function expectedSql(
  { duck }: VerifyMeans,
  load: PlannedLoad,
  compared: ComparedColumn[],
  rows: Rows,
): Promise<string> {
  const keys = load.key.map(quoteName).join(', ')
  const newer = load.columns.find(({ name }) => name === ageColumn(load))
  const line = (
    sql: string,
    range: string,
    sum = 'NULL::BIGINT',
    age = newer && `NULL::${typeName(newer.type)}`,
  ) =>
    // The checksum below the window: whole rows are not sorted.
    `SELECT ${keys}, ${newer ? `${VERIFY_COLUMNS.newer}, ` : ''}${range} AS ${VERIFY_COLUMNS.range}, ${VERIFY_COLUMNS.sum}
     FROM (SELECT ${keys}, ${age ? `${age} AS ${VERIFY_COLUMNS.newer}, ` : ''}${sum} AS ${VERIFY_COLUMNS.sum} FROM (${sql}) AS r)`
  const parts: string[] = []
  let from = 0
  const ranged = async (sql: string, sum?: string, age?: string) => {
    const [count] = await duck.rows(`SELECT count(*) AS n FROM (${sql})`)
    const n = Number(count!.n)
    const ranges = Math.min(n, Math.max(64, Math.ceil(n / 10_000)))
    parts.push(
      line(sql, `(ntile(${Math.max(1, ranges)}) OVER (ORDER BY ${keys}) - 1 + ${from})::INTEGER`, sum, age),
    )
    from += ranges
  }
  if (rows.expected) await ranged(rows.expected, checksumOf(compared, 'r'), newer && quoteName(newer.name))
  if (rows.gone) await ranged(rows.gone)
  if (rows.unjudged) parts.push(line(rows.unjudged, '-1::INTEGER'))
  return parts.join(' UNION ALL ')
}

/** Adds the verdicts up. `untouched`: of how many of these rows the target said that it left them as they were. */
async function weigh(
  { duck }: VerifyMeans,
  load: PlannedLoad,
  verification: Verification,
  verdicts: RangeFinding[],
  from: string,
  untouched: number,
): Promise<void> {
  const total = (of: RangeFinding['verdict']) =>
    verdicts.filter(({ verdict }) => verdict === of).reduce((sum, { rows }) => sum + rows, 0)
  const others = total('extra')
  verification.equal = total('equal')
  verification.newer = total('newer')
  verification.rows = verdicts.reduce((sum, { rows }) => sum + rows, 0) - others
  verification.ranges = new Set(verdicts.flatMap(({ range }) => (range < 0 ? [] : [range]))).size
  const wrong: RangeFinding['verdict'][] = ['missing', 'lingers']
  const differing = total('differs')
  if (differing <= untouched) verification.leftAlone = differing
  else wrong.push('differs')
  if (removesGone(load)) wrong.push('extra')
  else verification.others = others
  const bad = verdicts.filter(({ verdict, rows }) => rows > 0 && wrong.includes(verdict))
  const groups = [...Map.groupBy(bad, verdict => verdict.range)]
  verification.wrong = { rows: bad.reduce((sum, { rows }) => sum + rows, 0), ranges: groups.length }
  const shown = groups.slice(0, SHOWN)
  const names = await rangeNames(
    duck,
    load,
    from,
    shown.map(([range]) => range),
  )
  for (const [range, found] of shown)
    verification.differing.push({
      range: names.get(range) ?? 'rows that are not staged',
      rows: found.reduce((sum, verdict) => sum + verdict.rows, 0),
      samples: found.flatMap(({ verdict, keys }) =>
        keys.map(key => `${keyText(load, key)} ${WORDS[verdict as keyof typeof WORDS]}`),
      ),
    })
}

const keyText = ({ key }: PlannedLoad, values: string[]) =>
  key.map((name, index) => `${name} = ${values[index]}`).join(', ')

/** `member_id 17 to 250`, by range. */
async function rangeNames(
  duck: Duck,
  { key }: PlannedLoad,
  from: string,
  ranges: number[],
): Promise<Map<number, string>> {
  if (ranges.length === 0) return new Map()
  const shown = key.map(name => `${quoteName(name)}::VARCHAR`).join(` || ', ' || `)
  const order = key.map(quoteName).join(', ')
  const found = await duck.rows(
    `SELECT ${VERIFY_COLUMNS.range} AS range_number, first(${shown} ORDER BY ${order}) AS low, last(${shown} ORDER BY ${order}) AS high
     FROM ${from} WHERE ${VERIFY_COLUMNS.range} >= 0 AND ${VERIFY_COLUMNS.range} IN (${ranges.join(', ')}) GROUP BY ALL`,
  )
  return new Map(
    found.map(({ range_number, low, high }) => [Number(range_number), `${key.join(', ')} ${low} to ${high}`]),
  )
}
