import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'

/** Bytes of a request's headers. */
const MAX_HEADER = 16_384
/** Milliseconds in which a request's headers, and all of it, must have come. */
const HEADERS_MS = 10_000
const REQUEST_MS = 30_000
/** Milliseconds that a connection may stay without a request. */
const KEEP_ALIVE_MS = 5_000
/** Milliseconds between two looks for connections that are too slow. */
const LOOK_MS = 2_000
const MAX_CONNECTIONS = 5_000

/** Serves an application; slow, silent and endless callers are cut off. */
export async function listen(
  app: { fetch: Parameters<typeof createAdaptorServer>[0]['fetch'] },
  { host, port }: { host: string; port: number },
): Promise<{ port: number; close(): Promise<void> }> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: {
      maxHeaderSize: MAX_HEADER,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: LOOK_MS,
    },
  }) as Server
  server.maxConnections = MAX_CONNECTIONS
  // One that has sent nothing at all is none of the above.
  server.on('connection', socket => {
    const silent = setTimeout(() => socket.destroy(), HEADERS_MS).unref()
    socket.once('data', () => clearTimeout(silent)).once('close', () => clearTimeout(silent))
  })
  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
