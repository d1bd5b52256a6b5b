import { isOfKind } from '../../engine/contracts/taskName.ts'
import type { Clock } from '../../engine/contracts/tasks.ts'
import { EngineError, errorData } from '../../engine/errors.ts'
import type { Prepared } from '../../engine/plan/prepare.ts'
import { counted } from '../../engine/plural.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import { runTask } from '../../engine/runtime/task.ts'
import type { Task } from '../../engine/runtime/taskGraph.ts'
import { type Expired, expire } from '../archive/expire.ts'
import { type ArchivableRun, type Archived, archiveRun } from '../archive/keep.ts'
import { type ArchivedRun, readArchived } from '../archive/manifest.ts'
import { restoreInto } from '../archive/restore.ts'
import type { Metadata } from '../metadata/metadata.ts'
import type { ArchiveSpec } from '../spec/archive.ts'
import type { JobSpec } from '../spec/job.ts'
import { openStore } from '../stores/open.ts'
import { redact } from '../util/redact.ts'
import { megabytes } from '../util/units.ts'

/** What came of a run's archive: for people. */
export interface ArchiveOutcome extends Archived {
  /** Why it is not archived: the next run tries again. */
  failed?: string
}

/** The task that archives a run's raw data. */
export const ARCHIVE = 'archive'

/**
 * Archives a loaded run, and runs of the job whose archive failed; removes what is past the retention. A failure is told
 * and not thrown, since the load holds all the same: the next run tries again. Fails where the run is stopped or taken
 * over.
 */
export async function archive(
  context: RunContext,
  metadata: Metadata,
  spec: ArchiveSpec,
): Promise<ArchiveOutcome> {
  const { run, runAt, fence, tasks, progress } = context
  const { job } = context.spec
  const store = openStore(spec.location)
  /** Gives why it failed. */
  const attempt = async (what: string, act: () => Promise<void>): Promise<string | undefined> => {
    try {
      await act()
      return undefined
    } catch (error) {
      if (context.signal.aborted) throw error
      if (error instanceof EngineError && (error.code === 'INTERRUPTED' || error.code === 'FENCED'))
        throw error
      const reason = redact(errorData(error).message, spec.secrets)
      progress.note(`${what} failed, and is tried again by the next run: ${reason}`)
      return reason
    }
  }
  let archived: Archived = { where: store.where, files: 0, bytes: 0 }
  try {
    const own: ArchivableRun = { run, runAt: runAt.toISOString(), fence, tasks }
    const failed = await attempt('the archive', async () => {
      archived = await runTask(context, ARCHIVE, async attempt => {
        progress.started(ARCHIVE)
        const done = await archiveRun(attempt, store, spec, own)
        progress.finished(ARCHIVE, `${counted(done.files, 'file')}, ${megabytes(done.bytes)}`)
        return done
      })
    })
    // Where tonight's cannot be made, earlier ones cannot either.
    if (failed !== undefined) return { ...archived, failed }
    for (const { run, run_at, fence } of await metadata.unarchived(job))
      await attempt(`the archive of run ${run}`, async () => {
        const late = { run, runAt: run_at, fence, tasks: metadata.taskStore({ run, fence }) }
        await metadata.settleTask(run, ARCHIVE, await archiveRun(context, store, spec, late))
        progress.note(`run ${run} is archived now`)
      })
    const { retention } = spec
    if (retention !== undefined)
      await attempt("the archive's clean-up", async () => {
        const { runs, files } = await expire(store, job, retention, context.clock.now())
        if (files > 0)
          progress.note(`the archive let ${counted(runs.length, 'run')} go: ${counted(files, 'file')}`)
      })
    return archived
  } finally {
    await store.clear()
  }
}

/** Removes what a job's archive holds past its retention; nothing where it has none. */
export async function expireArchive(
  { job, archive }: JobSpec,
  clock: Clock,
  dryRun: boolean,
): Promise<Expired> {
  if (archive?.retention === undefined) return { runs: [], files: 0, bytes: 0 }
  return expire(openStore(archive.location), job, archive.retention, clock.now(), dryRun)
}

/** Its place among a job's tasks: after every load. */
export function archiveTask(tasks: Map<string, Task>): Task {
  return { after: [...tasks.keys()].filter(task => isOfKind(task, 'load')), fingerprint: '' }
}

/**
 * Fills a run that was begun by `restore`, unless it is. Fails with RESUME_REFUSED where it was cut short before: what
 * it should hold is no longer known; or where it was filled from another archived run.
 */
export async function fillRun(
  context: RunContext & { spec: JobSpec },
  archived: ArchivedRun | undefined,
): Promise<void> {
  const filled = await context.tasks.output<Prepared>('plan')
  if (filled) {
    const { run, job } = filled.restored ?? {}
    if (archived && run !== undefined && (run !== archived.run || job !== archived.job))
      throw new EngineError(
        'RESUME_REFUSED',
        `run ${context.run} restores run ${run} of ${job}, and was stopped`,
        {
          hint: `nightfreight resume ${context.run} ends it; with --fresh another begins.`,
        },
      )
    return
  }
  if (!archived)
    throw new EngineError('RESUME_REFUSED', `run ${context.run}: it was stopped while it was restored`, {
      hint: 'Nothing was loaded: restore it anew.',
    })
  const store = openStore(context.spec.archive!.location)
  await restoreInto(context, store, archived).finally(() => store.clear())
}

/** The archived raw data of a run. Fails with CONFIG_INVALID where the job has no archive, NOT_STAGED where it is not in it. */
export async function findArchived(
  spec: { job: string; archive?: ArchiveSpec },
  { run, of = spec.job }: { run: string; of?: string },
): Promise<ArchivedRun> {
  if (!spec.archive)
    throw new EngineError('CONFIG_INVALID', `${spec.job} has no archive`, {
      hint: 'Say in job.yaml where it is: archive: { to: s3://bucket/prefix }.',
    })
  const store = openStore(spec.archive.location)
  const found = await readArchived(store, of, run)
  if (found) return found
  throw new EngineError('NOT_STAGED', `${store.where} has no run ${run} of ${of}`, {
    hint: `nightfreight history ${of} lists its runs; those before archive: was set, or past its retention, are not there.`,
  })
}
