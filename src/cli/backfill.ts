import { Command } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import { counted } from '../../engine/plural.ts'
import { homeFolder, openMetadata, systemClock } from './home.ts'
import { print } from './output.ts'
import { parsePositive } from './parse.ts'
import { ownCommand } from './serve.ts'

interface BackfillFlags {
  from: string
  to: string
  parallel: number
  again?: boolean
  dryRun?: boolean
}

export function backfillCommand(): Command {
  return new Command('backfill')
    .description('Run a job for past data intervals: those that begin within a range and have not succeeded')
    .argument('<job>', "the job's folder")
    .requiredOption(
      '--from <time>',
      "the first start, ISO 8601; in the schedule's time zone without an offset",
    )
    .requiredOption('--to <time>', 'the last start, itself included')
    .option(
      '--parallel <n>',
      "runs at once, at most the job's max_active_runs; 1 runs them in order",
      parsePositive,
      1,
    )
    .option('--again', 'also those that have succeeded')
    .option('--dry-run', 'only show what would be run')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight backfill queries/members --from 2026-02-01 --to 2026-02-07 --dry-run\n  nightfreight backfill queries/members --from 2026-02-01T02:00 --to 2026-02-07T02:00',
    )
    .action(async (folder: string, flags: BackfillFlags) => {
      process.exitCode = await run(folder, flags)
    })
}

async function run(
  folder: string,
  { from, to, parallel, again = false, dryRun }: BackfillFlags,
): Promise<number> {
  const { loadJob } = await import('../config/load.ts')
  const { scheduledJob } = await import('../service/catalog.ts')
  const { backfill, isWanted } = await import('../service/backfill.ts')
  const { intervalsBetween } = await import('../schedule/due.ts')
  const { Children } = await import('../service/children.ts')
  const { timeIn, Zone } = await import('../schedule/zone.ts')
  const spec = await loadJob(folder, process.env)
  const job = scheduledJob(spec)
  if (!job.cron)
    throw new EngineError(
      'CONFIG_INVALID',
      `${job.name} has no schedule.cron, and so no intervals of its own`,
      {
        hint: 'Backfill the job that it follows, or run it: nightfreight run.',
      },
    )
  if (parallel > job.maxActiveRuns)
    throw new EngineError(
      'CONFIG_INVALID',
      `--parallel ${parallel}: ${job.name} allows ${counted(job.maxActiveRuns, 'active run')}`,
      { hint: 'Raise schedule.max_active_runs where its loads may overlap.' },
    )
  const zone = new Zone(spec.schedule!.timezone)
  const time = (option: string, text: string) => {
    const found = timeIn(zone, text)
    if (!found)
      throw new EngineError('CONFIG_INVALID', `${option} ${text} is no time`, {
        hint: "Write it as 2026-02-01 or 2026-02-01T02:00, with an offset where it is not the schedule's zone.",
      })
    return found
  }
  const intervals = intervalsBetween(job.cron, time('--from', from), time('--to', to), systemClock.now())
  if (intervals.length === 0) {
    print(`${job.name} has no complete interval that begins from ${from} to ${to}`)
    return 0
  }
  const home = homeFolder()
  const metadata = await openMetadata(home)
  const runner = new Children(ownCommand(), home)
  const abort = new AbortController()
  const stop = () => {
    abort.abort()
    runner.stop()
  }
  process.on('SIGINT', stop).on('SIGTERM', stop)
  const line = ({ start, end }: { start: Date; end: Date }, what: string) =>
    print(`${start.toISOString()}  ${end.toISOString()}  ${what}`)
  try {
    if (!dryRun)
      return await backfill({
        metadata,
        job,
        intervals,
        parallel,
        again,
        runner,
        signal: abort.signal,
        note: line,
      })
    for (const interval of intervals) {
      const state = (await metadata.intervals.find(job.name, interval.start.toISOString()))?.state
      line(interval, isWanted(state, again) ? 'would run' : `${state} already`)
    }
    return 0
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
    await metadata.close()
  }
}
