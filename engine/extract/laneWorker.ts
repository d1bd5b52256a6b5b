import { join } from 'node:path'
import type { MessagePort } from 'node:worker_threads'
import type { Lane, LaneDescriptor, LaneModule, Range, Read } from '../contracts/source.ts'
import type { Part, ZstdFormat } from '../contracts/staging.ts'
import type { ErrorData } from '../errors.ts'
import { errorData } from '../errors.ts'
import { PartSink } from '../staging/partSink.ts'

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
  /** How parts are compressed that a target is to keep as they lie. */
  kept?: ZstdFormat | undefined
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
    const told = {
      rows: (rows: number) => say({ kind: 'rows', rows }),
      note: (text: string) => say({ kind: 'note', text }),
      signal,
    }
    const sink = new PartSink(root, join(request.folder, request.stem), told, request.kept)
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
