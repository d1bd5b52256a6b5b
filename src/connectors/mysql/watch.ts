import type { FollowedTable } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { DEFAULT_TIMEOUTS } from '../declare/define.ts'
import { unlessSilent } from '../wire/silence.ts'
import { type BinlogListener, BinlogReader } from './binlog.ts'
import { dumpCommand, logError, loggedName, movedTo } from './changesLane.ts'
import { type Access, ask, connect, engineError, interrupt, interruptOn } from './connect.ts'
import { isMariadb, serverId } from './followed.ts'
import { countRows } from './loggedRows.ts'
import { binlogPosition, positionText, reaches } from './position.ts'
import { effectOf } from './statements.ts'
import { converse, socketOf } from './wire.ts'

/** How often the server shows that it is there while nothing changes, in its own unit. */
const HEARTBEAT_NS = 15_000_000_000
const NEVER = { file: '.999999999', offset: 0, gtids: '', server: '' }

/** Counts the changes of some tables after their positions as they are logged, until the signal ends it. */
export async function watchBinlog(
  access: Access,
  tables: FollowedTable[],
  seen: (changes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const session = await connect(access, signal)
  const { name, connection } = session
  const release = interruptOn(signal, session)
  try {
    const mariadb = await isMariadb(session)
    const [server] = await ask<{ fold: string }>(session, 'SELECT @@lower_case_table_names AS fold')
    const fold = server!.fold !== '0'
    const names = await Promise.all(tables.map(({ spec }) => loggedName(session, spec)))
    const followed = tables.map(({ from }) => ({ from: binlogPosition(from!) }))
    const moved = movedTo(name, followed, await serverId(session, mariadb), mariadb)
    const [start] = followed.map(({ from }) => from).sort((a, b) => (reaches(a, b) ? 1 : -1))
    const same = (logged: string) =>
      names.some(own => (fold ? own.toLowerCase() === logged.toLowerCase() : own === logged))
    const listener: BinlogListener = {
      rows(rows) {
        if (same(`${rows.table.database}.${rows.table.table}`)) seen(countRows(rows) ?? 1)
      },
      statement(statement) {
        if (names.some(own => effectOf(statement, own, fold) !== 'none')) seen(1)
      },
    }
    const reader = new Watcher(name, start!, NEVER, mariadb, listener)
    reader.moved = () => seen(0)
    const command = await dumpCommand(session, start!, mariadb, moved, true)
    await ask(
      session,
      `SET @master_heartbeat_period = ${HEARTBEAT_NS}, @source_heartbeat_period = ${HEARTBEAT_NS}`,
    )
    const { silence } = access.timeouts ?? DEFAULT_TIMEOUTS
    await unlessSilent(
      socketOf(connection),
      silence,
      name,
      () => converse(connection, command, reader),
      () => interrupt(session),
    )
    if (reader.error) throw logError(name, reader.error, positionText(start!))
    throw new EngineError('CONNECTION_LOST', `${name}: the server ended its log`)
  } catch (error) {
    if (!signal.aborted) throw engineError(name, error)
  } finally {
    release()
    connection.destroy()
  }
}

/** Says when the log goes on in another file: of one that is read to its end, the server may remove nothing. */
class Watcher extends BinlogReader {
  moved: () => void = () => {}
  private file = this.position.file

  override payload(bytes: Buffer, from: number, to: number): boolean {
    const done = super.payload(bytes, from, to)
    if (this.position.file !== this.file && this.file !== '.0') this.moved()
    this.file = this.position.file
    return done
  }
}
