import { Command } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { type RunRecord, SHARED } from '../metadata/runs.ts'
import { goingStep } from '../metadata/sharedRuns.ts'
import { isAlive, isRunning, ownName } from '../util/owner.ts'
import { homeFolder, openMetadata, systemClock } from './home.ts'
import { print } from './output.ts'

export function cancelCommand(): Command {
  return new Command('cancel')
    .description(
      'Stop a run at its next commit, on whatever machine it runs; resume goes on. One whose process is gone is ended',
    )
    .argument('<run>', 'its id: nightfreight status lists them')
    .option('--now', 'stop it at once')
    .addHelpText(
      'after',
      '\nExamples:\n  nightfreight cancel 20260201T020000-4f1c9a\n  nightfreight cancel 20260201T020000-4f1c9a --now',
    )
    .action(async (run: string, { now }: { now?: boolean }) => {
      const metadata = await openMetadata(homeFolder())
      try {
        const found = await metadata.run(run)
        if (found?.status === 'RUNNING' && !isRunning(found, systemClock.now())) {
          await endLeft(metadata, found)
          print(`${run}: ended; the process that ran it was gone`)
        } else if (!found || !(await metadata.requestCancel(run, now ? 2 : 1)))
          throw new EngineError('RESUME_REFUSED', `run ${run} is not running`, {
            hint: 'nightfreight status lists the runs.',
          })
        else if (found.status === 'FAILED') print(`${run}: has failed, and is not resumed by itself`)
        else if (found.owner === SHARED && !(await goingStep(metadata.database, systemClock, run))) {
          const { giveUp } = await import('../runs/begin.ts')
          await giveUp(metadata, found)
          print(`${run}: ended; none of its steps was going on`)
        } else print(now ? `${run}: stopping` : `${run}: stopping at the next commit`)
      } finally {
        await metadata.close()
      }
    })
}

/** Ends a run whose process is gone, and that nobody is to go on with. Fails with RUN_CONFLICT where somebody just does. */
async function endLeft(metadata: Metadata, found: RunRecord): Promise<void> {
  const { giveUp } = await import('../runs/begin.ts')
  const record = await metadata.takeOver(found, ownName(), !isAlive(found.owner))
  if (!record)
    throw new EngineError('RUN_CONFLICT', `another process has just continued run ${found.run}`, {
      hint: `nightfreight cancel ${found.run} stops it.`,
    })
  // Its data interval is not to be run again by itself.
  await metadata.requestCancel(found.run, 2)
  await giveUp(metadata, record)
}
