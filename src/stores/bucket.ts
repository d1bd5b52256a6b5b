import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { unless } from '../../engine/errors.ts'
import { Copies } from './copies.ts'
import { S3Client } from './s3/client.ts'
import { download } from './s3/download.ts'
import type { S3Access } from './s3/sdk.ts'
import type { FileStore, Listed } from './store.ts'
import { workFolder } from './work.ts'

/** Files as objects of a bucket, or below a prefix of it. Copies and work in progress are in the system's folder for temporary files. */
export class BucketStore implements FileStore {
  readonly where: string
  private readonly client: S3Client
  private readonly temporary: string
  private readonly copies: Copies

  constructor(access: S3Access) {
    this.client = new S3Client(access)
    const { bucket, prefix, endpoint = '' } = access
    this.where = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`
    const location = createHash('sha256').update(`${endpoint} ${this.where}`).digest('hex').slice(0, 16)
    // Each user's own: nobody else's folder could be written to.
    this.temporary = join(tmpdir(), `nightfreight-${process.getuid?.() ?? 'files'}`, location)
    this.copies = new Copies(join(this.temporary, 'copies'))
  }

  probe(): Promise<void> {
    return this.client.probe()
  }

  async get(path: string): Promise<Buffer | undefined> {
    return (await this.client.get(path))?.bytes
  }

  async put(path: string, bytes: string): Promise<void> {
    await this.client.put(path, Buffer.from(bytes))
  }

  async putIfAbsent(path: string, bytes: string): Promise<boolean> {
    return (await this.client.put(path, Buffer.from(bytes), { absent: true })) !== undefined
  }

  async putFile(path: string, file: string): Promise<void> {
    await this.client.putFile(path, file)
    await rm(file)
  }

  async move(from: string, to: string): Promise<void> {
    const object = await this.client.head(from)
    if (!object) return
    const there = await unless('TABLE_MISSING', async () => {
      await this.client.copy(object, to)
      return true
    })
    if (there) await this.client.remove(from)
  }

  local(path: string): Promise<string | undefined> {
    return this.copies.get(path, async name => {
      const file = await name()
      return (await download(this.client, path, file)) ? file : undefined
    })
  }

  clear(): Promise<void> {
    return this.copies.clear()
  }

  delete(path: string): Promise<void> {
    return this.client.remove(path)
  }

  async list(folder: string): Promise<Listed[]> {
    const listed: Listed[] = []
    for await (const { key, size, mtime } of this.client.list(folder === '.' ? '' : `${folder}/`))
      listed.push({ path: key, size, modified: new Date(mtime) })
    return listed
  }

  async sweep(folder: string, before: Date): Promise<void> {
    await this.client.abortUploads(folder === '.' ? '' : `${folder}/`, before)
  }

  work(owner: string): Promise<string> {
    return workFolder(join(this.temporary, 'work'), owner)
  }
}
