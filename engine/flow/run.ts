import type { SyncPoint } from '../ports.ts'
import { gate, type QualitySummary, summary } from '../quality/gate.ts'
import type { CheckResult } from '../quality/rowChecks.ts'
import { type Changes, diff } from './diff.ts'
import { type Extracted, extract } from './extract.ts'
import { keepImages } from './images.ts'
import { type Loaded, load } from './load.ts'
import type { PlannedRead } from './plan.ts'
import { prepare } from './prepare.ts'
import { type Preview, preview } from './preview.ts'
import type { Proof } from './proof.ts'
import { prove } from './prove.ts'
import { release } from './release.ts'
import { openTables, quarantineExtract, runSetChecks, type Transformed, transform } from './transform.ts'
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
}

/**
 * The path of data, whole. Every step commits its output once and is skipped when it has: calling this again with
 * the same world continues a killed run, or a plan. `outcome` is filled step by step, for the report of a run that
 * fails.
 */
export async function run(world: World, outcome: Outcome): Promise<void> {
  const { syncPoints } = await change(world, outcome)
  outcome.loaded = await load(world, outcome.changes, syncPoints)
  await release(world, outcome.reads, outcome.extracted)
  await prove(world, outcome.changes, outcome.loaded, outcome.proofs)
}

/** Everything but the load: what a run would do to the targets. */
export async function plan(world: World, outcome: Outcome): Promise<void> {
  await change(world, outcome)
  outcome.previews = await preview(world, outcome.changes)
}

async function change(world: World, outcome: Outcome): Promise<{ syncPoints: SyncPoint[] }> {
  const { spec, ledger, targets, signal } = world
  // A plan that is loaded needs its sources no more.
  for (const [name, source] of world.sources)
    if ((await ledger.output(`extract.${name}`)) === undefined) await source.probe(signal)
  for (const target of targets.values()) await target.probe(signal)

  const { plan, lastRun } = await prepare(world)
  outcome.reads = plan.reads

  outcome.extracted = await extract(world, plan)
  const { images, syncPoints } = await keepImages(world, plan.reads, outcome.extracted)

  await openTables(world, plan.reads, images)
  for (const [index, read] of plan.reads.entries())
    outcome.tables.push(await quarantineExtract(world, read, outcome.extracted[index]!))
  outcome.tables.push(...(await transform(world)))

  outcome.checks.push(...outcome.tables.flatMap(table => table.checks), ...(await runSetChecks(world)))
  outcome.quality = summary(outcome.tables)
  gate(outcome.quality, spec.quality.maxErrorRate, outcome.checks)

  outcome.changes = await diff(world, plan, outcome.tables, new Map(lastRun))
  return { syncPoints }
}
