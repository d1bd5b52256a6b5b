import { CHANGE } from '../../../engine/contracts/changes.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { ChangeTable, Transaction } from '../wire/changeTable.ts'
import type { Continuity } from './continuity.ts'
import { type NotationReader, notationReader } from './decodeNotation.ts'

const NULL = 0x6e
const UNCHANGED = 0x75
const TEXT = 0x74

const BEGIN = 0x42
const COMMIT = 0x43
const RELATION = 0x52
const TYPE = 0x59
const ORIGIN = 0x4f
const INSERT = 0x49
const UPDATE = 0x55
const DELETE = 0x44
const TRUNCATE = 0x54
const MESSAGE = 0x4d

export const TRANSACTION = { begin: BEGIN, commit: COMMIT } as const
/** What changes a table. */
export const CHANGES: readonly number[] = [INSERT, UPDATE, DELETE, TRUNCATE]
/** Flag of a column that is of its table's replica identity. */
const IDENTIFIES = 1
const NEW = 0x4e
const KEY = 0x4b
const OLD = 0x4f

/** From 1970-01-01 to Postgres's epoch, 2000-01-01. */
export const EPOCH_SECONDS = 946_684_800

/** How a relation's columns go into a table's. */
interface Mapped {
  table: ChangeTable
  from: bigint
  /** Of each column of the relation: its place among the table's, or -1. */
  places: Int32Array
  readers: NotationReader[]
  /** Places of the table's columns that the relation has not. */
  missing: number[]
  /** Columns of the relation that are the table's key. */
  keys: number[]
  /** Columns of the key that its replica identity leaves out: updates and deletes do not tell them. */
  untold: string[]
  names: string[]
}

/** Offsets of a tuple's values: kind, from and to of each column. */
class Tuple {
  readonly kinds: number[] = []
  readonly from: number[] = []
  readonly to: number[] = []
}

/** Who hears of what a slot sends. */
export interface LogDecoder {
  /** End of the last transaction. */
  readonly committed: bigint
  /** True between a transaction's begin and its commit. */
  readonly underWay: boolean
  message(bytes: Buffer, from: number, to: number): void
  /** How far the server is. */
  reached?(position: bigint): void
}

/**
 * Decodes the messages of pgoutput, protocol version 1, values as text (PostgreSQL documentation, "Logical Replication Message
 * Formats"): whole transactions, in the order of their commits.
 */
export class PgOutput implements LogDecoder {
  /** End of the last transaction. */
  committed = 0n
  /** True between a transaction's begin and its commit. */
  underWay = false
  private readonly where: string
  /** Tables by the OID of their relation. */
  private readonly tables: Map<number, ChangeTable[]>
  private readonly positions: Map<ChangeTable, bigint>
  private readonly until: bigint
  private readonly continuity: Continuity
  /** By OID, as the log described it last. */
  private readonly relations = new Map<number, Mapped[]>()
  private readonly transaction: Transaction = { ordinal: 0, seconds: 0, micros: 0 }
  private commit = 0n
  /** When the transaction committed, from Postgres's epoch on. */
  private micros = 0n
  private readonly old = new Tuple()
  private readonly now = new Tuple()

  /** What committed at `until` or later is not read: the pass ends exactly there. */
  constructor(
    where: string,
    tables: Map<number, ChangeTable[]>,
    positions: Map<ChangeTable, bigint>,
    until: bigint,
    continuity: Continuity,
  ) {
    this.where = where
    this.continuity = continuity
    this.tables = tables
    this.positions = positions
    this.until = until
  }

