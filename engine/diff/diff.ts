import type { PlannedLoad } from '../contracts/load.ts'
import type { StagedFile } from '../contracts/staging.ts'
import { taskName } from '../contracts/taskName.ts'
import { loadKeyPolicy } from '../plan/keyPolicy.ts'
import type { PlannedRead } from '../plan/plan.ts'
import { planLoad } from '../plan/planLoad.ts'
import type { TableLook } from '../plan/standing.ts'
import { madeOf } from '../plan/structure.ts'
import { counted } from '../plural.ts'
import { type Duplicates, KEY_UNIQUE, settleDuplicates } from '../quality/keyRules.ts'
import { countFound, type Found, quarantine, quarantineOf } from '../quality/quarantine.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import type { FailureScope } from '../runtime/failureScope.ts'
import { runTask } from '../runtime/task.ts'
import type { OrderedModel } from '../sql/model.ts'
import { allRows, type DataSet, filesBeside } from '../staging/dataSet.ts'
import { copyFile } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import type { Transformed } from '../transform/transformed.ts'
import { type Changes, compareSet } from './changeSet.ts'
import { evolved, goneNotes } from './evolution.ts'
import { guard } from './guard.ts'
import { asLoaded, refuseUnheld } from './loadedValues.ts'
import { findRejects, fitsCheck } from './rejects.ts'

/**
 * Works out, per load, which rows differ from what the last committed run loaded, and leaves out rows that cannot be
 * loaded: those that give way to another of their key, and those that the target would refuse.
 */
export async function diff(
  context: RunContext,
  tables: Transformed[],
  lastRun: Map<string, string>,
  look: Look,
  failures: FailureScope,
  models: Pick<OrderedModel, 'name' | 'reads'>[] = [],
  reads: PlannedRead[] = [],
): Promise<Changes[]> {
  const changes: Changes[] = []
  const readsOf = (from: string) => models.find(({ name }) => name === from)?.reads ?? []
  for (const spec of context.spec.loads) {
    const found = await failures.attempt([taskName('load', spec.table)], [spec.from], () => {
      const table = tables.find(({ name, parts }) => name === spec.from && parts)!
      const planned = planLoad(spec, table.columns)
      const { made, left } = madeOf(planned, reads, context.spec.loads, context.targets.get(spec.to)?.family)
      const load = made ? { ...planned, made } : planned
      const act = (own: RunContext) =>
        diffLoad(own, load, table, lastRun.get(spec.to), look, readsOf(load.from), left)
      return runTask(context, taskName('diff', spec.table), act, filesOf)
    })
    if (found) changes.push(found)
  }
  return changes
}

function filesOf({ upserts, keys, list = [], table, was, state = [] }: Changes): StagedFile[] {
  const sets = [table, ...(was ? [was] : [])]
  const findings = sets.flatMap(filesBeside)
  return [...upserts, ...keys, ...list, ...state, ...sets.flatMap(({ parts }) => parts), ...findings]
}

/** Looks at a load's table, of which that run's data (if any) was the last. */
export type Look = (context: RunContext, load: PlannedLoad, run: string | undefined) => Promise<TableLook>

