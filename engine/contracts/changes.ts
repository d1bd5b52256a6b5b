import type { Column } from '../types/logical.ts'
import type { LogPosition, Read, Sink } from './source.ts'

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
  /** The transaction of the last of these, as {@link WrittenBy} has it. */
  emptiedBy?: string
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
