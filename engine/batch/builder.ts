import { EngineError } from '../errors.ts'
import type { Column } from '../types/logical.ts'
import { type Batch, fixedWidth, type Vector } from './batch.ts'

/**
 * Name of the staged text column that says why a row must go to the quarantine; NULL for good rows. It is the last
 * column of a read that has a `quarantine` policy; the builder fills it, decoders leave it alone.
 */
export const REJECTED = '_nf_rejected'

/** Bounds of one batch: whichever is reached first. */
export interface BatchLimits {
  rows: number
  bytes: number
}

/**
 * One column under construction. Decoders write fixed-width values straight into the typed views at the row's
 * index (`i32[row] = v`; a 64-bit value as `i32[2 * row] = low; i32[2 * row + 1] = high`), and text and binary
 * through {@link append} or {@link reserve}. NULL is {@link setNull}.
 */
export class ColumnBuilder {
  readonly column: Column
  readonly width: number
  /** Fixed-width values, or the bytes of text and binary. Replaced, as all views are, when rows outgrow it: never keep a copy. */
  u8: Uint8Array
  u16!: Uint16Array
  i32!: Int32Array
  f32!: Float32Array
  f64!: Float64Array
  big!: BigInt64Array
  /** Text and binary: `offsets[row + 1]` is where row `row` ends. */
  offsets: Int32Array
  validity: Uint8Array
  nulls = 0
  /** Text and binary: bytes used so far. */
  used = 0
  private words: DataView

  constructor(column: Column, rows: number) {
    this.column = column
    this.width = fixedWidth(column.type)
    const variable = this.width === 0
    const buffer = new ArrayBuffer(variable ? rows * 16 + 64 : Math.ceil((rows * this.width) / 8) * 8)
    this.u8 = new Uint8Array(buffer)
    this.words = new DataView(buffer)
    this.see(variable ? new ArrayBuffer(0) : buffer)
    this.offsets = new Int32Array(variable ? rows + 1 : 0)
    this.validity = new Uint8Array((rows + 7) >> 3).fill(0xff)
  }

  /** Makes room for so many rows; those that are there stay. */
  enlarge(rows: number): void {
    const { validity, offsets, u8 } = this
    this.validity = new Uint8Array((rows + 7) >> 3).fill(0xff)
    this.validity.set(validity)
    if (this.width === 0) {
      this.offsets = new Int32Array(rows + 1)
      this.offsets.set(offsets)
      return
    }
    const buffer = new ArrayBuffer(Math.ceil((rows * this.width) / 8) * 8)
    this.u8 = new Uint8Array(buffer)
    this.u8.set(u8)
    this.words = new DataView(buffer)
    this.see(buffer)
  }

  isNull(row: number): boolean {
    return (this.validity[row >> 3]! & (1 << (row & 7))) === 0
  }

  setNull(row: number): void {
    this.validity[row >> 3]! &= ~(1 << (row & 7))
    this.nulls++
    if (this.width === 0) this.offsets[row + 1] = this.used
    else if (this.width === 4) this.i32[row] = 0
    else this.u8.fill(0, row * this.width, (row + 1) * this.width)
  }

  /** Makes room for `length` bytes of row `row` and returns where they start in {@link u8}. */
  reserve(row: number, length: number): number {
    const start = this.used
    const end = start + length
    if (end > this.u8.length) this.grow(end)
    this.used = end
    this.offsets[row + 1] = end
    return start
  }

  /** Appends `source[from, to)` as the value of row `row`. */
  append(row: number, source: Uint8Array, from: number, to: number): void {
    const length = to - from
    let at = this.reserve(row, length)
    const target = this.u8
    // A native copy costs more than a short loop until about three dozen bytes.
    if (length > 36) target.set(source.subarray(from, to), at)
    else while (from < to) target[at++] = source[from++]!
  }

  /** As {@link append}, four bytes at a time, of bytes that `view` is of, too. */
  appendFrom(row: number, source: Uint8Array, view: DataView, from: number, to: number): void {
    const length = to - from
    let at = this.reserve(row, length)
    if (length > 64) {
      this.u8.set(source.subarray(from, to), at)
      return
    }
    const { u8, words } = this
    for (; from + 4 <= to; from += 4, at += 4) words.setInt32(at, view.getInt32(from))
    while (from < to) u8[at++] = source[from++]!
  }

  /** Appends a string as UTF-8. For slow paths: numbers rendered as text, messages. */
  appendText(row: number, text: string): void {
    const bytes = Buffer.from(text, 'utf8')
    this.append(row, bytes, 0, bytes.length)
  }

  vector(rows: number): Vector {
    const variable = this.width === 0
    return {
      column: this.column,
      nulls: this.nulls,
      validity: this.nulls === 0 ? undefined : this.validity.subarray(0, (rows + 7) >> 3),
      data: this.u8.subarray(0, variable ? this.used : rows * this.width),
      offsets: variable ? this.offsets.subarray(0, rows + 1) : undefined,
    }
  }

  reset(): void {
    if (this.nulls > 0) this.validity.fill(0xff)
    this.nulls = 0
    this.used = 0
  }

  private see(fixed: ArrayBuffer): void {
    this.u16 = new Uint16Array(fixed)
    this.i32 = new Int32Array(fixed)
    this.f32 = new Float32Array(fixed)
    this.f64 = new Float64Array(fixed)
    this.big = new BigInt64Array(fixed)
  }

