import { Agent, type Dispatcher, EnvHttpProxyAgent, fetch, type RequestInit, type Response } from 'undici'
import { secureContext, type Tls } from './tls.ts'

/** Sends requests the way that the connection says: by its proxy, with its certificates. */
export class HttpClient {
  private readonly dispatcher: Dispatcher

  constructor(tls: Tls) {
    const own = { secureContext: secureContext(tls) }
    const { proxy } = tls
    const options = { connect: own, requestTls: own, proxyTls: own }
    this.dispatcher =
      proxy === 'none'
        ? new Agent(options)
        : new EnvHttpProxyAgent({
            ...options,
            ...(proxy !== undefined && { httpProxy: proxy, httpsProxy: proxy, noProxy: '' }),
          })
  }

  fetch(url: URL, init: RequestInit): Promise<Response> {
    return fetch(url, { ...init, dispatcher: this.dispatcher })
  }

  /** Ends all connections. */
  close(): Promise<void> {
    return this.dispatcher.destroy()
  }
}
