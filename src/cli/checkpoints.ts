import { Command } from 'commander'
import type { ChunkProgress } from '../../engine/contracts/tasks.ts'
import { counted } from '../../engine/plural.ts'
import type { Checkpoint } from '../metadata/checkpoints.ts'
import type { RunState } from '../runs/checkpoints.ts'
import { homeFolder, openMetadata, systemClock } from './home.ts'
import { print } from './output.ts'
import { parseCount, parseJob } from './parse.ts'
import { noRuns } from './runState.ts'

export function checkpointsCommand(): Command {
  return new Command('checkpoints')
    .description('Show what runs can go back to, and take one back')
    .addCommand(listCommand())
    .addCommand(restoreCommand())
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight checkpoints list\n  nightfreight checkpoints restore 20260201020312345-9f31ab02',
    )
}

function listCommand(): Command {
  return new Command('list')
    .description('Show checkpoints, newest first: one after every committed task, and how far extracts were')
    .argument('[job]', "only this job's: its folder, or its name")
    .option('--limit <n>', 'how many', parseCount, 20)
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight checkpoints list\n  nightfreight checkpoints list member_data_warehouse_sync --json',
    )
    .action(async (job: string | undefined, { limit, json }: { limit: number; json?: boolean }) => {
      const metadata = await openMetadata(homeFolder())
      const read = async () => {
        const found = await metadata.checkpoints.list(limit, job && parseJob(job))
        // Fails where there is no such job.
        if (found.length === 0 && job !== undefined) await noRuns(metadata, job)
        return found
      }
      const found = await read().finally(() => metadata.close())
      if (json) print(JSON.stringify({ checkpoints: found }))
      else if (found.length === 0) print('No checkpoints: nothing is to be resumed.')
      else for (const each of found) print(`${each.id}  ${each.job}  ${each.run}  ${described(each)}`)
    })
}

function described({ kind, task, state }: Checkpoint): string {
  if (kind === 'full') return `${task ?? 'begun'}: ${counted((state as RunState).tasks.length, 'task')} done`
  const { extract, chunks, rows, range } = state as ChunkProgress
  return `${extract}: ${counted(chunks, 'chunk')}, ${counted(rows, 'row')}, at ${range}`
}

function restoreCommand(): Command {
  return new Command('restore')
    .description(
      'Take a run that has stopped back to a checkpoint: what it did later is done again by resume',
    )
    .argument('<id>', 'nightfreight checkpoints list shows them')
    .addHelpText('after', '\nExample:\n  nightfreight checkpoints restore 20260201020312345-9f31ab02')
    .action(async (id: string) => {
      // Loaded where it is needed: commands that only look answer at once.
      const { restoreCheckpoint } = await import('../runs/checkpoints.ts')
      const metadata = await openMetadata(homeFolder())
      const { run, forgotten } = await restoreCheckpoint(metadata, id, systemClock).finally(() =>
        metadata.close(),
      )
      print(`${run}: forgotten: ${forgotten.join(', ') || 'nothing'}\nGo on: nightfreight resume ${run}`)
    })
}
