import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

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
  const proxy: Proxy = { ...(await listening(server, url, sockets)), opened: 0, cuts: 0 }
  return proxy
}

/**
 * What happens to bytes from a client: they pass, or the line is cut before, or after the server has answered; or the client
 * alone is cut off, and the server goes on with what it was sent, and does not know.
 */
export type Verdict = 'pass' | 'cut' | 'cut after the answer' | 'cut off'

/** Says of a client's bytes what happens to them; the client's connection (counted from 0) waits meanwhile. */
export type Judge = (fromClient: Buffer, connection: number) => Verdict | Promise<Verdict>

/** A proxy that asks `judge` about all that clients send. */
export async function judgingProxy(target: string, judge: Judge): Promise<Pick<Proxy, 'url' | 'close'>> {
  const url = new URL(target)
  const [host, port] = [url.hostname, Number(url.port)]
  const sockets = new Set<Socket>()
  let opened = 0
  const server = createServer(client => {
    const connection = opened++
    const upstream = connect(port, host)
    const cut = () => {
      client.destroy()
      upstream.destroy()
    }
    let last = false
    let alone = false
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', cut).on('close', () => {
        sockets.delete(socket)
        if (!alone) cut()
      })
    }
    client.on('data', async (bytes: Buffer) => {
      client.pause()
      const verdict = await judge(bytes, connection)
      if (verdict === 'cut') return cut()
      last ||= verdict === 'cut after the answer'
      alone = verdict === 'cut off'
      upstream.write(bytes)
      if (alone) return client.destroy()
      client.resume()
    })
    upstream.on('data', (bytes: Buffer) => {
      if (last) cut()
      else if (!alone) client.write(bytes)
    })
  })
  return listening(server, url, sockets)
}

/** A proxy that passes everything on until it is told to `fall` silent: the lines stay open, and nothing comes any more. */
export async function silentProxy(target: string): Promise<Pick<Proxy, 'url' | 'close'> & { fall(): void }> {
  let silent = false
  const never = new Promise<Verdict>(() => {})
  const proxy = await judgingProxy(target, () => (silent ? never : 'pass'))
  return {
    ...proxy,
    fall() {
      silent = true
    },
  }
}

async function listening(server: Server, url: URL, sockets: Set<Socket>) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
