import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { LaneDescriptor } from '../contracts/source.ts'
import { EngineError, errorData, errorFrom } from '../errors.ts'
import { moduleBeside } from '../pool/entry.ts'
import type { Workers } from '../pool/pool.ts'
import {
  CANCEL,
  type ChunkRequest,
  type ChunkResult,
  type LaneInput,
  type LaneMessage,
} from './laneWorker.ts'

/** Milliseconds that a lane has to end what it is at, or itself, before its thread is ended. */
const GRACE_MS = 5000

/** Opens a lane on a thread of its own; resolves once it has joined the snapshot. */
export async function openLane(
  workers: Workers,
  descriptor: LaneDescriptor,
  root: string,
  signal: AbortSignal,
): Promise<LaneHandle> {
  const { port1, port2 } = new MessageChannel()
  const input: LaneInput = { port: port2, descriptor, root }
  const thread = new AbortController()
  const ended = workers.occupy(moduleBeside(import.meta.url, 'laneWorker'), input, [port2], thread.signal)
  const lane = new LaneHandle(port1, ended, () => thread.abort())
  try {
    await lane.cancelledBy(signal, () => lane.joined)
    return lane
  } catch (error) {
    // Its thread waits for this, and another lane may need the thread.
    await lane.close()
    throw error
  }
}

/** What `act` gives; an abort cancels what a thread is at, and ends it by `kill` where that takes too long. */
export async function cancelledBy<T>(
  signal: AbortSignal,
  port: MessagePort,
  kill: () => void,
  act: () => Promise<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const cancel = () => {
    port.postMessage(CANCEL)
    timer = setTimeout(kill, GRACE_MS)
  }
  if (signal.aborted) cancel()
  else signal.addEventListener('abort', cancel, { once: true })
  try {
    return await act()
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', cancel)
  }
}

/** Why a thread is no more; what an error of ours says stands. */
export const threadEnded = (cause: unknown): EngineError =>
  cause instanceof EngineError
    ? cause
    : new EngineError('RESOURCE_EXHAUSTED', `a worker thread ended: ${errorData(cause).message}`, { cause })

/** What a lane tells while it reads a chunk. */
export type LaneProgress = Extract<LaneMessage, { kind: 'rows' | 'note' }>

/** The main thread's end of a lane. One chunk at a time. */
export class LaneHandle {
  readonly joined: Promise<void>
  private readonly port: MessagePort
  private readonly ended: Promise<unknown>
  private readonly kill: () => void
  private settle: {
    resolve(result?: ChunkResult): void
    reject(error: Error): void
    progress(message: LaneProgress): void
  }
  /** Why the thread is no more. */
  private death: Error | undefined

  /** `kill` ends its thread, whatever that is at. */
  constructor(port: MessagePort, ended: Promise<unknown>, kill: () => void) {
    this.port = port
    this.ended = ended
    this.kill = kill
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
      this.death = threadEnded(error)
      this.settle.reject(this.death)
    })
  }

  /** Reads one chunk. */
  read(
    request: ChunkRequest,
    progress: (message: LaneProgress) => void,
    signal: AbortSignal,
  ): Promise<ChunkResult> {
    return this.cancelledBy(signal, () => this.ask(request, progress))
  }

  private ask(request: ChunkRequest, progress: (message: LaneProgress) => void): Promise<ChunkResult> {
    if (this.death) return Promise.reject(this.death)
    const { promise, resolve, reject } = Promise.withResolvers<ChunkResult>()
    this.settle = { resolve: result => resolve(result!), reject, progress }
    this.port.postMessage(request)
    return promise
  }

  /** What `act` gives; an abort cancels what the lane is at. */
  cancelledBy<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    return cancelledBy(signal, this.port, this.kill, act)
  }

  async close(): Promise<void> {
    this.port.close()
    const timer = setTimeout(this.kill, GRACE_MS)
    await this.ended.catch(() => {})
    clearTimeout(timer)
  }
}
