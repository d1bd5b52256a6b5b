import type { Batch } from '../batch/batch.ts'
import type { BatchLimits } from '../batch/builder.ts'
import type { Column, InexactPolicy } from '../types/logical.ts'
import type { OnDuplicate } from './load.ts'
import type { TableStructure } from './structure.ts'
/** What a system says of a table before a row is read. */
export interface TableSchema {
  columns: Column[]
  /** Primary key, in key order; empty where there is none. */
  key: string[]
  /** True where two rows may have one key all the same. */
  keyRepeats?: true
  /** Estimates from the server's statistics; undefined where it has none. */
  rows?: number
  bytes?: number
  /** True where the job itself declares the columns, since the system does not tell them. */
  declared?: boolean
  /**
   * Set where the source gives each run only what no committed run has read, by a cursor of its own
   * ({@link Snapshot.cursor}): the rows of earlier runs stay in the image, and deletes cannot be known. `kept`: without
   * a cursor it gives all of it again; `cleared`: what was read may be there no more.
   */
  accumulates?: 'kept' | 'cleared'
  /** What of the table is not read, and why: for people. */
  notes?: string[]
  structure?: TableStructure
  /** True where lanes may find rows bad whatever the columns' policies, and stage why. */
  rejects?: boolean
}

/** A table as a source's catalogue lists it. */
export interface ListedTable {
  /** As an extract names it: `orders`, or `sales.orders` where the bare name would not find it. */
  name: string
  /** Its name without the schema, and the schema; of MySQL, the database. */
  bare: string
  schema: string
  /** Primary key, in key order. */
  key: string[]
  /** An estimate; undefined where there is none. */
  rows?: number
  /** Columns that an index begins with. */
  indexed: string[]
  /** Whether it is a view: read where it is named, not where a pattern would match it, since what it shows is mostly in tables. */
  isView?: true
}

/** A table that a glob of a job stands for, as its source's catalogue has it. */
export interface CatalogTable extends Pick<ListedTable, 'name' | 'bare' | 'schema' | 'isView'> {
  /** Its connection. */
  from: string
  /** Its name in a load of many tables. */
  target: string
}

