import { gate, type QualitySummary, summary } from '../quality/gate.ts'
import type { CheckResult } from '../quality/rowChecks.ts'
import { type Changes, diff } from './diff.ts'
import { type Extracted, extract } from './extract.ts'
import { keepImages } from './images.ts'
import { type Loaded, load } from './load.ts'
import type { PlannedRead } from './plan.ts'
import { prepare } from './prepare.ts'
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
  loaded: Loaded[]
}

/**
 * The path of data, whole. Every step commits its output once and is skipped when it has: calling this again with
 * the same world continues a killed run. `outcome` is filled step by step, for the report of a run that fails.
 */
export async function run(world: World, outcome: Outcome): Promise<void> {
  const { spec, targets, signal } = world
  for (const system of [...world.sources.values(), ...targets.values()]) await system.probe(signal)

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
  outcome.loaded = await load(world, outcome.changes, syncPoints)
  await release(world, plan, outcome.extracted)
}
