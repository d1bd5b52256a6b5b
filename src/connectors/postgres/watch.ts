import { EngineError } from '../../../engine/errors.ts'
import { DEFAULT_TIMEOUTS } from '../declare/define.ts'
import { unlessSilent } from '../wire/silence.ts'
import { stream } from './changesLane.ts'
import { type Access, connect, hangUp, interruptOn, postgresError } from './connect.ts'
import { lsnOf } from './lsn.ts'
import { CHANGES, type LogDecoder, TRANSACTION } from './pgoutput.ts'
import { idle } from './slot.ts'
import { socketOf } from './wire.ts'

const NEVER = 0xffffffffffffffffn
const ASK_MS = 10_000
/** What the log goes on by until it is worth a word: of less, the server can remove no file. */
const SEGMENT = 16n << 20n

/** Counts what a slot has for its reader, from where the server keeps its log for it, until the signal ends it. */
export async function watchSlot(
  access: Access,
  reader: string,
  seen: (changes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const { name } = access
  const client = await connect(access, name, signal, 'database')
  const release = interruptOn(signal, client)
  try {
    const slot = await idle(client, name, reader, signal)
    if (!slot) throw new EngineError('LOG_LOST', `${name}: there is no replication slot ${reader} any more`)
    const start = lsnOf(slot.confirmed)
    const { silence } = access.timeouts ?? DEFAULT_TIMEOUTS
    await unlessSilent(
      socketOf(client),
      silence,
      name,
      () => stream(client, name, reader, start, NEVER, new Counter(start, seen), ASK_MS),
      () => hangUp(client),
    )
  } catch (error) {
    if (!signal.aborted) throw postgresError(error, name)
  } finally {
    release()
    hangUp(client)
  }
}

/** Counts the changes of each transaction, which is sent once it is committed. */
class Counter implements LogDecoder {
  committed = 0n
  underWay = false
  private readonly start: bigint
  private readonly seen: (changes: number) => void
  private changes = 0

  constructor(start: bigint, seen: (changes: number) => void) {
    this.start = start
    this.seen = seen
  }

  message(bytes: Buffer, from: number): void {
    const kind = bytes[from]!
    if (kind === TRANSACTION.begin) this.changes = 0
    else if (kind === TRANSACTION.commit) this.seen(this.changes)
    else if (CHANGES.includes(kind)) this.changes++
  }

  reached(position: bigint): void {
    if (position - this.start > SEGMENT) this.seen(0)
  }
}