  message(bytes: Buffer, from: number, to: number): void {
    switch (bytes[from]) {
      case BEGIN: {
        this.commit = bytes.readBigUInt64BE(from + 1)
        if (this.commit >= this.until) {
          this.committed = this.until
          return
        }
        this.underWay = true
        const micros = bytes.readBigInt64BE(from + 9)
        this.micros = micros
        this.transaction.ordinal++
        this.transaction.seconds = Number(micros / 1_000_000n) + EPOCH_SECONDS
        this.transaction.micros = Number(micros % 1_000_000n)
        this.transaction.id = String(bytes.readUInt32BE(from + 17))
        return
      }
      case COMMIT:
        this.underWay = false
        this.committed = bytes.readBigUInt64BE(from + 10)
        this.continuity.sent(this.commit, { end: this.committed, micros: this.micros })
        return
      case RELATION:
        this.relation(bytes, from + 1, to)
        return
      case INSERT:
        this.insert(bytes, from + 1, to)
        return
      case UPDATE:
        this.update(bytes, from + 1, to)
        return
      case DELETE:
        this.delete(bytes, from + 1, to)
        return
      case TRUNCATE: {
        const count = bytes.readInt32BE(from + 1)
        for (let index = 0; index < count; index++)
          for (const { table } of this.mapped(bytes.readUInt32BE(from + 6 + 4 * index)))
            table.truncate(this.transaction)
        return
      }
      case TYPE:
      case ORIGIN:
      case MESSAGE:
        return
      default:
        this.fail(`a message of type ${bytes[from]}`)
    }
  }

  private relation(bytes: Buffer, at: number, to: number): void {
    const oid = bytes.readUInt32BE(at)
    const tables = this.tables.get(oid) ?? []
    at = bytes.indexOf(0, at + 4) + 1
    at = bytes.indexOf(0, at) + 1
    const count = bytes.readUInt16BE(at + 1)
    at += 3
    const names: string[] = []
    const identified = new Set<string>()
    for (let index = 0; index < count && at < to; index++) {
      const end = bytes.indexOf(0, at + 1)
      names.push(bytes.toString('utf8', at + 1, end))
      if (bytes[at]! & IDENTIFIES) identified.add(names.at(-1)!)
      at = end + 9
    }
    const mapped = tables.map((table): Mapped => {
      const own = table.columns.map(({ column }) => column.name)
      const places = Int32Array.from(names, name => own.indexOf(name))
      return {
        table,
        from: this.positions.get(table)!,
        places,
        readers: table.columns.map(notationReader),
        missing: own.flatMap((name, place) => (names.includes(name) ? [] : [place])),
        keys: table.read.key.map(name => names.indexOf(name)),
        untold: table.read.key.filter(name => !identified.has(name)),
        names,
      }
    })
    for (const { table, keys } of mapped)
      if (keys.includes(-1))
        throw new EngineError(
          'SCHEMA_DRIFT',
          `${table.read.where}: the log has changes of it without its key`,
          {
            hint: `Read the table anew: nightfreight run JOB --full-refresh TABLE.`,
          },
        )
    this.relations.set(oid, mapped)
  }

  /** The same, of changes of a row that was there before: which one that is must be told. */
  private *identified(oid: number): Generator<Mapped> {
    for (const mapped of this.mapped(oid)) {
      if (mapped.untold.length > 0) refuseUntold(mapped.table, mapped.untold)
      yield mapped
    }
  }

  private *mapped(oid: number): Generator<Mapped> {
    for (const mapped of this.relations.get(oid) ?? []) if (this.commit >= mapped.from) yield mapped
  }

  private insert(bytes: Buffer, at: number, to: number): void {
    if (bytes[at + 4] !== NEW) this.fail('an insert without its row')
    this.tuple(bytes, at + 5, to, this.now)
    for (const mapped of this.mapped(bytes.readUInt32BE(at))) {
      this.write(mapped, bytes, this.now)
      mapped.table.end(CHANGE.insert, this.transaction)
    }
  }

  private update(bytes: Buffer, at: number, to: number): void {
    const oid = bytes.readUInt32BE(at)
    at += 4
    const kind = bytes[at]
    const hasOld = kind === KEY || kind === OLD
    if (hasOld) at = this.tuple(bytes, at + 1, to, this.old)
    if (bytes[at] !== NEW) this.fail('an update without its row')
    this.tuple(bytes, at + 1, to, this.now)
    // What did not change stands in the old row, where that is told.
    if (hasOld)
      for (const [index, tag] of this.now.kinds.entries())
        if (tag === UNCHANGED && this.old.kinds[index] === TEXT) {
          this.now.kinds[index] = TEXT
          this.now.from[index] = this.old.from[index]!
          this.now.to[index] = this.old.to[index]!
        }
    for (const mapped of this.identified(oid)) {
      const moved = hasOld && mapped.keys.some(index => this.differs(bytes, index))
      if (moved) {
        this.writeKey(mapped, bytes, this.old)
        mapped.table.end(CHANGE.delete, this.transaction)
      }
      const same = this.write(mapped, bytes, this.now)
      mapped.table.end(moved ? CHANGE.moved : CHANGE.update, this.transaction, same)
    }
  }

