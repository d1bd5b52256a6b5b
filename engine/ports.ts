/**
 * What the engine asks of the world. Connectors implement {@link Source} and {@link Target}; the metadata store
 * implements {@link Ledger}. Everything that crosses a thread is plain data.
 */

import type { Batch } from './batch/batch.ts'
import type { BatchLimits } from './batch/builder.ts'
import type { Fitter, Prover } from './judges.ts'
import type { CommitResult, LoadCommit, StageRequest, SyncPoint } from './loads.ts'
import type { Column, InexactPolicy } from './types/logical.ts'

// ── tables ────────────────────────────────────────────────────────────────────────────────────────────────

/** What a system says of a table before a row is read. */
export interface TableSchema {
  columns: Column[]
  /** Primary key, in key order; empty where there is none. */
  key: string[]
  /** Estimates from the server's statistics; undefined where it has none. */
  rows?: number
  bytes?: number
  /** True where the job itself declares the columns, since the system does not tell them. */
  declared?: boolean
  /**
   * Set where the source gives each run only what no committed run has read, by an account of its own
   * ({@link Snapshot.account}): the rows of earlier runs stay in the image, and deletes cannot be known. `kept`: without
   * an account it gives all of it again; `cleared`: what was read may be there no more.
   */
  accumulates?: 'kept' | 'cleared'
  /** True where lanes may find rows bad whatever the columns' policies, and stage why. */
  rejects?: boolean
}

/** One extract as the job asks for it. */
export interface ExtractSpec {
  /** The table's name for models: `members`. */
  name: string
  /** The connection it reads from. */
  from: string
  /** Columns that identify a row; empty: the table's own primary key. */
  key: string[]
  incremental?: {
    column: string /** Microseconds, or units of an integer column, re-read before the watermark. */
    lag: number
    /** Whether all keys are read each time, too, so that rows that are gone are known. */
    findDeletes?: boolean
  }
  /** Per column, what to do with values its type cannot hold. */
  columns: Record<string, InexactPolicy>
  /** What to do when the source's columns changed since the last load; kinds left out have the safe default. */
  drift?: Partial<DriftPolicy>
  /** Milliseconds for which the table is not read again, and the last committed image of it is taken. */
  refresh?: number
  /** The connector's own options, as its schema parsed them: table, path, files … */
  options: unknown
}

/**
 * Per kind of change of a source's columns: `evolve` goes along with it, `ignore` keeps the columns that models see
 * as they were, `fail` stops before a row is read.
 */
export interface DriftPolicy {
  added: 'evolve' | 'ignore' | 'fail'
  dropped: 'evolve' | 'ignore' | 'fail'
  /** Every value of the old type is a value of the new one, exactly. */
  widened: 'evolve' | 'fail'
  /** Any other change of type. */
  incompatible: 'evolve' | 'fail'
}

/** One extract as it will be read: what {@link ExtractSpec} and {@link TableSchema} make together. */
export interface Read {
  extract: string
  /** For messages: `legacy.members`. */
  where: string
  columns: Column[]
  key: string[]
  /** Rows at or after this value only. The value is DuckDB's text of it: `2026-01-31 23:55:00.000000+00`. */
  since?: { column: string; value: string }
  options: unknown
  limits: BatchLimits
  /** What the source noted by {@link Snapshot.account} in the run that the targets last committed. */
  account?: unknown
}

// ── sources ───────────────────────────────────────────────────────────────────────────────────────────────

