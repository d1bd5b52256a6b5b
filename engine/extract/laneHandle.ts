import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { LaneDescriptor } from '../contracts/source.ts'
import { EngineError, errorData, errorFrom } from '../errors.ts'
import { moduleBeside } from '../pool/entry.ts'
import type { Workers } from '../pool/pool.ts'
import type { ChunkRequest, ChunkResult, LaneInput, LaneMessage } from './laneWorker.ts'

/** Opens a lane on a thread of its own; resolves once it has joined the snapshot. */
export async function openLane(
  workers: Workers,
  descriptor: LaneDescriptor,
  root: string,
): Promise<LaneHandle> {
  const { port1, port2 } = new MessageChannel()
  const input: LaneInput = { port: port2, descriptor, root }
  const ended = workers.occupy(moduleBeside(import.meta.url, 'laneWorker'), input, [port2])
  const lane = new LaneHandle(port1, ended)
  try {
    await lane.joined
    return lane
  } catch (error) {
    // Its thread waits for this, and another lane may need the thread.
    await lane.close()
    throw error
  }
}

/** What a lane tells while it reads a chunk. */
export type LaneProgress = Extract<LaneMessage, { kind: 'rows' | 'note' }>

/** The main thread's end of a lane. One chunk at a time. */
export class LaneHandle {
  readonly joined: Promise<void>
  private readonly port: MessagePort
  private readonly ended: Promise<unknown>
  private settle: {
    resolve(result?: ChunkResult): void
    reject(error: Error): void
    progress(message: LaneProgress): void
  }
  /** Why the thread is no more. */
  private death: Error | undefined

  constructor(port: MessagePort, ended: Promise<unknown>) {
    this.port = port
    this.ended = ended
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.joined = promise
    this.settle = { resolve: () => resolve(), reject, progress: () => {} }
    port.on('message', (message: LaneMessage) => {
      if (message.kind === 'rows' || message.kind === 'note') this.settle.progress(message)
      else if (message.kind === 'failed') this.settle.reject(errorFrom(message.error))
      else if (message.kind === 'joined') this.settle.resolve()
      else this.settle.resolve({ parts: message.parts, rest: message.rest })
    })
    ended.catch(error => {
      this.death = new EngineError(
        'RESOURCE_EXHAUSTED',
        `a worker thread ended: ${errorData(error).message}`,
        {
          cause: error,
        },
      )
      this.settle.reject(this.death)
    })
  }

  /** Reads one chunk. */
  read(request: ChunkRequest, progress: (message: LaneProgress) => void): Promise<ChunkResult> {
    if (this.death) return Promise.reject(this.death)
    const { promise, resolve, reject } = Promise.withResolvers<ChunkResult>()
    this.settle = { resolve: result => resolve(result!), reject, progress }
    this.port.postMessage(request)
    return promise
  }

  async close(): Promise<void> {
    this.port.close()
    await this.ended.catch(() => {})
  }
}
