import { randomInt } from 'node:crypto'
import type { ChangeRead, ChangeRequest, ChangesRead } from '../../../engine/contracts/changes.ts'
import type { Read, Sink } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { DEFAULT_TIMEOUTS } from '../declare/define.ts'
import { ChangeTable } from '../wire/changeTable.ts'
import { unlessSilent } from '../wire/silence.ts'
import { type BinlogListener, BinlogReader } from './binlog.ts'
import { databaseAndName } from './catalog.ts'
import { CharacterSets } from './characterSets.ts'
import { type Access, ask, connect, engineError, interrupt, interruptOn, type Session } from './connect.ts'
import { engineOf, isMariadb, serverId, withGrant } from './followed.ts'
import { RowWriter } from './loggedRows.ts'
import { type BinlogPosition, binlogPosition, positionText, reaches } from './position.ts'
import { alteredColumns, altersEngine, effectOf, type LoggedStatement } from './statements.ts'
import { literal } from './types.ts'
import { converse, socketOf } from './wire.ts'

const COM_BINLOG_DUMP = 0x12
/** The server says so where its log ends, instead of waiting for more. */
const NON_BLOCKING = 1

interface Followed {
  writer: RowWriter
  from: BinlogPosition
  /** `database.table`. */
  name: string
  engine: string | undefined
}

/** Reads the binary log from the least of the reads' positions on. Runs in a worker thread. */
export async function readChanges(
  payload: unknown,
  request: ChangeRequest,
  sinks: Sink[],
  signal: AbortSignal,
): Promise<ChangesRead> {
  const session = await connect(payload as Access, signal)
  const { name, connection } = session
  const release = interruptOn(signal, session)
  try {
    const mariadb = await isMariadb(session)
    const [server] = await ask<{ fold: string }>(session, 'SELECT @@lower_case_table_names AS fold')
    const fold = server!.fold !== '0'
    const sets = await CharacterSets.of(session)
    const followed: Followed[] = []
    for (const [index, read] of request.reads.entries()) {
      const writer = new RowWriter(new ChangeTable(read, sinks[index]!), sets)
      const [name, engine] = [await loggedName(session, read), await engineOf(session, tableIn(read))]
      followed.push({ writer, from: binlogPosition(read.from), name, engine })
    }
    const moved = movedTo(name, followed, await serverId(session, mariadb), mariadb)
    const [start] = followed.map(({ from }) => from).sort((a, b) => (reaches(a, b) ? 1 : -1))
    const until = binlogPosition(request.until)
    const listener = new Listener(followed, fold)
    const reader = new BinlogReader(name, start!, until, mariadb, listener)
    listener.reader = reader
    if (moved || !reaches(start!, until)) {
      const command = await dumpCommand(session, start!, mariadb, moved)
      const { silence } = session.access.timeouts ?? DEFAULT_TIMEOUTS
      await unlessSilent(
        socketOf(connection),
        silence,
        name,
        () => converse(connection, command, reader),
        () => interrupt(session),
      )
      if (reader.error) throw logError(name, reader.error, positionText(start!))
      if (!reader.done)
        throw new EngineError(
          'CONNECTION_LOST',
          `${name}: the server ended its log at ${positionText(reader.position)}, before ${request.until}`,
          {
            hint: 'Run the job again.',
          },
        )
    }
    for (const { writer } of followed) writer.table.flush()
    // What was asked for is a place between two transactions; its GTIDs are the server's own word.
    const end = reaches(until, reader.position) ? until : reader.position
    return { position: positionText(end), counts: followed.map(({ writer }) => writer.table.counts) }
  } catch (error) {
    if (signal.aborted) throw new EngineError('INTERRUPTED', `${name}: interrupted`, { cause: error })
    throw withGrant(engineError(name, error))
  } finally {
    release()
    connection.destroy()
  }
}

/** A table's name as the log has it: `database.table`. */
export async function loggedName(session: Session, { options }: Pick<Read, 'options'>): Promise<string> {
  const [database, own] = databaseAndName(tableIn({ options }))
  const [found] = await ask<{ name: string }>(session, `SELECT ${database} AS name`)
  return `${found!.name}.${own}`
}

const tableIn = ({ options }: Pick<Read, 'options'>) => (options as { table: string }).table

/** Gives each table what is after its own position. */
class Listener implements BinlogListener {
  reader: BinlogReader | undefined
  private readonly followed: Followed[]
  private readonly fold: boolean
  private readonly retyped = new Set<string>()
  private readonly repaired = new Set<string>()

  constructor(followed: Followed[], fold: boolean) {
    this.followed = followed
    this.fold = fold
  }

  rows(...[rows, transaction]: Parameters<BinlogListener['rows']>): void {
    const { database, table } = rows.table
    for (const { writer } of this.tables(`${database}.${table}`)) {
      if (rows.prepared)
        throw new EngineError(
          'LOG_LOST',
          `${writer.table.read.where}: the log has changes of it in a transaction of XA, which may be rolled back later`,
          { hint: 'Read the table anew once it has ended: nightfreight run JOB --full-refresh.' },
        )
      writer.write(rows, transaction)
    }
  }

