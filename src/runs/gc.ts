import { readdirSync, rmSync, statSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import type { Logger } from 'pino'
import type { Part } from '../../engine/contracts/staging.ts'
import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Prepared } from '../../engine/plan/prepare.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import { manifestIn } from '../../engine/staging/store.ts'
import type { Metadata } from '../metadata/metadata.ts'
import {
  forgetAlerts,
  forgetRun,
  forgetTriggers,
  type Kept,
  type Reason,
  retained,
  retentionFacts,
} from '../metadata/retention.ts'
import { isDone, runLease } from '../metadata/runs.ts'
import type { BucketStaging } from '../stores/staging.ts'
import { ownName } from '../util/owner.ts'
import { openStaging } from './staging.ts'
import { leftTemps, removeTemp } from './tempFolder.ts'

export interface GcOptions {
  metadata: Metadata
  home: string
  /** STAGING_URL, where staging is in a bucket too. */
  staging?: string
  clock: Clock
  log: Logger
  /** Runs that ended within this many days stay. */
  keepDays: number
  /** Say what would be removed, and remove nothing. */
  dryRun: boolean
  /** Only staged rows of this job's runs, which stay in the history with their reports. */
  filesOf?: string
}

/** What went of one run. */
export interface Collected {
  run: string
  job: string
  /**
   * `run`: everything, and its rows in the metadata store; `files`: what no later image is made of; `temporary`: what a killed
   * process of it had spilled to the disk.
   */
  what: 'run' | 'files' | 'temporary'
  files: number
  bytes: number
}

const DAY = 24 * 3600 * 1000

/**
 * Removes runs that ended before the retention: staging, report, temporary files, metadata. What stays: runs that go
 * on, the last commit of every target, what it, a plan or a checkpoint is made of. May be killed and repeated.
 */
export async function collectGarbage(options: GcOptions): Promise<Collected[]> {
  const { metadata, clock, home } = options
  const before = new Date(clock.now().getTime() - options.keepDays * DAY).toISOString()
  const facts = await retentionFacts(metadata.database)
  const reasons = retained(facts, before)
  const root = join(home, 'staging')
  const bucket = openStaging(options.staging, root)
  try {
    if (!options.dryRun) await forgetTriggers(metadata.database, before)
    // Of a job's own files: what the history has stays.
    const isWhole = options.filesOf === undefined
    if (!options.dryRun && isWhole) await forgetAlerts(metadata.database, before)
    const temporary = isWhole ? await collectTemps(options) : []
    return [...temporary, ...(await collect(options, { root, bucket }, facts.runs, reasons))]
  } finally {
    bucket?.close()
  }
}

/** Where staged files are. */
interface Staged {
  root: string
  bucket: BucketStaging | undefined
}

async function collect(
  { metadata, home, clock, dryRun, log, filesOf: only }: GcOptions,
  staged: Staged,
  runs: Kept[],
  reasons: Map<string, Reason>,
): Promise<Collected[]> {
  const { root, bucket } = staged
  const needed = await neededFiles(metadata, staged, runs, reasons)
  const collected: Collected[] = []
  for (const { run, job, ended_at } of runs) {
    if (reasons.has(run) || (only !== undefined && only !== job)) continue
    const own = `${job}/${run}`
    const all = await filesOf(staged, own)
    const going = [...all.keys()].filter(
      file => !needed.has(file) && (only === undefined || file.endsWith('.parquet')),
    )
    const what = going.length === all.size && only === undefined ? 'run' : 'files'
    if (what === 'files' && going.length === 0) continue
    const bytes = going.reduce((sum, file) => sum + all.get(file)!, 0)
    if (!dryRun) {
      // Held, so that nobody sets the run going again meanwhile.
      const lease = await metadata.leases.acquire(runLease(run), `gc ${ownName()}`)
      if (!lease) continue
      const now = await metadata.run(run)
      if (!now || now.ended_at !== ended_at) {
        await metadata.leases.release(lease)
        continue
      }
      await bucket?.sweep(own, clock.now())
      await bucket?.remove(going)
      if (what === 'run') {
        rmSync(join(root, own), { recursive: true, force: true })
        rmSync(join(home, 'tmp', run), { recursive: true, force: true })
        // Files first: killed in between, the run is still known and the next time gets the rest.
        await forgetRun(metadata.database, run)
      } else {
        for (const file of going) rmSync(join(root, file), { force: true })
        await metadata.leases.release(lease)
      }
      log.info({ job, run, what, files: going.length, bytes }, 'removed')
    }
    collected.push({ run, job, what, files: going.length, bytes })
  }
  return collected
}

/** Temporary files that killed processes left, whatever becomes of their runs. */
async function collectTemps({ metadata, home, dryRun, log }: GcOptions): Promise<Collected[]> {
  const collected: Collected[] = []
  for (const { of, path } of await leftTemps(metadata, home)) {
    const sizes = [...sizesIn(path).values()]
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    const job = (await metadata.run(of))?.job ?? ''
    if (!dryRun) {
      removeTemp(path)
      log.info({ job, run: of, what: 'temporary', files: sizes.length, bytes }, 'removed')
    }
    collected.push({ run: of, job, what: 'temporary', files: sizes.length, bytes })
  }
  return collected
}

/** Files below the staging root that runs which stay are made of, also where those lie in other runs' folders. */
async function neededFiles(
  metadata: Metadata,
  staged: Staged,
  runs: Kept[],
  reasons: Map<string, Reason>,
): Promise<Set<string>> {
  const { root, bucket } = staged
  const manifests = bucket ?? new LocalStaging(root)
  const needed = new Set<string>()
  const whole = new Set(reasons.keys())
  for (const { run, status } of runs) {
    // One that may go on builds on others that its plan names; one that is loaded needs them no more.
    if (!whole.has(run) || isDone(status)) continue
    const prepared = await metadata.taskStore({ run, fence: 0 }).output<Prepared>('plan')
    for (const { base } of prepared?.plan.reads ?? [])
      for (const { file } of base?.image.parts ?? []) needed.add(file)
    for (const [, last] of prepared?.lastRun ?? []) whole.add(last)
  }
  for (const { run, job } of runs) {
    if (!whole.has(run)) continue
    for (const file of (await filesOf(staged, `${job}/${run}`)).keys()) {
      needed.add(file)
      if (!file.endsWith('.json')) continue
      // Manifests of images, schemas and states: each lists its parts. Those of a damaged one nobody reads.
      const manifest = manifestIn<{ parts: Part[] }>((await manifests.read(file)) ?? '')
      for (const part of manifest?.parts ?? []) needed.add(part.file)
    }
  }
  return needed
}

/** Bytes of each file of a folder, named as manifests name them: relative to the root, with slashes. */
async function filesOf({ root, bucket }: Staged, folder: string): Promise<Map<string, number>> {
  const files = new Map(bucket ? await bucket.list(folder) : [])
  for (const [path, size] of sizesIn(join(root, folder)))
    files.set(relative(root, path).split(sep).join('/'), size)
  return files
}

/** Bytes of each file below a folder, by its path. */
function sizesIn(folder: string): Map<string, number> {
  const sizes = new Map<string, number>()
  try {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      sizes.set(path, statSync(path).size)
    }
  } catch (error) {
    // Staged on another machine, or collected before.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return sizes
}
