import { availableParallelism } from 'node:os'
import type { TaskName } from '../../engine/contracts/taskName.ts'
import type { ChunkProgress, Clock } from '../../engine/contracts/tasks.ts'
import type { ProgressListener } from '../../engine/runtime/context.ts'
import type { Metadata } from '../metadata/metadata.ts'
import {
  type LiveState,
  type LiveTask,
  type LogLine,
  type RunGraph,
  runDetails,
} from '../metadata/runDetails.ts'
import type { Held } from '../metadata/tasks.ts'

/** Milliseconds between two notes of how far a run is: each is a write to the metadata store. */
const NOTE_INTERVAL_MS = 2000
/** Lines of a run's log that are kept in the store, the latest; the log file has all. */
const MAX_LINES = 500
/** Characters of one line. */
const MAX_TEXT = 1000

/** Chunks of which the moment is kept. */
const MAX_MOMENTS = 10_000

export interface ChunkMoment {
  task: string
  at: Date
  chunk: ChunkProgress
}

/**
 * What is seen of a run while it goes on, and counted of it: kept in the metadata store, for whoever looks from another
 * process or machine. Nothing that fails here fails the run.
 */
export class LiveRun {
  retries = 0
  lockWaits = 0
  private readonly metadata: Metadata
  private readonly held: Held
  private readonly clock: Clock
  private readonly tasks = new Map<TaskName, LiveTask>()
  private readonly chunks = new Map<string, ChunkProgress>()
  /** When each chunk was staged, with the sum of its extract until then; the first {@link MAX_MOMENTS}. */
  readonly moments: ChunkMoment[] = []
  private lines: LogLine[] = []
  private timer: NodeJS.Timeout | undefined
  private writing: Promise<unknown> = Promise.resolve()
  private last = { at: performance.now(), cpu: process.cpuUsage() }

  constructor(metadata: Metadata, held: Held, clock: Clock) {
    this.metadata = metadata
    this.held = held
    this.clock = clock
  }

  /** The log, its latest lines, oldest first. */
  get log(): LogLine[] {
    return this.lines
  }

  /** Chunks that were read, their rows and bytes. */
  get chunkTotals(): { chunks: number; rows: number; bytes: number } {
    const all = [...this.chunks.values()]
    const sum = (of: (chunk: ChunkProgress) => number) => all.reduce((total, each) => total + of(each), 0)
    return { chunks: sum(each => each.chunks), rows: sum(each => each.rows), bytes: sum(each => each.bytes) }
  }

  /** Begins to tell; of a run that is continued, after what it has told before. */
  async begin(graph: RunGraph): Promise<void> {
    const before = await runDetails(this.metadata.database, this.held.run).catch(() => undefined)
    this.lines = [...(before?.log ?? []), ...this.lines].slice(-MAX_LINES)
    await this.write({ graph })
    this.timer = setInterval(() => void this.write(), NOTE_INTERVAL_MS).unref()
  }

  /** The progress given, heard. Its notes are without secrets and sensitive values. */
  progress(inner: ProgressListener): ProgressListener {
    return {
      started: (task, of) => {
        const since = this.clock.now().toISOString()
        this.tasks.set(task, { task, rows: 0, since, ...(of !== undefined && { of }) })
        this.say(`${task}: started`)
        inner.started(task, of)
      },
      advanced: (task, rows) => {
        const known = this.tasks.get(task)
        if (known) known.rows += rows
        inner.advanced(task, rows)
      },
      finished: (task, note) => {
        this.tasks.delete(task)
        this.say(`${task}: done${note ? `, ${note}` : ''}`)
        inner.finished(task, note)
      },
      note: text => {
        this.say(text)
        inner.note(text)
      },
      retried: (task, error) => {
        this.retries++
        inner.retried?.(task, error)
      },
    }
  }

  /** A chunk was staged: the sum of what was read of its extract. */
  chunk(task: string, done: ChunkProgress): void {
    this.chunks.set(done.extract, done)
    if (this.moments.length < MAX_MOMENTS) this.moments.push({ task, at: this.clock.now(), chunk: done })
  }

  waits(text: string): void {
    this.lockWaits++
    this.say(text)
  }

  /** Tells nothing more; resolves once nothing is being written. */
  async end(): Promise<void> {
    clearInterval(this.timer)
    this.timer = undefined
    await this.writing
  }

  private say(text: string): void {
    this.lines.push({ at: this.clock.now().toISOString(), text: text.slice(0, MAX_TEXT) })
    if (this.lines.length > MAX_LINES) this.lines.shift()
  }

  private write(more: { graph?: RunGraph } = {}): Promise<void> {
    const noted = this.metadata.noteDetails(this.held, { ...more, live: this.state(), log: this.lines })
    this.writing = noted.catch(() => {})
    return this.writing as Promise<void>
  }

  private state(): LiveState {
    const at = performance.now()
    const used = process.cpuUsage(this.last.cpu)
    const cpu = (used.user + used.system) / 1000 / Math.max(1, at - this.last.at) / availableParallelism()
    this.last = { at, cpu: process.cpuUsage() }
    return {
      at: this.clock.now().toISOString(),
      cpu: Math.min(1, cpu),
      memory: process.memoryUsage.rss(),
      tasks: [...this.tasks.values()],
      retries: this.retries,
      lockWaits: this.lockWaits,
    }
  }
}
