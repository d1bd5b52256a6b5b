import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type * as Aws from '@aws-sdk/client-s3'
import { EngineError, unless } from '../../../engine/errors.ts'
import { s3Error } from './failure.ts'
import { aws, openSdk, regionOf, type S3Access } from './sdk.ts'

/** An object as a listing or a head shows it. */
export interface S3Object {
  key: string
  size: number
  etag: string
  /** Milliseconds since 1970. */
  mtime: number
}

/** When a put counts: `absent`, only where no object has the key; an etag, only where that is still the content. */
export type Condition = { absent: true } | { etag: string }

/** Bytes of a part of an upload: S3 takes at most 10,000 parts, and none below 5 MiB but the last. */
const PART = 16 * 1024 * 1024
/** S3 copies an object of up to 5 GiB at once, and larger ones by parts. */
const COPIED_AT_ONCE = 5 * 1024 ** 3

/**
 * One bucket, or a prefix of it. Keys are relative to the prefix. Failures are EngineErrors that name connection and
 * key; SlowDown and broken connections are tried again before they are one.
 */
export class S3Client {
  readonly access: S3Access
  private sdk: Aws.S3Client

  private region: string | undefined
  /** Clients of another region, which may have requests under way. */
  private readonly left: Aws.S3Client[] = []

  constructor(access: S3Access) {
    this.access = access
    this.region = access.region
    this.sdk = openSdk(this.access, this.region)
  }

  /** Checks that what is below the prefix can be listed: the one permission that every use needs. */
  async probe(signal?: AbortSignal): Promise<void> {
    const asked = { Bucket: this.access.bucket, Prefix: this.key(''), MaxKeys: 1, ...this.payer }
    await this.guard('', () =>
      this.sdk.send(new (aws().ListObjectsV2Command)(asked), { abortSignal: signal }),
    )
  }

  /** Objects below a prefix, in the order of their keys; without `deep` only those with no further slash, and what deeper ones begin with, slash and all. */
  async *list(prefix: string, deep = true): AsyncGenerator<S3Object> {
    const base = this.key('')
    let token: string | undefined
    do {
      const page = await this.guard(prefix, () =>
        this.sdk.send(
          new (aws().ListObjectsV2Command)({
            Bucket: this.access.bucket,
            Prefix: this.key(prefix),
            ContinuationToken: token,
            ...(deep ? {} : { Delimiter: '/' }),
            ...this.payer,
          }),
        ),
      )
      for (const { Key, Size, ETag, LastModified } of page.Contents ?? [])
        yield {
          key: Key!.slice(base.length),
          size: Size ?? 0,
          etag: ETag ?? '',
          mtime: LastModified?.getTime() ?? 0,
        }
      for (const { Prefix } of page.CommonPrefixes ?? [])
        yield { key: Prefix!.slice(base.length), size: 0, etag: '', mtime: 0 }
      token = page.IsTruncated ? page.NextContinuationToken : undefined
    } while (token !== undefined)
  }

  /** Undefined where there is no such object. */
  async head(key: string): Promise<S3Object | undefined> {
    return unless('TABLE_MISSING', async () => {
      const { ContentLength, ETag, LastModified } = await this.guard(key, () =>
        this.sdk.send(new (aws().HeadObjectCommand)({ ...this.object(key), ...this.payer })),
      )
      return { key, size: ContentLength ?? 0, etag: ETag ?? '', mtime: LastModified?.getTime() ?? 0 }
    })
  }

  /** Bytes [from, to) of an object, or all of them; with `etag`, only while that is its content. */
  async read(key: string, range?: { from: number; to: number }, etag?: string): Promise<Readable> {
    const { Body } = await this.guard(key, () =>
      this.sdk.send(
        new (aws().GetObjectCommand)({
          ...this.object(key),
          ...(range && { Range: `bytes=${range.from}-${range.to - 1}` }),
          ...(etag !== undefined && { IfMatch: etag }),
          ...this.payer,
        }),
      ),
    )
    return this.told(key, Body as Readable)
  }

  /** A small object whole; undefined where there is none. */
  async get(key: string): Promise<{ bytes: Buffer; etag: string } | undefined> {
    return unless('TABLE_MISSING', async () => {
      const { Body, ETag } = await this.guard(key, () =>
        this.sdk.send(new (aws().GetObjectCommand)({ ...this.object(key), ...this.payer })),
      )
      const bytes = await this.guard(key, () => Body!.transformToByteArray())
      return { bytes: Buffer.from(bytes), etag: ETag ?? '' }
    })
  }

