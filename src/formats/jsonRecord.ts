import { isUtf8 } from 'node:buffer'
import { UNIT } from './layout.ts'
import type { RowSink } from './split.ts'

export const QUOTE = 34
export const BACKSLASH = 92
export const OPEN = 123
export const CLOSE = 125
export const OPEN_LIST = 91
export const CLOSE_LIST = 93
export const isBlank = (byte: number) => byte === 32 || byte === 10 || byte === 13 || byte === 9

/** Different keys that are told apart; more of them are data, not columns. */
export const MOST_KEYS = 10_000

interface Key {
  name: string
  raw: Buffer
  /** The record that had it last. */
  record: number
  /** A column whose name differs from it in case only. */
  like?: Key
  /** Why its name can be none of a column: it has half a surrogate pair, or a NUL character. */
  broken?: string
}

/** The keys of records, in the order they came. A record has each once. */
export class RecordKeys {
  /** Set where there were more different ones than columns can be. */
  tooMany = false
  private readonly columns: string[] | undefined
  private byRaw = new Map<string, Key>()
  private byName = new Map<string, Key>()
  private readonly folded = new Map<string, Key>()
  /** The last record's keys by their place: the next one's are mostly the same. */
  private places: Key[] = []
  private place = 0
  private record = 0
  private line = 0
  /** The line of the first record with an empty key. */
  emptyAt: number | undefined

  /** `columns`: those that are read; a key that differs from one of them in case only is a fault. */
  constructor(columns: string[] | undefined) {
    this.columns = columns
    for (const name of columns ?? []) {
      const key = { name, raw: Buffer.from(name), record: 0 }
      this.byName.set(name, key)
      this.folded.set(name.toLowerCase(), key)
    }
  }

  /** All keys seen, those of columns that no record had left out. */
  get names(): string[] {
    return [...this.byName.values()].filter(({ record }) => record > 0).map(({ name }) => name)
  }

  begin(line: number): void {
    this.line = line
    this.record++
    this.place = 0
    if (this.byRaw.size <= MOST_KEYS) return
    this.tooMany = true
    this.byRaw.clear()
    for (const name of this.byName.keys()) if (!this.columns?.includes(name)) this.byName.delete(name)
  }

  /** Notes the key in `bytes[from, to)`, as it is written. Gives what is wrong with it. */
  add(bytes: Buffer, from: number, to: number): string | undefined {
    const expected = this.places[this.place]
    const key = expected && equal(expected.raw, bytes, from, to) ? expected : this.find(bytes, from, to)
    this.places[this.place++] = key
    if (key.broken !== undefined) return `has ${key.broken} in a key`
    if (key.record === this.record) return `has the key ${JSON.stringify(key.name)} twice`
    key.record = this.record
    return undefined
  }

  /** What is wrong with the record's keys, all of them seen. */
  end(): string | undefined {
    for (let index = 0; index < this.place; index++) {
      const { name, like } = this.places[index]!
      if (like && like.record !== this.record)
        return `has the key ${JSON.stringify(name)}, which differs from the column ${JSON.stringify(like.name)} in case only`
    }
    return undefined
  }

  private find(bytes: Buffer, from: number, to: number): Key {
    const written = bytes.toString('latin1', from, to)
    const known = this.byRaw.get(written)
    if (known) return known
    let name = bytes.toString('utf8', from, to)
    if (name.includes('\\')) {
      try {
        name = JSON.parse(`"${name}"`) as string
      } catch {
        // No JSON: the row is told as such.
      }
    }
    const broken = name.isWellFormed()
      ? name.includes('\0')
        ? 'a NUL character'
        : undefined
      : 'half a surrogate pair'
    if (broken !== undefined) return { name, raw: Buffer.alloc(0), record: 0, broken }
    const key: Key = this.byName.get(name) ?? { name, raw: Buffer.alloc(0), record: 0 }
    key.raw = Buffer.from(bytes.subarray(from, to))
    if (this.columns && !this.columns.includes(name)) {
      const like = this.folded.get(name.toLowerCase())
      if (like) key.like = like
    }
    if (name === '') this.emptyAt ??= this.line
    this.byRaw.set(written, key)
    this.byName.set(name, key)
    return key
  }
}

