import { BatchBuilder, type ColumnBuilder, REJECTED } from '../../../engine/batch/builder.ts'
import {
  CHANGE,
  type ChangeCounts,
  type ChangeRead,
  changeColumns,
  LOG,
} from '../../../engine/contracts/changes.ts'
import type { Sink } from '../../../engine/contracts/source.ts'
import { writeLong, writeProduct } from './integers.ts'

/** A transaction as its changes are staged: which it is of the pass, and when it committed, from 1970-01-01 in UTC. */
export interface Transaction {
  ordinal: number
  seconds: number
  micros: number
  /** As the server stores it with what it wrote; undefined where it stores nothing that its log does not tell. */
  id?: string
}

/** Stages the changes of one table: who decodes one writes {@link columns} at {@link row}, and ends it. */
export class ChangeTable {
  readonly read: ChangeRead
  /** The read's columns, in their order, but what the builder fills itself. */
  readonly columns: ColumnBuilder[]
  readonly counts: ChangeCounts = { inserts: 0, updates: 0, deletes: 0, truncates: 0, transactions: 0 }
  readonly builder: BatchBuilder
  private readonly sink: Sink
  private readonly kind: ColumnBuilder
  private readonly number: ColumnBuilder
  private readonly at: ColumnBuilder
  private readonly same: ColumnBuilder
  private last: number
  private seen = -1

  constructor(read: ChangeRead, sink: Sink) {
    this.read = read
    this.sink = sink
    this.builder = new BatchBuilder(read.where, changeColumns(read.columns), read.limits)
    this.last = read.changes
    this.columns = this.builder.columns
      .slice(0, read.columns.length)
      .filter(({ column }) => column.name !== REJECTED)
    const own = (name: string) => this.builder.columns.find(({ column }) => column.name === name)!
    this.kind = own(LOG.kind)
    this.number = own(LOG.number)
    this.at = own(LOG.at)
    this.same = own(LOG.same)
  }

  /** Index of the row being written. */
  get row(): number {
    return this.builder.rows
  }

  /** Ends a change whose columns are written. `same`: names of those that are NULL since the log left them out. */
  end(kind: number, transaction: Transaction, same?: string[]): void {
    const { row } = this
    this.last++
    this.kind.u8[row] = kind
    writeLong(this.number, row, this.last)
    writeProduct(this.at, row, transaction.seconds, 1_000_000, transaction.micros)
    if (same && same.length > 0) this.same.appendText(row, JSON.stringify(same))
    else this.same.setNull(row)
    this.builder.endRow()
    this.count(kind, transaction)
    if (this.builder.full) this.flush()
  }

  truncate(transaction: Transaction): void {
    for (const column of this.columns) column.setNull(this.row)
    this.end(CHANGE.truncate, transaction)
    if (transaction.id !== undefined) this.counts.emptiedBy = transaction.id
  }

  /** Writes out what is left. */
  flush(): void {
    if (this.builder.rows === 0) return
    this.sink.write(this.builder.batch())
    this.builder.reset()
  }

  private count(kind: number, { ordinal }: Transaction): void {
    const { counts } = this
    if (kind === CHANGE.insert) counts.inserts++
    else if (kind === CHANGE.delete) counts.deletes++
    else if (kind === CHANGE.truncate) counts.truncates++
    else counts.updates++
    // What moved is one update: the delete before it is no change of its own.
    if (kind === CHANGE.moved) counts.deletes--
    if (this.seen === ordinal) return
    this.seen = ordinal
    counts.transactions++
  }
}
