import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Batch } from '../batch/batch.ts'
import type { Sink } from '../contracts/source.ts'
import type { Part, ZstdFormat } from '../contracts/staging.ts'
import { encodeParquet } from '../parquet/encode.ts'
import { checksumOf } from './checksum.ts'
import { atomicWrite, atomicWriteBytes, partOf } from './store.ts'

/** Who hears of what is written. */
interface Told {
  rows(rows: number): void
  note(text: string): void
  /** What has been cancelled and does not know it yet writes no more. */
  signal?: AbortSignal
}

/** Writes what is read as Parquet parts below the staging root, named `folder/stem-0.parquet` and so on. */
export class PartSink implements Sink {
  readonly parts: Part[] = []
  private readonly root: string
  private readonly stem: string
  private readonly told: Told
  private readonly kept: ZstdFormat | undefined

  /** `kept`: how batches are compressed that a target is to keep as they lie. */
  constructor(root: string, stem: string, told: Told = { rows() {}, note() {} }, kept?: ZstdFormat) {
    this.root = root
    this.stem = stem
    this.told = told
    this.kept = kept
  }

  write(batch: Batch): void {
    this.told.signal?.throwIfAborted()
    if (batch.rows === 0) return
    const file = this.next()
    const bytes = encodeParquet(batch, this.kept?.level)
    atomicWriteBytes(join(this.root, file), bytes)
    this.parts.push({ file, rows: batch.rows, bytes: bytes.length, checksum: checksumOf(bytes) })
    this.told.rows(batch.rows)
  }

  async file(fill: (path: string) => Promise<void>, exact = false): Promise<void> {
    const file = this.next()
    await atomicWrite(join(this.root, file), fill)
    const part = await partOf(this.root, file)
    this.parts.push(exact ? { ...part, exact } : part)
    this.told.rows(part.rows)
  }

  note(text: string): void {
    this.told.note(text)
  }

  /** Removes what a failed read wrote: no manifest will list it. */
  discard(): void {
    for (const part of this.parts) rmSync(join(this.root, part.file), { force: true })
  }

  private next(): string {
    return `${this.stem}-${this.parts.length}.parquet`
  }
}