  /** Writes an object at once; its etag, or undefined where the condition did not hold. */
  async put(key: string, bytes: Uint8Array, condition?: Condition): Promise<string | undefined> {
    try {
      const { ETag } = await this.guard(key, () =>
        this.sdk.send(
          new (aws().PutObjectCommand)({
            ...this.object(key),
            Body: bytes,
            ...this.encryption,
            ...conditionOf(condition),
            ...this.payer,
          }),
        ),
      )
      return ETag ?? ''
    } catch (error) {
      if (error instanceof EngineError && error.code === 'RUN_CONFLICT' && condition) return undefined
      throw error
    }
  }

  /** Writes an object of any size, part by part where it is large; nothing of it stays where it fails. Gives its size. */
  async upload(key: string, bytes: AsyncIterable<Uint8Array>): Promise<number> {
    const pieces = inPieces(bytes)
    const first = (await pieces.next()).value ?? Buffer.alloc(0)
    if (first.length < PART) {
      await this.put(key, first)
      return first.length
    }
    const start = new (aws().CreateMultipartUploadCommand)({
      ...this.object(key),
      ...this.encryption,
      ...this.payer,
    })
    let size = 0
    await this.multipart(key, start, async send => {
      for (let Body: Buffer | undefined = first; Body; Body = (await pieces.next()).value ?? undefined) {
        const piece = Body
        await send((UploadId, PartNumber) =>
          this.sdk.send(
            new (aws().UploadPartCommand)({
              ...this.object(key),
              UploadId,
              PartNumber,
              Body: piece,
              ...this.payer,
            }),
          ),
        )
        size += piece.length
      }
    })
    return size
  }

  /** Writes an object of any size from a file, at once where it is small. Gives its size. */
  async putFile(key: string, path: string): Promise<number> {
    const { size } = await stat(path)
    if (size > PART) return this.upload(key, createReadStream(path, { highWaterMark: 1024 * 1024 }))
    await this.put(key, await readFile(path))
    return size
  }

  /** Copies an object below the same prefix, within the server. */
  async copy(from: S3Object, to: string): Promise<void> {
    const CopySource = encodeURIComponent(`${this.access.bucket}/${this.key(from.key)}`)
    const source = { CopySource, CopySourceIfMatch: from.etag }
    if (from.size <= COPIED_AT_ONCE) {
      await this.guard(from.key, () =>
        this.sdk.send(
          new (aws().CopyObjectCommand)({ ...this.object(to), ...source, ...this.encryption, ...this.payer }),
        ),
      )
      return
    }
    const start = new (aws().CreateMultipartUploadCommand)({
      ...this.object(to),
      ...this.encryption,
      ...this.payer,
    })
    await this.multipart(to, start, async send => {
      const step = Math.max(64 * PART, Math.ceil(from.size / 9000))
      for (let at = 0; at < from.size; at += step) {
        const CopySourceRange = `bytes=${at}-${Math.min(from.size, at + step) - 1}`
        await send(async (UploadId, PartNumber) => {
          const part = { ...this.object(to), ...source, UploadId, PartNumber, CopySourceRange, ...this.payer }
          return (await this.sdk.send(new (aws().UploadPartCopyCommand)(part))).CopyPartResult ?? {}
        })
      }
    })
  }

  /** Removes an object; one that is not there is no failure. */
  async remove(key: string): Promise<void> {
    await this.guard(key, () =>
      this.sdk.send(new (aws().DeleteObjectCommand)({ ...this.object(key), ...this.payer })),
    )
  }

  /**
   * Gives up uploads below a prefix that began before a time: whoever was killed in the middle of one could not, and
   * its parts are stored, and paid for, unseen.
   */
  async abortUploads(prefix: string, before: Date): Promise<number> {
    const base = this.key('')
    let aborted = 0
    let from: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {}
    while (from) {
      const page: Aws.ListMultipartUploadsCommandOutput = await this.guard(prefix, () =>
        this.sdk.send(
          new (aws().ListMultipartUploadsCommand)({
            Bucket: this.access.bucket,
            Prefix: this.key(prefix),
            ...from,
            ...this.payer,
          }),
        ),
      )
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        if (Initiated && Initiated > before) continue
        const upload = { Bucket: this.access.bucket, Key, UploadId, ...this.payer }
        await unless('TABLE_MISSING', () =>
          this.guard(Key!.slice(base.length), () =>
            this.sdk.send(new (aws().AbortMultipartUploadCommand)(upload)),
          ),
        )
        aborted++
      }
      const { IsTruncated, NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page
      from = IsTruncated ? { KeyMarker, UploadIdMarker } : undefined
    }
    return aborted
  }

