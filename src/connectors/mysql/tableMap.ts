/** One column as a table map event of the binary log describes it. */
export interface LoggedColumn {
  name: string
  /** Of the log (MySQL Internals, "Column Types"); of ENUM and SET their own. */
  type: number
  /** Two bytes of what else the type needs, as they lie: low and high. */
  low: number
  high: number
  unsigned: boolean
  /** Number of its collation; 63 is binary. */
  collation: number
  /** Members of an ENUM or a SET, as bytes of its character set. */
  members: Buffer[]
}

/** A table as the log describes it before its rows. */
export interface LoggedTable {
  database: string
  table: string
  columns: LoggedColumn[]
  /** False where the log has no names: binlog_row_metadata is not FULL. */
  named: boolean
}

const STRING = 254
const ENUM = 247
const SET = 248

/** Bytes of a type's metadata. */
const META: Record<number, number> = {
  4: 1,
  5: 1,
  15: 2,
  16: 2,
  17: 1,
  18: 1,
  19: 1,
  140: 1,
  141: 2,
  245: 1,
  246: 2,
  252: 1,
  253: 2,
  254: 2,
  255: 1,
}
const NUMERIC = [1, 2, 3, 4, 5, 8, 9, 13, 246]
const CHARACTERS = [15, 253, 254, 252]

/** Reads integers and strings behind their length; at most 2^53. */
export class Cursor {
  at: number
  readonly bytes: Buffer

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes
    this.at = at
  }

  length(): number {
    const first = this.bytes[this.at++]!
    const width = first === 0xfc ? 2 : first === 0xfd ? 3 : first === 0xfe ? 6 : 0
    if (width === 0) return first
    const value = this.bytes.readUIntLE(this.at, width)
    this.at += first === 0xfe ? 8 : width
    return value
  }

  take(length: number): Buffer {
    const taken = Buffer.from(this.bytes.subarray(this.at, this.at + length))
    this.at += length
    return taken
  }
}

/** Reads the body of a table map event, bytes[from, to); `mariadb`: YEAR has a sign there. */
export function readTableMap(bytes: Buffer, from: number, to: number, mariadb: boolean): LoggedTable {
  const cursor = new Cursor(bytes, from + 8)
  const database = cursor.take(cursor.length()).toString('utf8')
  cursor.at++
  const table = cursor.take(cursor.length()).toString('utf8')
  cursor.at++
  const count = cursor.length()
  const types = cursor.take(count)
  const metadata = cursor.take(cursor.length())
  cursor.at += (count + 7) >> 3
  let place = 0
  const columns = Array.from(types, (type): LoggedColumn => {
    const width = META[type] ?? 0
    let low = width > 0 ? metadata[place]! : 0
    let high = width > 1 ? metadata[place + 1]! : 0
    place += width
    if (type === STRING) {
      // The first byte is the type; two bits of it may be those of a length beyond 255.
      if ((low & 0x30) !== 0x30) {
        const length = high | (((low & 0x30) ^ 0x30) << 4)
        return {
          name: '',
          type: low | 0x30,
          low: length & 0xff,
          high: length >> 8,
          unsigned: false,
          collation: 63,
          members: [],
        }
      }
      const real = low === ENUM || low === SET ? low : STRING
      low = high
      high = 0
      return { name: '', type: real, low, high, unsigned: false, collation: 63, members: [] }
    }
    return { name: '', type, low, high, unsigned: false, collation: 63, members: [] }
  })
  const named = describe(columns, cursor, to, mariadb)
  return { database, table, columns, named }
}

/** The optional metadata; true where it names the columns. */
function describe(columns: LoggedColumn[], cursor: Cursor, to: number, mariadb: boolean): boolean {
  const numeric = columns.filter(({ type }) => NUMERIC.includes(type) && (mariadb || type !== 13))
  const characters = columns.filter(({ type }) => CHARACTERS.includes(type))
  const lists = columns.filter(({ type }) => type === ENUM || type === SET)
  const collations = (of: LoggedColumn[], end: number, isDefault: boolean) => {
    if (!isDefault) {
      for (const column of of) column.collation = cursor.length()
      return
    }
    const common = cursor.length()
    for (const column of of) column.collation = common
    while (cursor.at < end) {
      const index = cursor.length()
      const collation = cursor.length()
      if (of[index]) of[index].collation = collation
    }
  }
  const members = (type: number) => {
    for (const column of columns)
      if (column.type === type)
        column.members = Array.from({ length: cursor.length() }, () => cursor.take(cursor.length()))
  }
  let named = false
  while (cursor.at < to) {
    const kind = cursor.bytes[cursor.at++]!
    const length = cursor.length()
    const end = cursor.at + length
    if (kind === 1) {
      for (const [index, column] of numeric.entries())
        column.unsigned = (cursor.bytes[cursor.at + (index >> 3)]! & (0x80 >> (index & 7))) !== 0
    } else if (kind === 2 || kind === 3) collations(characters, end, kind === 2)
    else if (kind === 4) {
      for (const column of columns) column.name = cursor.take(cursor.length()).toString('utf8')
      named = true
    } else if (kind === 5) members(SET)
    else if (kind === 6) members(ENUM)
    else if (kind === 10 || kind === 11) collations(lists, end, kind === 10)
    cursor.at = end
  }
  return named
}
