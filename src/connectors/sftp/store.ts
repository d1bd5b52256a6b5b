import { posix } from 'node:path'
import { Readable } from 'node:stream'
import type Client from 'ssh2-sftp-client'
import { EngineError, unless } from '../../../engine/errors.ts'
import { type DropStore, type Entry, leadsOut, PASSED } from '../../drops/store.ts'
import { Session, type SftpAccess } from './session.ts'

/** Bytes asked for at a time: with what frames them, the answer must stay below the 256 KiB that the library takes. */
const READ_BYTES = 255 * 1024
/** Things of a listing whose kind is asked for at a time. */
const AT_ONCE = 8
/** The line of a file, a folder or a link in a listing as ls has it; other servers write what they like. */
const LS_LINE = /^[-dl]([-r][-w][-xsStT]){3}/

/** Files of a folder on an SFTP server. */
export class SftpStore implements DropStore {
  readonly name: string
  /** A stream waits for an answer each 64 KiB: several keep the line full. */
  readonly parallel = 8
  private readonly folder: string
  private readonly session: Session
  private readonly timeout: number
  private root: Promise<string> | undefined
  private readonly folders = new Map<string, Promise<void>>()

  constructor(access: SftpAccess) {
    this.name = access.name
    this.folder = access.folder
    this.timeout = access.timeout
    this.session = new Session(access)
  }

  async probe(): Promise<void> {
    const facts = await this.session.use(this.folder, client => client.stat(this.folder))
    if (!facts.isDirectory)
      throw new EngineError('CONFIG_INVALID', `${this.name}: ${this.folder} is not a folder`)
  }

  async *list(folder: string, deep: boolean): AsyncIterable<Entry> {
    const found = await unless('TABLE_MISSING', () =>
      this.session.use(folder, client => client.list(this.at(folder))),
    )
    if (found?.length === 0) await this.refuseUnseen(folder)
    const within = (name: string) => (folder === '' ? name : `${folder}/${name}`)
    for (const { name } of found?.filter(({ name }) => isOutside(name)) ?? [])
      yield { name: within(name), size: 0, mtime: 0, refused: 'leads out of the drop' }
    const own = found?.filter(({ name }) => !isOutside(name)) ?? []
    for (let at = 0; at < own.length; at += AT_ONCE) {
      const some = own.slice(at, at + AT_ONCE)
      const kinds = await Promise.all(some.map(facts => this.kindOf(within(facts.name), facts)))
      for (const [index, { name, size, modifyTime }] of some.entries()) {
        const [path, kind] = [within(name), kinds[index]]
        if (kind === 'd') {
          if (deep) yield* this.list(path, true)
          else yield PASSED.folder(path)
        } else if (kind === 'l') yield await this.linked(path)
        else if (kind === '-') yield { name: path, size, mtime: modifyTime }
        else if (kind === 'other') yield PASSED.other(path)
      }
    }
  }

  /** What a listing shows under a name: by its line, or by asking for it; undefined where it is gone. */
  private async kindOf(path: string, listed: object): Promise<'-' | 'd' | 'l' | 'other' | undefined> {
    const { longname = '' } = listed as { longname?: string }
    if (LS_LINE.test(longname)) return longname[0] as '-' | 'd' | 'l'
    const kind = await this.session.use(path, client => client.exists(this.at(path)))
    if (kind !== false) return kind as '-' | 'd' | 'l'
    return (await this.isThere(path)) ? 'other' : undefined
  }

  /** Fails where a folder seems empty since its files may not be looked at: servers leave such out of a listing. */
  private async refuseUnseen(folder: string): Promise<void> {
    try {
      await this.session.use(folder, client => client.stat(`${this.at(folder)}/.`))
    } catch (error) {
      // Others may not know such a path.
      if ((error as EngineError).code === 'PERMISSION_DENIED') throw error
    }
  }

  async stat(name: string): Promise<Entry | undefined> {
    return unless('TABLE_MISSING', () =>
      this.session.use(name, async client => {
        const path = this.at(name)
        const facts = await client.stat(path)
        if (!facts.isFile) return undefined
        this.root ??= client.realPath(this.folder)
        const real = await client.realPath(path)
        const entry: Entry = { name, size: facts.size, mtime: facts.modifyTime }
        const inside = `${(await this.root).replace(/\/$/, '')}/`
        if (!real.startsWith(inside)) entry.refused = 'leads out of the drop'
        else if (real !== posix.join(inside, name)) entry.leadsTo = real.slice(inside.length)
        return entry
      }),
    )
  }

  private async linked(name: string): Promise<Entry> {
    const entry = await this.stat(name)
    if (entry) return entry
    return (await this.isThere(name)) ? PASSED.linkedFolder(name) : PASSED.brokenLink(name)
  }

  private async isThere(name: string): Promise<boolean> {
    const stat = () => this.session.use(name, client => client.stat(this.at(name)))
    return (await unless('TABLE_MISSING', stat)) !== undefined
  }

  async read(entry: Entry, from: number, to: number): Promise<Readable> {
    const stream = await this.session.use(entry.name, async client =>
      client.createReadStream(this.at(entry.name), {
        start: from,
        end: to - 1,
        highWaterMark: READ_BYTES,
      } as object),
    )
    return Readable.from(this.told(entry.name, stream), { objectMode: false, highWaterMark: 1024 * 1024 })
  }

  async move(entry: Entry, to: string): Promise<boolean> {
    const path = this.at(to)
    await this.session.use(entry.name, async client => {
      await this.ensureFolder(client, posix.dirname(path))
      await client.rename(this.at(entry.name), path)
    })
    return true
  }

  /** Makes a folder and those above it, once for all that want it at the same time. */
  private ensureFolder(client: Client, folder: string): Promise<void> {
    const known = this.folders.get(folder)
    if (known) return known
    const made = makeFolder(client, folder)
    this.folders.set(folder, made)
    made.catch(() => this.folders.delete(folder))
    return made
  }

  async remove(name: string): Promise<void> {
    await this.session.use(name, client => client.delete(this.at(name), true))
  }

  close(): Promise<void> {
    return this.session.close()
  }

  private at(name: string): string {
    return name === '' ? this.folder : posix.join(this.folder, name)
  }

  private async *told(name: string, stream: Readable): AsyncGenerator<Buffer> {
    let timer: NodeJS.Timeout | undefined
    // One that is abandoned fails once more when its connection ends, and nobody listens any longer.
    stream.on('error', () => {})
    const watch = () => {
      clearTimeout(timer)
      timer = setTimeout(() => stream.destroy(this.session.silent(name)), this.timeout * 1000)
    }
    try {
      watch()
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        watch()
        yield chunk
      }
    } catch (cause) {
      throw this.session.failed(name, cause)
    } finally {
      clearTimeout(timer)
      stream.destroy()
    }
  }
}

const isOutside = (name: string) => leadsOut(name) || name.includes('/')

async function makeFolder(client: Client, folder: string): Promise<void> {
  if ((await client.exists(folder)) === 'd') return
  const above = posix.dirname(folder)
  if (above !== folder) await makeFolder(client, above)
  try {
    await client.mkdir(folder)
  } catch (error) {
    // Another process may have been first.
    if ((await client.exists(folder)) !== 'd') throw error
  }
}
