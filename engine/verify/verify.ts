import type { RowSum } from '../batch/rowSum.ts'
import type { LoadCounts, PlannedLoad, StagedLoad } from '../contracts/load.ts'
import { goneRows, removesGone } from '../contracts/semantics.ts'
import type { Part } from '../contracts/staging.ts'
import type { Changes } from '../diff/changeSet.ts'
import { ROW } from '../diff/compare.ts'
import { EngineError } from '../errors.ts'
import { quoteName } from '../sql/duckdb.ts'
import { allRows, goodRows, rejectedRows } from '../staging/dataSet.ts'
import { filesSql } from '../staging/read.ts'
import { columnNamed, typeName } from '../types/logical.ts'
import { compare, type ExpectedRows, type VerifyMeans } from './compare.ts'
import { describeVerification, type Verification } from './result.ts'

/** What a run's load is verified with. */
export interface RunVerifyMeans extends VerifyMeans {
  runAt: Date
}

/** What one commit applies of a change set, and what the target said of it. */
export interface AppliedBatch {
  change: Changes
  load: StagedLoad
  rows: Part[]
  keys: Part[]
  /** Whether it is all of the change set, or the last of it. */
  only: boolean
  ends: boolean
  /** Of the rows, where the target added them up as it sent them. */
  sent: RowSum | undefined
  counts: LoadCounts
  /** Rows that this and the change set's earlier commits left alone. */
  unchanged: number
}

/**
 * Compares what a commit is about to publish with what was staged for it, as the load's `verify` says; undefined where it
 * says `off`, or nothing of the batch can be compared.
 */
export async function verifyBatch(
  means: RunVerifyMeans,
  batch: AppliedBatch,
): Promise<Verification | undefined> {
  const { change, load, only, ends, sent, counts, unchanged } = batch
  if (load.verify === 'off' || !means.target.verifier) return undefined
  const keyless = load.key.length === 0 && (change.whole || load.verify === 'all')
  if (keyless) return ends ? verifyKeyless(means, change, sent) : undefined
  if (load.verify === 'all')
    return ends ? verifyAll(means, { ...change, state: change.state! }, only && change.whole) : undefined
  const last = ends && change.whole && removesGone(load)
  return verifyChange(means, change, { ...counts, unchanged }, only ? 'one' : last ? 'last' : batch, sent)
}

/** Fails with VERIFY_FAILED where one differs: nothing of it may be published. */
export function refuseDiffering(verifications: Verification[]): void {
  const failed = verifications.filter(({ wrong }) => wrong.rows > 0)
  if (failed.length === 0) return
  throw new EngineError(
    'VERIFY_FAILED',
    failed.map(each => `${each.to}.${each.table}: ${describeVerification(each)}`).join('; '),
    {
      hint: 'Nothing was loaded. Something changes rows as they are written (a trigger, a rule, a default): stop it, or name the columns that it changes under ignore, and run it again.',
    },
  )
}

/** The results of a load's commits, added up. */
export function sumVerifications(all: Verification[]): Verification[] {
  return [...Map.groupBy(all, ({ table }) => table).values()].map(group =>
    group.reduce((sum, next) => ({
      ...next,
      rows: sum.rows + next.rows,
      ranges: sum.ranges + next.ranges,
      equal: sum.equal + next.equal,
      newer: sum.newer + next.newer,
      leftAlone: sum.leftAlone + next.leftAlone,
      others: sum.others + next.others,
      wrong: { rows: sum.wrong.rows + next.wrong.rows, ranges: sum.wrong.ranges + next.wrong.ranges },
      differing: [...sum.differing, ...next.differing],
      notes: [...new Set([...sum.notes, ...next.notes])],
    })),
  )
}

const files = (root: string, parts: Part[]) => `SELECT * FROM ${filesSql(root, parts)}`

/**
 * Compares rows of a change set: upserts are there and equal, deleted keys are gone. `commit`: the one commit of it, the
 * last, after which all of it is compared, or one of several.
 */
