import type { Loaded } from './contracts/load.ts'
import { taskName } from './contracts/taskName.ts'
import type { Changes } from './diff/changeSet.ts'
import { diff, withFound } from './diff/diff.ts'
import { type Preview, preview } from './diff/preview.ts'
import { type EngineError, errorFrom } from './errors.ts'
import { extract } from './extract/extract.ts'
import { asStaged, type Extracted } from './extract/extracted.ts'
import { keepImages } from './extract/images.ts'
import { accountBeforeLoad, accountLoads } from './load/accounts.ts'
import { acknowledgeLogs, acknowledgeSources } from './load/acknowledge.ts'
import { LoadAhead } from './load/ahead.ts'
import { keptParts } from './load/keptParts.ts'
import { load, type PointsOf } from './load/load.ts'
import { checkSql } from './plan/checkSql.ts'
import type { PlannedRead } from './plan/plan.ts'
import { lastRuns, prepare, probe } from './plan/prepare.ts'
import type { Accounts } from './quality/accounts.ts'
import { gate, type QualitySummary, summary } from './quality/gate.ts'
import { withinLimits } from './quality/limits.ts'
import type { CheckResult } from './quality/rowChecks.ts'
import type { RunContext } from './runtime/context.ts'
import { FailureScope } from './runtime/failureScope.ts'
import { FORGETFUL, runTask } from './runtime/task.ts'
import { feeds } from './runtime/taskGraph.ts'
import { extractsOf, graphOf } from './sql/graph.ts'
import { judgeExtracts, talliesOf } from './transform/extracts.ts'
import { openTables, runSetChecks, transform } from './transform/models.ts'
import type { Transformed } from './transform/transformed.ts'
import { againstTable } from './verify/againstTable.ts'
import type { Verification } from './verify/result.ts'
import { lookAt } from './verify/standing.ts'

/** What a run found and did; filled as far as it got, also when it fails. */
export interface Outcome {
  reads: PlannedRead[]
  extracted: Extracted[]
  tables: Transformed[]
  checks: CheckResult[]
  quality: QualitySummary
  changes: Changes[]
  /** Of a plan. */
  previews: Preview[]
  loaded: Loaded[]
  verifications: Verification[]
  /** What became of every row. */
  accounts: Accounts
  /** Per loaded table, the extracts that it is made from. */
  feeds: Record<string, string[]>
}

/**
 * The path of data, whole. A branch that fails stops what is made from it: its siblings go on, and the failure is
 * thrown at the end. Every step commits its output once and is skipped when it has: calling this again with
 * the same context continues a killed run, or a plan. `outcome` is filled step by step, for the report of a run that
 * fails.
 */
export async function run(context: RunContext, outcome: Outcome): Promise<void> {
  const ahead = new LoadAhead(context)
  await using _closed = { [Symbol.asyncDispose]: () => ahead.close() }
  const { failures, sets, syncPoints, lastRun } = await change(context, outcome, ahead)
  outcome.loaded = await load(context, outcome.changes, syncPoints, failures, outcome.verifications, lastRun)
  const { accounts, changes, loaded } = outcome
  accounts.loads = accountLoads(accounts.extracts, sets, changes, loaded)
  // What a target still lacks, its source must be able to show again.
  if (failures.whole) await acknowledgeSources(context, outcome.reads, outcome.extracted)
  await acknowledgeLogs(context, outcome, failures)
  failures.check()
}

/** Everything but the load: what a run would do to the targets. */
export async function plan(context: RunContext, outcome: Outcome): Promise<void> {
  const { failures } = await change(context, outcome)
  for (const each of outcome.changes) {
    const { table } = each.load
    const act = () => preview(context, each, againstTable)
    const found = await failures.attempt([taskName('preview', table)], [taskName('load', table)], act)
    if (found) outcome.previews.push(found)
  }
  failures.check()
}

async function change(
  context: RunContext,
  outcome: Outcome,
  ahead?: LoadAhead,
): Promise<{
  failures: FailureScope
  sets: Transformed[]
  syncPoints: PointsOf
  /** Per target, the run whose data it holds. */
  lastRun: Map<string, string>
}> {
  const { spec, duck } = context
  const failures = new FailureScope(context)
  const graph = await graphOf(duck, spec)
  const { models } = graph
  for (const { table, from } of spec.loads) outcome.feeds[table] = extractsOf(from, models)
  await context.turn?.('plan')
  await probe(context)

  const { plan, lastRun: planned, lost = [] } = await prepare(context, models)
  outcome.reads = plan.reads
  for (const { extract, error } of lost) failures.lose([extract], errorFrom(error) as EngineError)
  await checkSql(context, graph, plan.reads)

  const known = new Map(planned)
  ahead?.plan(plan.reads, known)
  const kept = { keptParts: keptParts(context, plan.reads, models, known) }
  const reading = ahead ? { ...context, ...kept, onParts: ahead.read } : context
  outcome.extracted = await extract(reading, plan, failures)
  await ahead?.settle()
  const reads = plan.reads.map(read =>
    asStaged(
      read,
      outcome.extracted.find(({ extract }) => extract === read.extract),
    ),
  )
  outcome.reads = reads
  const judged = await judgeExtracts(context, reads, outcome.extracted, failures)
  outcome.tables = judged
  const nights = new Map(judged.map(({ name, night }) => [name, night]))
  const { images, syncPoints } = await keepImages(context, reads, outcome.extracted, nights)

  const macros = await openTables(context, graph, reads, images, judged)
  const sets = await transform(context, graph, macros, { ...plan, reads }, images, judged, failures)
  outcome.tables = [...judged, ...sets]
  const setChecks = await runSetChecks(context, graph, reads, failures)

  const lastRun = context.turn ? await heldNow(context, known) : known
  outcome.changes = await diff(context, sets, lastRun, lookAt(plan), failures, models, reads)
  outcome.tables = [...judged, ...(await withFound(context, sets, outcome.changes))]
  const found = [...outcome.tables.flatMap(table => table.checks), ...setChecks]
  outcome.checks = withinLimits(found, spec.checks, outcome.tables)
  outcome.quality = summary(talliesOf(judged, outcome.tables.slice(judged.length)))
  gate(outcome.quality, spec.quality.maxErrorRate, outcome.checks)
  outcome.accounts = accountBeforeLoad(judged, sets, models, outcome.changes)
  const fed = feeds(spec, models)
  return {
    failures,
    sets,
    lastRun,
    // What a load lacks that was left out, its extracts must give again.
    syncPoints: (target, left) =>
      syncPoints.filter(
        ({ extract }) => fed(extract, target) && !left.some(table => outcome.feeds[table]!.includes(extract)),
      ),
  }
}

/** Per target, the run whose data it holds once it is this run's turn: another may have loaded since the plan. */
async function heldNow(context: RunContext, planned: Map<string, string>): Promise<Map<string, string>> {
  await context.turn?.('diff')
  const own = { ...context, tasks: FORGETFUL }
  const held = new Map(await runTask(own, 'probe', one => lastRuns(one)))
  for (const [target, run] of planned) if (held.get(target) === context.run) held.set(target, run)
  return held
}
