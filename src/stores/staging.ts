import { statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Manifest, Part, StagedFile, Staging } from '../../engine/contracts/staging.ts'
import { EngineError } from '../../engine/errors.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import { atomicWrite, isIntact } from '../../engine/staging/store.ts'
import { inParallel } from '../util/parallel.ts'
import { endingOf, type Packing, packed, plainName, unpackTo } from './packing.ts'
import type { S3Client, S3Object } from './s3/client.ts'
import { body } from './s3/download.ts'
import type { S3Access } from './s3/sdk.ts'

/** Files on their way at a time. */
const AT_ONCE = 8
/** How often somebody else may be first to write a manifest. */
const TRIES = 10

/**
 * Staging in a bucket: the folder of this machine holds what it has written or needed, the bucket every committed file.
 * A run can so be continued on a machine that has nothing of it. Data files are packed on the way, if so configured;
 * manifests are plain JSON and name their writer.
 */
export class BucketStaging implements Staging {
  private readonly client: S3Client
  private readonly root: string
  private readonly local: LocalStaging
  private readonly packing: Packing
  private readonly writer: Writer
  /** Files that the bucket has, with what they were when they were sent. */
  private readonly kept = new Map<string, string | undefined>()
  /** Objects by the file that they hold, per folder that was listed. */
  private readonly listed = new Map<string, Promise<Map<string, S3Object>>>()

  constructor({ client, root, packing, writer }: BucketStagingOptions) {
    this.client = client
    this.root = root
    this.local = new LocalStaging(root)
    this.packing = packing
    this.writer = { ...writer, bucket: placeOf(client.access) }
  }

  async keep(files: string[]): Promise<void> {
    const going = files.filter(file => !this.kept.has(file) || this.isRewritten(file))
    await inParallel([...new Set(going)], AT_ONCE, async file => {
      const state = this.stateOf(file)
      await this.client.upload(
        `${file}${endingOf(this.packing)}`,
        packed(join(this.root, file), this.packing),
      )
      this.kept.set(file, state)
    })
  }

  async bring(files: StagedFile[]): Promise<boolean> {
    const found = await inParallel(files, AT_ONCE, async staged => {
      if (!(await isIntact(this.root, staged)) && !(await this.fetch(staged))) return false
      const { file } = staged
      // What this machine alone has, from before the staging was in a bucket, is still to be sent.
      if (!this.kept.has(file) && (await this.objects(runOf(file))).has(file)) this.kept.set(file, undefined)
      return true
    })
    return found.every(Boolean)
  }

  /** The bucket's manifest counts: another machine may have taken the run over since ours was written, and taken it back. */
  async read(file: string): Promise<string | undefined> {
    const found = await this.client.get(file)
    if (!found) return this.readUnshared(file)
    const text = found.bytes.toString()
    for (const part of partsIn(text)) this.kept.set(part.file, undefined)
    return text
  }

  /** A machine's own manifest, where it was never in the bucket: one that was and is there no more was taken back. */
  async readUnshared(file: string, root = this.root): Promise<string | undefined> {
    const text = await new LocalStaging(root).read(file)
    return text !== undefined && writerIn(text)?.bucket === this.writer.bucket ? undefined : text
  }

  async publish(manifests: Manifest[]): Promise<void> {
    const { writer } = this
    const own = manifests.map(({ file, content }) => ({ file, content: { ...content, writer } }))
    for (const manifest of own) await this.publishOne(manifest)
    await this.local.publish(own)
  }

