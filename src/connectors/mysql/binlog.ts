import { crc32, inflateSync, zstdDecompressSync } from 'node:zlib'
import { EngineError } from '../../../engine/errors.ts'
import type { Transaction } from '../wire/changeTable.ts'
import { type BinlogPosition, reaches } from './position.ts'
import type { LoggedStatement } from './statements.ts'
import { Cursor, type LoggedTable, readTableMap } from './tableMap.ts'
import type { Receiver } from './wire.ts'

const HEADER = 19
/** A header ends with its flags. */
const FLAGS_BEFORE = 2
/** What comes before a statement's variables; LOAD DATA has its file there, too. */
const QUERY_HEAD = 13
const LOAD_HEAD = 26
/** Positions in events are taken by it. */
const WRAP = 0x100000000

/** Bytes of a checksum, and the number of its kind. */
const CHECKSUM = 4
const CRC32 = 1

const QUERY = 2
const ROTATE = 4
const FORMAT = 15
const XID = 16
const TABLE_MAP = 19
const GTID = 33
const ANONYMOUS_GTID = 34
const XA_PREPARE = 38
const PARTIAL_UPDATE = 39
const PAYLOAD = 40
/** Of MySQL since 8.3: what GTID says, of one with a tag, in a form of its own. */
const TAGGED_GTID = 42
const EXECUTE_LOAD = 18
const INCIDENT = 26
const MARIADB_GTID = 162
const QUERY_COMPRESSED = 165

/** What a transaction begins with: nobody reads on from behind it. */
const BEGINS: ReadonlySet<number> = new Set([GTID, ANONYMOUS_GTID, TAGGED_GTID, MARIADB_GTID])

/**
 * What changes no row by itself: ends of files, numbers and variables of a statement that follows, pieces of a file that one
 * loads, heartbeats, texts of statements, lists of GTIDs, what group replication agrees on, checkpoints, keys of encryption.
 */
const HARMLESS: ReadonlySet<number> = new Set([
  3, 5, 9, 11, 13, 14, 17, 27, 28, 29, 35, 36, 37, 41, 160, 161, 163, 164,
])
/** Flag of an event that a reader who does not know it may pass over. */
const IGNORABLE = 0x80

/** Flags of a MariaDB GTID event. */
const STANDALONE = 1
const PREPARED_XA = 64

/** Row events: what they do, and whether the version that MySQL writes, which has more in its head, or compressed. */
const ROWS: Record<number, { kind: RowKind; second?: true; compressed?: true }> = {
  23: { kind: 'insert' },
  24: { kind: 'update' },
  25: { kind: 'delete' },
  30: { kind: 'insert', second: true },
  31: { kind: 'update', second: true },
  32: { kind: 'delete', second: true },
  166: { kind: 'insert', compressed: true },
  167: { kind: 'update', compressed: true },
  168: { kind: 'delete', compressed: true },
  169: { kind: 'insert', second: true, compressed: true },
  170: { kind: 'update', second: true, compressed: true },
  171: { kind: 'delete', second: true, compressed: true },
}

export type RowKind = 'insert' | 'update' | 'delete'

/** Rows of one event: bytes[from, to), with the columns of which it has values, before and after. */
export interface LoggedRows {
  kind: RowKind
  table: LoggedTable
  /** Of a transaction of XA, of which it is not known yet whether it is committed. */
  prepared: boolean
  /** Bit by column: whether the (first) row of each change has it. */
  present: Buffer
  /** Of an update, the same for the row after. */
  after: Buffer
  bytes: Buffer
  from: number
  to: number
}

/** Who hears of what a log says. */
export interface BinlogListener {
  rows(rows: LoggedRows, transaction: Transaction): void
  /** A statement that was logged as it is. */
  statement(statement: LoggedStatement, transaction: Transaction): void
}