  close(): void {
    for (const sdk of [this.sdk, ...this.left]) sdk.destroy()
  }

  private async multipart(
    key: string,
    start: Aws.CreateMultipartUploadCommand,
    fill: (
      send: (part: (id: string, number: number) => Promise<{ ETag?: string }>) => Promise<void>,
    ) => Promise<void>,
  ): Promise<void> {
    const { UploadId } = await this.guard(key, () => this.sdk.send(start))
    const Parts: { ETag?: string; PartNumber: number }[] = []
    try {
      await fill(async part => {
        const PartNumber = Parts.length + 1
        const { ETag } = await this.guard(key, () => part(UploadId!, PartNumber))
        Parts.push({ ETag, PartNumber })
      })
      const done = { ...this.object(key), UploadId, MultipartUpload: { Parts }, ...this.payer }
      await this.guard(key, () => this.sdk.send(new (aws().CompleteMultipartUploadCommand)(done)))
    } catch (error) {
      // Parts of an upload that is neither completed nor aborted are stored, and paid for, unseen.
      await this.sdk
        .send(new (aws().AbortMultipartUploadCommand)({ ...this.object(key), UploadId, ...this.payer }))
        .catch(() => {})
      throw error
    }
  }

  private key(key: string): string {
    return this.access.prefix === '' ? key : `${this.access.prefix}/${key}`
  }

  private object(key: string) {
    return { Bucket: this.access.bucket, Key: this.key(key) }
  }

  private get payer() {
    return this.access.requesterPays ? ({ RequestPayer: 'requester' } as const) : {}
  }

  private get encryption() {
    const { sse, kmsKey } = this.access
    return sse ? { ServerSideEncryption: sse, ...(kmsKey !== undefined && { SSEKMSKeyId: kmsKey }) } : {}
  }

  private async guard<T>(key: string, act: () => Promise<T>): Promise<T> {
    const asked = this.sdk
    try {
      return await act()
    } catch (cause) {
      const region = regionOf(cause) ?? (await this.firstRegion())
      // Whoever asked meanwhile has found it.
      if (this.sdk !== asked) return this.guard(key, act)
      if (region === undefined || region === this.region) throw s3Error(this.access, this.key(key), cause)
      this.region = region
      this.left.push(asked)
      this.sdk = openSdk(this.access, region)
      return this.guard(key, act)
    }
  }

  /** Where neither the settings nor the SDK's own chain name a region: one whose servers name the bucket's own. */
  private async firstRegion(): Promise<string | undefined> {
    if (this.region !== undefined) return undefined
    const known = await this.sdk.config.region().catch(() => undefined)
    return known ? undefined : 'us-east-1'
  }

  // A body that breaks does so outside any request: its reader must be told in our words, too.
  private told(key: string, body: Readable): Readable {
    const { access } = this
    const whole = this.key(key)
    async function* chunks() {
      try {
        yield* body as AsyncIterable<Buffer>
      } catch (cause) {
        throw s3Error(access, whole, cause)
      } finally {
        body.destroy()
      }
    }
    return Readable.from(chunks(), { objectMode: false, highWaterMark: 1024 * 1024 })
  }
}

/** Bytes in pieces of at least {@link PART} bytes, and the rest. */
async function* inPieces(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, undefined> {
  let held: Uint8Array[] = []
  let length = 0
  for await (const chunk of bytes) {
    held.push(chunk)
    length += chunk.length
    if (length < PART) continue
    yield Buffer.concat(held)
    held = []
    length = 0
  }
  if (length > 0) yield Buffer.concat(held)
}

function conditionOf(condition: Condition | undefined) {
  if (!condition) return {}
  return 'absent' in condition ? { IfNoneMatch: '*' } : { IfMatch: condition.etag }
}
