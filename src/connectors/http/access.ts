import type { Tls } from '../../util/tls.ts'

/** How to reach an API: plain data, which holds secrets. */
export interface Access {
  /** The connection's name. */
  name: string
  url: string
  credentials: Credentials
  /** What no message may show, and no file may keep. */
  secrets: readonly string[]
  tls: Tls
  /** Sent with every request to the API's own origin. */
  headers: Record<string, string>
  /** Other origins that redirects and next URLs may lead to; credentials and headers are not sent there. */
  origins: string[]
  /** Seconds that one response may take. */
  timeout: number
  /** Times that one request is sent before it has failed. */
  attempts: number
  /** Requests that may be sent in a minute; undefined: as many as the API answers. */
  perMinute?: number
  /** Bytes of one unpacked response. */
  maxResponse: number
  /** Requests under way at once, where the kind of pagination tells more than the next page. */
  concurrency: number
}

/** At most one kind is given. */
export interface Credentials {
  token?: string
  /** The header that takes the token as it is; absent: `Authorization: Bearer`. */
  tokenHeader?: string
  basic?: { user: string; password: string }
  oauth?: OAuth
}

/** The client credentials grant (RFC 6749, 4.4). */
export interface OAuth {
  tokenUrl: string
  clientId: string
  clientSecret: string
  scope?: string
  /** Where the client's id and secret go: the Authorization header, or the form. */
  send: 'header' | 'form'
}
