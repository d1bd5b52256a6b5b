import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { PlannedLoad, StagedLoad } from '../contracts/load.ts'
import { markColumn, updatedColumns } from '../contracts/semantics.ts'
import type { TableState } from '../contracts/target.ts'
import { ROW } from '../diff/compare.ts'
import type { Look } from '../diff/diff.ts'
import { changedMeaning, type LoadState, stateManifest } from '../diff/state.ts'
import { EngineError } from '../errors.ts'
import type { Plan } from '../plan/plan.ts'
import { planLoad } from '../plan/planLoad.ts'
import { checkRunTime, disturbance, foreignRows } from '../plan/standing.ts'
import { counted } from '../plural.ts'
import { callHere } from '../pool/pool.ts'
import { abandonStaged } from '../runtime/abandon.ts'
import { type RunContext, runFolder } from '../runtime/context.ts'
import { goodRows } from '../staging/dataSet.ts'
import { copyScratch } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { pathsOf, readManifest, rowsIn } from '../staging/store.ts'
import { columnNamed } from '../types/logical.ts'
import { stayingSql, verifySome } from './verify.ts'

/**
 * Looks at a load's table, of which a run's data was the last: is it the same one, with as many rows, and with the values
 * that the last change gave? Fails with RUN_OUTDATED where this run's time lies before that run's.
 */
export const lookAt =
  ({ refresh = [] }: Plan): Look =>
  async (context, load, run) => {
    const { targets, signal, runAt } = context
    const standing = await targets.get(load.to)!.standing(load.table, signal)
    checkRunTime(load, runAt, standing)
    const { now, guarded } = standing
    if (refresh.includes(load.table)) return { now, reason: 'a full refresh was asked for' }
    if (run === undefined) return now && now.rows > 0 ? { now, reason: foreignRows(load, now) } : { now }
    const { staging, spec } = context
    const left = await readManifest<LoadState>(staging, stateManifest(spec.job, run, load.table))
    // A table that no load has made yet is no disturbance: it is new, though the job has run before.
    if (!now && !left && !standing.left) return { now }
    const known = guarded ? undefined : left
    const reason =
      (known && now && (await lackedColumns(context, load, run, known, now))) ??
      disturbance(standing) ??
      (left && changedMeaning(left, load)) ??
      (known && (await outdated(context, load, run, known)))
    return { now, ...(reason && { reason }) }
  }

/**
 * Why a table is not as a run left it, where it lacks columns that the run wrote. Fails with TARGET_INCOMPATIBLE where a load
 * cannot give the rows that are there what they had in them.
 */
async function lackedColumns(
  { targets, signal }: RunContext,
  load: PlannedLoad,
  run: string,
  left: LoadState,
  now: TableState,
): Promise<string | undefined> {
  const target = targets.get(load.to)!
  const table = await target.describe(load.table, signal)
  const among = (names: string[], name: string) =>
    names.some(each => each.toLowerCase() === name.toLowerCase())
  const marks = markColumn(load) !== undefined
  const namesOf = ({ columns, deletedAt }: Pick<LoadState, 'columns' | 'deletedAt'>) => [
    ...columns.map(({ name }) => name),
    ...(marks && deletedAt !== undefined ? [deletedAt] : []),
  ]
  const lost = namesOf(left).filter(
    name => among(namesOf(load), name) && table && !columnNamed(table.columns, name),
  )
  if (lost.length === 0) return undefined
  const what = `has no ${lost.length === 1 ? 'column' : 'columns'} ${lost.join(', ')}, which run ${run} loaded: dropped or renamed`
  // Of a history, what earlier versions had is nowhere else.
  const written = load.mode === 'scd2' ? [] : [...updatedColumns(load), markColumn(load) ?? '']
  const unwritten = lost.filter(name => !among(written, name))
  if (unwritten.length === 0 || now.rows === 0) return `the table ${what}`
  const { statements } = await target.tableChanges({ ...load, schema: 'apply-safe' }, signal)
  throw new EngineError(
    'TARGET_INCOMPATIBLE',
    `${load.to}.${load.table}: ${what}; the load cannot give the rows that are there what they had in ${unwritten.join(', ')}`,
    {
      hint: `Rename or restore what was there. To go on without those values: ${statements.join(' ')}`,
    },
  )
}

/** Why a table is an old copy of itself: rows that the last change wrote are not as it wrote them. */
async function outdated(
  context: RunContext,
  load: PlannedLoad,
  run: string,
  left: LoadState,
): Promise<string | undefined> {
  const { duck, root, spec, targets, signal, run: own } = context
  const target = targets.get(load.to)!
  // Where verification is off, something else may write the rows' values.
  if (!target.verifier || load.verify === 'off') return undefined
  if (!left.witness || left.witness.rows === 0) return undefined
  let planned: PlannedLoad
  try {
    planned = planLoad(load, left.columns)
  } catch {
    // It goes by columns that the run had not: all rows are compared then.
    return undefined
  }
  const was: StagedLoad = { ...planned, whole: false, schema: 'manual' }
  const loadId = `${spec.job}/${own}/${load.to}/look`
  const folder = `${runFolder(context)}/look/${load.table}`
  const means = { duck, root, target, signal, mask: context.mask, runAt: context.runAt, loadId }
  try {
    const witness = `SELECT * EXCLUDE (file_row_number) FROM (${goodRows(root, left.table, true)})
      WHERE file_row_number IN (SELECT ${ROW} FROM ${filesSql(root, [left.witness])}) AND ${await stayingSql(means, was)}`
    const parts = await copyScratch(context, witness, `${folder}/rows`)
    const files = { paths: pathsOf(root, parts), rows: rowsIn(parts), keyPaths: [], keys: 0 }
    if (files.rows === 0) return undefined
    // A thread for them would take longer to start than they to send.
    const how = { offload: callHere, lanes: 1, progress() {} }
    const sent = await target.stage({ loadId, job: spec.job, load: was, ...files, ...how }, signal)
    const verification = await verifySome(
      { ...means, folder: `${folder}/held` },
      was,
      parts,
      sent ?? undefined,
    )
    const { wrong, rows } = verification
    return wrong.rows === 0
      ? undefined
      : `the table is not what run ${run} left: ${wrong.rows} of the ${counted(rows, 'row')} written last ${wrong.rows === 1 ? 'is another' : 'are others'}, as in an old copy`
  } catch (error) {
    // Columns that were taken away or changed: the load says so.
    if (error instanceof EngineError && error.code === 'TARGET_INCOMPATIBLE') return undefined
    throw error
  } finally {
    await abandonStaged(target, loadId, context.progress)
    rmSync(join(root, folder), { recursive: true, force: true })
  }
}
