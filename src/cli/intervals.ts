import { Command } from 'commander'
import { homeFolder, openMetadata } from './home.ts'
import { print } from './output.ts'
import { parseCount } from './parse.ts'

export function intervalsCommand(): Command {
  return new Command('intervals')
    .description('Show the data intervals of a job, newest first, with their states and runs')
    .argument('<job>', "the job's name")
    .option('--limit <n>', 'how many', parseCount, 50)
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight intervals member_data_warehouse_sync\n  nightfreight intervals member_data_warehouse_sync --limit 7 --json',
    )
    .action(async (job: string, { limit, json }: { limit: number; json?: boolean }) => {
      const metadata = await openMetadata(homeFolder())
      try {
        const intervals = await metadata.intervals.list(job, limit)
        const paused = (await metadata.pauses.list()).find(({ kind, name }) => kind === 'job' && name === job)
        if (json) print(JSON.stringify({ paused: paused ?? null, intervals }))
        else {
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
