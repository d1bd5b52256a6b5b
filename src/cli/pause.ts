import { userInfo } from 'node:os'
import { Command } from 'commander'
import type { PauseKind } from '../metadata/pauses.ts'
import { jobsThatRan } from '../metadata/seen.ts'
import { homeFolder, openMetadata } from './home.ts'
import { print } from './output.ts'
import { parseJob } from './parse.ts'

interface PauseFlags {
  pool?: boolean
}

export function pauseCommand(): Command {
  return new Command('pause')
    .description('Start no runs of a job by its schedule, or of jobs that use a pool; active runs go on')
    .argument('<name>', "the job's folder, or its name")
    .option('--pool', 'it is the name of a pool')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight pause member_data_warehouse_sync\n  nightfreight pause --pool legacy_db_pool',
    )
    .action(async (text: string, { pool }: PauseFlags) => {
      const kind: PauseKind = pool ? 'pool' : 'job'
      const name = pool ? text : parseJob(text)
      const metadata = await openMetadata(homeFolder())
      const [paused, jobs] = await Promise.all([
        metadata.pauses.pause(kind, name, userInfo().username),
        jobsThatRan(metadata.database),
      ]).finally(() => metadata.close())
      print(`${kind} ${name} ${paused ? 'is paused' : 'was paused already'}`)
      if (kind === 'job' && !jobs.has(name)) {
        const { didYouMean } = await import('../../engine/nearest.ts')
        print(`note: no job of that name has run yet${didYouMean(name, [...jobs.keys()])}`)
      }
    })
}

export function unpauseCommand(): Command {
  return new Command('unpause')
    .description('Let the runs of a paused job or pool begin again')
    .argument('<name>', "the job's folder, or its name")
    .option('--pool', 'it is the name of a pool')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight unpause member_data_warehouse_sync\n  nightfreight unpause --pool legacy_db_pool',
    )
    .action(async (text: string, { pool }: PauseFlags) => {
      const kind: PauseKind = pool ? 'pool' : 'job'
      const name = pool ? text : parseJob(text)
      const metadata = await openMetadata(homeFolder())
      const unpaused = await metadata.pauses.unpause(kind, name).finally(() => metadata.close())
      print(`${kind} ${name} ${unpaused ? 'goes on' : 'was not paused'}`)
    })
}
