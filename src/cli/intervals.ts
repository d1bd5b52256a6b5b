import { Command } from 'commander'
import { counted } from '../../engine/plural.ts'
import { homeFolder, openMetadata } from './home.ts'
import { print } from './output.ts'
import { parseCount, parseJob } from './parse.ts'
import { noRuns } from './runState.ts'

interface IntervalsFlags {
  limit: number
  forgetFuture?: boolean
  json?: boolean
}

export function intervalsCommand(): Command {
  return new Command('intervals')
    .description('Show the data intervals of a job, newest first, with their states and runs')
    .argument('<job>', "the job's folder, or its name")
    .option('--limit <n>', 'how many', parseCount, 50)
    .option(
      '--forget-future',
      'forget those that end in the future, planned while a clock was ahead: nothing is planned before they end',
    )
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight intervals member_data_warehouse_sync\n  nightfreight intervals member_data_warehouse_sync --limit 7 --json\n  nightfreight intervals member_data_warehouse_sync --forget-future',
    )
    .action(async (named: string, { limit, json, forgetFuture }: IntervalsFlags) => {
      const job = parseJob(named)
      const metadata = await openMetadata(homeFolder())
      try {
        const forgotten = forgetFuture ? await metadata.intervals.forgetFuture(job) : undefined
        const intervals = await metadata.intervals.list(job, limit)
        // Fails where there is no such job.
        if (intervals.length === 0) await noRuns(metadata, named)
        const paused = (await metadata.pauses.list()).find(({ kind, name }) => kind === 'job' && name === job)
        if (json) print(JSON.stringify({ paused: paused ?? null, intervals, forgotten }))
        else {
          if (forgotten !== undefined)
            print(
              `forgotten: ${counted(forgotten, 'interval')} that ${forgotten === 1 ? 'ends' : 'end'} in the future`,
            )
          if (paused) print(`paused by ${paused.paused_by} since ${paused.since}`)
          if (intervals.length === 0) print(`${job} has no intervals yet: nightfreight serve plans them`)
          for (const { interval_start, interval_end, state, run, waits_for, waits_since } of intervals) {
            const waits = state === 'WAITING' && waits_for ? `  for ${waits_for} (since ${waits_since})` : ''
            print(`${interval_start}  ${interval_end}  ${state}${run ? `  run ${run}` : ''}${waits}`)
          }
        }
      } finally {
        await metadata.close()
      }
    })
}
