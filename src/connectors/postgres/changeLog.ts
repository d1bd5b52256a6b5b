import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import type {
  ChangeLog,
  FollowedTable,
  KeptBeyond,
  LogPosition,
  LogStatus,
  Read,
  Snapshot,
  Stored,
} from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import { megabytes } from '../../util/units.ts'
import { type Access, ask, connect, disconnect, interruptOn, quoteIdent, quoteLiteral } from './connect.ts'
import { followable, publish, storedTables } from './followed.ts'
import { lsnOf, lsnText } from './lsn.ts'
import { idle, LOG_END, madeSlot, refusePassed, slotNamed } from './slot.ts'
import { watchSlot } from './watch.ts'

type OpenView = (lanes: number, signal: AbortSignal, reads: Read[], snapshot: string) => Promise<Snapshot>

/** Postgres' logical replication: a slot and a publication of the reader's name. */
export class PostgresChangeLog implements ChangeLog {
  readonly reading
  private readonly access: Access
  private readonly openView: OpenView

  constructor(access: Access, openView: OpenView) {
    this.access = access
    this.openView = openView
    this.reading = { module: moduleBeside(import.meta.url, 'changesLane'), payload: access }
  }

  async follow(reader: string, tables: FollowedTable[], signal: AbortSignal): Promise<LogPosition> {
    return this.using(signal, async client => {
      const { name } = this.access
      const [settings] = await this.ask<{ wal_level: string }>(
        client,
        `SELECT current_setting('wal_level') AS wal_level`,
      )
      if (settings!.wal_level !== 'logical')
        throw new EngineError(
          'CONFIG_INVALID',
          `${name}: its log tells no changes: wal_level is ${settings!.wal_level}`,
          { hint: "ALTER SYSTEM SET wal_level = 'logical'; and restart the server." },
        )
      const found = await followable(client, name, tables)
      const known = tables.filter(({ from }) => from !== undefined)
      const slot = await madeSlot(client, this.access.name, reader, signal)
      const lost = (why: string) =>
        new EngineError('LOG_LOST', `${name}: ${why}: changes of ${tableNames(known)} may be lost`, {
          hint: 'Read anew what has been read so far: nightfreight run JOB --full-refresh.',
        })
      if (known.length > 0 && !slot) throw lost(`there is no replication slot ${reader} any more`)
      if (slot && (slot.plugin !== 'pgoutput' || slot.database !== 'here'))
        throw new EngineError(
          'CONFIG_INVALID',
          `${name}: replication slot ${reader} is of ${slot.plugin} in another database, or of another plugin`,
          { hint: `SELECT pg_drop_replication_slot('${reader}');` },
        )
      const gone = slot?.status === 'lost'
      if (gone && known.length > 0)
        throw lost(`replication slot ${reader} was invalidated: the server removed log that it needed`)
      for (const { spec, from } of known) refusePassed(name, reader, slot!, from!, spec.name)
      const added = await publish(client, name, reader, found)
      const unpublished = known.filter(({ spec }) => added.includes(spec.name))
      if (unpublished.length > 0)
        throw new EngineError(
          'LOG_LOST',
          `${name}: ${tableNames(unpublished)} had not been in publication ${reader}, as after DROP TABLE and CREATE TABLE: changes may be lost`,
          { hint: `Read it anew: nightfreight run JOB --full-refresh.` },
        )
      if (gone) await this.dropSlot(client, reader)
      if (!slot || gone) await this.createSlot(reader, signal)
      const [end] = await this.ask<{ lsn: string; replays: string }>(
        client,
        `SELECT pg_is_in_recovery()::text AS replays,
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END AS lsn`,
      )
      const { lsn, replays } = end!
      const beyond = known.find(({ from }) => lsnOf(from!) > lsnOf(lsn))
      // One that replays another's log may lag behind.
      if (beyond && replays === 'false')
        throw lost(
          `its log ends at ${lsn}, before ${lsnText(lsnOf(beyond.from!))}, up to which it was read, as after the server was restored from a backup`,
        )
      return lsn
    })
  }

