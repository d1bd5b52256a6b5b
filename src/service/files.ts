import { createHash } from 'node:crypto'
import { glob, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Triggers } from '../metadata/triggers.ts'
import type { ScheduledJob } from './job.ts'

/** A file as it was found. */
interface Seen {
  name: string
  size: number
  /** Milliseconds. */
  modified: number
}

/** Finds files that have arrived: new or changed ones that two looks find the same, so that they are whole. */
export class FileWatch {
  private readonly triggers: Triggers
  private before = new Map<string, Seen>()
  private readonly told = new Set<string>()

  constructor(triggers: Triggers) {
    this.triggers = triggers
  }

  /** One look at the folders of all jobs. `wrong`: a folder that could not be read. */
  async look(jobs: Iterable<ScheduledJob>, wrong: (job: string, error: unknown) => void): Promise<void> {
    const now = new Map<string, Seen>()
    for (const { name: job, files } of jobs) {
      if (!files) continue
      try {
        for await (const name of glob(files.match, { cwd: files.folder })) {
          // Undefined for a file that has just gone.
          const found = await stat(join(files.folder, name)).catch(() => undefined)
          if (!found?.isFile()) continue
          const { size, mtimeMs, ino } = found
          const seen = { name, size, modified: mtimeMs }
          const id = createHash('sha256')
            .update(JSON.stringify([job, files.folder, name, size, mtimeMs, ino]))
            .digest('hex')
          now.set(id, seen)
          if (this.told.has(id) || !this.before.has(id)) continue
          await this.triggers.add(id, job, 'file', seen)
          this.told.add(id)
        }
      } catch (error) {
        wrong(job, error)
      }
    }
    for (const id of this.told) if (!now.has(id)) this.told.delete(id)
    this.before = now
  }
}
