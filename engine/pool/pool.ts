import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'
import { EngineError, errorData, errorFrom } from '../errors.ts'
import type { Offload } from '../loads.ts'
import type { Ticket } from '../ports.ts'
import type { CallInput, CallResult } from './callWorker.ts'
import { moduleBeside } from './entry.ts'
import type { ChunkRequest, ChunkResult, LaneInput, LaneMessage } from './laneWorker.ts'

/** The worker threads of a run: lanes that read sources, and calls that encode loads. */
export class Workers {
  private readonly piscina: Piscina

  /** `threads` bounds lanes and calls together: opening a lane beyond it would wait for another to end. */
  constructor(threads: number) {
    this.piscina = new Piscina({
      filename: moduleBeside(import.meta.url, 'callWorker'),
      minThreads: 0,
      maxThreads: threads,
      // The memory a thread's Parquet encoder took is given back only with the thread.
      idleTimeout: 100,
      // Of its own accord the nursery grows with the length of a run, and decoders leave little garbage in it.
      resourceLimits: { maxYoungGenerationSizeMb: 12 },
    })
  }

  /** Calls a function of a module in a worker thread. Errors keep their code. */
  readonly offload: Offload = async (module, name, input, signal) => {
    const call: CallInput = { module, name, input }
    const result = (await this.piscina.run(call, { signal })) as CallResult
    if (!result.ok) throw errorFrom(result.error)
    return result.value as never
  }

  /** Opens a lane on a thread of its own; resolves once it has joined the snapshot. */
  async lane(ticket: Ticket, root: string): Promise<LaneHandle> {
    const { port1, port2 } = new MessageChannel()
    const input: LaneInput = { port: port2, ticket, root }
    const ended = this.piscina.run(input, {
      filename: moduleBeside(import.meta.url, 'laneWorker'),
      transferList: [port2] as never,
    })
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

  async close(): Promise<void> {
    await this.piscina.destroy()
  }
}

/** The main thread's end of a lane. One chunk at a time. */
export class LaneHandle {
  readonly joined: Promise<void>
  private readonly port: MessagePort
  private readonly ended: Promise<unknown>
  private settle: {
    resolve(result?: ChunkResult): void
    reject(error: Error): void
    progress(rows: number): void
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
      if (message.kind === 'rows') this.settle.progress(message.rows)
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
  read(request: ChunkRequest, progress: (rows: number) => void): Promise<ChunkResult> {
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