/**
 * Takes the answer to COM_BINLOG_DUMP, event by event (MySQL Internals, "Binlog Event"; MariaDB, "2-Binlog Events"), up
 * to a position between two transactions.
 */
export class BinlogReader implements Receiver {
  readonly leaves = true
  /** Where the last transaction ended. */
  readonly position: BinlogPosition
  error: (Error & { errno: number }) | undefined
  /** True once it is at its end; false where the server had no more before that. */
  done = false
  private readonly name: string
  private readonly until: BinlogPosition
  private readonly mariadb: boolean
  private readonly listener: BinlogListener
  private readonly tables = new Map<number, LoggedTable>()
  private readonly transaction: Transaction = { ordinal: 0, seconds: 0, micros: 0 }
  private offset: number
  private underWay = false
  private prepared = false
  private gtid: string | undefined
  private checksums: boolean | undefined

  constructor(
    name: string,
    start: BinlogPosition,
    until: BinlogPosition,
    mariadb: boolean,
    listener: BinlogListener,
  ) {
    this.name = name
    this.position = { ...start }
    this.offset = start.offset
    this.until = until
    this.mariadb = mariadb
    this.listener = listener
  }

  payload(bytes: Buffer, from: number, to: number): boolean {
    if (bytes[from] === 0xff) {
      const text = bytes.toString('utf8', Math.min(to, from + (bytes[from + 3] === 0x23 ? 9 : 3)), to)
      this.error = Object.assign(new Error(text), { errno: bytes.readUInt16LE(from + 1) })
      return true
    }
    if (bytes[from] === 0xfe && to - from < 9) return true
    if (bytes[from] !== 0) this.fail('a packet is no event')
    this.event(bytes, from + 1, to)
    this.done ||= !this.underWay && reaches(this.position, this.until)
    return this.done
  }

