import type { Socket } from 'node:net'
import type { Connection } from 'mysql2'
import { shareReads } from '../wire/steadySocket.ts'
import { FrameReader, frameOf, isCompressed } from './compressed.ts'

/** A payload of this many bytes goes on in the next packet (MySQL Internals, "MySQL Packets"). */
export const FULL = 0xffffff
const HEADER = 4

export interface Receiver {
  /** One whole payload as bytes[from, to), its continuations joined. Gives true when the answer is over. */
  payload(bytes: Buffer, from: number, to: number): boolean
  /** Set where an answer may be left before its end: the connection is of no use then. */
  readonly leaves?: true
  /** Throws DECODE_FAILED that says where in the answer `what` was seen. */
  fail(what: string): never
}

/**
 * Cuts a stream of packets, fed in pieces of any size, into payloads. One inside a piece is handed over where it
 * lies; only what spans pieces or packets is copied, so a piece is done with when {@link push} returns. Sequence numbers must count up from 1: a server's answer.
 */
export class Framer {
  private readonly receiver: Receiver
  /** The packet that the last piece broke off in: its bytes so far, and how many it takes to go on. */
  private rest: Buffer[] = []
  private held = 0
  private needed = HEADER
  /** Payloads of {@link FULL} bytes that the next packet continues. */
  private parts: Buffer[] = []
  private sequence = 1
  private over = false

  constructor(receiver: Receiver) {
    this.receiver = receiver
  }

  /** Gives true once the answer is over. */
  push(piece: Buffer): boolean {
    let at = 0
    while (this.held > 0) {
      const taken = Math.min(this.needed - this.held, piece.length - at)
      this.rest.push(Buffer.from(piece.subarray(at, at + taken)))
      this.held += taken
      at += taken
      if (this.held < this.needed) return false
      const joined = Buffer.concat(this.rest, this.held)
      this.needed = HEADER + lengthAt(joined, 0)
      this.rest = [joined]
      if (this.held < this.needed) continue
      this.rest = []
      this.held = 0
      this.packet(joined, 0, joined.length)
    }
    const { length } = piece
    while (length - at >= HEADER) {
      const end = at + HEADER + lengthAt(piece, at)
      if (end > length) break
      this.packet(piece, at, end)
      at = end
    }
    if (at < length) {
      this.rest = [Buffer.from(piece.subarray(at))]
      this.held = length - at
      this.needed = length - at < HEADER ? HEADER : HEADER + lengthAt(piece, at)
    }
    return this.over
  }

  private packet(bytes: Buffer, at: number, to: number): void {
    if (this.over && this.receiver.leaves) return
    if (this.over) this.receiver.fail('packets follow the end of the answer')
    const sequence = bytes[at + 3]!
    if (sequence !== this.sequence)
      this.receiver.fail(`packet ${this.sequence} was due, packet ${sequence} came`)
    this.sequence = (sequence + 1) & 0xff
    const from = at + HEADER
    if (to - from < FULL && this.parts.length === 0) {
      this.over = this.receiver.payload(bytes, from, to)
      return
    }
    this.parts.push(Buffer.from(bytes.subarray(from, to)))
    if (to - from === FULL) return
    const whole = Buffer.concat(this.parts)
    this.parts = []
    this.over = this.receiver.payload(whole, 0, whole.length)
  }
}

const lengthAt = (bytes: Buffer, at: number) => bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16)

// As the driver would say it.
const lost = (message: string) => Object.assign(new Error(message), { code: 'PROTOCOL_CONNECTION_LOST' })

/** The socket under a connection (TLS included); the driver's types leave it out. mysql2 is pinned for it. */
export const socketOf = (connection: Connection): Socket =>
  (connection as unknown as { stream: Socket }).stream

/**
 * Sends a command and gives every payload of the answer to `receiver`, past the driver, which must be idle and has
 * the socket back afterwards. Everything happens within the socket's data event, so a slow receiver slows the
 * server down by itself. Rejects with what the receiver threw or with the driver's error of a lost connection; it is gone
 * then.
 */
export function converse(connection: Connection, command: Buffer, receiver: Receiver): Promise<void> {
  const socket = socketOf(connection)
  // A closed socket says so only once: without this we would wait for ever.
  if (socket.destroyed) return Promise.reject(lost('the connection is closed'))
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const drivers = socket.listeners('data') as ((piece: Buffer) => void)[]
  const packets = new Framer(receiver)
  const compressed = isCompressed(connection)
  const framer = compressed
    ? new FrameReader(
        bytes => packets.push(bytes),
        what => receiver.fail(what),
      )
    : packets
  const finish = () => {
    shareReads(socket, false)
    socket.off('data', onData).off('close', onClose)
    for (const listener of drivers) socket.on('data', listener)
  }
  const onData = (piece: Buffer) => {
    try {
      if (!framer.push(piece)) return
      finish()
      resolve()
    } catch (error) {
      finish()
      // The rest of the answer is of no use, and only hanging up stops the server from sending it.
      connection.destroy()
      reject(error)
    }
  }
  const onClose = () => {
    finish()
    reject(lost('the server closed the connection amid a result'))
  }
  shareReads(socket, true)
  socket.removeAllListeners('data')
  socket.on('data', onData).on('close', onClose)
  const packet = Buffer.alloc(HEADER + command.length)
  packet.writeUIntLE(command.length, 0, 3)
  command.copy(packet, HEADER)
  socket.write(compressed ? frameOf(packet, 0) : packet)
  return promise
}