  stored(reader: string, tables: FollowedTable[], signal: AbortSignal): Promise<Record<string, Stored>> {
    return this.using(signal, client => storedTables(client, this.access.name, reader, tables))
  }

  async open(
    reader: string,
    lanes: number,
    signal: AbortSignal,
    reads: Read[],
  ): Promise<Snapshot & { position: LogPosition }> {
    // The slot is for its snapshot, which is ours once the connection is closed.
    const view = async (client: pg.Client) => {
      // Names are the cluster's, whatever databases slots read; and processes of two machines may have one id.
      const own = `nightfreight_${reader.slice(-8)}_${process.pid}_${randomBytes(8).toString('hex')}`
      const [made] = await this.ask<{ consistent_point: string; snapshot_name: string }>(
        client,
        `CREATE_REPLICATION_SLOT ${quoteIdent(own)} TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT`,
      )
      const snapshot = await this.openView(lanes, signal, reads, made!.snapshot_name)
      return { ...snapshot, position: made!.consistent_point }
    }
    return this.using(signal, view, 'database')
  }

  watch(
    reader: string,
    _tables: FollowedTable[],
    seen: (changes: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    return watchSlot(this.access, reader, seen, signal)
  }

  async acknowledge(reader: string, positions: LogPosition[], signal: AbortSignal): Promise<void> {
    const [least] = positions.map(lsnOf).sort((a, b) => (a < b ? -1 : 1))
    await this.using(signal, async client => {
      const slot = await idle(client, this.access.name, reader, signal)
      if (slot && lsnOf(slot.confirmed) < least!)
        await this.ask(
          client,
          `SELECT pg_replication_slot_advance(${quoteLiteral(reader)}, ${quoteLiteral(lsnText(least!))})`,
        )
    })
  }

  status(reader: string, signal: AbortSignal): Promise<LogStatus> {
    return this.using(signal, async client => {
      const slot = await slotNamed(client, this.access.name, reader)
      const [end] = await this.ask<{ lsn: string; limit: string }>(
        client,
        `SELECT ${LOG_END} AS lsn,
           coalesce(current_setting('max_slot_wal_keep_size', true), '-1') AS limit`,
      )
      const holder = `replication slot ${reader}`
      const others = await this.otherSlots(client, reader)
      if (!slot) return { holder, exists: false, end: end!.lsn, notes: others }
      const notes = [
        ...others,
        ...(slot.status === 'lost' ? ['the server removed log that it needed: run with --full-refresh'] : []),
        ...(slot.status === 'unreserved' ? ['the server may remove log that it needs at any time'] : []),
        ...(slot.active_pid !== null ? [`read by process ${slot.active_pid}`] : []),
        ...(this.access.maxKeptLog === undefined
          ? []
          : [
              `serve drops the slot once more than ${megabytes(this.access.maxKeptLog)} are kept (max_kept_log)`,
            ]),
        end!.limit === '-1'
          ? 'the server keeps log without limit: ALTER SYSTEM SET max_slot_wal_keep_size sets one'
          : `the server keeps at most ${end!.limit} of log (max_slot_wal_keep_size)`,
      ]
      return {
        holder,
        exists: true,
        kept: slot.confirmed,
        end: end!.lsn,
        ...(slot.bytes !== null && { bytes: Number(slot.bytes) }),
        notes,
      }
    })
  }

  async limitKept(reader: string, signal: AbortSignal): Promise<KeptBeyond | undefined> {
    const limit = this.access.maxKeptLog
    if (limit === undefined) return undefined
    return this.using(signal, async client => {
      const slot = await slotNamed(client, this.access.name, reader)
      const bytes = Number(slot?.bytes ?? 0)
      // One that is being read moves on; to end its reader would lose what it has read.
      if (bytes <= limit || slot!.active_pid !== null) return undefined
      await this.dropSlot(client, reader)
      return { bytes, limit }
    })
  }

  drop(reader: string, signal: AbortSignal): Promise<string[]> {
    return this.using(signal, async client => {
      const removed: string[] = []
      if (await idle(client, this.access.name, reader, signal)) {
        await this.dropSlot(client, reader)
        removed.push(`replication slot ${reader}`)
      }
      const there = await this.ask(
        client,
        `SELECT 1 FROM pg_publication WHERE pubname = ${quoteLiteral(reader)}`,
      )
      if (there.length > 0) {
        const statement = `DROP PUBLICATION ${quoteIdent(reader)}`
        try {
          await ask(client, this.access.name, statement)
        } catch (error) {
          if (!(error instanceof EngineError) || error.code !== 'PERMISSION_DENIED') throw error
          const done = removed.length > 0 ? `removed ${removed.join(', ')}; ` : ''
          throw new EngineError('PERMISSION_DENIED', `${error.message} (${done}the publication is left)`, {
            cause: error,
            hint: `Have its owner run: ${statement};`,
          })
        }
        removed.push(`publication ${reader}`)
      }
      return removed
    })
  }

  /** Who renames a job or a connection leaves a slot of the former name, which no job knows. */
  private async otherSlots(client: pg.Client, reader: string): Promise<string[]> {
    const others = await this.ask<{ slot_name: string; bytes: string | null }>(
      client,
      `SELECT slot_name, pg_wal_lsn_diff(${LOG_END}, restart_lsn)::bigint AS bytes FROM pg_replication_slots
       WHERE slot_name LIKE 'nightfreight\\_%' AND slot_name <> ${quoteLiteral(reader)}
         AND database = current_database() AND NOT temporary ORDER BY slot_name`,
    )
    return others.map(
      ({ slot_name, bytes }) =>
        `${slot_name} keeps ${megabytes(Number(bytes ?? 0))} here, too, for another job, or this one under a former name. Only where no job has that name any more: SELECT pg_drop_replication_slot('${slot_name}');`,
    )
  }

  private async createSlot(reader: string, signal: AbortSignal): Promise<void> {
    const sql = `CREATE_REPLICATION_SLOT ${quoteIdent(reader)} LOGICAL pgoutput NOEXPORT_SNAPSHOT`
    await this.using(signal, client => this.ask(client, sql), 'database')
  }

  private async dropSlot(client: pg.Client, reader: string): Promise<void> {
    await this.ask(client, `SELECT pg_drop_replication_slot(${quoteLiteral(reader)})`)
  }

  private async ask<R extends object>(client: pg.Client, sql: string): Promise<R[]> {
    try {
      return await ask<R>(client, this.access.name, sql)
    } catch (error) {
      throw withStatement(error, this.access)
    }
  }

  private async using<T>(
    signal: AbortSignal,
    use: (client: pg.Client) => Promise<T>,
    replication?: 'database',
  ): Promise<T> {
    const client = await connect(this.access, this.access.name, signal, replication)
    const release = interruptOn(signal, client)
    try {
      return await use(client)
    } finally {
      release()
      await disconnect(client)
    }
  }
}

const tableNames = (tables: FollowedTable[]) => tables.map(({ spec }) => spec.name).join(', ')

/** Says what gives a privilege, or room for a slot. */
function withStatement(error: unknown, { url }: Access): unknown {
  if (!(error instanceof EngineError)) return error
  const { code } = (error.cause ?? {}) as { code?: string }
  const user = URL.canParse(url) ? decodeURIComponent(new URL(url).username) : ''
  const hint =
    code === '42501'
      ? `ALTER ROLE ${quoteIdent(user || 'reader')} REPLICATION; (of a managed server, the role that gives it)`
      : code === '53400'
        ? 'ALTER SYSTEM SET max_replication_slots = 20; and restart the server, or drop slots that nobody reads: SELECT slot_name FROM pg_replication_slots WHERE NOT active;'
        : undefined
  return hint ? new EngineError(error.code, error.message, { cause: error, hint }) : error
}
