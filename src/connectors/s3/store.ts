import type { Readable } from 'node:stream'
import { EngineError } from '../../../engine/errors.ts'
import { type DropStore, type Entry, leadsOut, PASSED } from '../../drops/store.ts'
import { S3Client, type S3Object } from '../../stores/s3/client.ts'
import type { S3Access } from '../../stores/s3/sdk.ts'

/** Objects below a prefix as the files of a drop. */
export class S3Store implements DropStore {
  readonly name: string
  readonly parallel = 6
  private readonly client: S3Client

  constructor(access: S3Access) {
    this.name = access.name
    this.client = new S3Client(access)
  }

  probe(signal?: AbortSignal): Promise<void> {
    return this.client.probe(signal)
  }

  async *list(folder: string, deep: boolean): AsyncIterable<Entry> {
    for await (const object of this.client.list(folder === '' ? '' : `${folder}/`, deep)) {
      const { key } = object
      // What ends with a slash is what consoles make to show a folder, or the beginning of deeper keys.
      if (key !== '' && !key.endsWith('/')) yield entryOf(object)
      else if (!deep && key !== '') yield PASSED.folder(key.slice(0, -1))
    }
  }

  async stat(name: string): Promise<Entry | undefined> {
    const object = await this.client.head(name)
    return object && entryOf(object)
  }

  async read(entry: Entry, from: number, to: number): Promise<Readable> {
    try {
      return await this.client.read(entry.name, { from, to }, entry.etag)
    } catch (cause) {
      if (!(cause instanceof EngineError) || cause.code !== 'RUN_CONFLICT') throw cause
      // Not to be tried again here: the listing itself is out of date.
      throw new EngineError('RUN_CONFLICT', `${this.name}: ${entry.name} changed while it was read`, {
        cause,
        hint: 'Run again. Set settle: or marker: so that files still being written are left alone.',
      })
    }
  }

  /** S3 has no rename: copied, then removed, unless it was overwritten meanwhile. */
  async move(entry: Entry, to: string): Promise<boolean> {
    const { name, size, etag = '', mtime } = entry
    try {
      await this.client.copy({ key: name, size, etag, mtime }, to)
    } catch (cause) {
      const isConflict = cause instanceof EngineError && cause.code === 'RUN_CONFLICT'
      if (isConflict && (await this.isOverwritten(entry))) return false
      throw cause
    }
    if (await this.isOverwritten(entry)) return false
    await this.client.remove(name)
    return true
  }

  private async isOverwritten({ name, etag = '' }: Entry): Promise<boolean> {
    const now = await this.client.head(name)
    return now !== undefined && now.etag !== etag
  }

  remove(name: string): Promise<void> {
    return this.client.remove(name)
  }

  async close(): Promise<void> {
    this.client.close()
  }
}

function entryOf({ key, size, mtime, etag }: S3Object): Entry {
  return { name: key, size, mtime, etag, ...(leadsOut(key) && { refused: 'leads out of the drop' }) }
}
