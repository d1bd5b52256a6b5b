import type pg from 'pg'
import type { ChangeRequest, ChangesRead } from '../../../engine/contracts/changes.ts'
import type { Sink } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { DEFAULT_TIMEOUTS } from '../declare/define.ts'
import { ChangeTable } from '../wire/changeTable.ts'
import { unlessSilent } from '../wire/silence.ts'
import { shareReads } from '../wire/steadySocket.ts'
import {
  type Access,
  ask,
  connect,
  hangUp,
  interruptOn,
  postgresError,
  quoteIdent,
  quoteLiteral,
  quoteTable,
} from './connect.ts'
import { Continuity } from './continuity.ts'
import { lastReadOf, lsnOf, lsnText, positionText } from './lsn.ts'
import { EPOCH_SECONDS, type LogDecoder, PgOutput } from './pgoutput.ts'
import type { PostgresExtract } from './settings.ts'
import { idle, refusePassed } from './slot.ts'
import { errorFields, Framer, LOST_HINT, MESSAGE, sendQuery, socketOf } from './wire.ts'

const XLOG_DATA = 0x77
const KEEPALIVE = 0x6b
/** How often we ask how far the server is, and show that we are there. */
const ASK_MS = 200

/** Reads the log from the least of the reads' positions on. Runs in a worker thread. */
export async function readChanges(
  payload: unknown,
  request: ChangeRequest,
  sinks: Sink[],
  signal: AbortSignal,
): Promise<ChangesRead> {
  const access = payload as Access
  const { name } = access
  const client = await connect(access, name, signal, 'database')
  const release = interruptOn(signal, client)
  try {
    const tables = request.reads.map((read, index) => new ChangeTable(read, sinks[index]!))
    const byOid = new Map<number, ChangeTable[]>()
    for (const table of tables) {
      const own = quoteTable((table.read.options as PostgresExtract).table!)
      const [found] = await ask(client, name, `SELECT to_regclass(${quoteLiteral(own)})::oid AS oid`)
      if (found?.oid == null)
        throw new EngineError('TABLE_MISSING', `${table.read.where}: there is no such table any more`, {
          hint: 'Check the table: of the extract.',
        })
      const oid = Number(found.oid)
      byOid.set(oid, [...(byOid.get(oid) ?? []), table])
    }
    const positions = new Map(tables.map(table => [table, lsnOf(table.read.from)]))
    const [start = 0n] = [...positions.values()].sort((a, b) => (a < b ? -1 : 1))
    const [last] = tables.flatMap(table =>
      positions.get(table) === start ? (lastReadOf(table.read.from) ?? []) : [],
    )
    const slot = await idle(client, name, request.reader, signal)
    if (slot) for (const { read } of tables) refusePassed(name, request.reader, slot, read.from, read.extract)
    const until = lsnOf(request.until)
    // At the positions, or before them, where the run before was killed ere it told the server.
    const confirmed = slot ? lsnOf(slot.confirmed) : start
    const continuity = new Continuity(name, start, confirmed, last)
    const decoder = new PgOutput(name, byOid, positions, until, continuity)
    const { silence } = access.timeouts ?? DEFAULT_TIMEOUTS
    const end = await unlessSilent(
      socketOf(client),
      silence,
      name,
      () => stream(client, name, request.reader, confirmed, until, decoder),
      () => hangUp(client),
    )
    continuity.check()
    for (const table of tables) table.flush()
    return { position: positionText(end, continuity.last), counts: tables.map(({ counts }) => counts) }
  } catch (error) {
    if (signal.aborted) throw new EngineError('INTERRUPTED', `${name}: interrupted`, { cause: error })
    throw postgresError(error, name)
  } finally {
    release()
    hangUp(client)
  }
}

/** Streams the log until it is at `until`, between two transactions; gives where that is. Asks the server so often how far it is. */
export function stream(
  client: pg.Client,
  name: string,
  slot: string,
  start: bigint,
  until: bigint,
  decoder: LogDecoder,
  askMillis = ASK_MS,
): Promise<bigint> {
  const socket = socketOf(client)
  const { promise, resolve, reject } = Promise.withResolvers<bigint>()
  if (socket.destroyed) return Promise.reject(lost(name))
  let timer: NodeJS.Timeout | undefined
  let streaming = false
  let ended = false
  const finish = (act: () => void) => {
    if (ended) return
    ended = true
    clearInterval(timer)
    shareReads(socket, false)
    socket.off('data', onData).off('close', onClose)
    act()
  }
  const settle = (position: bigint) => {
    if (!decoder.underWay && position >= until) finish(() => resolve(position))
  }
  // Of no position: what is told as flushed, the slot forgets, also of tables that are not among those read here.
  const report = (answer: boolean) => {
    const message = Buffer.alloc(39)
    message.write('d')
    message.writeInt32BE(38, 1)
    message.write('r', 5)
    message.writeBigInt64BE(BigInt(Date.now() - EPOCH_SECONDS * 1000) * 1000n, 30)
    message[38] = answer ? 1 : 0
    socket.write(message)
  }
  const framer = new Framer(name, {
    message(type, bytes, from, to) {
      if (ended) return
      if (type === MESSAGE.error) throw errorFields(bytes, from, to)
      if (type === MESSAGE.copyBoth) {
        streaming = true
        report(true)
        timer = setInterval(() => report(true), askMillis)
      } else if (type === MESSAGE.copyData && bytes[from] === XLOG_DATA) {
        decoder.message(bytes, from + 25, to)
        settle(decoder.committed)
      } else if (type === MESSAGE.copyData && bytes[from] === KEEPALIVE) {
        const position = bytes.readBigUInt64BE(from + 1)
        decoder.reached?.(position)
        settle(position)
        if (!ended && bytes[from + 17] === 1) report(false)
      } else if (type === MESSAGE.copyDone || (type === MESSAGE.ready && streaming)) throw lost(name)
    },
  })
  const onData = (piece: Buffer) => {
    try {
      framer.push(piece)
    } catch (error) {
      finish(() => reject(error))
    }
  }
  const onClose = () => finish(() => reject(lost(name)))
  shareReads(socket, true)
  socket.removeAllListeners('data')
  socket.on('data', onData).on('close', onClose)
  sendQuery(
    socket,
    `START_REPLICATION SLOT ${quoteIdent(slot)} LOGICAL ${lsnText(start)} (proto_version '1', publication_names ${quoteLiteral(quoteIdent(slot))})`,
  )
  return promise
}

const lost = (name: string) =>
  new EngineError('CONNECTION_LOST', `${name}: the connection was closed while its log was read`, {
    hint: LOST_HINT,
  })
