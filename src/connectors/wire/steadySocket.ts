import { type OnReadOpts, Socket } from 'node:net'

/** Bytes of one read at most. */
const BUFFER = 256 * 1024

const shared = new WeakSet<Socket>()

/**
 * A TCP socket that reads into one buffer of its own. Node makes a new buffer for each read of a socket; at the
 * speed of a database's stream those pile up by the hundred megabytes before anything collects them. `data`
 * listeners are given copies, but while {@link shareReads} is on, the buffer itself: good until they return. Under
 * TLS the reads are those of TLS, and none of this applies.
 */
export function steadySocket(): Socket {
  const buffer = Buffer.allocUnsafeSlow(BUFFER)
  const onread: OnReadOpts = {
    buffer,
    callback(length) {
      const bytes = buffer.subarray(0, length)
      socket.emit('data', shared.has(socket) ? bytes : Buffer.from(bytes))
      return true
    },
  }
  const socket: Socket = new Socket({ onread })
  return socket
}

/** Says whether `data` listeners of a socket can do with bytes that are good only until they return. */
export function shareReads(socket: Socket, on: boolean): void {
  if (on) shared.add(socket)
  else shared.delete(socket)
}
