import type { Socket } from 'node:net'
import type pg from 'pg'
import { EngineError } from '../../../engine/errors.ts'
import { shareReads } from '../wire/steadySocket.ts'

/** The parts of node-postgres's client that a COPY needs and its types leave out. pg is pinned for them. */
interface Internals {
  connection: { stream: Socket }
}

/** The socket under a connected client (TLS included). */
export const socketOf = (client: pg.Client): Socket => (client as unknown as Internals).connection.stream

/** What to do once a connection has gone. */
export const LOST_HINT = 'Run the job again: it resumes. If this repeats, look into the log of the server.'

/** Message types of the protocol's version 3 (PostgreSQL documentation, "Message Formats"). */
export const MESSAGE = {
  copyData: 0x64,
  copyDone: 0x63,
  error: 0x45,
  ready: 0x5a,
  copyIn: 0x47,
  copyBoth: 0x57,
} as const

/** No message of a server is longer than its largest allocation (MaxAllocSize, 1 GiB) and the length's own bytes. */
const MAX_MESSAGE_BYTES = 0x3fffffff + 4

export interface Receiver {
  /** A whole message: its type, and its body as bytes[from, to). */
  message(type: number, bytes: Buffer, from: number, to: number): void
}

const HEADER = 5

/**
 * Cuts a stream of protocol messages, fed in pieces of any size. A message inside one piece is handed over where
 * it lies; only what spans pieces is copied, so a piece is done with when {@link push} returns.
 */
export class Framer {
  private readonly where: string
  private readonly receiver: Receiver
  /** The message that the last piece broke off in: its bytes so far, and how many it takes to go on. */
  private rest: Buffer[] = []
  private held = 0
  private needed = HEADER

  /** `where` names the table in errors: `legacy.members`. */
  constructor(where: string, receiver: Receiver) {
    this.where = where
    this.receiver = receiver
  }

  push(piece: Buffer): void {
    let at = 0
    while (this.held > 0) {
      const taken = Math.min(this.needed - this.held, piece.length - at)
      this.hold(piece, at, at + taken)
      at += taken
      if (this.held < this.needed) return
      const joined = this.rest.length === 1 ? this.rest[0]! : Buffer.concat(this.rest, this.held)
      this.rest = [joined]
      this.needed = 1 + this.lengthAt(joined, 0)
      if (this.held < this.needed) continue
      this.rest = []
      this.held = 0
      this.receiver.message(joined[0]!, joined, HEADER, joined.length)
    }
    while (piece.length - at >= HEADER) {
      const end = at + 1 + this.lengthAt(piece, at)
      if (end > piece.length) break
      this.receiver.message(piece[at]!, piece, at + HEADER, end)
      at = end
    }
    if (at === piece.length) return
    this.needed = piece.length - at < HEADER ? HEADER : 1 + this.lengthAt(piece, at)
    this.hold(piece, at, piece.length)
  }

  private hold(piece: Buffer, from: number, to: number): void {
    this.rest.push(Buffer.from(piece.subarray(from, to)))
    this.held += to - from
  }

  /** The length that the message at `at` gives: of itself and its body. */
  private lengthAt(bytes: Buffer, at: number): number {
    const length = bytes.readInt32BE(at + 1)
    // Not waited for: a length that is noise would hold us, or fill the memory.
    if (length < 4 || length > MAX_MESSAGE_BYTES)
      throw new EngineError('DECODE_FAILED', `${this.where}: a protocol message has length ${length}`)
    return length
  }
}

/** An ErrorResponse's fields: `C` SQLSTATE, `M` message, `D` detail. */
export function errorFields(
  bytes: Buffer,
  from: number,
  to: number,
): Error & { code?: string; detail?: string } {
  const fields: Record<string, string> = {}
  for (const field of bytes.toString('utf8', from, to).split('\0'))
    if (field) fields[field[0]!] = field.slice(1)
  return Object.assign(new Error(fields.M ?? 'unknown error'), { code: fields.C, detail: fields.D })
}

/**
 * Sends a simple query and gives every message of its answer to `receiver` until the server is ready again, past
 * the driver, whose own parser would make an object of each row. The driver has the socket back afterwards.
 * Rejects with the server's error, or the receiver's: then the connection is destroyed, for data may be under way.
 */
export function converse(client: pg.Client, where: string, sql: string, receiver: Receiver): Promise<void> {
  const socket = socketOf(client)
  const lost = () =>
    new EngineError('CONNECTION_LOST', `${where}: the connection was closed`, { hint: LOST_HINT })
  // A closed socket says so only once: without this we would wait for ever.
  if (socket.destroyed) return Promise.reject(lost())
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const drivers = socket.listeners('data') as ((piece: Buffer) => void)[]
  let failure: Error | undefined
  const finish = (error?: Error) => {
    shareReads(socket, false)
    socket.off('data', onData).off('close', onClose)
    for (const listener of drivers) socket.on('data', listener)
    if (error) reject(error)
    else resolve()
  }
  const framer = new Framer(where, {
    message(type, bytes, from, to) {
      if (type === MESSAGE.error) failure = errorFields(bytes, from, to)
      else if (type === MESSAGE.ready) finish(failure)
      else if (!failure) receiver.message(type, bytes, from, to)
    },
  })
  const onData = (piece: Buffer) => {
    try {
      framer.push(piece)
    } catch (error) {
      finish(error as Error)
      socket.destroy()
    }
  }
  const onClose = () => finish(failure ?? lost())
  shareReads(socket, true)
  socket.removeAllListeners('data')
  socket.on('data', onData).on('close', onClose)
  sendQuery(socket, sql)
  return promise
}

/** Sends a simple query past the driver. */
export function sendQuery(socket: Socket, sql: string): void {
  const text = Buffer.from(`${sql}\0`, 'utf8')
  const head = Buffer.alloc(5)
  head.write('Q')
  head.writeInt32BE(text.length + 4, 1)
  socket.write(Buffer.concat([head, text]))
}
