import { Command } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { homeFolder, openMetadata } from './home.ts'
import { finish } from './run.ts'

interface ResumeFlags {
  folder?: string
  acceptChanges?: boolean
  fresh?: boolean
  json?: boolean
}

export function resumeCommand(): Command {
  return new Command('resume')
    .description('Continue a run that failed or was interrupted; what it has committed is not done again')
    .argument('[run]', 'its id (default: the latest run)')
    .option('--folder <path>', "the job's folder, where it is another than the run began with")
    .option('--accept-changes', "go on with the job's files as they are now; what they change is done again")
    .option('--fresh', 'give the run up and start another')
    .option('--json', 'print events and the result as JSON lines')
    .addHelpText(
      'after',
      `
A chunk of an extract cannot be continued: the snapshot it was read in is gone. Tables of one connection are read anew
unless all of them were done.

Examples:
  nightfreight resume
  nightfreight resume 20260201T020000-4f1c9a --accept-changes`,
    )
    .action(async (run: string | undefined, { folder, fresh, ...flags }: ResumeFlags) => {
      const home = homeFolder()
      const metadata = await openMetadata(home)
      const found = await findRun(metadata, run).finally(() => metadata.close())
      const given = folder ?? found.folder
      await refuseCopy(home, found.run, given)
      process.exitCode = await finish({
        folder: given,
        ...flags,
        ...(fresh ? { fresh } : { resume: found.run }),
      })
    })
}

async function refuseCopy(home: string, run: string, folder: string): Promise<void> {
  const { isCopy, SAME_COPY } = await import('../runs/copies.ts')
  const { VARIABLES } = await import('../copy/job.ts')
  if (!isCopy(home, folder) || Object.values(VARIABLES).every(name => process.env[name])) return
  throw new EngineError('RESUME_REFUSED', `run ${run} is a copy: its URLs are kept nowhere`, {
    hint: SAME_COPY,
  })
}

async function findRun(
  metadata: Metadata,
  wanted: string | undefined,
): Promise<{ run: string; folder: string }> {
  const run = wanted ?? (await metadata.runs(1))[0]?.run
  const refuse = (message: string, hint: string) => new EngineError('RESUME_REFUSED', message, { hint })
  if (run === undefined) throw refuse('there is no run', 'Start one: nightfreight run queries/members')
  const record = await metadata.run(run)
  if (!record) throw refuse(`run ${run}: there is none of that id`, 'nightfreight status lists the runs.')
  // Loaded where it is needed: commands that only look answer at once.
  const { basisOf } = await import('../runs/checkpoints.ts')
  const basis = await basisOf(metadata, run)
  if (basis) return { run, folder: basis.folder }
  throw refuse(
    record.status === 'FAILED' || record.status === 'RUNNING'
      ? `run ${run}: nothing of it is committed`
      : `run ${run} is done: there is nothing to resume`,
    `nightfreight run starts another of ${record.job}.`,
  )
}
