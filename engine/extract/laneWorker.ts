import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { MessagePort } from 'node:worker_threads'
import type { Lane, LaneDescriptor, LaneModule, Range, Read, Sink } from '../contracts/source.ts'
import type { Part } from '../contracts/staging.ts'
import type { ErrorData } from '../errors.ts'
import { errorData } from '../errors.ts'
import { encodeParquet } from '../parquet/encode.ts'
import { rowsOf } from '../parquet/read.ts'
import { atomicWrite, atomicWriteBytes } from '../staging/store.ts'

/**
 * What a lane is asked: read a chunk of about `limit` rows from the start of `range` into `folder` (below the staging
 * root); parts are named after `stem`.
 */
export interface ChunkRequest {
  read: Read
  range: Range
  limit: number
  folder: string
  stem: string
}

/** What came of a chunk: its parts, all on disk, and what is left of its range. */
export interface ChunkResult {
  parts: Part[]
  rest: Range | undefined
}

/** Ends whatever the lane is at. It is only closed after that. */
export const CANCEL = 'cancel'

/** What a lane answers. */
export type LaneMessage =
  | { kind: 'joined' }
  | { kind: 'rows'; rows: number }
  | { kind: 'note'; text: string }
  | ({ kind: 'read' } & ChunkResult)
  | { kind: 'failed'; error: ErrorData }

export interface LaneInput {
  port: MessagePort
  descriptor: LaneDescriptor
  root: string
}

/** Body of a lane: joins the snapshot, then reads one chunk after another until the port is closed. */
export default async function laneWorker({ port, descriptor, root }: LaneInput): Promise<void> {
  const say = (message: LaneMessage) => port.postMessage(message)
  const closed = new Promise<void>(resolve => port.once('close', resolve))
  const cancel = new AbortController()
  const { signal } = cancel
  let lane: Lane | undefined
  port.on('message', (request: ChunkRequest | typeof CANCEL) => {
    if (request === CANCEL) return cancel.abort()
    const sink = new PartSink(root, request, say, signal)
    lane!.read(request.read, request.range, request.limit, sink, signal).then(
      rest => say({ kind: 'read', parts: sink.parts, rest }),
      error => {
        sink.discard()
        say({ kind: 'failed', error: errorData(error) })
      },
    )
  })
  try {
    const module = (await import(descriptor.module)) as LaneModule
    lane = await module.openLane(descriptor.payload, signal)
  } catch (error) {
    say({ kind: 'failed', error: errorData(error) })
    await closed
    return
  }
  say({ kind: 'joined' })
  await closed
  await lane.close()
}

class PartSink implements Sink {
  readonly parts: Part[] = []
  private readonly root: string
  private readonly request: ChunkRequest
  private readonly say: (message: LaneMessage) => void
  private readonly signal: AbortSignal

  constructor(root: string, request: ChunkRequest, say: (message: LaneMessage) => void, signal: AbortSignal) {
    this.root = root
    this.request = request
    this.say = say
    this.signal = signal
  }

  write(batch: Parameters<Sink['write']>[0]): void {
    // What has been cancelled and does not know it yet writes no more.
    this.signal.throwIfAborted()
    if (batch.rows === 0) return
    const file = this.next()
    const bytes = encodeParquet(batch)
    atomicWriteBytes(join(this.root, file), bytes)
    this.parts.push({ file, rows: batch.rows, bytes: bytes.length })
    this.say({ kind: 'rows', rows: batch.rows })
  }

  async file(fill: (path: string) => Promise<void>): Promise<void> {
    const file = this.next()
    const path = join(this.root, file)
    await atomicWrite(path, fill)
    const rows = await rowsOf(path)
    this.parts.push({ file, rows, bytes: statSync(path).size })
    this.say({ kind: 'rows', rows })
  }

  note(text: string): void {
    this.say({ kind: 'note', text })
  }

  /** Removes what a failed read wrote: no manifest will list it. */
  discard(): void {
    for (const part of this.parts) rmSync(join(this.root, part.file), { force: true })
  }

  private next(): string {
    return join(this.request.folder, `${this.request.stem}-${this.parts.length}.parquet`)
  }
}
