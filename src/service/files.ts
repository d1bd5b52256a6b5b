import { createHash } from 'node:crypto'
import { glob, opendir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import { LocalStore } from '../connectors/local/store.ts'
import { MAY_READ } from '../drops/store.ts'
import type { Triggers } from '../metadata/triggers.ts'
import type { FileTrigger } from '../spec/job.ts'
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
  private readonly triggers: Pick<Triggers, 'add'>
  private before = new Map<string, Seen>()
  private readonly told = new Set<string>()
  private failing = new Map<string, EngineError>()

  constructor(triggers: Pick<Triggers, 'add'>) {
    this.triggers = triggers
  }

  /** Jobs of whose files not all could be seen at the last look, and why. */
  get unseen(): ReadonlyMap<string, EngineError> {
    return this.failing
  }

  /** One look at the folders of all jobs. */
  async look(jobs: Iterable<ScheduledJob>): Promise<void> {
    const now = new Map<string, Seen>()
    const failing = new Map<string, EngineError>()
    for (const { name: job, files } of jobs) {
      if (!files) continue
      const fail = (error: EngineError) => {
        if (!failing.has(job)) failing.set(job, error)
      }
      for await (const name of matching(files, fail)) {
        const found = await factsOf(join(files.folder, name)).catch(cause => {
          fail(hidden(files, name, cause))
        })
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
    }
    for (const id of this.told) if (!now.has(id)) this.told.delete(id)
    this.before = now
    this.failing = failing
  }
}

/** What matches; `fail` is told of each folder that may hold more, and cannot be read: a glob takes it for an empty one. */
async function* matching(files: FileTrigger, fail: (error: EngineError) => void): AsyncIterable<string> {
  const { from, folder, match } = files
  try {
    await new LocalStore({ name: from, folder }).probe()
    const parts = match.split('/')
    const named = parts.slice(0, -1)
    const first = named.findIndex(part => /[*?[\]{}()!\\]/.test(part))
    const fixed = named.slice(0, first < 0 ? named.length : first).join('/')
    const opened = await opendir(join(folder, fixed)).catch(cause => {
      if (cause.code !== 'ENOENT') throw cause
    })
    // A sender may make it with the first file; where a file has its place, none can.
    if (!opened) return
    await opened.close()
    for (const [index, part] of parts.entries())
      if (index < named.length || part.includes('**'))
        for await (const below of foldersOf(parts.slice(0, index + 1).join('/'), folder))
          await opendir(below).then(
            opened => opened.close(),
            cause => isGone(cause) || fail(hidden(files, relative(folder, below), cause)),
          )
    yield* glob(match, { cwd: folder })
  } catch (cause) {
    fail(cause instanceof EngineError ? cause : hidden(files, match, cause as NodeJS.ErrnoException))
  }
}

/** What a pattern finds that may be a folder. */
async function* foldersOf(pattern: string, cwd: string): AsyncIterable<string> {
  for await (const found of glob(pattern, { cwd, withFileTypes: true }))
    if (!found.isFile()) yield join(found.parentPath, found.name)
}

/** Undefined for a file that has just gone. */
const factsOf = (path: string) =>
  stat(path).catch(cause => {
    if (!isGone(cause)) throw cause
  })

/** A file or folder that has just gone, or is none. */
const isGone = ({ code = '' }: NodeJS.ErrnoException) => ['ENOENT', 'ENOTDIR'].includes(code)

const hidden = ({ from }: FileTrigger, name: string, cause: NodeJS.ErrnoException) =>
  isGone(cause)
    ? new EngineError('CONNECTION_FAILED', `${from}: ${name}: ${cause.message}`, { cause })
    : new EngineError('PERMISSION_DENIED', `${from}: ${name}: ${cause.message}`, { cause, hint: MAY_READ })
