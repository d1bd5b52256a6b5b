import { Command } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import { SHARED } from '../metadata/runs.ts'
import { goingStep } from '../metadata/sharedRuns.ts'
import { isRunning } from '../runs/owner.ts'
import { homeFolder, openMetadata, systemClock } from './home.ts'
import { print } from './output.ts'

export function cancelCommand(): Command {
  return new Command('cancel')
    .description('Stop a run at its next commit, on whatever machine it runs; resume goes on')
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
        if (
          !found ||
          !isRunning(found, systemClock.now()) ||
          !(await metadata.requestCancel(run, now ? 2 : 1))
        )
          throw new EngineError('RESUME_REFUSED', `run ${run} is not running`, {
            hint: 'nightfreight status lists the runs.',
          })
        if (found.owner === SHARED && !(await goingStep(metadata.database, systemClock, run))) {
          const { giveUp } = await import('../runs/begin.ts')
          await giveUp(metadata, found)
          print(`${run}: ended; none of its steps was going on`)
        } else print(now ? `${run}: stopping` : `${run}: stopping at the next commit`)
      } finally {
        await metadata.close()
      }
    })
}
