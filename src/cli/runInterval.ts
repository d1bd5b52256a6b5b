import { Command, Option } from 'commander'
import type { RunRecord } from '../metadata/runs.ts'
import { homeFolder } from './home.ts'
import { printError } from './output.ts'
import { parseCount, parseTime } from './parse.ts'
import { execute } from './run.ts'
import { stoppable } from './signals.ts'
import { printSummary } from './summary.ts'

interface IntervalFlags {
  start: Date
  end: Date
  claim: number
  trigger: RunRecord['trigger']
}

/** What `serve` and `backfill` start for each run; not for people, since the claim must be one that was just made. */
export function runIntervalCommand(): Command {
  return new Command('run-interval')
    .description('Run a job for a data interval that the scheduler has taken')
    .argument('<folder>', "the job's folder")
    .argument('<job>', "the job's name")
    .requiredOption('--start <time>', 'where the interval begins', parseTime)
    .requiredOption('--end <time>', "where it ends: the run's own time", parseTime)
    .requiredOption('--claim <n>', 'under which it was taken', parseCount)
    .addOption(
      new Option('--trigger <kind>', 'what made the run')
        .choices(['schedule', 'backfill', 'event', 'after'])
        .makeOptionMandatory(),
    )
    .addHelpText(
      'after',
      '\nExample:\n  nightfreight run-interval queries/members member_data_warehouse_sync --start 2026-02-01T02:00:00Z --end 2026-02-02T02:00:00Z --claim 1 --trigger schedule',
    )
    .action(async (folder: string, job: string, { start, end, claim, trigger }: IntervalFlags) => {
      const result = await stoppable(stopping =>
        execute({
          ...stopping,
          folder,
          env: process.env,
          home: homeFolder(),
          json: false,
          interval: {
            claim: { job, start: start.toISOString(), fence: claim },
            end: end.toISOString(),
            trigger,
          },
        }),
      )
      printSummary(result, false)
      if (result.error !== undefined) process.exitCode = printError(result.error, false)
    })
}
