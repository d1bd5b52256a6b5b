/** What programs may call: `import { runJob, plan, copy } from 'nightfreight'`. */

import { homeFolder, openMetadata, systemClock } from './cli/home.ts'
import { createLog } from './cli/log.ts'
import { planJson } from './cli/plan.ts'
import { summaryJson } from './cli/summary.ts'
import { secretsIn } from './config/secrets.ts'
import { copyJob, environmentOf, keepJob } from './copy/copy.ts'
import { type CopyRequest, readRequest } from './copy/request.ts'
import { declaredIn, workplaceOf } from './runs/environment.ts'
import type { RunResult } from './runs/result.ts'
import { runJob as runFolder } from './runs/runJob.ts'

export type { Enrich, EnrichColumn, EnrichValue } from '../engine/contracts/enrichment.ts'
export { EngineError, type ErrorCode } from '../engine/errors.ts'

/** How something is run; nothing need be given. */
export interface Options {
  /** Where staging, reports and metadata are kept; default: NIGHTFREIGHT_HOME, or `.nightfreight` in the working folder. */
  home?: string
  /** What references in job.yaml are resolved with; default: the process's. */
  env?: Record<string, string | undefined>
  /** Ends it at once; the next call goes on with it. */
  signal?: AbortSignal
  /** The run's own time; default: now. */
  at?: Date
  /** Gives up an interrupted run instead of continuing it. */
  fresh?: boolean
  /** Hears what goes on: `rows` are those done since the last time. */
  onProgress?: (event: ProgressEvent) => void
}

export interface ProgressEvent {
  kind: 'started' | 'advanced' | 'finished' | 'note'
  /** `extract.orders`, `load.raw.orders`; absent of a note. */
  task?: string
  rows?: number
  /** For people. */
  text?: string
}

/** What a run did: the object that `nightfreight run --json` ends with. */
export type RunSummary = Omit<ReturnType<typeof summaryJson>, 'event'>

/** What a run would do: the object of `nightfreight plan --json`. */
export type PlanSummary = Omit<ReturnType<typeof planJson>, 'event'>

/** What of a database is copied, and how; see `nightfreight copy --help`. */
export interface CopyOptions extends Options {
  tables?: string[]
  exclude?: string[]
  schema?: string
  key?: string[]
  where?: string
  columns?: string[]
  /** In place of tables: a query in the source's SQL, and what its table is called in the target. */
  query?: string
  as?: string
  /** The column that grows with each change: only rows that changed are read, and all keys; `lag` is how far before it. */
  incremental?: string
  lag?: string
  mode?: CopyRequest['mode']
  /** Of files: keys of an extract that say how they are written, where that is not found: `{ null_values: ['NULL'] }`. */
  set?: CopyRequest['set']
}

/** Runs the job of a folder to its end, or continues an interrupted run. Throws an {@link EngineError} where it fails. */
export async function runJob(folder: string, options: Options = {}): Promise<RunSummary> {
  const { event: _, ...summary } = summaryJson(await perform(folder, options))
  return summary
}

/** Shows what a run would change, and loads nothing; `runJob` may follow. */
export async function plan(folder: string, options: Options = {}): Promise<PlanSummary> {
  const { event: _, ...summary } = planJson(await perform(folder, options, 'plan'))
  return summary
}

/** Copies tables or files of one URL to another; again later, what changed. */
export async function copy(from: string, to: string, options: CopyOptions = {}): Promise<RunSummary> {
  const request = readRequest(from, to, options)
  const { env = process.env, signal = new AbortController().signal } = options
  const { home = homeFolder(env) } = options
  const job = await copyJob(request, signal)
  return runJob(keepJob(home, job), { ...options, home, env: { ...env, ...environmentOf(request) } })
}

function workplace(folder: string, { env = process.env, home = homeFolder(env) }: Options) {
  const name = env.NIGHTFREIGHT_ENV
  return name && declaredIn(folder).includes(name)
    ? workplaceOf(name, env, home)
    : { env, home, production: undefined }
}

async function perform(folder: string, options: Options, goal?: 'plan'): Promise<RunResult> {
  const { at, fresh, onProgress, signal = new AbortController().signal } = options
  const { env, home, production } = workplace(folder, options)
  const secrets = secretsIn(process.env.METADATA_URL)
  const metadata = await openMetadata(home, production ? '' : process.env.METADATA_URL)
  try {
    const result = await runFolder({
      folder,
      env,
      home,
      ...(production && { production }),
      metadata,
      clock: systemClock,
      log: createLog({ folder: home, secrets }),
      secrets,
      signal,
      progress: {
        started: (task, rows) => onProgress?.({ kind: 'started', task, ...(rows !== undefined && { rows }) }),
        advanced: (task, rows) => onProgress?.({ kind: 'advanced', task, rows }),
        finished: (task, text) =>
          onProgress?.({ kind: 'finished', task, ...(text !== undefined && { text }) }),
        note: text => onProgress?.({ kind: 'note', text }),
      },
      ...(at && { runAt: at }),
      ...(fresh && { fresh }),
      ...(goal && { goal }),
    })
    if (result.error !== undefined) throw result.error
    return result
  } finally {
    await metadata.close()
  }
}
