/** What the engine remembers of one run. Every method is durable on return. */
export interface TaskStore {
  /** The committed output of a task; undefined while it has none. */
  output<T>(task: string): Promise<T | undefined>
  /** Notes that a task began: for status and history. */
  begin(task: string): Promise<void>
  /** Commits a task's output; a task commits once. */
  commit(task: string, output: unknown): Promise<void>
  /** `retryAt`: when it is tried again, where it is. */
  fail(task: string, error: unknown, retryAt?: Date): Promise<void>
  /** Notes how far a task is, for people: a chunk more. What it says may be lost. */
  progress(task: string, chunk: ChunkProgress): Promise<void>
  /** What a task has committed in another run of the job: in `run`, or in the last that began. Absent where no other is known. */
  earlier?<T>(task: string, run?: string): Promise<{ run: string; output: T } | undefined>
}

/** How far an extract has been read when a chunk of it was staged. */
export interface ChunkProgress {
  extract: string
  chunks: number
  rows: number
  bytes: number
  /** The part of the table that the chunk was the beginning of, for people. */
  range: string
}

export interface Clock {
  now(): Date
}