/** A system that tables are read from. Main thread. */
export interface Source {
  /** Proves that the system answers and lets us in. */
  probe(signal: AbortSignal): Promise<void>
  /**
   * Columns, key and statistics. `last`: what the last committed run saw, for systems that tell no types. Fails with
   * TABLE_MISSING and the nearest names, or TYPE_UNSUPPORTED.
   */
  describe(extract: ExtractSpec, signal: AbortSignal, last?: Column[]): Promise<TableSchema>
  /** Opens one consistent view of the system that up to `lanes` lanes can join. */
  open(lanes: number, signal: AbortSignal): Promise<Snapshot>
  /**
   * Called once every target has committed what the read gave, with the account of it, and called again until it has
   * succeeded: what is done to a source's files after a load.
   */
  release?(read: Read, account: unknown, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** One consistent view of a source, held open while lanes read it. */
export interface Snapshot {
  /** Lanes that can share the view: fewer than asked for where the server forbids more. */
  lanes: number
  /** Where the view is weaker than one snapshot, and why: for the plan and the report. */
  note?: string
  /** Names the lane's module and carries what it needs to join: plain data. */
  ticket: Ticket
  /**
   * Set where there is no view that a later attempt would lose: a read is one range, read by one lane, and what was read
   * of it is kept chunk by chunk, so that whoever resumes the run goes on after the last.
   */
  sequential?: true
  /** Whether a lane can still join after {@link joined}: in place of one that was lost. */
  rejoinable: boolean
  /** Called once every lane has joined: the moment to release locks. */
  joined(): Promise<void>
  /** A few ranges, in the table's order, that together hold every row exactly once. */
  ranges(read: Read): Promise<Range[]>
  /** Two ranges, in order, that together hold what a range that nobody is reading holds; undefined: it cannot be cut. */
  split(read: Read, range: Range): Promise<[Range, Range] | undefined>
  /** Fails with a retryable code where the view was lost, so that what lanes read of it may not be one view. */
  check(): Promise<void>
  /**
   * Of an accumulating source, once a read's ranges are read: everything read so far, this run's included. Plain data,
   * kept beside the image; it counts once a target commits the run's sync point. `notes` are for people.
   */
  account?(read: Read): Promise<{ account: unknown; notes: string[] }>
  close(): Promise<void>
}

export interface Ticket {
  /** URL of a module that exports {@link LaneModule}. */
  module: string
  /** Whatever the lane needs: connection settings, snapshot id. Never logged. */
  payload: unknown
}

/** A part of a read that has not been read yet. Plain data. */
export interface Range {
  /** For people: `member_id (1, 250000]`. */
  label: string
  /** Estimated rows; undefined where nothing is known. */
  rows?: number
  /** The connector's own description of it. */
  payload: unknown
}

/** What a lane's module exports. Worker thread. */
export interface LaneModule {
  openLane(payload: unknown): Promise<Lane>
}

/** One connection in one worker thread, reading chunk after chunk in the snapshot. */
export interface Lane {
  /**
   * Reads one chunk: about `limit` rows from the range's start on, in order. Gives what is left of the range;
   * undefined where nothing is. A range that cannot be left halfway is read to its end whatever the limit.
   */
  read(read: Read, range: Range, limit: number, sink: Sink): Promise<Range | undefined>
  close(): Promise<void>
}

/** Where a lane puts what it read. */
export interface Sink {
  /** Writes the batch out; its buffers are free again on return. */
  write(batch: Batch): void
  /** For sources that can write Parquet themselves: `fill` writes one file at the path given. */
  file(fill: (path: string) => Promise<void>): Promise<void>
}

// ── staging ───────────────────────────────────────────────────────────────────────────────────────────────

/** One Parquet file of a data set. */
export interface Part {
  /** Path below the staging root. */
  file: string
  rows: number
  bytes: number
}

/** A file below the staging root; `bytes` where they are known. */
export type StagedFile = Pick<Part, 'file'> & Partial<Pick<Part, 'bytes'>>

/**
 * Where committed data sets are. Below the staging root, on this machine, lies a copy that DuckDB and lanes read; other
 * machines may hold other runs' files. What is kept before a commit is found by whoever goes on after it.
 */
export interface Staging {
  /** Makes files below the root outlive this machine, where it can: those of a manifest or task before it is committed. */
  keep(files: string[]): Promise<void>
  /** Brings files below the root that are not there or have another size. False where one is nowhere. */
  bring(files: StagedFile[]): Promise<boolean>
  /** A manifest's text; undefined where none was published. */
  read(file: string): Promise<string | undefined>
  /** Publishes a manifest, whose parts are kept. Fails with FENCED where somebody who took the run over has. */
  publish(file: string, content: object): Promise<void>
  /** Takes a manifest back; one that is not there is no failure. */
  withdraw(file: string): Promise<void>
}

/** How a table is made of another's distinct rows, value by value: what SQL cannot do. Plain data. */
export interface Enrichment {
  /** URL of a module that exports {@link EnrichModule}. */
  module: string
  /** Text columns of the rows that it is given; the first is never NULL. */
  takes: string[]
  /** Columns that it adds: text and booleans. */
  gives: Column[]
  /** Another one makes other values of the same rows: those kept from earlier runs are made again. */
  version: string
}

/** What an enrichment's module exports. Worker thread. */
export interface EnrichModule {
  /** The values of {@link Enrichment.gives} for those of `takes`; depends on them alone. */
  enrich(values: (string | null)[]): (string | boolean | null)[]
}

// ── targets ───────────────────────────────────────────────────────────────────────────────────────────────

/** A system that tables are loaded into. Main thread. */
export interface Target {
  probe(signal: AbortSignal): Promise<void>
  /** Columns and key of a table; undefined where it does not exist yet. */
  describe(table: string, signal: AbortSignal): Promise<TableSchema | undefined>
  /** The sync points of a job's last commit here. */
  syncPoints(job: string, signal: AbortSignal): Promise<SyncPoint[]>
  /** The result of an earlier commit under this load id; undefined where there was none. */
  committed(loadId: string, signal: AbortSignal): Promise<CommitResult | undefined>
  /**
   * Bulk-loads a change set into staging tables that this load owns, replacing whatever an earlier attempt left.
   * Nothing a reader of the target sees changes.
   */
  stage(request: StageRequest, signal: AbortSignal): Promise<void>
  /** One transaction: create missing tables, merge what was staged, sync points, load id; staging tables dropped. */
  commit(commit: LoadCommit, signal: AbortSignal): Promise<CommitResult>
  /** Drops what this load staged, after a failure. */
  abandon(loadId: string): Promise<void>
  /** Compares rows with those of a table, inside the target. Absent where loads cannot be proven. */
  prover?: Prover
  /** Finds rows that a table would refuse. Absent where a bad row always takes the whole load back. */
  fitter?: Fitter
  close(): Promise<void>
}

// ── state ─────────────────────────────────────────────────────────────────────────────────────────────────

/** What the engine remembers of one run. Every method is durable on return. */
export interface Ledger {
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