  private grow(needed: number): void {
    if (needed > 0x7fffffff)
      throw new EngineError('MEMORY_EXCEEDED', `${this.column.name}: a batch holds over 2 GiB of text`, {
        hint: 'Lower resources.memory or the chunk size, so that batches are cut earlier.',
      })
    const grown = new Uint8Array(Math.min(0x7fffffff, Math.max(needed, this.u8.length * 2)))
    grown.set(this.u8.subarray(0, this.used))
    this.u8 = grown
    this.words = new DataView(grown.buffer)
  }
}

/** Rows that a builder has room for at first, and by what it grows: most tables of a night are small. */
const FIRST_ROWS = 1024
const GROWTH = 8

/**
 * Collects rows into columns until a limit is reached.
 *
 *     const row = builder.rows            // index of the row being written
 *     … write every column at `row` …
 *     builder.endRow()
 *     if (builder.full) { sink.write(builder.batch()); builder.reset() }
 */
export class BatchBuilder {
  readonly columns: ColumnBuilder[]
  rows = 0
  /** Set once a limit is reached; the next row needs a {@link reset} first. */
  full = false
  /** Values that were replaced by NULL because of a column's `null` policy. */
  nulled = 0
  private readonly shape: { where: string; columns: Column[]; limits: BatchLimits }
  private readonly where: string
  private readonly maxRows: number
  /** Rows that there is room for. */
  private room: number
  private readonly maxBytes: number
  private readonly fixedBytes: number
  private readonly texts: ColumnBuilder[]
  private readonly rejected: ColumnBuilder | undefined
  private pending: { column: string; value: string; reason: string }[] = []

  /**
   * A builder that is free again, or a new one: the next chunk of a table fills the buffers of the last, for fresh ones of
   * megabytes would be cleared, and collected, at each. Whoever is done with it calls {@link release}.
   */
  static borrow(where: string, columns: Column[], limits: BatchLimits): BatchBuilder {
    const same = idle?.shape === shapeOf(where, columns, limits) ? idle.builder : undefined
    idle = undefined
    return same ?? new BatchBuilder(where, columns, limits)
  }

  /** `where` names the table in errors: `legacy.members`. */
  constructor(where: string, columns: Column[], limits: BatchLimits) {
    this.shape = { where, columns, limits }
    this.where = where
    this.fixedBytes = columns.reduce((sum, column) => sum + (fixedWidth(column.type) || 4), 0)
    this.maxRows = Math.max(1, Math.min(limits.rows, Math.floor(limits.bytes / Math.max(1, this.fixedBytes))))
    this.maxBytes = limits.bytes
    this.room = Math.min(this.maxRows, FIRST_ROWS)
    this.columns = columns.map(column => new ColumnBuilder(column, this.room))
    this.texts = this.columns.filter(column => column.width === 0)
    this.rejected = this.columns.find(column => column.column.name === REJECTED)
  }

  endRow(): void {
    if (this.rejected !== undefined) {
      if (this.pending.length === 0) this.rejected.setNull(this.rows)
      else this.rejected.appendText(this.rows, JSON.stringify(this.pending.splice(0).map(asWritten)))
    }
    this.rows++
    if (this.rows === this.maxRows) this.full = true
    else {
      let bytes = this.rows * this.fixedBytes
      for (const column of this.texts) bytes += column.used
      this.full = bytes >= this.maxBytes
      if (this.rows === this.room && !this.full) this.enlarge()
    }
  }

  /**
   * Applies the policy of a column to a value that its type cannot hold: NULL, NULL and quarantine, or an error.
   * `text` columns are staged as text from the start: of theirs only what no text can hold comes here, and is an error.
   */
  inexact(column: ColumnBuilder, value: string, reason: string): void {
    const { name, policy, native } = column.column
    if (policy !== 'null' && policy !== 'quarantine')
      throw new EngineError(
        'VALUE_INEXACT',
        `${this.where}.${name}: ${JSON.stringify(value)} ${reason} (${native})`,
        {
          hint: `Set columns.${name} of this extract to ${policy === 'text' ? 'null or quarantine' : 'null, quarantine or text'}.`,
        },
      )
    column.setNull(this.rows)
    if (policy === 'quarantine') this.pending.push({ column: name, value, reason })
    else this.nulled++
  }

  private enlarge(): void {
    this.room = Math.min(this.maxRows, this.room * GROWTH)
    for (const column of this.columns) column.enlarge(this.room)
  }

  /** The rows so far as views on this builder's buffers, valid until {@link reset}. */
  batch(): Batch {
    return { rows: this.rows, vectors: this.columns.map(column => column.vector(this.rows)) }
  }

  reset(): void {
    this.rows = 0
    this.full = false
    for (const column of this.columns) column.reset()
  }

  /** Leaves its buffers to the next reader of the same columns in this thread: nothing of it may be used any more. */
  release(): void {
    this.reset()
    this.nulled = 0
    const { where, columns, limits } = this.shape
    idle = { shape: shapeOf(where, columns, limits), builder: this }
  }
}

/** One a thread: a lane reads one chunk after another. */
let idle: { shape: string; builder: BatchBuilder } | undefined

const shapeOf = (where: string, columns: Column[], limits: BatchLimits) =>
  JSON.stringify([where, columns, limits])

// Half a surrogate pair is no character, and JSON readers refuse its escape: it is kept as the escape itself.
const asWritten = ({ column, value, reason }: { column: string; value: string; reason: string }) => ({
  column,
  value: value.isWellFormed()
    ? value
    : value.replaceAll(/\p{Cs}/gu, half => `\\u${half.charCodeAt(0).toString(16)}`),
  reason,
})