  private event(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at + 4]!
    const to = this.summed(type, bytes, at, end) ? end - CHECKSUM : end
    const body = at + HEADER
    const logged = bytes.readUInt32LE(at + 13)
    if (type === ROTATE) {
      this.position.file = bytes.toString('utf8', body + 8, to)
      this.offset = Number(bytes.readBigUInt64LE(body))
      if (!this.underWay) this.position.offset = this.offset
      return
    }
    // Four bytes hold it: a file that one transaction made longer goes on from 0. What the server makes up has none.
    if (logged > 0) {
      const low = this.offset % WRAP
      if (logged > low) this.offset += logged - low
      else if (low - logged > WRAP / 2) this.offset += logged - low + WRAP
    }
    this.inner(type, bytes, body, to)
  }

  /** Whether an event ends with its checksum, which is compared; the one that describes a file says so of all in it. */
  private summed(type: number, bytes: Buffer, at: number, end: number): boolean {
    const last = end - CHECKSUM
    if (type === FORMAT) this.checksums = bytes[last - 1] === CRC32
    const holds = () => crc32(bytes.subarray(at, last)) === bytes.readUInt32LE(last)
    // Before the first description, only the sum itself tells.
    if (this.checksums === undefined) return last > at && holds()
    if (!this.checksums) return type === FORMAT
    if (!holds()) this.fail('an event is not what its checksum says')
    return true
  }

  private inner(type: number, bytes: Buffer, body: number, to: number): void {
    const rows = ROWS[type]
    if (rows) this.rowsEvent(rows, bytes, body, to)
    else if (type === TABLE_MAP) {
      const id = bytes.readUIntLE(body, 6)
      this.tables.set(id, readTableMap(bytes, body, to, this.mariadb))
    } else if (type === MARIADB_GTID) {
      const domain = bytes.readUInt32LE(body + 8)
      // Its time is when the statement began that committed the transaction.
      this.begin(bytes.readUInt32LE(body - HEADER), 0)
      this.gtid = `${domain}-${bytes.readUInt32LE(body - 14)}-${bytes.readBigUInt64LE(body)}`
      // A statement that stands alone has no commit.
      this.underWay = (bytes[body + 12]! & STANDALONE) === 0
      this.prepared = (bytes[body + 12]! & PREPARED_XA) !== 0
    } else if (BEGINS.has(type)) {
      const micros = type === TAGGED_GTID ? undefined : committedAt(bytes, body, to)
      if (micros === undefined) this.begin(bytes.readUInt32LE(body - HEADER), 0)
      else this.begin(Number(micros / 1_000_000n), Number(micros % 1_000_000n))
      this.gtid = undefined
      this.underWay = false
    } else if (type === XID) this.commit()
    else if (type === QUERY || type === QUERY_COMPRESSED)
      this.query(bytes, body, to, type === QUERY_COMPRESSED)
    else if (type === EXECUTE_LOAD) this.query(bytes, body, to, false, LOAD_HEAD)
    else if (type === XA_PREPARE) this.commit()
    else if (type === PAYLOAD) this.unpack(bytes, body, to)
    else if (type === INCIDENT)
      throw new EngineError(
        'LOG_LOST',
        `${this.name}: the log has an incident at ${this.position.file}:${this.offset}: the server says that changes are missing there`,
        { hint: 'Read the tables anew: nightfreight run JOB --full-refresh.' },
      )
    else if (type === PARTIAL_UPDATE)
      throw new EngineError('CONFIG_INVALID', `${this.name}: the log has parts of JSON values only`, {
        hint: "SET GLOBAL binlog_row_value_options = ''; then read the tables anew: nightfreight run JOB --full-refresh.",
      })
    else if (
      type !== FORMAT &&
      !HARMLESS.has(type) &&
      (bytes.readUInt16LE(body - FLAGS_BEFORE) & IGNORABLE) === 0
    )
      throw new EngineError(
        'LOG_LOST',
        `${this.name}: the log has an event of type ${type} at ${this.position.file}:${this.offset}, which is not known: it may change rows`,
        {
          hint: 'Read the tables anew: nightfreight run JOB --full-refresh. Where it comes again, leave out mode: changes.',
        },
      )
    if (!this.underWay && !BEGINS.has(type)) this.rest()
  }

  private begin(seconds: number, micros: number): void {
    this.transaction.ordinal++
    this.transaction.seconds = seconds
    this.transaction.micros = micros
  }

  private commit(): void {
    this.underWay = false
    this.prepared = false
    if (this.gtid === undefined) return
    // One position a domain, and the others as they were.
    const domain = `${this.gtid.split('-')[0]}-`
    const others = this.position.gtids.split(',').filter(other => other && !other.startsWith(domain))
    this.position.gtids = [...others, this.gtid].join(',')
    this.gtid = undefined
  }

  private rest(): void {
    this.position.offset = this.offset
  }

  private query(bytes: Buffer, body: number, to: number, compressed: boolean, head = QUERY_HEAD): void {
    const databaseLength = bytes[body + 8]!
    const status = bytes.readUInt16LE(body + 11)
    const database = body + head + status
    const name = bytes.toString('utf8', database, database + databaseLength)
    const from = database + databaseLength + 1
    const sql = (compressed ? inflated(bytes, from, to) : bytes.subarray(from, to)).toString('utf8').trim()
    if (/^(BEGIN|XA START\b.*)$/is.test(sql)) {
      this.underWay = true
      this.prepared = /^XA/i.test(sql)
    } else if (/^XA END\b/i.test(sql)) return
    else if (/^(COMMIT|XA COMMIT|XA ROLLBACK)\b/i.test(sql)) this.commit()
    else if (/^ROLLBACK/i.test(sql))
      throw new EngineError(
        'LOG_LOST',
        `${this.name}: the log has ${JSON.stringify(sql.slice(0, 40))} at ${this.position.file}:${this.offset}: a transaction that mixes storage engines`,
        { hint: 'What it changed cannot be told: nightfreight run JOB --full-refresh.' },
      )
    else {
      this.listener.statement(
        { sql, database: name, ...quotesOf(bytes, body + head, status) },
        this.transaction,
      )
      if (!this.underWay) this.commit()
    }
  }

  private rowsEvent(
    { kind, second, compressed }: (typeof ROWS)[number],
    bytes: Buffer,
    body: number,
    to: number,
  ): void {
    const table = this.tables.get(bytes.readUIntLE(body, 6))
    // Of a table without columns for us: the dummy at a statement's end.
    if (!table) return
    const cursor = new Cursor(bytes, body + 8)
    if (second) cursor.at += bytes.readUInt16LE(cursor.at)
    const width = (cursor.length() + 7) >> 3
    const present = cursor.take(width)
    const after = kind === 'update' ? cursor.take(width) : present
    let rows = { bytes, from: cursor.at, to }
    if (compressed) {
      const whole = inflated(bytes, cursor.at, to)
      rows = { bytes: whole, from: 0, to: whole.length }
    }
    this.listener.rows({ kind, table, prepared: this.prepared, present, after, ...rows }, this.transaction)
  }

  /** A transaction that MySQL compressed whole: events one behind the other. */
  private unpack(bytes: Buffer, body: number, to: number): void {
    const cursor = new Cursor(bytes, body)
    let method = 0
    while (cursor.at < to) {
      const field = cursor.length()
      if (field === 0) break
      const length = cursor.length()
      if (field === 2) method = new Cursor(bytes, cursor.at).length()
      cursor.at += length
    }
    const packed = bytes.subarray(cursor.at, to)
    const events = method === 0 ? zstdDecompressSync(packed) : packed
    for (let at = 0; at < events.length; ) {
      const length = events.readUInt32LE(at + 9)
      this.inner(events[at + 4]!, events, at + HEADER, at + length)
      at += length
    }
  }

  fail(what: string): never {
    throw new EngineError(
      'DECODE_FAILED',
      `${this.name}: the binary log after ${this.position.file}:${this.offset}: ${what}`,
    )
  }
}

