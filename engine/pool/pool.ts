import type { MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'
import type { Offload } from '../contracts/load.ts'
import { EngineError, errorFrom } from '../errors.ts'
import type { CallInput, CallResult } from './callWorker.ts'
import { moduleBeside } from './entry.ts'

/** The worker threads of a run: lanes that read sources, and calls that encode loads. */
export class Workers {
  private readonly threads: number
  private pool: ThreadPool

  /** `threads` bounds lanes and calls together: opening a lane beyond it would wait for another to end. */
  constructor(threads: number) {
    this.threads = threads
    this.pool = new ThreadPool(threads)
  }

  /** Calls a function of a module in a worker thread. Errors keep their code. */
  readonly offload: Offload = async (module, name, input, signal) => {
    const call: CallInput = { module, name, input }
    const result = (await this.current().run(call, { signal })) as CallResult
    if (!result.ok) throw errorFrom(result.error)
    return result.value as never
  }

  /** Runs a module's default export in a thread of its own, for as long as it takes; an abort ends the thread. `ports` move to it. */
  occupy(filename: string, input: unknown, ports: MessagePort[], signal: AbortSignal): Promise<unknown> {
    return this.current().run(input, { filename, transferList: ports as never, signal })
  }

  async close(): Promise<void> {
    await this.pool.close()
  }

  /** Threads that could not start are replaced by others for what is asked next. */
  private current(): ThreadPool {
    if (this.pool.isBroken) this.pool = new ThreadPool(this.threads)
    return this.pool
  }
}

type RunOptions = Parameters<Piscina['run']>[1] & { signal: AbortSignal }

/** Threads that take one thing at a time. Where one cannot start, all that was asked of them fails: the pool starts no other. */
class ThreadPool {
  private readonly piscina: Piscina
  private readonly broken = new AbortController()

  constructor(threads: number) {
    this.piscina = new Piscina({
      filename: moduleBeside(import.meta.url, 'callWorker'),
      minThreads: 0,
      maxThreads: threads,
      // Code that a thread has compiled serves its next call; the memory that it holds is given back only with the thread.
      idleTimeout: 3000,
      // Of its own accord the nursery grows with the length of a run, and decoders leave little garbage in it.
      resourceLimits: { maxYoungGenerationSizeMb: 12 },
    })
    this.piscina.on('error', cause => {
      const error = notStarted(cause)
      this.broken.abort(error)
      void this.close()
    })
  }

  get isBroken(): boolean {
    return this.broken.signal.aborted
  }

  async run(input: unknown, options: RunOptions): Promise<unknown> {
    const signal = AbortSignal.any([options.signal, this.broken.signal])
    try {
      return await this.piscina.run(input, { ...options, signal })
    } catch (error) {
      throw this.isBroken ? this.broken.signal.reason : error
    }
  }

  async close(): Promise<void> {
    await this.piscina.destroy()
  }
}

const notStarted = (cause: Error) =>
  new EngineError('RESOURCE_EXHAUSTED', `a worker thread could not start: ${cause.message}`, {
    cause,
    hint: 'Raise the limits of open files and of threads (ulimit -n, ulimit -u), or take fewer threads, then run it again.',
  })

/** As {@link Workers.offload}, in the thread that asks: for what is less than starting another. An abort ends the wait, not the call. */
export const callHere: Offload = async (module, name, input, signal) => {
  const functions = (await import(module)) as Record<string, (input: unknown) => Promise<unknown>>
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    signal.throwIfAborted()
    return (await Promise.race([functions[name]!(input), aborted.promise])) as never
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
