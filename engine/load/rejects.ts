import { join } from 'node:path'
import type { PlannedLoad } from '../contracts/load.ts'
import { REJECT_ROW, type RejectedRow } from '../contracts/rowValidation.ts'
import { taskName } from '../contracts/taskName.ts'
import type { TaskStore } from '../contracts/tasks.ts'
import { KIND, ROW } from '../diff/compare.ts'
import { type Changes, diff } from '../diff/diff.ts'
import { type LoadState, stateManifest } from '../diff/state.ts'
import { EngineError } from '../errors.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { FailureScope } from '../runtime/failureScope.ts'
import { runTask } from '../runtime/task.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { allRows, goodRows } from '../staging/dataSet.ts'
import { copyFile, copyParts } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { pathsOf, readManifest, rowsIn, writeManifest } from '../staging/store.ts'
import { recordSql } from '../transform/corrections.ts'
import type { Transformed } from '../transform/models.ts'

/** Rows of one load that are named one by one; more are a wrong column, not bad rows. */
const MAX_REJECTS = 100_000

/** What became of one load: undefined where every row fits. */
interface RejectsOutput {
  changes: Changes
  /** The data set, without the rows that the target refuses. */
  table: Transformed
}

/**
 * Leaves the rows out that a target would refuse, where a load says `on_bad_row: quarantine`: they are found before the
 * commit, go to the quarantine with the reason, and what is left is compared anew. Gives the change sets to load, and
 * the data sets with the rows that each now lacks. A row is tried again every night.
 */
export async function rejectRows(
  context: RunContext,
  changes: Changes[],
  tables: Transformed[],
  lastRun: Map<string, string>,
  failures: FailureScope,
): Promise<{ changes: Changes[]; tables: Transformed[] }> {
  const fitting: Changes[] = []
  const left = new Map(tables.map(table => [table.name, table]))
  for (const change of changes) {
    const { load } = change
    if (load.onBadRow !== 'quarantine') {
      fitting.push(change)
      continue
    }
    const table = tables.find(({ name, parts }) => name === load.from && parts !== undefined)!
    const found = await failures.attempt([taskName('load', load.table)], [taskName('load', load.table)], () =>
      runTask(context, taskName('fit', load.table), async own => ({
        fitted: await rejectRowsOf(own, change, table, lastRun),
      })),
    )
    if (!found) continue
    fitting.push(found.fitted?.changes ?? change)
    if (found.fitted) left.set(load.from, without(left.get(load.from)!, table, found.fitted.table))
  }
  return { changes: fitting, tables: tables.map(({ name }) => left.get(name)!) }
}

/** A data set that lacks what one more of its loads leaves out; the quarantine's file is that of the last such load. */
function without(now: Transformed, before: Transformed, fitted: Transformed): Transformed {
  const more = fitted.rejected - before.rejected
  return {
    ...now,
    findings: fitted.findings!,
    rejected: now.rejected + more,
    marked: now.marked + more,
    checks: [...now.checks, fitted.checks.at(-1)!],
  }
}

async function rejectRowsOf(
  context: RunContext,
  change: Changes,
  table: Transformed,
  lastRun: Map<string, string>,
): Promise<RejectsOutput | undefined> {
  const { load } = change
  const { staging, run, spec, progress } = context
  const task = taskName('fit', load.table)
  progress.started(task)
  const refused = new Map<number, string>()
  const part = { ...context, run: `${run}/fit` }
  let fitted: RejectsOutput | undefined
  // A row that was superseded by one that is refused now is judged in the next round.
  for (;;) {
    const rejects = await rejectsOf(context, fitted?.changes ?? change)
    if (rejects.length === 0) break
    for (const { row, reason } of rejects) refused.set(row, reason)
    if (refused.size > MAX_REJECTS)
      throw new EngineError(
        'DATA_INVALID',
        `${load.to}.${load.table}: more than ${MAX_REJECTS} rows do not fit; for example: ${rejects[0]!.reason}`,
        { hint: `Nothing was loaded. Correct ${load.from}, or the table.` },
      )
    const left = await leaveOut(context, load, table, refused)
    const again = { ...part, store: forgetful, spec: { ...spec, loads: spec.loads.filter(same(load)) } }
    const failures = new FailureScope(again)
    const found = async () => ({ now: change.found, ...(change.reason && { reason: change.reason }) })
    const [changes] = await diff(again, [left], lastRun, found, failures)
    failures.check()
    fitted = { changes: changes!, table: left }
  }
  progress.finished(task, refused.size === 0 ? 'all rows fit' : `${refused.size} rows do not fit`)
  if (!fitted) return undefined
  // The next run compares with what was loaded.
  const state = await readManifest<LoadState>(staging, stateManifest(spec.job, part.run, load.table))
  await writeManifest(staging, stateManifest(spec.job, run, load.table), state!)
  return fitted
}

const same = (load: PlannedLoad) => (other: { to: string; table: string }) =>
  other.to === load.to && other.table === load.table

