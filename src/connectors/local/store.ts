import { constants, createReadStream } from 'node:fs'
import { access, lstat, mkdir, open, opendir, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { EngineError } from '../../../engine/errors.ts'
import { type DropStore, type Entry, MAY_READ, PASSED } from '../../drops/store.ts'

/** So many bytes are read in one go: a stream costs more than they do. */
const SMALL = 64 * 1024
/** Files whose facts are asked for at a time. */
const AT_ONCE = 64

/** A folder of this machine. */
export interface LocalAccess {
  name: string
  folder: string
}

/**
 * The folder that a URL names: `file:///abs/folder`, percent-encoded, or a path as it is, which may be relative to the job's
 * folder. Fails with CONFIG_INVALID.
 */
export function folderOf(url: string, baseDir: string): string {
  if (/^file:\/\//i.test(url))
    try {
      return fileURLToPath(url)
    } catch (cause) {
      throw new EngineError('CONFIG_INVALID', `${url} names no folder of this machine`, {
        cause,
        hint: 'Write file:///folder, where % is %25 and a space %20, or file: and a path as it is.',
      })
    }
  return resolve(baseDir, url.replace(/^file:/i, ''))
}

/** Files of a folder of this machine. */
export class LocalStore implements DropStore {
  readonly name: string
  readonly parallel = 1
  private readonly folder: string

  constructor({ name, folder }: LocalAccess) {
    this.name = name
    this.folder = folder
  }

  async probe(): Promise<void> {
    try {
      if (!(await stat(this.folder)).isDirectory())
        throw new EngineError('CONFIG_INVALID', `${this.name}: ${this.folder} is not a folder`)
      await access(this.folder, constants.R_OK | constants.X_OK)
    } catch (cause) {
      if (cause instanceof EngineError) throw cause
      if (isDenied(cause))
        throw new EngineError('PERMISSION_DENIED', `${this.name}: ${this.folder} may not be read`, { cause })
      throw new EngineError('CONNECTION_FAILED', `${this.name}: there is no folder ${this.folder}`, {
        cause,
        hint: 'Check the path, and that its volume is mounted.',
      })
    }
  }

  async *list(folder: string, deep: boolean): AsyncIterable<Entry> {
    const below = join(this.folder, folder)
    const names: { name: string; isFolder: boolean; isLink: boolean; isFile: boolean }[] = []
    try {
      for await (const found of await opendir(below))
        names.push({
          name: found.name,
          isFolder: found.isDirectory(),
          isLink: found.isSymbolicLink(),
          isFile: found.isFile(),
        })
    } catch (cause) {
      if (isMissing(cause)) return
      throw this.failed(folder, cause)
    }
    const within = (name: string) => (folder === '' ? name : `${folder}/${name}`)
    for (let at = 0; at < names.length; at += AT_ONCE) {
      const some = names.slice(at, at + AT_ONCE)
      const facts = await Promise.all(
        some.map(({ name, isFolder }) => (isFolder ? undefined : this.stat(within(name)))),
      )
      for (const [index, { name, isFolder, isLink, isFile }] of some.entries()) {
        const [path, entry] = [within(name), facts[index]]
        if (isFolder) {
          if (deep) yield* this.list(path, true)
          else yield PASSED.folder(path)
        } else if (entry) yield entry
        else if (isLink)
          yield (await isThere(join(below, name))) ? PASSED.linkedFolder(path) : PASSED.brokenLink(path)
        // A file that is no longer there is none.
        else if (!isFile) yield PASSED.other(path)
      }
    }
  }

  async stat(name: string): Promise<Entry | undefined> {
    const path = this.path({ name })
    try {
      const own = await lstat(path)
      const link = own.isSymbolicLink()
      const facts = link ? await stat(path) : own
      if (!facts.isFile()) return undefined
      const entry: Entry = { name, size: facts.size, mtime: facts.mtimeMs }
      // A folder on the way may be a link, too.
      const real = link || name.includes('/') ? await realpath(path) : path
      const root = real === path ? this.folder : await realpath(this.folder)
      const inside = root.endsWith(sep) ? root : root + sep
      if (!real.startsWith(inside)) entry.refused = 'leads out of the drop'
      else if (link) entry.leadsTo = real.slice(inside.length).replaceAll(sep, '/')
      return entry
    } catch (cause) {
      if (isMissing(cause)) return undefined
      throw this.failed(name, cause)
    }
  }

  async read(entry: Entry, from: number, to: number): Promise<Readable | [Buffer]> {
    if (to - from <= SMALL)
      return [
        await piece(this.path(entry), from, to).catch(cause => {
          throw this.failed(entry.name, cause)
        }),
      ]
    const stream = createReadStream(this.path(entry), {
      start: from,
      end: to - 1,
      highWaterMark: Math.min(1024 * 1024, to - from),
    })
    const opened = Promise.withResolvers<void>()
    stream.once('open', () => opened.resolve())
    stream.once('error', cause => opened.reject(this.failed(entry.name, cause)))
    await opened.promise
    return stream
  }

  path({ name }: Pick<Entry, 'name'>): string {
    return join(this.folder, name)
  }

  async move(entry: Entry, to: string): Promise<boolean> {
    const path = this.path({ name: to })
    try {
      await mkdir(dirname(path), { recursive: true })
      await rename(this.path(entry), path)
      return true
    } catch (cause) {
      throw this.failed(entry.name, cause)
    }
  }

  async remove(name: string): Promise<void> {
    await rm(this.path({ name }), { force: true }).catch(cause => {
      throw this.failed(name, cause)
    })
  }

  async close(): Promise<void> {}

  private failed(name: string, cause: unknown): EngineError {
    const denied = isDenied(cause)
    return new EngineError(
      denied ? 'PERMISSION_DENIED' : 'CONNECTION_LOST',
      `${this.name}: ${name}: ${(cause as Error).message}`,
      { cause, ...(denied && { hint: MAY_READ }) },
    )
  }
}

/** Bytes [from, to) of a file; fewer where it has no more. */
async function piece(path: string, from: number, to: number): Promise<Buffer> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(to - from), 0, to - from, from)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

const codeOf = (cause: unknown) => (cause as NodeJS.ErrnoException).code ?? ''
const isMissing = (cause: unknown) => ['ENOENT', 'ENOTDIR'].includes(codeOf(cause))
const isDenied = (cause: unknown) => ['EACCES', 'EPERM'].includes(codeOf(cause))