async function diffLoad(
  context: RunContext,
  planned: PlannedLoad,
  table: Transformed,
  lastRun: string | undefined,
  look: Look,
  reads: string[],
  left: string[],
): Promise<Changes> {
  const { progress } = context
  const task = taskName('diff', planned.table)
  progress.started(task)
  const load = await evolved(context, planned, lastRun)
  const judged = {
    name: table.name,
    rows: allRows(context.root, dataSet(table)),
    columns: table.columns.map(({ name }) => name),
  }
  const checks = [KEY_UNIQUE, fitsCheck(load.table)]
  const looked = await look(context, load, lastRun)
  if (looked.now) await checkChanges(context, load)
  else for (const what of left) progress.note(`${load.to}.${load.table}: not made: ${what}`)
  let set = asLoaded(load, table.columns, dataSet(table))
  let found: Found | undefined
  // A row superseded by one that is left out now is judged in the next round.
  for (;;) {
    const { losers, ...changes } = await compareSet(context, load, set, lastRun, looked).catch(
      async error => {
        await refuseUnheld(context, load, table.columns, dataSet(table), error)
        throw error
      },
    )
    const { superseded, findings } = losers
      ? await settleDuplicates(context.duck, duplicatesOf(context, load, set, losers, reads))
      : { superseded: 0 }
    const bad = findings ?? (await findRejects(context, changes))
    if (!bad) {
      guard(`${load.to}.${load.table}`, changes)
      if (changes.reason) progress.note(`${load.to}.${load.table}: all rows are loaded: ${changes.reason}`)
      progress.finished(task, noteOf(changes, superseded))
      const counts = { ...changes.counts, superseded }
      return { ...changes, base: lastRun ?? null, counts, ...(found && { found }) }
    }
    found = await quarantine(context, task, judged, [bad], checks, set.findings)
    set = { ...set, findings: found!.findings, sideFiles: found!.sideFiles }
  }
}

/** Fails with TARGET_INCOMPATIBLE where a load may not change its table so that it takes the rows. */
async function checkChanges({ targets, signal, progress }: RunContext, load: PlannedLoad): Promise<void> {
  const { refused, statements } = await targets.get(load.to)!.tableChanges(load, signal)
  const notes = refused ? [] : statements.map(statement => `the load changes the table: ${statement}`)
  for (const note of [...notes, ...goneNotes(load)]) progress.note(`${load.to}.${load.table}: ${note}`)
  if (refused) throw refused
}

function duplicatesOf(
  { root }: RunContext,
  load: PlannedLoad,
  set: DataSet,
  losers: string,
  reads: string[],
): Duplicates {
  const { policy } = loadKeyPolicy(load)
  return {
    where: `load.${load.table}`,
    from: load.from,
    key: load.key,
    policy,
    losers,
    rows: allRows(root, set),
    reads,
  }
}

function noteOf({ list, load, counts, reason }: Changes, superseded: number): string {
  const { inserts, updates, deletes, rows } = counts
  const note = list
    ? `${inserts} to insert, ${updates} to update, ${deletes} to delete`
    : load.key.length > 0
      ? `${counted(inserts, 'row')}, ${reason ? 'compared with the table itself' : 'first load'}`
      : `${counted(rows, 'row')}, all exchanged`
  return superseded > 0 ? `${note}, ${superseded} superseded` : note
}

/** The data sets with what their loads left out of them. */
export async function withFound(
  context: RunContext,
  tables: Transformed[],
  changes: Changes[],
): Promise<Transformed[]> {
  const judged: Transformed[] = []
  for (const table of tables) {
    const own = table.parts ? changes.filter(({ load, found }) => load.from === table.name && found) : []
    const checks = [...table.checks, ...own.flatMap(({ found }) => found!.checks)]
    if (own.length < 2) judged.push({ ...table, ...own[0]?.found, checks })
    else {
      // One row that two loads leave out counts once.
      const files = own.map(({ found }) => ({ file: found!.findings, rows: 0, bytes: 0 }))
      const all = `SELECT DISTINCT * FROM ${filesSql(context.root, files)} ORDER BY row, check_name, reason`
      const file = await copyFile(
        context,
        all,
        ownFile(context, quarantineOf(taskName('load', table.name)), '.parquet'),
      )
      judged.push({ ...table, ...(await countFound(context, table.name, file, [])), checks })
    }
  }
  return judged
}

const dataSet = ({ parts, findings, sideFiles, origin, plain, unique }: Transformed): DataSet => ({
  parts: parts!,
  ...(origin && { origin }),
  ...(findings && { findings }),
  ...(sideFiles && { sideFiles }),
  ...(plain && { plain }),
  ...(unique && { unique }),
})
