import { EngineError, type ErrorCode, together } from '../errors.ts'
import type { RunContext } from './context.ts'

/** Failures of the run as a whole, or of the machine: no other branch would fare better. */
const OF_ALL: readonly ErrorCode[] = ['FENCED', 'INTERRUPTED', 'RESOURCE_EXHAUSTED', 'MEMORY_EXCEEDED']

/**
 * What failed, by what it would have given (tables; `load.dim_members` for a change set). A branch that fails stops
 * what is made from it, and nothing else.
 */
export class FailureScope {
  private readonly context: Pick<RunContext, 'signal' | 'progress' | 'isOurs'>
  /** What failed, and why; undefined where what it is made from did. */
  private readonly missing = new Map<string, EngineError | undefined>()
  private readonly errors: EngineError[] = []

  constructor(context: Pick<RunContext, 'signal' | 'progress' | 'isOurs'>) {
    this.context = context
  }

  /**
   * Does a step that makes `gives` from `reads`, unless one of these is missing. Undefined where it is left out or
   * fails: then `gives` are missing. A failure that concerns all branches is thrown.
   */
  async attempt<T>(gives: string[], reads: string[], act: () => Promise<T>): Promise<T | undefined> {
    try {
      if (!this.lacks(reads)) return await act()
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      // What another step is to do ends this one; that it failed before says more.
      if (error.code === 'INTERRUPTED' && this.context.isOurs) this.check()
      if (OF_ALL.includes(error.code) || this.context.signal.aborted) throw error
      this.lose(gives, error)
      return undefined
    }
    for (const name of gives) this.missing.set(name, undefined)
    return undefined
  }

  /** Notes that a step that would have given these has failed. */
  lose(gives: string[], error: EngineError): void {
    this.errors.push(error)
    for (const name of gives) this.missing.set(name, error)
    // The end of the run says why, once.
    this.context.progress.note(`${gives.join(', ')}: failed (${error.code})`)
  }

  lacks(names: string[]): boolean {
    return names.some(name => this.missing.has(name))
  }

  /** Whether a table alone is to blame, which cannot take its rows: people are to change it, and nothing else waits for it. */
  isRefused(name: string): boolean {
    return this.missing.get(name)?.code === 'TARGET_INCOMPATIBLE'
  }

  /** Whether none has failed. */
  get whole(): boolean {
    return this.errors.length === 0
  }

  /** Throws what has failed, once all that could go on has. */
  check(): void {
    if (this.errors.length > 0) throw together(this.errors)
  }
}
