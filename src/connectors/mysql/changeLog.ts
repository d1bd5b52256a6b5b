import type {
  ChangeLog,
  FollowedTable,
  LogPosition,
  LogStatus,
  Read,
  Snapshot,
} from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import { type Access, ask, connect, disconnect, type Session } from './connect.ts'
import { isMariadb, logSettings, obstacleOf, serverId, tableFacts, withGrant } from './followed.ts'
import { type BinlogPosition, binlogPosition, fileNumber, positionText } from './position.ts'
import { literal } from './types.ts'
import { watchBinlog } from './watch.ts'

type Locate = (view: Session, refusal: EngineError | undefined) => Promise<void>
type OpenView = (lanes: number, signal: AbortSignal, reads: Read[], locate: Locate) => Promise<Snapshot>

/** The binary log of MySQL and MariaDB. The server keeps it for everybody, for as long as its settings say. */
export class MysqlChangeLog implements ChangeLog {
  readonly reading
  private readonly access: Access
  private readonly openView: OpenView

  constructor(access: Access, openView: OpenView) {
    this.access = access
    this.openView = openView
    this.reading = { module: moduleBeside(import.meta.url, 'changesLane'), payload: access }
  }

  follow(_reader: string, tables: FollowedTable[], signal: AbortSignal): Promise<LogPosition> {
    return this.using(signal, async session => {
      const { name } = session
      const wrong = (await logSettings(session)).find(({ ok }) => !ok)
      if (wrong) throw new EngineError('CONFIG_INVALID', `${name}: ${wrong.what}`, { hint: wrong.fix })
      for (const { spec } of tables) {
        const { table } = spec.options as { table: string }
        const facts = await tableFacts(session, table)
        const obstacle = facts && obstacleOf(table, facts, spec.key)
        if (obstacle)
          throw new EngineError('CONFIG_INVALID', `${name}.${spec.name}: ${table} ${obstacle.what}`, {
            hint: obstacle.fix,
          })
      }
      const mariadb = await isMariadb(session)
      for (const { spec, from } of tables)
        if (from !== undefined) await checkThere(session, spec.name, binlogPosition(from), mariadb)
      return positionText(await here(session, mariadb))
    })
  }

  async open(
    _reader: string,
    lanes: number,
    signal: AbortSignal,
    reads: Read[],
    exact: boolean,
  ): Promise<Snapshot & { position: LogPosition }> {
    let position = ''
    const snapshot = await this.openView(lanes, signal, reads, async (view, refusal) => {
      const mariadb = await isMariadb(view)
      // The lanes join one after the other: without the lock, their views are later than this one.
      if (refusal && (exact || !mariadb))
        throw new EngineError(
          refusal.code,
          `${view.name}: where its log is cannot be told without the short read lock: ${refusal.message}`,
          { cause: refusal, hint: refusal.hint },
        )
      position = positionText(mariadb ? await ofView(view) : await here(view, false))
    })
    return { ...snapshot, position }
  }

