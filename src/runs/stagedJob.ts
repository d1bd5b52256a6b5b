import { mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { StagedFile, Staging } from '../../engine/contracts/staging.ts'
import { isOfKind, subjectOf, taskName } from '../../engine/contracts/taskName.ts'
import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import { isIntact, linkOrCopy, temporaryOf } from '../../engine/staging/store.ts'
import type { Transformed } from '../../engine/transform/transformed.ts'
import type { HeldTables, OpenStagedJob, StagedTable } from '../connectors/declare/stagedJob.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { isDone } from '../metadata/runs.ts'
import { doneTasks } from '../metadata/tasks.ts'
import { openStaging } from './staging.ts'

/** Runs among which the last one that loaded is looked for. */
const LOOKED_AT = 100

/** What other jobs have staged, for extracts that read their models. Files that are held have second names below `folder`. */
export const stagedJobs =
  (metadata: Metadata, staging: Staging, root: string, folder = root): OpenStagedJob =>
  async job => {
    const runs = await metadata.history({ job, limit: LOOKED_AT })
    const last = runs.find(({ status }) => isDone(status))
    if (!last) {
      const jobs = await metadata.database.all<{ job: string }>('SELECT DISTINCT job FROM runs')
      const near = didYouMean(
        job,
        jobs.map(each => each.job).filter(name => name !== job),
      )
      throw new EngineError('TABLE_MISSING', `${job}: no run of a job of that name has loaded yet${near}`, {
        hint: 'Run it first, with the same NIGHTFREIGHT_HOME, or METADATA_URL and STAGING_URL, as this one.',
      })
    }
    const { run, run_at: runAt } = last
    const store = metadata.taskStore({ run, fence: 0 })
    const gone = (model: string) =>
      new EngineError('STAGING_CORRUPT', `${job}.${model}: what run ${run} staged is gone or damaged`, {
        hint: `Run ${job} again.`,
      })
    const outputOf = async (model: string) => {
      const made = await store.output<Transformed>(taskName('model', model))
      // Forgotten with what it had staged.
      if (!(await metadata.run(run))) throw gone(model)
      if (!made?.parts) throw await missing(metadata, job, run, model)
      const { columns, parts, rows, rejected, findings, sideFiles = [] } = made
      const good = { columns, rows: rows - rejected, parts, ...(rejected > 0 && findings && { findings }) }
      return { model, good, files: [...parts, ...sideFiles] }
    }
    return {
      run,
      runAt,
      async table(model): Promise<StagedTable> {
        const { good, files } = await outputOf(model)
        if (!(await staging.bring(files))) throw gone(model)
        return { ...good, root }
      },
      async hold(models): Promise<HeldTables> {
        const own = temporaryOf(join(folder, job))
        const release = () => rmSync(own, { recursive: true, force: true })
        const found = await Promise.all([...new Set(models)].map(outputOf))
        const all = found.flatMap(({ model, files }) => files.map(file => ({ model, file })))
        try {
          // At once: to look whether they are what they were takes longer, and then they cannot go any more.
          for (const { file } of all) link(root, own, file)
          for (const { model, file } of all) {
            if (await isIntact(own, file)) continue
            if (!(await staging.bring([file])) || !link(root, own, file)) throw gone(model)
          }
        } catch (error) {
          release()
          throw error
        }
        return { tables: new Map(found.map(({ model, good }) => [model, { ...good, root: own }])), release }
      },
    }
  }

/** Gives a file its name below another folder, too; false where it is gone. */
function link(from: string, to: string, { file }: StagedFile): boolean {
  const path = join(to, file)
  mkdirSync(dirname(path), { recursive: true })
  rmSync(path, { force: true })
  try {
    linkOrCopy(join(from, file), path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** The same for a process that has nothing open yet; what is opened goes with `stack`. */
export function openStagedJobs(
  metadata: Metadata,
  home: string,
  stagingUrl: string | undefined,
  stack: AsyncDisposableStack,
): OpenStagedJob {
  const root = join(home, 'staging')
  const bucket = openStaging(stagingUrl, root)
  stack.defer(async () => {
    bucket?.close()
    await metadata.close()
  })
  return stagedJobs(metadata, bucket ?? new LocalStaging(root), root)
}

async function missing(
  { database }: Metadata,
  job: string,
  run: string,
  model: string,
): Promise<EngineError> {
  const tasks = await doneTasks(database, run)
  const names = tasks.filter(task => isOfKind(task, 'model')).map(subjectOf)
  return new EngineError(
    'TABLE_MISSING',
    `${job}: run ${run} kept no rows of a model ${model}${didYouMean(model, names)}`,
    {
      hint: `A model that stays a view has none: -- @materialised table before its query keeps them. There are: ${names.join(', ')}.`,
    },
  )
}
