import Client from 'ssh2-sftp-client'
import { EngineError, type ErrorCode } from '../../../engine/errors.ts'
import { type HostKeys, knownTypes, refusal } from './hostKey.ts'

/** What an SFTP connection needs to be opened: plain data. */
export interface SftpAccess {
  /** The connection's name, for messages. */
  name: string
  host: string
  port: number
  user: string
  password?: string
  /** PEM or OpenSSH text. */
  privateKey?: string
  passphrase?: string
  /** Socket of an agent. */
  agent?: string
  hostKeys: HostKeys
  /** Folder of the drop on the server. */
  folder: string
  /** Seconds without an answer. */
  timeout: number
}

/** One SSH connection, opened when first used and again after it was lost. */
export class Session {
  private readonly access: SftpAccess
  private opened: Promise<Client> | undefined

  constructor(access: SftpAccess) {
    this.access = access
  }

  /** Runs an operation on the connection; failures are EngineErrors that name `path`. */
  async use<T>(path: string, act: (client: Client) => Promise<T>): Promise<T> {
    this.opened ??= this.open()
    const opening = this.opened
    let client: Client
    try {
      client = await opening
    } catch (error) {
      this.forget(opening)
      throw error
    }
    const timer = Promise.withResolvers<never>()
    const timeout = setTimeout(() => timer.reject(this.silent(path)), this.access.timeout * 1000)
    try {
      return await Promise.race([act(client), timer.promise])
    } catch (cause) {
      throw this.failed(path, cause)
    } finally {
      clearTimeout(timeout)
    }
  }

  /** A failure of the connection or of an operation on `path`, in our words; a lost connection is opened anew next time. */
  failed(path: string, cause: unknown): EngineError {
    const error = cause instanceof EngineError ? cause : sftpError(this.access, path, cause)
    if (error.code === 'CONNECTION_LOST' || error.code === 'TIMEOUT') void this.close()
    return error
  }

  silent(path: string): EngineError {
    const { name, timeout } = this.access
    return new EngineError('TIMEOUT', `${name}: ${path}: no answer within ${timeout} s (timeout)`)
  }

  async close(): Promise<void> {
    const { opened } = this
    this.opened = undefined
    const client = await opened?.catch(() => undefined)
    await client?.end().catch(() => {})
  }

  private forget(opening: Promise<Client>): void {
    if (this.opened === opening) this.opened = undefined
  }

  private async open(): Promise<Client> {
    const { name, host, port, user, password, privateKey, passphrase, agent, hostKeys, timeout } = this.access
    let refused: EngineError | undefined
    // Errors of a connection that nobody waits for reach whoever uses it next.
    const client = new Client(name, { error: () => {}, end: () => {}, close: () => this.forget(opening) })
    const opening = this.opened!
    const types = hostKeys.knownHosts === undefined ? [] : knownTypes(hostKeys.knownHosts, host, port)
    try {
      await client.connect({
        host,
        port,
        username: user,
        password,
        privateKey,
        passphrase,
        agent,
        readyTimeout: timeout * 1000,
        keepaliveInterval: 10_000,
        keepaliveCountMax: 3,
        retries: 0,
        hostVerifier: (key: Buffer) => {
          refused = refusal(name, hostKeys, host, port, key)
          return refused === undefined
        },
        ...(types.length > 0 && { algorithms: { serverHostKey: types.flatMap(signatures) as never } }),
      })
    } catch (cause) {
      await client.end().catch(() => {})
      throw refused ?? sftpError(this.access, '', cause)
    }
    return client
  }
}

// An RSA key signs with newer hashes than the one its type is named after.
const signatures = (type: string) =>
  type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'] : [type]

const NAMED: Record<string, ErrorCode> = {
  ENOENT: 'TABLE_MISSING',
  EACCES: 'PERMISSION_DENIED',
  EPERM: 'PERMISSION_DENIED',
  ECONNREFUSED: 'CONNECTION_FAILED',
  ENOTFOUND: 'CONNECTION_FAILED',
  EHOSTUNREACH: 'CONNECTION_FAILED',
}

function sftpError({ name, host, port }: SftpAccess, path: string, cause: unknown): EngineError {
  const error = cause as Error & { code?: string | number; level?: string }
  const numbered = error.code === 2 ? 'ENOENT' : error.code === 3 ? 'EACCES' : String(error.code ?? '')
  const auth = error.level === 'client-authentication' || /authentication methods failed/i.test(error.message)
  const code: ErrorCode = auth
    ? 'AUTH_FAILED'
    : (NAMED[numbered] ??
      (error.level === 'client-timeout' || numbered === 'ETIMEDOUT' ? 'TIMEOUT' : 'CONNECTION_LOST'))
  const what = error.message.replace(/^\w+: /, '')
  return new EngineError(code, `${name}: ${path === '' ? `${host}:${port}` : path}: ${what}`, {
    cause,
    hint: auth ? 'Check the user, and password, private_key or agent.' : undefined,
  })
}
