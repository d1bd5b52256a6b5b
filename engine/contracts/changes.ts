import type { Column } from '../types/logical.ts'
import type { ExtractSpec, LaneDescriptor, Read, Sink, Snapshot } from './source.ts'

/** Where a log of changes stands, in the connector's own notation: `0/16B3748`. People see it. */
export type LogPosition = string

/** A table whose changes are to be read. */
export interface FollowedTable {
  spec: ExtractSpec
  /** Position up to which its changes are known; absent where it is to be read whole first. */
  from?: LogPosition
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

/** The log of changes of a source. `reader`: who reads it; the same of every run of a job. Main thread. */
export interface ChangeLog {
  /**
   * Makes the server keep the changes of these tables from now on, where it does not yet, and gives the end of the log:
   * all that is committed by now lies before it. Fails with CONFIG_INVALID or PERMISSION_DENIED, with the statement that
   * helps, where the server cannot; with LOG_LOST where it no longer has what follows a table's `from`.
   */
  follow(reader: string, tables: FollowedTable[], signal: AbortSignal): Promise<LogPosition>
  /** A view as {@link Source.open} gives it, which is exactly the log up to a position at or after the last {@link follow}. */
  open(reader: string, lanes: number, signal: AbortSignal): Promise<Snapshot & { position: LogPosition }>
  /** The module that reads it, a {@link ChangeModule}, with what it needs. */
  reading: LaneDescriptor
  /** Lets the server forget what lies before a position that every target has committed. */
  acknowledge(reader: string, position: LogPosition, signal: AbortSignal): Promise<void>
  status(reader: string, signal: AbortSignal): Promise<LogStatus>
  /** Removes what keeps the log for the reader; what was removed, for people. */
  drop(reader: string, signal: AbortSignal): Promise<string[]>
}

/** One table's part of a pass over the log. */
export interface ChangeRead extends Read {
  /** Changes before it are known. */
  from: LogPosition
  /** Number of the last change known. */
  changes: number
}

export interface ChangeRequest {
  reader: string
  reads: ChangeRead[]
  until: LogPosition
}

/** What became of a pass over the log. */
export interface ChangesRead {
  /** Where the next one begins: between two transactions, at or after `until`. */
  position: LogPosition
  /** Of each read. */
  counts: ChangeCounts[]
}

export interface ChangeCounts {
  inserts: number
  updates: number
  deletes: number
  truncates: number
  /** Transactions that changed the table. */
  transactions: number
}

/** What the module of {@link ChangeLog.reading} exports. Worker thread. */
export interface ChangeModule {
  /** Reads the log once, into one sink a read, as {@link changeColumns} says. An abort ends it within a second or two. */
  readChanges(
    payload: unknown,
    request: ChangeRequest,
    sinks: Sink[],
    signal: AbortSignal,
  ): Promise<ChangesRead>
}

/**
 * What a change did. A moved row's key changed: the change before it is the delete of its old key. A truncate is one change,
 * whose columns are all NULL.
 */
export const CHANGE = { insert: 1, update: 2, delete: 3, truncate: 4, moved: 5 } as const

/** Names of the columns that a staged change has behind those of its table. */
export const LOG = {
  /** A {@link CHANGE}. */
  kind: '_nf_change',
  /** Of the table's changes, since it was first followed: 1, 2, … */
  number: '_nf_number',
  /** When its transaction committed, as the server tells it. */
  at: '_nf_at',
  /** JSON list of columns that did not change and whose values the log left out: they are NULL here. */
  same: '_nf_same',
} as const

/** Columns of a table's staged changes: its own, all of which may be NULL (of a delete, only the key is told), and {@link LOG}. */
export function changeColumns(columns: Column[]): Column[] {
  const own = (name: string, type: Column['type'], nullable = false): Column => ({
    name,
    type,
    nullable,
    native: 'log',
  })
  return [
    ...columns.map(column => ({ ...column, nullable: true })),
    own(LOG.kind, { kind: 'int', bits: 8, signed: true }),
    own(LOG.number, { kind: 'int', bits: 64, signed: true }),
    own(LOG.at, { kind: 'timestamp', zoned: true }),
    own(LOG.same, { kind: 'text' }, true),
  ]
}

/** Names of the columns that rows of an extract with `history` have behind those of its table. */
export const HISTORY = { kind: 'change_kind', number: 'change_number', at: 'changed_at' } as const