async function verifyChange(
  means: VerifyMeans,
  change: Changes,
  { unchanged, created }: LoadCounts,
  commit: 'one' | 'last' | AppliedBatch,
  sent: RowSum | undefined,
): Promise<Verification> {
  const { load } = change
  const { root } = means
  const part = typeof commit === 'object' ? commit : undefined
  const { rows: upserts, keys } = part ?? { rows: change.upserts, keys: change.keys }
  const whole = part ? part.load.whole : change.whole
  const rows: ExpectedRows = {}
  if (upserts.length > 0) rows.expected = files(root, upserts)
  if (keys.length > 0 && goneRows({ ...load, whole }) === 'named') rows.gone = files(root, keys)
  if (keys.length > 0 && whole) rows.unjudged = files(root, keys)
  const extra = whole && removesGone(load)
  // Which rows are of a key that it has been given before only the target knows.
  const untouched = load.mode === 'append' ? unchanged : 0
  // A table that this commit makes holds its rows alone.
  const of = extra || created || commit === 'last' ? 'all' : 'staged'
  const staged = commit !== 'last'
  return compare(means, load, rows, {
    scope: 'changes',
    of,
    staged,
    extra,
    untouched,
    ...(created && { created }),
    ...(staged && { sent }),
    // Of a change set that is not whole, a state has more rows than are sent.
    ...(!part && whole && { state: change.state }),
  })
}

/** SQL of which rows stay in a load's table: a run may have taken others away with what it keeps no longer. */
export async function stayingSql(
  { target, runAt, signal }: Pick<RunVerifyMeans, 'target' | 'runAt' | 'signal'>,
  load: PlannedLoad,
): Promise<string> {
  const passing = await target.passing?.(load, runAt, signal)
  if (!passing) return 'TRUE'
  const { name, type } = columnNamed(load.columns, passing.column)!
  return `((${quoteName(name)} < CAST(TIMESTAMPTZ '${passing.since.toISOString()}' AS ${typeName(type)})) IS NOT TRUE)`
}

/** Compares rows that were staged as a load of their own with those of the table that have their keys. */
export function verifySome(
  means: VerifyMeans,
  load: PlannedLoad,
  rows: Part[],
  sent: RowSum | undefined,
): Promise<Verification> {
  const untouched = load.mode === 'append' ? Infinity : 0
  const how = { scope: 'changes', of: 'staged', staged: true, extra: false, untouched, sent } as const
  return compare(means, load, { expected: files(means.root, rows) }, how)
}

/** Compares all rows of a table without a key: as many that are equal in all columns as are staged. */
function verifyKeyless(
  means: VerifyMeans,
  { load, table }: Pick<Changes, 'load' | 'table'>,
  sent?: RowSum,
): Promise<Verification> {
  const how = { scope: 'all', of: 'all', staged: false, extra: true, untouched: 0, sent } as const
  return compare(means, load, { expected: goodRows(means.root, table) }, how)
}

/** Compares the whole data set that was staged last. `staged`: whether what was sent is still in the target. */
export async function verifyAll(
  means: RunVerifyMeans,
  { load, table, state }: Pick<Changes, 'load' | 'table'> & { state: Part[] },
  staged = false,
): Promise<Verification> {
  const { root } = means
  if (load.key.length === 0) return verifyKeyless(means, { load, table })
  const keys = load.key.map(quoteName)
  const stated = filesSql(root, state)
  const unjudged = [`SELECT ${keys.join(', ')} FROM ${stated} WHERE ${ROW} < 0`]
  if (table.findings)
    unjudged.push(`SELECT ${keys.join(', ')} FROM ${allRows(root, table)}
      WHERE file_row_number IN (${rejectedRows(root, table.findings)})
        AND ${keys.map(key => `${key} IS NOT NULL`).join(' AND ')}
        AND (${keys.join(', ')}) NOT IN (SELECT (${keys.join(', ')}) FROM ${stated})`)
  const good = `(${goodRows(root, table, true)}) WHERE file_row_number IN (SELECT ${ROW} FROM ${stated} WHERE ${ROW} >= 0)`
  const stays = await stayingSql(means, load)
  unjudged.push(`SELECT ${keys.join(', ')} FROM ${good} AND NOT ${stays}`)
  const rows: ExpectedRows = {
    expected: `SELECT * EXCLUDE (file_row_number) FROM ${good} AND ${stays}`,
    unjudged: unjudged.join(' UNION '),
  }
  return compare(means, load, rows, {
    scope: 'all',
    of: 'all',
    staged,
    extra: true,
    untouched: 0,
  })
}