  watch(
    _reader: string,
    tables: FollowedTable[],
    seen: (changes: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    return watchBinlog(this.access, tables, seen, signal)
  }

  // The server keeps its log by its own clock.
  async acknowledge(): Promise<void> {}

  status(_reader: string, signal: AbortSignal): Promise<LogStatus> {
    return this.using(signal, async session => {
      const mariadb = await isMariadb(session)
      const end = positionText(await here(session, mariadb))
      const logs = await ask<Record<string, string>>(session, 'SHOW BINARY LOGS')
      const [setting] = await ask<{ Value: string; Variable_name: string }>(
        session,
        "SHOW GLOBAL VARIABLES WHERE variable_name IN ('binlog_expire_logs_seconds')",
      )
      const seconds = Number(setting?.Value ?? 0)
      const bytes = logs.reduce((sum, log) => sum + Number(log.File_size ?? 0), 0)
      return {
        holder: 'binary log',
        exists: true,
        kept: `${logs[0]?.Log_name ?? end}:4`,
        end,
        bytes,
        notes: [
          seconds > 0
            ? `the server keeps its log for ${Math.round(seconds / 360) / 10} h, whoever reads it (binlog_expire_logs_seconds)`
            : 'the server keeps its log until somebody purges it (binlog_expire_logs_seconds is 0)',
        ],
      }
    })
  }

  private async using<T>(signal: AbortSignal, work: (session: Session) => Promise<T>): Promise<T> {
    const session = await connect(this.access, signal)
    try {
      return await work(session)
    } catch (error) {
      throw withGrant(error)
    } finally {
      await disconnect(session)
    }
  }
}

/** Where the log ends. */
async function here(session: Session, mariadb: boolean): Promise<BinlogPosition> {
  const [found] = await ask<Record<string, string>>(session, 'SHOW MASTER STATUS').catch(error => {
    // MySQL 8.4 has another word.
    if (error instanceof EngineError && error.code === 'SQL_FAILED')
      return ask<Record<string, string>>(session, 'SHOW BINARY LOG STATUS')
    throw error
  })
  const file = found!.File!
  const offset = Number(found!.Position)
  const gtids = mariadb
    ? await gtidsAt(session, file, offset)
    : (found!.Executed_Gtid_Set ?? '').replace(/\s/g, '')
  return { file, offset, gtids: gtids ?? '', server: await serverId(session, mariadb) }
}

/** The place in the log that a session's view of MariaDB is. */
async function ofView(view: Session): Promise<BinlogPosition> {
  const found = await ask<{ Variable_name: string; Value: string }>(
    view,
    "SHOW STATUS LIKE 'binlog_snapshot_%'",
  )
  const value = (name: string) =>
    found.find(row => row.Variable_name.toLowerCase() === `binlog_snapshot_${name}`)?.Value
  const file = value('file')!
  const offset = Number(value('position'))
  return {
    file,
    offset,
    gtids: (await gtidsAt(view, file, offset)) ?? '',
    server: await serverId(view, true),
  }
}

async function gtidsAt(session: Session, file: string, offset: number): Promise<string | null> {
  const [found] = await ask<{ gtids: string | null }>(
    session,
    `SELECT BINLOG_GTID_POS(${literal(file)}, ${offset}) AS gtids`,
  )
  return found!.gtids
}

/** Fails with LOG_LOST where the log after a position is not what it was. */
async function checkThere(
  session: Session,
  extract: string,
  position: BinlogPosition,
  mariadb: boolean,
): Promise<void> {
  const lost = (why: string) =>
    new EngineError('LOG_LOST', `${session.name}: ${why}: changes of ${extract} may be lost`, {
      hint: 'Read the tables anew: nightfreight run JOB --full-refresh. A longer binlog_expire_logs_seconds keeps the log until the next run.',
    })
  const text = positionText(position)
  // Another server is asked by its GTIDs, and says itself what it lacks.
  if (position.server !== '' && (await serverId(session, mariadb)) !== position.server) return
  const logs = await ask<Record<string, string>>(session, 'SHOW BINARY LOGS')
  const own = logs.find(log => log.Log_name === position.file)
  if (!own) {
    const first = logs[0]?.Log_name
    throw lost(
      first !== undefined && fileNumber(position.file) < fileNumber(first)
        ? `the binary log from ${text} on was purged, it begins with ${first}`
        : `there is no binary log ${position.file}, as after RESET MASTER`,
    )
  }
  if (Number(own.File_size) < position.offset)
    throw lost(`binary log ${position.file} is shorter than ${position.offset}, as after RESET MASTER`)
  if (mariadb && sorted(await gtidsAt(session, position.file, position.offset)) !== sorted(position.gtids))
    throw lost(`binary log ${position.file} is another one than was read, as after RESET MASTER`)
}

const sorted = (gtids: string | null) => (gtids ?? '').split(',').sort().join(',')