function equal(raw: Buffer, bytes: Buffer, from: number, to: number): boolean {
  if (raw.length !== to - from) return false
  for (let at = 0; at < raw.length; at++) if (raw[at] !== bytes[from + at]) return false
  return true
}

/**
 * Writes a record twice into a row: as an object whose numbers and nested values are strings, so that every digit
 * comes out as it was written, and as it is. Whether it is JSON at all is left to DuckDB.
 */
export class RecordWriter {
  private scratch = Buffer.alloc(64 * 1024)
  private readonly keys: RecordKeys

  constructor(keys: RecordKeys) {
    this.keys = keys
  }

  /** Hands the record in `block[from, to)` to the sink. */
  write(sink: RowSink, block: Buffer, from: number, to: number, line: number): void {
    const bytes = block.subarray(from, to)
    const bad = (reason: string) => sink.bad(bytes.toString('utf8'), line, reason)
    if (!isUtf8(bytes)) {
      sink.bad(bytes.toString('latin1'), line, 'is not UTF-8')
      return
    }
    // A nested value's every quote may need an escape.
    if (this.scratch.length < bytes.length * 4 + 64) this.scratch = Buffer.alloc(bytes.length * 5 + 64)
    const out = this.scratch
    const { keys } = this
    keys.begin(line)
    let at = 0
    let used = 0
    let depth = 0
    let ended = false
    let inString = false
    let list = false
    /** Where a key begins, -1 outside of one. */
    let key = -1
    let keyNext = false
    while (at < bytes.length) {
      const byte = bytes[at]!
      if (byte < 32 && (inString || !isBlank(byte))) {
        bad('holds a control character')
        return
      }
      if (inString) {
        const escaped = byte === BACKSLASH && at + 1 < bytes.length
        for (let index = 0; index < (escaped ? 2 : 1); index++) {
          const part = bytes[at + index]!
          if (depth > 1 && (part === QUOTE || part === BACKSLASH)) out[used++] = BACKSLASH
          out[used++] = part
        }
        if (byte === QUOTE) {
          inString = false
          const fault = key < 0 ? undefined : keys.add(bytes, key, at)
          key = -1
          if (fault !== undefined) {
            bad(fault)
            return
          }
        }
        at += escaped ? 2 : 1
        continue
      }
      at++
      if (byte === QUOTE) {
        inString = true
        if (depth > 1) out[used++] = BACKSLASH
        out[used++] = QUOTE
        if (keyNext) key = at
        keyNext = false
      } else if (byte === OPEN || byte === OPEN_LIST) {
        if (depth === 1) out[used++] = QUOTE
        if (depth === 0) {
          if (ended) {
            bad('is more than one object')
            return
          }
          list = byte === OPEN_LIST
          keyNext = !list
        }
        out[used++] = byte
        depth++
      } else if (byte === CLOSE || byte === CLOSE_LIST) {
        out[used++] = byte
        depth--
        ended ||= depth === 0
        if (depth === 1) out[used++] = QUOTE
      } else if (depth === 1 && (byte === 45 || (byte >= 48 && byte <= 57))) {
        out[used++] = QUOTE
        out[used++] = byte
        while (at < bytes.length && !isBlank(bytes[at]!) && bytes[at] !== 44 && bytes[at] !== CLOSE)
          out[used++] = bytes[at++]!
        out[used++] = QUOTE
      } else {
        if (byte === 44 && depth === 1) keyNext = !list
        if (!isBlank(byte)) out[used++] = byte
        else if (depth > 1) out[used++] = 32
      }
    }
    const fault = keys.end()
    if (fault !== undefined) {
      bad(fault)
      return
    }
    out[used++] = UNIT
    for (const byte of bytes) out[used++] = isBlank(byte) ? 32 : byte
    sink.row(out, 0, used, line)
  }
}
