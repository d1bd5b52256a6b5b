import { Command, Option } from 'commander'
import type { Logger } from 'pino'
import { secretsIn } from '../config/secrets.ts'
import type { RunOptions } from '../runs/options.ts'
import type { RunResult } from '../runs/result.ts'
import { redact } from '../util/redact.ts'
import { productionPlace } from './environment.ts'
import { homeFolder, openMetadata, systemClock } from './home.ts'
import type { LogOptions } from './log.ts'
import { isTerminal, printError } from './output.ts'
import { parseTime } from './parse.ts'
import { createProgress } from './progress.ts'
import { stoppable } from './signals.ts'
import { printSummary } from './summary.ts'

interface RunFlags {
  at?: Date
  fresh?: boolean
  fullRefresh?: string[] | true
  reconcile?: boolean
  verifyIncremental?: boolean
  fromPlan?: string
  only?: string
  from?: string
  until?: string
  json?: boolean
}

export function runCommand(): Command {
  return new Command('run')
    .description('Run a job to its end; an interrupted run of it is continued')
    .argument('<job>', "the job's folder")
    .option('--at <time>', "the run's own time, ISO 8601 (default: now)", parseTime)
    .option('--fresh', 'give up an interrupted run instead of continuing it')
    .addOption(
      new Option(
        '--full-refresh [tables...]',
        'read whole, and compare row by row with the target itself; tables of the job, or all (an interrupted run is given up)',
      ).conflicts(['from', 'only', 'fromPlan']),
    )
    .addOption(
      new Option(
        '--reconcile',
        'compare tables of mode: changes with what their logs said, and repair what these missed (an interrupted run is given up)',
      ).conflicts(['from', 'only', 'fromPlan', 'fullRefresh']),
    )
    .option(
      '--verify-incremental',
      'compute incremental models whole, too, and load nothing where their rows differ',
    )
    .addOption(
      new Option(
        '--from-plan <id>',
        'load the change sets of that plan, exactly, and read nothing',
      ).conflicts(['at', 'fresh', 'verifyIncremental']),
    )
    .addOption(
      new Option('--only <task>', 'do one task of the latest run again, and no other').conflicts([
        'from',
        'until',
        'fresh',
        'fromPlan',
        'at',
      ]),
    )
    .addOption(
      new Option(
        '--from <task>',
        'continue the latest run at that task: it and what is made from it are done again',
      ).conflicts(['fresh', 'fromPlan', 'at']),
    )
    .option('--until <task>', 'stop once that task is done; resume goes on')
    .option('--json', 'print events and the result as JSON lines')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight run queries/members\n  nightfreight run queries/members --env dev\n  nightfreight run queries/members --at 2026-02-01T02:00:00Z --json\n  nightfreight run queries/members --from-plan 20260201T020000-4f1c9a\n  nightfreight run queries/members --until model.members_clean\n  nightfreight run queries/members --from diff.dim_members\n  nightfreight run queries/members --full-refresh dim_members\n  nightfreight run queries/orders --reconcile',
    )
    .action(async (folder: string, flags: RunFlags) => {
      process.exitCode = await run(folder, flags)
    })
}

async function run(
  folder: string,
  { at, only, from = only, until = only, fullRefresh, fresh, ...flags }: RunFlags,
): Promise<number> {
  const tables = fullRefresh === true ? [] : fullRefresh
  return finish({
    folder,
    runAt: at,
    from,
    until,
    fullRefresh: tables,
    fresh: fresh || tables !== undefined || flags.reconcile === true,
    ...flags,
  })
}

/** Runs a job, prints what came of it, and gives the exit code. */
export async function finish({
  json = false,
  ...options
}: Omit<Execution, 'env' | 'home' | 'signal' | 'json'> & { json?: boolean }): Promise<number> {
  const result = await stoppable(stopping =>
    execute({ ...options, ...stopping, env: process.env, home: homeFolder(), json }),
  )
  printSummary(result, json)
  return result.error === undefined ? 0 : printError(result.error, json)
}

type Execution = Omit<RunOptions, 'metadata' | 'clock' | 'log' | 'secrets' | 'progress'> & { json: boolean }

/** Runs a job with progress on standard error and a log file in `home`. */
export async function execute(options: Execution): Promise<RunResult> {
  // Loaded where it is needed: commands that only look answer at once.
  const { runJob } = await import('../runs/runJob.ts')
  return withMeans(options, runJob)
}

/** What `act` makes of a job with progress on standard error, the metadata store, and a log file in `home`. */
export async function withMeans<T>(
  { json, ...options }: Execution,
  act: (options: RunOptions) => Promise<T>,
): Promise<T> {
  const { createLog } = await import('./log.ts')
  const { NIGHTFREIGHT_METRICS: published, OPENLINEAGE_URL: openLineage, METADATA_URL } = process.env
  const production = productionPlace()
  const secrets: string[] = secretsIn([METADATA_URL, published, openLineage, production?.metadataUrl])
  const log = openLog(createLog, options.home, secrets)
  const metadata = await openMetadata(options.home).catch(async error => {
    const { tellRefused } = await import('../runs/refused.ts')
    if (!production) await tellRefused({ ...options, clock: systemClock, log, secrets }, error)
    throw error
  })
  const machine = published ? new (await import('../service/machine.ts')).Machine() : undefined
  const progress = createProgress({ stream: process.stderr, json, isTTY: isTerminal(process.stderr) })
  // Whoever fails to reach a place may quote its URL.
  const note = (text: string) => progress.note(redact(text, secrets))
  try {
    return await act({
      ...options,
      ...(production && { production }),
      metadata,
      clock: systemClock,
      log,
      secrets,
      progress: {
        started: (task, rows) => progress.task(task, rows),
        advanced: (task, rows) => progress.advance(task, rows),
        finished: (task, note) => progress.done(task, note),
        note,
      },
      ...(openLineage && {
        ended: async job => {
          const { sendLineage } = await import('../workbench/lineageEvents.ts')
          await sendLineage(openLineage, process.env, options.home, job)
        },
      }),
    })
  } finally {
    if (machine) {
      const { publishMetrics } = await import('../service/publish.ts')
      await publishMetrics(published!, { metadata, clock: systemClock, machine }, log, note)
    }
    progress.close()
    await metadata.close()
  }
}

/** The log in the home folder; none where that cannot be written: what is wrong with it is said by whoever needs it next. */
function openLog(create: (options: LogOptions) => Logger, folder: string, secrets: string[]): Logger {
  try {
    return create({ folder, secrets })
  } catch {
    return create({ level: 'silent' })
  }
}
