import { gate, type QualitySummary, summary } from '../quality/gate.ts'
import type { CheckResult } from '../quality/rowChecks.ts'
import { extractsOf, orderModels } from '../sql/graph.ts'
import { Branches } from './branches.ts'
import { type Changes, diff } from './diff.ts'
import { type Extracted, extract } from './extract.ts'
import { keepImages } from './images.ts'
import { type Loaded, load, type PointsOf } from './load.ts'
import type { PlannedRead } from './plan.ts'
import { prepare, probe } from './prepare.ts'
import { type Preview, preview } from './preview.ts'
import type { Proof } from './proof.ts'
import { prove } from './prove.ts'
import { release } from './release.ts'
import { feeds } from './tasks.ts'
import { openTables, quarantineExtracts, runSetChecks, type Transformed, transform } from './transform.ts'
import type { World } from './world.ts'

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
  proofs: Proof[]
  /** Per loaded table, the extracts that it is made from. */
  feeds: Record<string, string[]>
}

/**
 * The path of data, whole. A branch that fails stops what is made from it: its siblings go on, and the failure is
 * thrown at the end. Every step commits its output once and is skipped when it has: calling this again with
 * the same world continues a killed run, or a plan. `outcome` is filled step by step, for the report of a run that
 * fails.
 */
export async function run(world: World, outcome: Outcome): Promise<void> {
  const { branches, syncPoints } = await change(world, outcome)
  outcome.loaded = await load(world, outcome.changes, syncPoints, branches)
  // What a target still lacks, its source must be able to show again.
  if (branches.whole) await release(world, outcome.reads, outcome.extracted)
  await prove(world, outcome.changes, outcome.loaded, outcome.proofs)
  branches.check()
}

/** Everything but the load: what a run would do to the targets. */
export async function plan(world: World, outcome: Outcome): Promise<void> {
  const { branches } = await change(world, outcome)
  outcome.previews = await preview(world, outcome.changes)
  branches.check()
}

async function change(world: World, outcome: Outcome): Promise<{ branches: Branches; syncPoints: PointsOf }> {
  const { spec, duck } = world
  const branches = new Branches(world)
  const models = await orderModels(
    duck,
    spec.models,
    spec.extracts.map(({ name }) => name),
  )
  for (const { table, from } of spec.loads) outcome.feeds[table] = extractsOf(from, models)
  await probe(world)

  const { plan, lastRun } = await prepare(world, models)
  outcome.reads = plan.reads

  outcome.extracted = await extract(world, plan, branches)
  const { images, syncPoints } = await keepImages(world, plan.reads, outcome.extracted)

  await openTables(world, plan.reads, images)
  outcome.tables.push(...(await quarantineExtracts(world, plan.reads, outcome.extracted, images, branches)))
  outcome.tables.push(...(await transform(world, models, plan.reads, images, branches)))

  const setChecks = await runSetChecks(world, branches)
  outcome.checks.push(...outcome.tables.flatMap(table => table.checks), ...setChecks)
  outcome.quality = summary(outcome.tables)
  gate(outcome.quality, spec.quality.maxErrorRate, outcome.checks)

  outcome.changes = await diff(world, plan, outcome.tables, new Map(lastRun), branches)
  const fed = feeds(spec, models)
  return { branches, syncPoints: target => syncPoints.filter(({ extract }) => fed(extract, target)) }
}
