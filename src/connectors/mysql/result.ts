import type { PrepareStatementInfo } from 'mysql2'
import type { Batch } from '../../../engine/batch/batch.ts'
import { BatchBuilder, type ColumnBuilder } from '../../../engine/batch/builder.ts'
import type { Read } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { engineError, type Session } from './connect.ts'
import { RowDecoder, type WireColumn } from './decode.ts'
import { converse, type Receiver } from './wire.ts'

const COM_STMT_EXECUTE = 0x17
const OK = 0x00
const EOF = 0xfe
const ERROR = 0xff
const MORE_RESULTS = 8

/** A server's error, with the fields the driver would give it. */
export interface ServerError extends Error {
  errno: number
}

/** A look at one row while it lies in the builder: `take` is called once, with the row at `position`, from 1. */
export interface ReadMonitor {
  position: number
  take(columns: ColumnBuilder[], row: number): void
}

/**
 * Takes the answer to COM_STMT_EXECUTE: a count, as many column definitions, EOF, rows, EOF (MySQL Internals,
 * "Binary Protocol Resultset"). Batches go to `write` as they fill. A server's error ends the answer and is kept
 * in {@link error}, for the connection is as good as before.
 */
export class ResultReader implements Receiver {
  error: ServerError | undefined
  private readonly read: Read
  private readonly part: string
  private readonly write: (batch: Batch) => void
  private readonly builder: BatchBuilder
  private readonly watch: ReadMonitor | undefined
  private readonly wire: WireColumn[] = []
  private awaited = -1
  private decoder: RowDecoder | undefined

  /** `part` names the chunk whose rows are counted, for messages. */
  constructor(read: Read, part: string, write: (batch: Batch) => void, watch?: ReadMonitor) {
    this.read = read
    this.part = part
    this.write = write
    this.watch = watch
    this.builder = BatchBuilder.borrow(read.where, read.columns, read.limits)
  }

  payload(bytes: Buffer, from: number, to: number): boolean {
    const first = from < to ? bytes[from] : undefined
    if (this.decoder !== undefined && first === OK) {
      this.decoder.decode(bytes, from, to)
      if (this.decoder.position === this.watch?.position)
        this.watch.take(this.builder.columns, this.builder.rows - 1)
      if (this.builder.full) this.flush()
      return false
    }
    if (first === ERROR) {
      this.error = serverError(bytes, from, to)
      return true
    }
    if (this.awaited < 0) this.awaited = this.count(bytes, from, to)
    else if (this.wire.length < this.awaited) this.wire.push(this.definition(bytes, from, to))
    else if (first !== EOF || to - from !== 5) this.fail('a packet is neither a row nor the end')
    else if (this.decoder === undefined)
      this.decoder = new RowDecoder(this.read.where, this.builder, this.wire, this.part)
    else {
      if (bytes[from + 3]! & MORE_RESULTS) this.fail('the statement has more than one result')
      if (this.builder.rows > 0) this.flush()
      this.builder.release()
      return true
    }
    return false
  }

  private flush(): void {
    this.write(this.builder.batch())
    this.builder.reset()
  }

  // Beyond 250 columns the count takes three bytes; 4096 are the most a table may have.
  private count(bytes: Buffer, from: number, to: number): number {
    const count =
      to - from === 1
        ? bytes[from]!
        : to - from === 3 && bytes[from] === 0xfc
          ? bytes.readUInt16LE(from + 1)
          : 0
    if (count === 0 || count > 4096 || (to - from === 1 && count > 250))
      this.fail('the statement has no result')
    return count
  }

  // The fixed part comes last, behind names that we asked for ourselves: 0x0c, character set, length, type, flags,
  // decimals, two of filler.
  private definition(bytes: Buffer, from: number, to: number): WireColumn {
    const fixed = to - 13
    if (fixed < from || bytes[fixed] !== 0x0c)
      this.fail(`column definition ${this.wire.length + 1} is broken`)
    return { type: bytes[fixed + 7]!, unsigned: (bytes[fixed + 8]! & 32) !== 0, decimals: bytes[fixed + 10]! }
  }

  fail(what: string): never {
    const row = this.decoder ? `after row ${this.decoder.position}` : 'before the first row'
    throw new EngineError(
      'DECODE_FAILED',
      `${this.read.where}: ${row}${this.part && ` of ${this.part}`}: ${what}`,
    )
  }
}

/** Runs a query as a prepared statement and gives its answer to `reader`. */
export async function readResult(session: Session, sql: string, reader: ResultReader): Promise<void> {
  const { name, connection } = session
  const statement = await new Promise<PrepareStatementInfo>((resolve, reject) => {
    connection.prepare(sql, (error, prepared) =>
      error ? reject(engineError(name, error)) : resolve(prepared),
    )
  })
  try {
    // Statement, no cursor, once.
    const command = Buffer.alloc(10)
    command[0] = COM_STMT_EXECUTE
    command.writeUInt32LE((statement as unknown as { id: number }).id, 1)
    command.writeUInt32LE(1, 6)
    await converse(connection, command, reader)
    if (reader.error) throw reader.error
  } catch (error) {
    throw engineError(name, error)
  } finally {
    connection.unprepare(sql)
  }
}

function serverError(bytes: Buffer, from: number, to: number): ServerError {
  const errno = to - from >= 3 ? bytes.readUInt16LE(from + 1) : 0
  // `#` and five characters of SQLSTATE.
  const text = bytes.toString('utf8', Math.min(to, bytes[from + 3] === 0x23 ? from + 9 : from + 3), to)
  return Object.assign(new Error(text || 'unknown error'), { errno })
}