  private async publishOne({ file, content }: Manifest): Promise<void> {
    const { writer } = this
    const bytes = Buffer.from(JSON.stringify(content, null, 2))
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const there = await this.client.get(file)
      const other = there && writerIn(there.bytes.toString())
      if (other?.run === writer.run && other.fence > writer.fence)
        throw new EngineError('FENCED', `${file}: another process has taken the run over`, {
          hint: 'That process goes on with it.',
        })
      if ((await this.client.put(file, bytes, there ?? { absent: true })) !== undefined) return
    }
    throw new EngineError('RUN_CONFLICT', `${file}: was changed by others, ${TRIES} times`)
  }

  async withdraw(file: string): Promise<void> {
    await this.client.remove(file)
    await this.local.withdraw(file)
  }

  /** Bytes of each file below a folder, by its name on this machine. */
  async list(folder: string): Promise<Map<string, number>> {
    const objects = await this.objects(folder)
    return new Map([...objects].map(([file, { size }]) => [file, size]))
  }

  /** Removes files from the bucket. */
  async remove(files: string[]): Promise<void> {
    const objects = new Map<string, S3Object>()
    for (const folder of new Set(files.map(runOf)))
      for (const entry of await this.objects(folder)) objects.set(...entry)
    await inParallel(files, AT_ONCE, async file => {
      const object = objects.get(file)
      if (object) await this.client.remove(object.key)
    })
  }

  /** Gives up what killed attempts were sending to a folder. */
  async sweep(folder: string, before: Date): Promise<void> {
    await this.client.abortUploads(`${folder}/`, before)
  }

  close(): void {
    this.client.close()
  }

  private async fetch(staged: StagedFile): Promise<boolean> {
    const { file } = staged
    const folder = runOf(file)
    let object = (await this.objects(folder)).get(file)
    if (!object) {
      // Another process of the run may have put it there since the folder was listed.
      this.listed.delete(folder)
      object = (await this.objects(folder)).get(file)
    }
    if (!object) return false
    const path = join(this.root, file)
    await atomicWrite(path, temporary => unpackTo(object.key, body(this.client, object), temporary))
    if (await isIntact(this.root, staged)) return true
    await rm(path)
    return false
  }

  // Which ending an object has depends on the configuration of the day: a listing tells.
  private objects(folder: string): Promise<Map<string, S3Object>> {
    let objects = this.listed.get(folder)
    if (!objects) {
      objects = this.listing(folder)
      this.listed.set(folder, objects)
      objects.catch(() => this.listed.delete(folder))
    }
    return objects
  }

  private async listing(folder: string): Promise<Map<string, S3Object>> {
    const objects = new Map<string, S3Object>()
    for await (const object of this.client.list(`${folder}/`)) objects.set(plainName(object.key), object)
    return objects
  }

  /** By a further attempt of the task that has sent it. */
  private isRewritten(file: string): boolean {
    const sent = this.kept.get(file)
    return sent !== undefined && sent !== this.stateOf(file)
  }

  private stateOf(file: string): string {
    const { size, mtimeMs } = statSync(join(this.root, file))
    return `${size} ${mtimeMs}`
  }
}

/** Who writes, and where to: the fence tells who of a run's processes has taken it over. */
interface Writer {
  run: string
  fence: number
  /** Absent in what an earlier version wrote. */
  bucket?: string
}

interface BucketStagingOptions {
  client: S3Client
  /** Staging root on this machine. */
  root: string
  packing: Packing
  writer: Writer
}

/** What tells a bucket's prefix from any other, also from one of that name on another server; no secret is in it. */
function placeOf({ endpoint, bucket, prefix }: S3Access): string {
  if (endpoint === undefined) return `${bucket}/${prefix}`
  const { origin, pathname } = new URL(endpoint)
  return `${origin}${pathname.replace(/\/+$/, '')}/${bucket}/${prefix}`
}

/** `JOB/RUN` of a staged file. */
const runOf = (file: string) => file.split('/', 2).join('/')

// A manifest that is damaged names none: whoever reads it finds out by its checksum.
function manifestIn(text: string): { parts?: Part[]; writer?: Writer } {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

const partsIn = (text: string) => manifestIn(text).parts ?? []
const writerIn = (text: string) => manifestIn(text).writer
