import { CHANGE } from '../../../engine/contracts/changes.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { ChangeTable, Transaction } from '../wire/changeTable.ts'
import type { LoggedRows } from './binlog.ts'
import type { CharacterSets } from './characterSets.ts'
import type { ValueReader } from './loggedIntegers.ts'
import { lengthOf, readerOf, type ValueLength } from './rowValues.ts'
import type { LoggedTable } from './tableMap.ts'

/** How a logged table's columns go into a followed one's. */
interface Mapped {
  /** Of each logged column: its place among the table's, or -1. */
  places: Int32Array
  lengths: ValueLength[]
  readers: (ValueReader | undefined)[]
  missing: number[]
  /** Logged columns that are the key. */
  keys: number[]
}

/** Where a row's values lie: -1 is NULL, -2 left out. */
const NULL = -1
const ABSENT = -2

/** Finds where each value of one row lies in `places`; gives where the row ends, beyond the event where it is cut. */
function placeRow(
  lengths: ValueLength[],
  { bytes, to }: LoggedRows,
  present: Buffer,
  at: number,
  places: Int32Array,
  count: number,
): number {
  let named = 0
  for (let index = 0; index < count; index++) if (present[index >> 3]! & (1 << (index & 7))) named++
  const nulls = at
  at += (named + 7) >> 3
  let bit = 0
  for (let index = 0; index < count; index++) {
    if ((present[index >> 3]! & (1 << (index & 7))) === 0) {
      places[index] = ABSENT
      continue
    }
    if (bytes[nulls + (bit >> 3)]! & (1 << (bit & 7))) places[index] = NULL
    else {
      if (at > to) return to + 1
      places[index] = at
      at += lengths[index]!(bytes, at)
    }
    bit++
  }
  return at
}

/** How many rows an event changes; undefined where a column's type is not known. */
export function countRows(rows: LoggedRows): number | undefined {
  const { columns } = rows.table
  const lengths = columns.map(lengthOf)
  if (!lengths.every(length => length !== undefined)) return undefined
  const places = new Int32Array(columns.length)
  let count = 0
  for (let at = rows.from; at < rows.to; count++) {
    at = placeRow(lengths, rows, rows.present, at, places, columns.length)
    if (rows.kind === 'update') at = placeRow(lengths, rows, rows.after, at, places, columns.length)
  }
  return count
}

/** Writes logged rows into a followed table. */
export class RowWriter {
  readonly table: ChangeTable
  private readonly sets: CharacterSets
  private readonly known = new WeakMap<LoggedTable, Mapped>()
  private before = new Int32Array(0)
  private after = new Int32Array(0)

  constructor(table: ChangeTable, sets: CharacterSets) {
    this.table = table
    this.sets = sets
  }

  write(rows: LoggedRows, transaction: Transaction): void {
    const mapped = this.mapped(rows.table)
    const count = rows.table.columns.length
    if (this.before.length < count) {
      this.before = new Int32Array(count)
      this.after = new Int32Array(count)
    }
    const { table, before, after } = this
    const { bytes, kind } = rows
    for (let at = rows.from; at < rows.to; ) {
      at = placeRow(mapped.lengths, rows, rows.present, at, before, count)
      if (kind === 'update') at = placeRow(mapped.lengths, rows, rows.after, at, after, count)
      if (at > rows.to) this.fail('a row is cut')
      if (kind === 'insert') {
        if (this.fill(mapped, bytes, before).length > 0) this.fail('an inserted row lacks columns')
        table.end(CHANGE.insert, transaction)
      } else if (kind === 'delete') {
        this.fill(mapped, bytes, before)
        table.end(CHANGE.delete, transaction)
      } else {
        // What the row after leaves out did not change.
        for (let index = 0; index < count; index++) if (after[index] === ABSENT) after[index] = before[index]!
        const moved = mapped.keys.some(index => this.differs(mapped, bytes, index))
        if (moved) {
          this.fill(mapped, bytes, before)
          table.end(CHANGE.delete, transaction)
        }
        const same = this.fill(mapped, bytes, after)
        table.end(moved ? CHANGE.moved : CHANGE.update, transaction, same)
      }
    }
  }

  /** Writes a row; gives the names of the columns that the log left out. */
  private fill(mapped: Mapped, bytes: Buffer, places: Int32Array): string[] {
    const { table } = this
    const { row } = table
    const absent: string[] = []
    for (let index = 0; index < mapped.places.length; index++) {
      const place = mapped.places[index]!
      if (place < 0) continue
      const column = table.columns[place]!
      const at = places[index]!
      if (at >= 0) mapped.readers[index]!(table.builder, column, row, bytes, at)
      else {
        column.setNull(row)
        if (at === ABSENT) absent.push(column.column.name)
      }
    }
    for (const place of mapped.missing) table.columns[place]!.setNull(row)
    return absent
  }

  private differs({ lengths }: Mapped, bytes: Buffer, index: number): boolean {
    const [from, to] = [this.before[index]!, this.after[index]!]
    if (from < 0 || to < 0) return from !== to
    const length = lengths[index]!(bytes, from)
    return bytes.compare(bytes, from, from + length, to, to + lengths[index]!(bytes, to)) !== 0
  }

  private mapped(logged: LoggedTable): Mapped {
    const found = this.known.get(logged)
    if (found) return found
    const { columns, read } = this.table
    if (!logged.named)
      throw new EngineError('CONFIG_INVALID', `${read.where}: the binary log does not name its columns`, {
        hint: "SET GLOBAL binlog_row_metadata = FULL; (and in the server's configuration), then read the table anew: nightfreight run JOB --full-refresh.",
      })
    const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase()
    const places = Int32Array.from(logged.columns, ({ name }) =>
      columns.findIndex(({ column }) => same(column.name, name)),
    )
    const made: Mapped = {
      places,
      lengths: logged.columns.map(column => {
        const length = lengthOf(column)
        if (!length) this.fail(`column ${column.name} is of a type that is not known (${column.type})`)
        return length
      }),
      readers: logged.columns.map((column, index) => {
        if (places[index]! < 0) return undefined
        const into = columns[places[index]!]!
        const reader = readerOf(column, into, this.sets)
        if (!reader)
          throw new EngineError(
            'TYPE_UNSUPPORTED',
            `${read.where}.${column.name}: ${into.column.native} cannot be read from the log${into.column.policy === 'text' ? ' as text' : ''} (type ${column.type}, ${this.sets.name(column.collation)})`,
            { hint: `Leave mode: changes out of extract ${read.extract}.` },
          )
        return reader
      }),
      missing: columns.flatMap((_, place) => (places.includes(place) ? [] : [place])),
      keys: read.key.map(name => logged.columns.findIndex(column => same(column.name, name))),
    }
    if (made.keys.includes(-1)) this.fail('it has no key')
    this.known.set(logged, made)
    return made
  }

  private fail(what: string): never {
    throw new EngineError(
      'DECODE_FAILED',
      `${this.table.read.where}: changes in the binary log cannot be read: ${what}`,
      {
        hint: 'Read the table anew: nightfreight run JOB --full-refresh.',
      },
    )
  }
}
