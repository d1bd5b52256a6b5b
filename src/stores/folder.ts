import { randomUUID } from 'node:crypto'
import { copyFile, link, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import { makeFolder } from '../util/folder.ts'
import { Copies } from './copies.ts'
import type { FileStore, Listed } from './store.ts'
import { workFolder } from './work.ts'

/** Folder for work in progress: on the same file system, so that a finished file is only renamed. */
const WORK = '_nightfreight/work'
/** Folder of second names of files that somebody reads. What a kill leaves there goes after a week. */
const OPENED = '_nightfreight/opened'

/** Files in a folder of this machine. */
export class FolderStore implements FileStore {
  readonly where: string
  /** Second names of files. */
  private readonly copies: Copies

  constructor(root: string) {
    this.where = root
    this.copies = new Copies(join(root, OPENED))
  }

  async probe(): Promise<void> {
    if (await orUndefined(stat(this.where))) return
    throw new EngineError('CONNECTION_FAILED', `there is no folder ${this.where}`, {
      hint: 'Check the path, and that its volume is mounted.',
    })
  }

  async get(path: string): Promise<Buffer | undefined> {
    return this.explain('read', path, () => orUndefined(readFile(join(this.where, path))))
  }

  async put(path: string, bytes: string): Promise<void> {
    await this.write(path, bytes, (temporary, final) => rename(temporary, final))
  }

  // A link is made or it is not, whoever else tries; it has the whole content at once, and no lock can be left behind.
  async putIfAbsent(path: string, bytes: string): Promise<boolean> {
    return this.write(path, bytes, async (temporary, final) => {
      try {
        await link(temporary, final)
        return true
      } catch (error) {
        if (codeOf(error) === 'EEXIST') return false
        throw error
      } finally {
        await rm(temporary, { force: true })
      }
    })
  }

  async putFile(path: string, file: string): Promise<void> {
    await this.explain('write', path, async () => {
      const final = join(this.where, path)
      await sync(file)
      await this.makeFolder(dirname(final))
      await moveFile(file, final)
      await sync(dirname(final))
    })
  }

  async move(from: string, to: string): Promise<void> {
    await this.explain('write', to, async () => {
      const [old, final] = [join(this.where, from), join(this.where, to)]
      if (!(await orUndefined(stat(old)))) return
      await this.makeFolder(dirname(final))
      await orUndefined(rename(old, final))
      await sync(dirname(final))
      await orUndefined(sync(dirname(old)))
    })
  }

  // A second name for the same file, that nobody else takes away; its own where the folder can only be read.
  local(path: string): Promise<string | undefined> {
    const file = join(this.where, path)
    const linked = async (name: () => Promise<string>) => {
      if (!(await orUndefined(stat(file)))) return undefined
      try {
        const own = await name()
        return await orUndefined(link(file, own).then(() => own))
      } catch {
        return file
      }
    }
    return this.copies.get(path, name => this.explain('read', path, () => linked(name)))
  }

  async delete(path: string): Promise<void> {
    await this.explain('delete', path, () => rm(join(this.where, path), { force: true }))
  }

  clear(): Promise<void> {
    return this.copies.clear()
  }

  async list(folder: string): Promise<Listed[]> {
    return this.explain('list', folder, async () => {
      const options = { recursive: true, withFileTypes: true } as const
      const found = (await orUndefined(readdir(join(this.where, folder), options))) ?? []
      const files = found.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
      const listed = await Promise.all(
        files.map(async file => {
          const facts = await orUndefined(stat(file))
          const path = relative(this.where, file).replaceAll(sep, '/')
          return facts && { path, size: facts.size, modified: facts.mtime }
        }),
      )
      return listed.filter(entry => entry !== undefined)
    })
  }

  async sweep(folder: string, before: Date): Promise<void> {
    for (const { path, modified } of await this.list(folder))
      if (path.endsWith(TEMPORARY) && modified < before) await this.delete(path)
  }

  async work(owner: string): Promise<string> {
    return this.explain('write', WORK, () => workFolder(join(this.where, WORK), owner))
  }

  private async write<T>(
    path: string,
    bytes: string,
    publish: (temporary: string, final: string) => Promise<T>,
  ): Promise<T> {
    return this.explain('write', path, async () => {
      const final = join(this.where, path)
      const temporary = join(dirname(final), `.${randomUUID()}${TEMPORARY}`)
      await this.makeFolder(dirname(final))
      try {
        await writeFile(temporary, bytes, { flush: true })
        const result = await publish(temporary, final)
        await sync(dirname(final))
        return result
      } catch (error) {
        await rm(temporary, { force: true })
        throw error
      }
    })
  }

  /** A folder that is there after a power cut too: each new one is an entry of its parent. */
  private async makeFolder(folder: string): Promise<void> {
    const first = makeFolder(folder)
    if (first === undefined) return
    for (let made = folder; made.length >= first.length; made = dirname(made)) await sync(dirname(made))
  }

  private async explain<T>(verb: string, path: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (cause) {
      const where = join(this.where, path)
      switch (codeOf(cause)) {
        case 'ENOSPC':
        case 'EDQUOT':
          throw new EngineError('RESOURCE_EXHAUSTED', `${where}: no space left to ${verb} it`, {
            cause,
            hint: 'Free some space; the same command goes on where it stopped.',
          })
        case 'EACCES':
        case 'EPERM':
        case 'EROFS':
          throw new EngineError(
            'PERMISSION_DENIED',
            `${where}: no permission to ${verb} it (${codeOf(cause)})`,
            {
              cause,
              hint: 'Check the owner and the mode of its folders, and that they are mounted writable.',
            },
          )
        default:
          throw cause
      }
    }
  }
}

/** Ending of a file that is being written. */
const TEMPORARY = '.tmp'

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code

async function orUndefined<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    throw error
  }
}

/** A file of another file system is copied, and seen only when it is whole. */
async function moveFile(file: string, final: string): Promise<void> {
  try {
    await rename(file, final)
  } catch (error) {
    if (codeOf(error) !== 'EXDEV') throw error
    const temporary = join(dirname(final), `.${randomUUID()}${TEMPORARY}`)
    await copyFile(file, temporary)
    await sync(temporary)
    await rename(temporary, final)
    await rm(file)
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
