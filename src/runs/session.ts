import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { EngineError } from '../../engine/errors.ts'
import type { Mask } from '../../engine/mask.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { Workers } from '../../engine/pool/pool.ts'
import { shareMemory } from '../../engine/runtime/budget.ts'
import { type ProgressListener, type RunContext, runFolder } from '../../engine/runtime/context.ts'
import { mostLanes } from '../../engine/runtime/lanes.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import { clearTemporary } from '../../engine/staging/store.ts'
import type { JobSpec } from '../spec/job.ts'
import { legible } from '../util/printable.ts'
import { redact } from '../util/redact.ts'
import { connect } from './connect.ts'
import { correctionsOf } from './errors.ts'
import type { HeldRun } from './heldRun.ts'
import { lastValues } from './lastValues.ts'
import { networkNote } from './network.ts'
import type { RunOptions } from './options.ts'
import type { ProductionRun } from './production.ts'
import { checkResources } from './resources.ts'
import { takeSlots } from './slots.ts'
import { stagedJobs } from './stagedJob.ts'
import { openStaging } from './staging.ts'
import { leftTemps, makeTemp, removeTemp } from './tempFolder.ts'
import { turnOf, waitForTurn } from './turn.ts'

/** Everything that a run works with, open. */
export type JobContext = RunContext & { spec: JobSpec }

/** Opens what a run works with, into `stack`: whatever fails here, what was opened is closed with it. `production`: of a run in an environment. */
export async function openSession(
  options: RunOptions,
  held: HeldRun,
  stack: AsyncDisposableStack,
  production?: ProductionRun,
): Promise<JobContext> {
  const { metadata, clock, home, progress } = options
  const { spec, record, signal, stop } = held
  const { run, fence } = record
  const root = join(home, 'staging')
  mkdirSync(root, { recursive: true, mode: 0o700 })
  const temp = stack.adopt(makeTemp(home, run), removeTemp)
  // What killed processes have spilled, this run's and others', may be as large as what they read.
  for (const { path } of await leftTemps(metadata, home)) removeTemp(path)
  checkResources(spec, home)
  const refresh = options.fullRefresh && tablesOf(spec, options.fullRefresh)
  const bucket = openStaging(options.env.STAGING_URL, root, { run, fence }, spec.stagingCodec)
  if (spec.stagingCodec && !bucket)
    progress.note(
      `compression.staging_files: nothing is packed by ${spec.stagingCodec}: STAGING_URL names no bucket, and staging on this machine is plain`,
    )
  const unlike = networkNote(spec)
  if (unlike !== undefined) progress.note(unlike)
  if (bucket) stack.defer(() => bucket.close())
  const staging = bucket ?? new LocalStaging(root)
  if (held.resumed) {
    clearTemporary(join(root, runFolder({ spec, run })))
    await bucket?.sweep(runFolder({ spec, run }), clock.now())
  }
  const { memory } = spec.resources
  const lanes = mostLanes(spec) * spec.parallelism.maxParallelExtracts
  // One more loads what the others have read.
  const threads = lanes > 1 ? lanes + 1 : lanes
  const budget = shareMemory(memory, threads, spec.chunking.memoryThreshold)
  const workers = stack.adopt(new Workers(threads), each => each.close())
  const duck = stack.adopt(
    await Duck.open({
      memory: budget.sql,
      threads: spec.parallelism.maxParallelTransforms,
      temp,
      folders: [join(root, spec.job), temp],
    }),
    each => each.close(),
  )
  await duck.lock()
  const { sources, targets } = connect(
    spec,
    stagedJobs(metadata, staging, root, join(root, runFolder({ spec, run }))),
  )
  for (const [name, target] of targets) target.onWait = wait => held.waits(name, wait)
  for (const system of [...sources.values(), ...targets.values()]) stack.defer(() => system.close())
  return {
    clock,
    signal,
    stop,
    fence,
    acquireSlots: extracts => {
      const pools = extracts.flatMap(name => ownValue(spec.pools, name) ?? [])
      return takeSlots(metadata, pools, progress.note, AbortSignal.any([signal, stop]))
    },
    ...((spec.schedule?.maxActiveRuns ?? 1) > 1 && {
      turn: async before => {
        const means = { metadata, clock, note: progress.note }
        if (before === turnOf(spec)) await waitForTurn(means, record, AbortSignal.any([signal, stop]))
      },
    }),
    corrections: async table => {
      const own = await correctionsOf(metadata, spec.job, table)
      const given = (await production?.corrections(spec.job, table)) ?? []
      return [...own, ...given.filter(({ id }) => !own.some(each => each.id === id))]
    },
    mask: held.mask,
    progress: maskedProgress(
      held.monitor.progress(logged(held.live.progress(progress), held.log, options.secrets)),
      held.mask,
    ),
    spec,
    run,
    runAt: new Date(record.run_at),
    lastValues: await (production?.lastValues(spec) ?? lastValues(metadata, spec)),
    ...(refresh && { refresh }),
    ...(options.reconcile && followedOnly(spec)),
    ...(options.verifyIncremental && { verifyIncremental: true as const }),
    sources,
    targets,
    root,
    staging,
    tasks: metadata.taskStore({ run, fence, ...(held.step && { step: held.step }) }),
    workers,
    budget,
    duck,
  }
}

/** Fails with CONFIG_INVALID where no log is read. */
function followedOnly({ job, extracts }: JobSpec): { reconcile: true } {
  if (!extracts.some(({ changes }) => changes))
    throw new EngineError('CONFIG_INVALID', `${job}: --reconcile: no extract has mode: changes`, {
      hint: 'Whole tables are compared every night; with the target itself: nightfreight run JOB --full-refresh.',
    })
  return { reconcile: true }
}

/** The tables that are named, or all; fails with CONFIG_INVALID where the job loads none of a name. */
function tablesOf({ job, loads }: JobSpec, named: string[]): string[] {
  const tables = loads.map(({ table }) => table)
  const unknown = named.find(table => !tables.includes(table))
  if (unknown !== undefined)
    throw new EngineError(
      'CONFIG_INVALID',
      `${job} loads no table ${unknown}${didYouMean(unknown, tables)}`,
      {
        hint: `Its tables: ${tables.join(', ')}.`,
      },
    )
  return named.length > 0 ? named : tables
}

/** What is told of a run holds no sensitive value, whoever listens. */
const maskedProgress = (progress: ProgressListener, mask: Mask): ProgressListener => ({
  ...progress,
  note: text => progress.note(mask.text(text)),
  retried: (task, error) => progress.retried?.(task, mask.error(error)),
})

function logged(progress: ProgressListener, log: Logger, secrets: readonly string[]): ProgressListener {
  return {
    ...progress,
    started: (task, rows) => {
      log.info({ task, rows }, 'task started')
      progress.started(task, rows)
    },
    finished: (task, note) => {
      const told = legible(redact(note, secrets))
      log.info({ task, note: told }, 'task finished')
      progress.finished(task, told)
    },
    note: text => {
      const told = legible(redact(text, secrets))
      log.info(told)
      progress.note(told)
    },
  }
}