  private delete(bytes: Buffer, at: number, to: number): void {
    const oid = bytes.readUInt32BE(at)
    const kind = bytes[at + 4]
    if (kind !== KEY && kind !== OLD) this.fail('a delete without its key')
    this.tuple(bytes, at + 5, to, this.old)
    for (const mapped of this.identified(oid)) {
      const keyless = mapped.keys.filter(index => this.old.kinds[index] !== TEXT)
      // Of a partition, by whose own identity its rows are told.
      if (kind === KEY && keyless.length > 0)
        refuseUntold(
          mapped.table,
          keyless.map(index => mapped.names[index]!),
        )
      if (kind === OLD) this.write(mapped, bytes, this.old)
      else this.writeKey(mapped, bytes, this.old)
      mapped.table.end(CHANGE.delete, this.transaction)
    }
  }

  private differs(bytes: Buffer, index: number): boolean {
    const { old, now } = this
    if (old.kinds[index] !== now.kinds[index]) return now.kinds[index] !== UNCHANGED
    if (now.kinds[index] !== TEXT) return false
    return bytes.compare(bytes, old.from[index], old.to[index], now.from[index], now.to[index]) !== 0
  }

  private tuple(bytes: Buffer, at: number, to: number, tuple: Tuple): number {
    const count = bytes.readUInt16BE(at)
    at += 2
    tuple.kinds.length = count
    for (let index = 0; index < count; index++) {
      const kind = bytes[at]!
      tuple.kinds[index] = kind
      if (kind === TEXT) {
        const length = bytes.readInt32BE(at + 1)
        tuple.from[index] = at + 5
        at += 5 + length
        tuple.to[index] = at
      } else if (kind === NULL || kind === UNCHANGED) at++
      else this.fail(`a value of kind ${kind}`)
      if (at > to) this.fail('a row is cut')
    }
    return at
  }

  /** Writes a row; gives the names of the columns that the log left out. */
  private write(mapped: Mapped, bytes: Buffer, tuple: Tuple): string[] | undefined {
    const { table, places, missing, names } = mapped
    let same: string[] | undefined
    const { row } = table
    for (let index = 0; index < places.length; index++) {
      const place = places[index]!
      if (place < 0) continue
      const kind = tuple.kinds[index]
      if (kind === TEXT) this.value(mapped, place, bytes, tuple, index)
      else {
        table.columns[place]!.setNull(row)
        if (kind !== UNCHANGED) continue
        same ??= []
        same.push(names[index]!)
      }
    }
    for (const place of missing) table.columns[place]!.setNull(row)
    return same
  }

  private writeKey(mapped: Mapped, bytes: Buffer, tuple: Tuple): void {
    const { table, places, keys } = mapped
    for (const column of table.columns)
      if (!table.read.key.includes(column.column.name)) column.setNull(table.row)
    for (const index of keys)
      if (tuple.kinds[index] === TEXT) this.value(mapped, places[index]!, bytes, tuple, index)
      else table.columns[places[index]!]!.setNull(table.row)
  }

  private value({ table, readers }: Mapped, place: number, bytes: Buffer, tuple: Tuple, index: number): void {
    const column = table.columns[place]!
    const from = tuple.from[index]!
    const to = tuple.to[index]!
    const problem = readers[place]!(table.builder, column, table.row, bytes, from, to)
    if (problem !== undefined)
      throw new EngineError(
        'DECODE_FAILED',
        `${table.read.where}.${column.column.name}: a change holds a value that ${problem} (${column.column.native})`,
        { hint: 'Read the table anew: nightfreight run JOB --full-refresh TABLE.' },
      )
  }

  private fail(what: string): never {
    throw new EngineError('DECODE_FAILED', `${this.where}: the log of changes sent ${what}`, {
      hint: 'Run again, and report it if it stays.',
    })
  }
}

function refuseUntold({ read }: ChangeTable, columns: string[]): never {
  throw new EngineError(
    'LOG_LOST',
    `${read.where}: rows were changed while the table had a replica identity without ${columns.join(', ')}: the log does not say which`,
    { hint: 'Read the table anew: nightfreight run JOB --full-refresh.' },
  )
}