/** When MySQL 8 committed a transaction, in microseconds; undefined of what older servers wrote (MySQL source, control_events.h). */
function committedAt(bytes: Buffer, body: number, to: number): bigint | undefined {
  const clock = body + 1 + 16 + 8
  const at = clock + 1 + 8 + 8
  if (bytes[clock] !== LOGICAL_CLOCK || to < at + 7) return undefined
  // The highest bit says that another server committed it first, at another time.
  return BigInt(bytes.readUIntLE(at, 6)) + (BigInt(bytes[at + 6]! & 0x7f) << 48n)
}

/** Kind of the numbers behind which a GTID event of MySQL has its times. */
const LOGICAL_CLOCK = 2

/** Kinds of what a statement ran with, of which the servers write the flags first, where they do, and then its sql_mode. */
const FLAGS = 0
const SQL_MODE = 1
const ANSI_QUOTES = 1 << 2
const NO_BACKSLASH_ESCAPES = 1 << 20

/** How a statement's quotes are read, by its status variables: `length` bytes from `at` on. */
function quotesOf(bytes: Buffer, at: number, length: number): Pick<LoggedStatement, 'ansi' | 'plain'> {
  const from = length > 0 && bytes[at] === FLAGS ? at + 5 : at
  if (at + length < from + 9 || bytes[from] !== SQL_MODE) return {}
  const mode = bytes.readUInt32LE(from + 1)
  return { ansi: (mode & ANSI_QUOTES) !== 0, plain: (mode & NO_BACKSLASH_ESCAPES) !== 0 }
}

/** What MariaDB compressed: a byte that says how many more tell the length, and zlib's. */
function inflated(bytes: Buffer, from: number, to: number): Buffer {
  const head = bytes[from]!
  return inflateSync(bytes.subarray(from + 1 + (head & 7), to))
}
