import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { LoadSpec } from '../../engine/contracts/load.ts'
import type { Target } from '../../engine/contracts/target.ts'
import { taskName } from '../../engine/contracts/taskName.ts'
import { changedMeaning, type LoadState, stateManifest } from '../../engine/diff/state.ts'
import { EngineError, type ErrorCode, together } from '../../engine/errors.ts'
import { lastRunOf } from '../../engine/plan/commitOwner.ts'
import { planLoad } from '../../engine/plan/planLoad.ts'
import { Workers } from '../../engine/pool/pool.ts'
import { shareMemory } from '../../engine/runtime/budget.ts'
import { lanesTo } from '../../engine/runtime/lanes.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import { readManifest } from '../../engine/staging/store.ts'
import { nothingCompared, type Verification } from '../../engine/verify/result.ts'
import { verifyAll } from '../../engine/verify/verify.ts'
import { loadJob } from '../config/load.ts'
import { secretsIn } from '../config/secrets.ts'
import { connect } from './connect.ts'
import { jobNameOf } from './jobName.ts'
import { readIn } from './knownColumns.ts'
import { openMask } from './mask.ts'
import type { RunOptions } from './options.ts'
import { openStaging } from './staging.ts'
import { makeTemp, removeTemp } from './tempFolder.ts'

/** How a job's targets compare with what was staged for them last. */
export interface VerifyOutcome {
  job: string
  loads: (Verification & { run: string })[]
  /** Tables that could not be compared, and why. */
  left: LeftOut[]
}

export interface LeftOut {
  table: string
  to: string
  code: ErrorCode
  reason: string
  hint?: string
}

/** What keeps one table from being compared, and no other. */
const OF_ONE: readonly ErrorCode[] = ['NOT_STAGED', 'COLUMN_MISSING']

/**
 * Compares each load's last staged data set with the target as it is now, and changes nothing. A table of which nothing was
 * loaded, or is staged no more, is left out and named; fails with NOT_STAGED where none is left.
 */
export async function verifyJob(
  options: Pick<RunOptions, 'folder' | 'env' | 'home' | 'progress' | 'signal' | 'secrets'>,
): Promise<VerifyOutcome> {
  const { home, signal, progress } = options
  const spec = await loadJob(options.folder, options.env, {
    signal,
    read: readIn(home)(jobNameOf(options.folder)),
  })
  options.secrets.push(...spec.secrets, ...secretsIn(options.env.STAGING_URL))
  const root = join(home, 'staging')
  mkdirSync(root, { recursive: true, mode: 0o700 })
  const temp = makeTemp(home, 'verify')
  const { threads, memory } = spec.resources
  const bucket = openStaging(options.env.STAGING_URL, root)
  const staging = bucket ?? new LocalStaging(root)
  const { sources, targets } = connect(spec)
  const workers = new Workers(threads)
  const duck = await Duck.open({
    memory: shareMemory(memory, threads).sql,
    threads,
    temp,
    folders: [join(root, spec.job), temp],
  })
  const verifyLoad = async (load: LoadSpec, target: Target): Promise<VerifyOutcome['loads'][number]> => {
    const where = `${load.to}.${load.table}`
    const refuse = (reason: string): never => {
      throw new EngineError('NOT_STAGED', `${where}: ${reason}`, {
        hint: 'Run the job: what it loads can be verified from then on.',
      })
    }
    if (!target.verifier) return refuse('loads into that system cannot be verified')
    const run = lastRunOf(await target.syncPoints(spec.job, signal))
    if (run === undefined) return refuse('nothing was loaded yet')
    const state = await readManifest<LoadState>(staging, stateManifest(spec.job, run, load.table))
    if (!state) return refuse(`what run ${run} loaded is no longer staged`)
    const planned = planLoad(load, state.columns)
    const other = changedMeaning(state, planned)
    if (other) return refuse(`${other} in run ${run}`)
    const { now, left } = await target.standing(load.table, signal)
    if (!now) return { ...nothingThere(load, Math.max(1, state.rows)), run }
    const task = taskName('verify', load.table)
    progress.started(task)
    const means = {
      duck,
      root,
      target,
      signal,
      mask: openMask(home, options.env, spec),
      runAt: left ? new Date(left.runAt) : new Date(),
      offload: workers.offload,
      lanes: lanesTo(spec, load.to),
      // A run of the job clears away what others have staged under its name.
      job: `${spec.job} verify`,
      loadId: `${spec.job}/verify`,
      folder: `${spec.job}/${run}/verify-${process.pid}/${load.table}`,
    }
    const verification = await verifyAll(means, {
      load: planned,
      table: state.table,
      state: state.buckets.flat(),
    })
    progress.finished(task, `as of run ${run}`)
    return { ...verification, run }
  }
  try {
    await duck.lock()
    const loads: VerifyOutcome['loads'] = []
    const left: LeftOut[] = []
    const errors: EngineError[] = []
    for (const load of spec.loads)
      try {
        loads.push(await verifyLoad(load, targets.get(load.to)!))
      } catch (error) {
        if (!(error instanceof EngineError) || !OF_ONE.includes(error.code)) throw error
        errors.push(error)
        const { code, message, hint } = error
        left.push({ table: load.table, to: load.to, code, reason: message, ...(hint && { hint }) })
      }
    if (loads.length === 0 && errors.length > 0) throw together(errors)
    return { job: spec.job, loads, left }
  } finally {
    await Promise.all([...sources.values(), ...targets.values(), workers].map(system => system.close()))
    bucket?.close()
    duck.close()
    removeTemp(temp)
  }
}

/** What is found where the table itself is gone. */
const nothingThere = (load: LoadSpec, rows: number): Verification => ({
  ...nothingCompared(load, 'all'),
  rows,
  ranges: 1,
  wrong: { rows, ranges: 1 },
  differing: [{ range: 'the table is gone', rows, samples: [] }],
})
