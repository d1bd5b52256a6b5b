import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { EngineError, errorData } from '../../engine/errors.ts'
import { environmentOf } from '../config/environment.ts'
import { readFolder } from '../config/folder.ts'
import { loadJob } from '../config/load.ts'
import { jobNameOf } from '../runs/jobName.ts'
import { Cron } from '../schedule/cron.ts'
import type { JobSpec } from '../spec/job.ts'
import type { ScheduledJob } from './job.ts'

/** A job that could not be used when the folders were read last, whether or not it was known before. */
export interface Unusable {
  name: string
  /** The job's; or one that holds jobs, and could not be read. */
  folder: string
  message: string
}

/** The jobs of some folders; a job whose files are wrong keeps the schedule it had, and is not run. */
export class Catalog {
  private readonly folders: string[]
  private readonly env: Record<string, string | undefined>
  private known = new Map<string, ScheduledJob>()
  private unusable: Unusable[] = []
  /** Jobs as their files said, by folder; one that could not be used is read again each time. */
  private readonly read = new Map<string, { stamp: string; job: ScheduledJob }>()

  /** Folders of jobs, or folders that hold them. */
  constructor(folders: string[], env: Record<string, string | undefined>) {
    this.folders = folders
    this.env = env
  }

  get jobs(): ReadonlyMap<string, ScheduledJob> {
    return this.known
  }

  get failures(): readonly Unusable[] {
    return this.unusable
  }

  /**
   * Reads the folders anew; `wrong` is told of each job that cannot be used. Fails with CONFIG_INVALID on a folder without
   * jobs, the first time.
   */
  async load(wrong: (job: string, folder: string, error: unknown) => void): Promise<void> {
    const next = new Map<string, ScheduledJob>()
    const seen = new Set<string>()
    const failures: Unusable[] = []
    const fail = (name: string, folder: string, error: unknown) => {
      failures.push({ name, folder, message: errorData(error).message })
      wrong(name, folder, error)
    }
    for (const folder of this.folders.flatMap(each => this.jobsBelow(each, fail))) {
      seen.add(folder)
      try {
        const job = await this.jobOf(folder)
        const other = next.get(job.name)
        if (other)
          throw new EngineError('CONFIG_INVALID', `${folder}: ${other.folder} is a job ${job.name}, too`)
        next.set(job.name, job)
      } catch (error) {
        const known = [...this.known.values()].filter(job => job.folder === folder)
        for (const name of known.length > 0 ? known.map(job => job.name) : [jobNameOf(folder)])
          fail(name, folder, error)
        for (const job of known) next.set(job.name, broken(job, error))
      }
    }
    for (const job of this.known.values())
      if (!seen.has(job.folder) && !next.has(job.name)) {
        const error = new EngineError('CONFIG_INVALID', `${job.folder}: the job's folder is gone`, {
          hint: 'Put it back, or start the scheduler anew without it.',
        })
        fail(job.name, job.folder, error)
        next.set(job.name, broken(job, error))
      }
    this.known = next
    this.unusable = failures
  }

  private async jobOf(folder: string): Promise<ScheduledJob> {
    const stamp = await this.stampOf(folder)
    const before = this.read.get(folder)
    if (before?.stamp === stamp) return before.job
    this.read.delete(folder)
    const job = scheduled(await loadJob(folder, this.env), this.known)
    this.read.set(folder, { stamp, job })
    return job
  }

  /** Another as soon as a file of the job is, or a variable that it may take from one. */
  private async stampOf(folder: string): Promise<string> {
    const { NIGHTFREIGHT_ENV } = this.env
    const variables = createHash('sha256').update(JSON.stringify(environmentOf(folder, { NIGHTFREIGHT_ENV })))
    return `${(await readFolder(folder)).hash} ${variables.digest('hex')}`
  }

  private jobsBelow(folder: string, fail: (name: string, folder: string, error: unknown) => void): string[] {
    if (this.known.size === 0) return jobFolders(folder)
    try {
      return jobFolders(folder)
    } catch (error) {
      const path = resolve(folder)
      // What was there is missed by name, where anything is known of it.
      if (![...this.known.values()].some(job => job.folder === path || dirname(job.folder) === path))
        fail(jobNameOf(path), path, error)
      return []
    }
  }
}

/** What stands in for a job that cannot be used: it is planned, and none of its runs is begun. */
const broken = (job: ScheduledJob, error: unknown): ScheduledJob => ({
  ...job,
  broken: errorData(error).message,
})

/** A job's folder, or those right below. */
function jobFolders(folder: string): string[] {
  if (existsSync(join(folder, 'job.yaml'))) return [resolve(folder)]
  const found = existsSync(folder)
    ? readdirSync(folder)
        .map(name => join(folder, name))
        .filter(below => existsSync(join(below, 'job.yaml')))
    : []
  if (found.length === 0)
    throw new EngineError('CONFIG_INVALID', `${folder} is no job's folder, and holds none`, {
      hint: 'Name folders with a job.yaml, or the folder that holds them.',
    })
  return found.sort().map(below => resolve(below))
}

function scheduled(spec: JobSpec, known: ReadonlyMap<string, ScheduledJob>): ScheduledJob {
  const before = known.get(spec.job)
  if (before?.hash === spec.hash && before.broken === undefined) return before
  return scheduledJob(spec)
}

/** What the scheduler needs of a job. */
export function scheduledJob(spec: JobSpec): ScheduledJob {
  const { job, folder, hash, schedule, pools, connections, extracts } = spec
  const { cron, timezone, start, catchup, files, follow } = schedule ?? {}
  return {
    name: job,
    folder,
    hash,
    ...(cron && { cron: new Cron(cron, timezone!) }),
    ...(start && { start }),
    catchup: catchup ?? false,
    after: schedule?.after ?? [],
    ...(files && { files }),
    ...(follow && { follow }),
    ...(Object.values(connections).some(({ connector }) => connector.capabilities.changes) && {
      logged: { job, connections, extracts },
    }),
    maxActiveRuns: schedule?.maxActiveRuns ?? 1,
    dependsOnPast: schedule?.dependsOnPast ?? false,
    priority: schedule?.priority ?? 0,
    pools: [...new Set(Object.values(pools))].sort(),
  }
}
