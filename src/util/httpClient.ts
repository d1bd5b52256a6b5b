import { createRequire } from 'node:module'
import type * as Undici from 'undici'
import { secureContext, type Tls } from './tls.ts'

/** Sends requests the way that the connection says: by its proxy, with its certificates. */
export class HttpClient {
  /** Loaded by those that send requests: it takes as long as a short command. */
  private readonly undici = createRequire(import.meta.url)('undici') as typeof Undici
  private readonly dispatcher: Undici.Dispatcher

  constructor(tls: Tls) {
    const own = { secureContext: secureContext(tls) }
    const { proxy } = tls
    const options = { connect: own, requestTls: own, proxyTls: own }
    const { Agent, EnvHttpProxyAgent } = this.undici
    this.dispatcher =
      proxy === 'none'
        ? new Agent(options)
        : new EnvHttpProxyAgent({
            ...options,
            ...(proxy !== undefined && { httpProxy: proxy, httpsProxy: proxy, noProxy: '' }),
          })
  }

  fetch(url: URL, init: Undici.RequestInit): Promise<Undici.Response> {
    return this.undici.fetch(url, { ...init, dispatcher: this.dispatcher })
  }

  /** Ends all connections. */
  close(): Promise<void> {
    return this.dispatcher.destroy()
  }
}
