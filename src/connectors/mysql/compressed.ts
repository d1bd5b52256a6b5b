import { constants, deflateSync, inflateSync } from 'node:zlib'
import type { Connection } from 'mysql2'

const HEADER = 7
/** Bytes of packets in one frame at most: servers of any max_allowed_packet take it. */
const MAX_FRAME_BYTES = 1 << 20
/** What is shorter is sent as it is: the servers' own bound (MIN_COMPRESS_LENGTH). */
const MIN_DEFLATED_BYTES = 50

/** What the driver's types leave out; mysql2 is pinned for it. */
interface Driver {
  config: { compress?: number | boolean }
  compressedSequenceId: number
  write(bytes: Buffer): void
  writeUncompressed(bytes: Buffer): void
}

const driver = (connection: Connection) => connection as unknown as Driver

/** Whether client and server agreed to compress what they send. */
export const isCompressed = (connection: Connection): boolean => Boolean(driver(connection).config.compress)

/**
 * Has the driver compress fast, and at once: by itself it does so behind the socket's back, which then holds nobody up who
 * sends a table.
 */
export function compressAtOnce(connection: Connection): void {
  const own = driver(connection)
  own.write = bytes => {
    for (let from = 0; from < bytes.length; from += MAX_FRAME_BYTES) {
      const frame = frameOf(bytes.subarray(from, from + MAX_FRAME_BYTES), own.compressedSequenceId)
      own.compressedSequenceId = (own.compressedSequenceId + 1) & 0xff
      own.writeUncompressed(frame)
    }
  }
}

/** Packets, or a part of them, as a frame (MySQL Internals, "Compressed Packet"). */
export function frameOf(packets: Buffer, sequence: number): Buffer {
  const deflated =
    packets.length < MIN_DEFLATED_BYTES ? packets : deflateSync(packets, { level: constants.Z_BEST_SPEED })
  const isSmaller = deflated.length < packets.length
  const body = isSmaller ? deflated : packets
  const header = Buffer.alloc(HEADER)
  header.writeUIntLE(body.length, 0, 3)
  header[3] = sequence
  header.writeUIntLE(isSmaller ? packets.length : 0, 4, 3)
  return Buffer.concat([header, body])
}

/** Takes frames, fed in pieces of any size, and hands over the packets in them, which may go on in the next. */
export class FrameReader {
  private readonly take: (packets: Buffer) => boolean
  private readonly fail: (what: string) => never
  private held: Buffer[] = []
  private size = 0
  private needed = HEADER

  /** `take` gives true once the answer is over. */
  constructor(take: (packets: Buffer) => boolean, fail: (what: string) => never) {
    this.take = take
    this.fail = fail
  }

  /** Gives true once the answer is over. */
  push(piece: Buffer): boolean {
    // The piece is the socket's own again afterwards.
    this.held.push(Buffer.from(piece))
    this.size += piece.length
    if (this.size < this.needed) return false
    const bytes = Buffer.concat(this.held, this.size)
    let over = false
    let at = 0
    while (bytes.length - at >= HEADER) {
      const end = at + HEADER + bytes.readUIntLE(at, 3)
      if (end > bytes.length) break
      over = this.take(this.packetsOf(bytes.subarray(at + HEADER, end), bytes.readUIntLE(at + 4, 3)))
      at = end
    }
    const rest = bytes.subarray(at)
    this.held = [rest]
    this.size = rest.length
    this.needed = HEADER + (rest.length < HEADER ? 0 : rest.readUIntLE(0, 3))
    return over
  }

  private packetsOf(body: Buffer, size: number): Buffer {
    if (size === 0) return body
    try {
      const packets = inflateSync(body, { maxOutputLength: size })
      if (packets.length === size) return packets
    } catch {}
    return this.fail('a compressed packet is broken')
  }
}