/** The comparison is a part of this task, and done again with it. */
const forgetful: TaskStore = {
  output: async () => undefined,
  begin: async () => {},
  commit: async () => {},
  fail: async () => {},
  progress: async () => {},
}

/** The rows of a change set that the target refuses. */
async function rejectsOf(context: RunContext, change: Changes): Promise<RejectedRow[]> {
  const { duck, root, run, spec, targets, workers, signal } = context
  const { load } = change
  const validator = targets.get(load.to)!.rowValidator
  if (!validator)
    throw new EngineError('CONFIG_INVALID', `${load.to}: on_bad_row: quarantine is not known there`, {
      hint: 'Leave it out: a bad row then takes the whole load back.',
    })
  const staged = stagedSql(root, change)
  const found: RejectedRow[] = []
  const conditions = validator.unsendable(load)
  if (conditions.length > 0) {
    const cases = conditions.map(({ condition, reason }) => `WHEN ${condition} THEN ${quote(reason)}`)
    const rows = await duck.rows(
      `SELECT * FROM (SELECT ${ROW} AS row, CASE ${cases.join(' ')} END AS reason FROM (${staged})) WHERE reason IS NOT NULL LIMIT ${MAX_REJECTS + 1}`,
    )
    found.push(...rows.map(({ row, reason }) => ({ row: Number(row), reason: String(reason) })))
  }
  const sendable = found.length > 0 ? ` WHERE ${ROW} NOT IN (${found.map(({ row }) => row).join(', ')})` : ''
  const names = load.columns.map(({ name }) => quoteName(name)).join(', ')
  const sent = `SELECT ${names}, ${ROW}::BIGINT AS ${REJECT_ROW} FROM (${staged})${sendable}`
  const parts = await copyParts(context, sent, ownFile(context, `fit/${load.table}/rows`))
  const rows = rowsIn(parts)
  if (rows === 0) return found
  const numbers = {
    name: REJECT_ROW,
    type: { kind: 'int', bits: 64, signed: true },
    nullable: false,
    native: '',
  } as const
  const rejects = await validator.findRejects(
    {
      loadId: `${spec.job}/${run}/${load.to}`,
      job: spec.job,
      load,
      columns: [...load.columns, numbers],
      paths: pathsOf(root, parts),
      beside: spec.loads.filter(({ to }) => to === load.to).map(other => other.table),
      offload: workers.offload,
      lanes: spec.resources.threads,
    },
    signal,
  )
  return [...found, ...rejects]
}

/** SQL of the rows that are new or changed, with their numbers as {@link ROW}. */
function stagedSql(root: string, { list, state, table, reason }: Changes): string {
  const rows = `SELECT * RENAME (file_row_number AS ${ROW}) FROM (${goodRows(root, table, true)})`
  if (list && reason === undefined)
    return `${rows} WHERE ${ROW} IN (SELECT ${ROW} FROM ${filesSql(root, list)} WHERE ${KIND} IN ('insert', 'update'))`
  return state ? `${rows} WHERE ${ROW} IN (SELECT ${ROW} FROM ${filesSql(root, state)})` : rows
}

/** The data set with the rows among its findings, and these in a file of the quarantine. */
async function leaveOut(
  context: RunContext,
  load: PlannedLoad,
  table: Transformed,
  refused: Map<number, string>,
): Promise<Transformed> {
  const { duck, root, run } = context
  const name = `fits ${load.table}`
  const lines = [...refused].map(([row, reason]) => `(${row}, ${quote(reason)})`)
  const data = allRows(root, { parts: table.parts! })
  const record = recordSql(
    table.columns.map(column => column.name),
    'm',
  )
  const before = table.findings
    ? ` UNION ALL BY NAME SELECT * FROM read_parquet(${quote(join(root, table.findings))})`
    : ''
  const findings = ownFile(context, `quarantine/${table.name}.${load.table}`, '.parquet')
  const found = `SELECT f.row, ${quote(table.name)} AS model, ${quote(name)} AS check_name, 'reject' AS severity,
      'DATA_INTEGRITY_ERROR' AS category, f.reason, ${record} AS record, ${quote(run)} AS run
    FROM (VALUES ${lines.join(', ')}) AS f(row, reason) JOIN ${data} AS m ON m.file_row_number = f.row`
  await copyFile(context, `SELECT * FROM (${found}${before}) ORDER BY row, check_name, reason`, findings)
  const samples = await duck.rows(`SELECT reason, record FROM (${found}) ORDER BY row LIMIT 5`)
  return {
    ...table,
    findings,
    rejected: table.rejected + refused.size,
    marked: table.marked + refused.size,
    checks: [
      ...table.checks,
      {
        name,
        model: table.name,
        level: 'reject',
        rows: refused.size,
        samples: samples.map(sample => ({ reason: String(sample.reason), record: String(sample.record) })),
      },
    ],
  }
}