/** One extract as the job asks for it. */
export interface ExtractSpec {
  /** The table's name for models: `members`. */
  name: string
  /** The connection it reads from. */
  from: string
  /** Columns that identify a row; empty: the table's own primary key. */
  key: string[]
  /** Absent where no glob stands for it. */
  catalog?: CatalogTable
  incremental?: {
    column: string
    /** Microseconds, or units of a number, re-read before the watermark. */
    lag: number
    /** What to do with rows whose column is NULL or lies in the future; absent: they are read each night. */
    nulls?: 'read' | 'fail'
    future?: 'read' | 'fail'
    /** Whether all keys are read each time, too, so that rows that are gone are known. */
    findDeletes?: boolean
  }
  /**
   * Its changes are read from the source's {@link ChangeLog}. `history`: they are the rows, not the table as they leave it.
   * `reconcile`: milliseconds after which the table is read whole again, to find what its log missed.
   */
  changes?: { history: boolean; reconcile?: number }
  /** Columns whose values nobody is shown: see {@link Mask}. */
  sensitive?: string[]
  /** Per column, what to do with values its type cannot hold. */
  columns: Record<string, InexactPolicy>
  /** Rows of one key in one read; without it, see `keyPolicy` of the engine. */
  onDuplicate?: OnDuplicate
  /** What to do when the source's columns changed since the last load; kinds left out have the safe default. */
  drift?: Partial<DriftPolicy>
  /** Whether the run goes on without it where it cannot be read; default: `fail`. */
  onError?: 'fail' | 'continue'
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

/** Bounds of what a lane holds. */
export interface ReadLimits extends BatchLimits {
  /** Bytes that a DuckDB of the lane's own may hold; and one lane at a time. */
  share?: number
  most?: number
}

/** One extract as it will be read: what {@link ExtractSpec} and {@link TableSchema} make together. */
export interface Read {
  extract: string
  /** For messages: `legacy.members`. */
  where: string
  columns: Column[]
  key: string[]
  /** Columns whose values no {@link Range.label} has. */
  sensitive?: string[]
  /**
   * Rows at or after this value only, and with `nulls` those whose value is NULL, or is staged as NULL. The value is
   * DuckDB's text of it: `2026-01-31 23:55:00.000000+00`, `0044-03-15 (BC)`.
   */
  since?: { column: string; value: string; nulls?: boolean }
  options: unknown
  limits: ReadLimits
  /** What the source noted by {@link Snapshot.cursor} in the run that the targets last committed. */
  cursor?: unknown
}

/** What the last committed run knew of a table. */
export interface LastRead {
  columns: Column[]
  /** Those of them that the source had no more. */
  absent: string[]
  /** What the source noted by {@link Snapshot.cursor}; undefined where it is no longer staged. */
  cursor(): Promise<unknown>
}

/** A system that tables are read from. Main thread. */
export interface Source {
  /** Checks that the system answers and authenticates us. */
  probe(signal: AbortSignal): Promise<void>
  /**
   * Columns, key and statistics. `last`: what the last committed run knew, for systems that tell no types. Fails with
   * TABLE_MISSING and the nearest names, or TYPE_UNSUPPORTED.
   */
  describe(extract: ExtractSpec, signal: AbortSignal, last?: LastRead): Promise<TableSchema>
  /** The tables that there are, in the order of their names. Absent where a source has no catalogue. */
  tables?(signal: AbortSignal): Promise<ListedTable[]>
  /**
   * Opens one consistent view of the system that up to `lanes` lanes can join, for these reads: what they are of stays what it
   * is until the view is closed, also where a server's views do not hold for tables that are emptied or swapped.
   */
  open(lanes: number, signal: AbortSignal, reads: Read[]): Promise<Snapshot>
  /**
   * Called once every target has committed what the read gave, with the cursor of it, and called again until it has
   * succeeded: what is done to a source's files after a load. `others`: of the job's other extracts of the source, with the cursor of
   * what they gave, undefined where the run has not read them. Gives what people are to know.
   */
  acknowledge?(
    read: Read,
    cursor: unknown,
    signal: AbortSignal,
    others: { options: object; cursor: unknown }[],
  ): Promise<string[]>
  /** Absent where the source has none. */
  changeLog?: ChangeLog
  close(): Promise<void>
}

/** One consistent view of a source, held open while lanes read it. */
export interface Snapshot {
  /** Lanes that can share the view: fewer than asked for where the server forbids more. */
  lanes: number
  /** Where the view is weaker than one snapshot, and why: for the plan and the report. */
  note?: string
  /** Names the lane's module and carries what it needs to join: plain data. */
  lane: LaneDescriptor
  /**
   * Set where there is no snapshot that a later attempt would lose: a read is one range, read by one lane, and what was read
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
  cursor?(read: Read): Promise<{ cursor: unknown; notes: string[] }>
  close(): Promise<void>
}

/** Where a log of changes stands, in the connector's own notation: `0/16B3748`. People see its first word; what follows tells more of the place. */
export type LogPosition = string

/** A table whose changes are to be read. */
export interface FollowedTable {
  spec: ExtractSpec
  /** Position up to which its changes are known; absent where it is to be read whole first. */
  from?: LogPosition
}

/** How a server stores a followed table: what of it can change without a word in the log, by its name for people. */
export type Stored = Record<string, StoredPart>

export interface StoredPart {
  /** Another where it was made anew. */
  is: string
  /** Rows come and go with it, as with a partition. */
  rows?: true
  /** It had none when it came to the table. */
  empty?: true
  /** A TRUNCATE, which the log tells, makes it anew, too. */
  emptied?: WrittenBy
}

/** Transactions that wrote what a table is. */
export interface WrittenBy {
  /** The last one that made or altered it: no TRUNCATE where it is another than the last that the log tells. */
  last: string
  /** Those that made or altered its columns: that of a TRUNCATE may have written rows anew, too, but not without this. */
  columns: string
}

/** What a server keeps for a reader, for people. */
export interface LogStatus {
  /** What keeps it there: `slot nightfreight_shop_0f3a`. */
  holder: string
  /** False where nothing is kept. */
  exists: boolean
  /** Position from which the server keeps its log for the reader. */
  kept?: LogPosition
  end: LogPosition
  /** Bytes of log from there to its end. */
  bytes?: number
  /** What is wrong or worth knowing. */
  notes: string[]
}

/** Bytes of log that a server kept, and how many it was allowed to. */
export interface KeptBeyond {
  bytes: number
  limit: number
}

/** The log of changes of a source. `reader`: who reads it; the same of every run of a job. Main thread. */
export interface ChangeLog {
  /**
   * Makes the server keep the changes of these tables from now on, where it does not yet, and gives the end of the log:
   * all that is committed by now lies before it. Fails with CONFIG_INVALID or PERMISSION_DENIED, with the statement that
   * helps, where the server cannot; with LOG_LOST where it no longer has what follows a table's `from`.
   */
  follow(reader: string, tables: FollowedTable[], signal: AbortSignal): Promise<LogPosition>
  /** How the tables are stored now, by their extracts. Absent where the log tells all. */
  stored?(reader: string, tables: FollowedTable[], signal: AbortSignal): Promise<Record<string, Stored>>
  /**
   * A view as {@link Source.open} gives it, which is exactly the log up to a position at or after the last {@link follow}. Where
   * that is not `exact`, it may be a later one: the log from the position on makes last states of it that are right.
   */
  open(
    reader: string,
    lanes: number,
    signal: AbortSignal,
    reads: Read[],
    exact: boolean,
  ): Promise<Snapshot & { position: LogPosition }>
  /**
   * Reads the log from the tables' positions on, or from where the server keeps it for the reader, and says how many changes of
   * theirs are committed, as they come; 0 where it goes on without one. Tells the server nothing. Ends once the signal does.
   */
  watch(
    reader: string,
    tables: FollowedTable[],
    seen: (changes: number) => void,
    signal: AbortSignal,
  ): Promise<void>
  /** The module that reads it, a `ChangeModule` of changes.ts, with what it needs. */
  reading: LaneDescriptor
  /** Lets the server forget what lies before the least of these positions: every target has committed what its table had up to there. */
  acknowledge(reader: string, positions: LogPosition[], signal: AbortSignal): Promise<void>
  status(reader: string, signal: AbortSignal): Promise<LogStatus>
  /**
   * Has the server keep no more for a reader for which it keeps more than the connection allows; gives how many bytes that
   * were. The reader's next run fails with LOG_LOST. Absent where a server keeps its log by its own clock.
   */
  limitKept?(reader: string, signal: AbortSignal): Promise<KeptBeyond | undefined>
  /** Removes what keeps the log for the reader; what was removed, for people. Absent where a server keeps its log by its own clock. */
  drop?(reader: string, signal: AbortSignal): Promise<string[]>
}

export interface LaneDescriptor {
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
  /** An abort ends the attempt to join. */
  openLane(payload: unknown, signal: AbortSignal): Promise<Lane>
}

/** One connection in one worker thread, reading chunk after chunk in the snapshot. */
export interface Lane {
  /**
   * Reads one chunk: about `limit` rows from the range's start on, in order. Gives what is left of the range;
   * undefined where nothing is. A range that cannot be left halfway is read to its end whatever the limit.
   * An abort ends it within a second or two, on the server, too; only `close` is called then.
   */
  read(read: Read, range: Range, limit: number, sink: Sink, signal: AbortSignal): Promise<Range | undefined>
  close(): Promise<void>
}

/** Where a lane puts what it read. */
export interface Sink {
  /** Writes the batch out; its buffers are free again on return. */
  write(batch: Batch): void
  /**
   * For sources that can write Parquet themselves: `fill` writes one file at the path given. `exact`: no row of it is rejected,
   * and it lacks the column that would say why.
   */
  file(fill: (path: string) => Promise<void>, exact?: boolean): Promise<void>
  /** Says something of what was read, for people. */
  note(text: string): void
}
