import { Socket } from 'node:net'
import type Client from 'ssh2-sftp-client'
import { EngineError, type ErrorCode } from '../../../engine/errors.ts'
import { MAY_READ } from '../../drops/store.ts'
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

  // A server may have keys of several types, and the one that is known need not be the one that it shows first.
  private async open(): Promise<Client> {
    const { host, port, hostKeys } = this.access
    const opening = this.opened!
    const place = `${host}:${port}`
    let types =
      shown.get(place) ??
      (hostKeys.knownHosts === undefined ? [] : knownTypes(hostKeys.knownHosts, host, port))
    let first: EngineError | undefined
    const others = new Set(KEY_TYPES)
    for (;;) {
      try {
        const client = await this.connect(opening, types)
        if (first) shown.set(place, types)
        return client
      } catch (error) {
        if (!(error instanceof UnknownKey)) throw first ?? error
        first ??= error.refusal
        others.delete(error.type)
        types = [...others]
        if (hostKeys.fingerprints.length === 0 || types.length === 0) throw first
      }
    }
  }

  private async connect(opening: Promise<Client>, types: string[]): Promise<Client> {
    const { name, host, port, user, password, privateKey, passphrase, agent, hostKeys, timeout } = this.access
    let unknown: UnknownKey | undefined
    let failure: unknown
    // Errors of a connection that nobody waits for reach whoever uses it next.
    const { default: SftpClient } = await import('ssh2-sftp-client')
    const client = new SftpClient(name, { error: () => {}, end: () => {}, close: () => this.forget(opening) })
    // The first has what the library's own error of it lacks.
    client.on('error', (error: unknown) => {
      failure ??= error
    })
    const questions: string[] = []
    client.on('keyboard-interactive', (...event: unknown[]) => {
      const [prompts, answer] = event.slice(-2) as [
        { prompt: string; echo?: boolean }[],
        (answers: string[]) => void,
      ]
      const [only] = prompts
      if (prompts.length === 1 && !only!.echo && password !== undefined) return answer([password])
      questions.push(...prompts.map(({ prompt }) => prompt.trim()))
      answer([])
    })
    const socket = new Socket()
    try {
      await client.connect({
        // Small questions and answers, one after another, must not wait for each other's acknowledgement.
        sock: socket.setNoDelay(true).connect(port, host),
        username: user,
        password,
        privateKey,
        passphrase,
        agent,
        tryKeyboard: password !== undefined,
        readyTimeout: timeout * 1000,
        keepaliveInterval: 10_000,
        keepaliveCountMax: 3,
        retries: 0,
        hostVerifier: (key: Buffer) => {
          const refused = refusal(name, hostKeys, host, port, key)
          if (refused) unknown = new UnknownKey(refused, keyType(key))
          return refused === undefined
        },
        ...(types.length > 0 && { algorithms: { serverHostKey: types.flatMap(signatures) as never } }),
      })
    } catch (cause) {
      await client.end().catch(() => {})
      socket.destroy()
      throw unknown ?? sftpError(this.access, '', failure ?? cause, questions)
    }
    return client
  }
}

/** A server's key that is not the known one, and may not be the only one of the server. */
class UnknownKey extends Error {
  readonly refusal: EngineError
  readonly type: string

  constructor(refusal: EngineError, type: string) {
    super(refusal.message)
    this.refusal = refusal
    this.type = type
  }
}

const KEY_TYPES = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'ssh-rsa',
]

/** Types by which a server has shown its known key, after others: asked for at once by its next connection. */
const shown = new Map<string, string[]>()

const keyType = (key: Buffer) => key.toString('latin1', 4, 4 + key.readUInt32BE(0))

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

/** What the SSH library says of the stage that failed. */
const BY_LEVEL: Record<string, ErrorCode> = {
  'client-authentication': 'AUTH_FAILED',
  'client-timeout': 'TIMEOUT',
  'client-dns': 'CONNECTION_FAILED',
  handshake: 'TLS_FAILED',
}

const HINTS: Partial<Record<ErrorCode, string>> = {
  PERMISSION_DENIED: MAY_READ,
  AUTH_FAILED: 'Check the user, and password, private_key or agent.',
  TLS_FAILED:
    'Server and client have no algorithm in common: the server is too old, or its settings are too strict.',
}

function sftpError(
  { name, host, port }: SftpAccess,
  path: string,
  cause: unknown,
  questions: readonly string[] = [],
): EngineError {
  const error = cause as Error & { code?: string | number; level?: string }
  const numbered = error.code === 2 ? 'ENOENT' : error.code === 3 ? 'EACCES' : String(error.code ?? '')
  const code: ErrorCode =
    BY_LEVEL[error.level ?? ''] ??
    NAMED[numbered] ??
    (numbered === 'ETIMEDOUT' ? 'TIMEOUT' : 'CONNECTION_LOST')
  const what = error.message.replace(/^\w+: /, '')
  const asked =
    questions.length > 0
      ? ` (the server asked: ${questions.map(text => JSON.stringify(text)).join(', ')})`
      : ''
  return new EngineError(code, `${name}: ${path === '' ? `${host}:${port}` : path}: ${what}${asked}`, {
    cause,
    hint: HINTS[code],
  })
}
