import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A TCP proxy in front of a server, which cuts connections after so many bytes of the server's answers. */
export interface Proxy {
  /** The server's URL with the proxy's address. */
  url: string
  /** Connections so far, and how many of them were cut. */
  opened: number
  cuts: number
  close(): Promise<void>
}

/** `budget(n)` gives the bytes that the n-th connection (from 0) may bring; Infinity: it is left alone. */
export async function cuttingProxy(target: string, budget: (connection: number) => number): Promise<Proxy> {
  const url = new URL(target)
  const [host, port] = [url.hostname, Number(url.port)]
  const sockets = new Set<Socket>()
  const server = createServer(client => {
    let left = budget(proxy.opened++)
    const upstream = connect(port, host)
    const hangUp = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', hangUp).on('close', () => {
        sockets.delete(socket)
        hangUp()
      })
    }
    client.pipe(upstream)
    upstream.on('data', (piece: Buffer) => {
      if (piece.length < left) {
        left -= piece.length
        if (!client.write(piece)) {
          upstream.pause()
          client.once('drain', () => upstream.resume())
        }
        return
      }
      proxy.cuts++
      // What was let through arrives, then the line is dead.
      client.write(piece.subarray(0, left), hangUp)
      upstream.pause()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  const proxy: Proxy = {
    url: url.href,
    opened: 0,
    cuts: 0,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return proxy
}