  statement(...[statement, transaction]: Parameters<BinlogListener['statement']>): void {
    for (const followed of this.followed) {
      const { writer, from, name } = followed
      if (!this.isNew(from)) continue
      const effect = effectOf(statement, name, this.fold)
      if (effect === 'truncated') writer.table.truncate(transaction)
      if (effect === 'repaired') this.repaired.add(name)
      if (
        effect === 'lost' ||
        this.isRepaired(statement, followed) ||
        this.isAnew(statement, writer.table.read, name)
      )
        throw new EngineError(
          'LOG_LOST',
          `${writer.table.read.where}: the log has ${JSON.stringify(statement.sql.slice(0, 80))}, which changes the table's rows and does not tell how`,
          { hint: 'Read the table anew: nightfreight run JOB --full-refresh.' },
        )
    }
  }

  /** Whether a repair has taken rows: of InnoDB it takes none, which may have been another engine's before a later statement. */
  private isRepaired(statement: LoggedStatement, { name, engine }: Followed): boolean {
    return this.repaired.has(name) && (engine !== 'InnoDB' || altersEngine(statement, name, this.fold))
  }

  /**
   * Whether a statement leaves rows with other values in a column than the log has told: one that was dropped is there again, or
   * one that had another type has its former one, of which values may have been cut.
   */
  private isAnew(statement: LoggedStatement, { columns, where }: ChangeRead, table: string): boolean {
    const { anew, retyped } = alteredColumns(statement, table, this.fold)
    const known = (name: string) => columns.some(column => column.name.toLowerCase() === name.toLowerCase())
    return (
      anew.some(known) ||
      retyped.filter(known).some(name => {
        const own = `${where}.${name.toLowerCase()}`
        const isSecond = this.retyped.has(own)
        this.retyped.add(own)
        return isSecond
      })
    )
  }

  private tables(name: string): Followed[] {
    return this.followed.filter(
      one =>
        (this.fold ? one.name.toLowerCase() === name.toLowerCase() : one.name === name) &&
        this.isNew(one.from),
    )
  }

  // A transaction that begins at a table's position is the first that is new to it.
  private isNew(from: BinlogPosition): boolean {
    return reaches(this.reader!.position, from)
  }
}

/**
 * Whether the log is another server's than that of the positions, or their place is beyond what can be asked for: then it is
 * read by their GTIDs, of which there must be one for all, and from there on everything is new.
 */
export function movedTo(
  name: string,
  followed: Pick<Followed, 'from'>[],
  server: string,
  mariadb: boolean,
): boolean {
  const moved = followed.find(
    ({ from }) => (from.server !== '' && from.server !== server) || from.offset >= WRAP,
  )
  if (!moved) return false
  const { gtids, server: before } = moved.from
  if (!mariadb || gtids === '' || followed.some(({ from }) => from.gtids !== gtids))
    throw new EngineError(
      'LOG_LOST',
      `${name}: the log is of server ${server}, and what was read of server ${before}`,
      { hint: 'Read the tables anew: nightfreight run JOB --full-refresh.' },
    )
  for (const one of followed) one.from = { file: '.0', offset: 0, gtids, server }
  return true
}

/** Offsets have four bytes in a command. */
const WRAP = 0x100000000

/** The command that has the server send its log; `waits`: and what comes to it later. */
export async function dumpCommand(
  session: Session,
  { file, offset, gtids }: BinlogPosition,
  mariadb: boolean,
  moved: boolean,
  waits = false,
): Promise<Buffer> {
  // Events come with the checksums that they have in the log; and MariaDB's GTIDs as they are.
  await ask(
    session,
    'SET @master_binlog_checksum = @@GLOBAL.binlog_checksum, @source_binlog_checksum = @@GLOBAL.binlog_checksum',
  )
  if (mariadb) await ask(session, 'SET @mariadb_slave_capability = 4')
  if (moved) await ask(session, `SET @slave_connect_state = ${literal(gtids)}, @slave_gtid_strict_mode = 1`)
  const name = Buffer.from(moved ? '' : file, 'utf8')
  const command = Buffer.alloc(11 + name.length)
  command[0] = COM_BINLOG_DUMP
  command.writeUInt32LE(moved ? 4 : offset, 1)
  command.writeUInt16LE(waits ? 0 : NON_BLOCKING, 5)
  // Two readers with one number end each other.
  command.writeUInt32LE(randomInt(0x80000000, 0xffffffff), 7)
  name.copy(command, 11)
  return command
}

/** ER_MASTER_FATAL_ERROR_READING_BINLOG: the server has no such place in its log. */
export function logError(name: string, error: Error & { errno: number }, from: string): Error {
  if (error.errno !== 1236) return error
  return new EngineError(
    'LOG_LOST',
    `${name}: the binary log from ${from} on is not there any more: ${error.message}`,
    {
      cause: error,
      hint: 'Read the tables anew: nightfreight run JOB --full-refresh. A longer binlog_expire_logs_seconds keeps the log until the next run.',
    },
  )
}
