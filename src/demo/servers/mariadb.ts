import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { accessSync, constants } from 'node:fs'
import { chown, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import mysql from 'mysql2/promise'
import { ownedFolder, serverAccount } from './account.ts'
import { type RunningServer, startOnFreePort } from './process.ts'

export interface MariadbOptions {
  /** A folder of its own: the data, the log, and nothing of value. */
  dir: string
  signal?: AbortSignal
  /** InnoDB's buffer pool, as MariaDB writes sizes. Default 256M. */
  bufferPool?: string
  /** Further settings, as on the server's command line without the dashes; they win over ours. */
  settings?: Record<string, string>
}

/** Whether mariadbd and mariadb-install-db are on the PATH or in the usual system folders. */
export function mariadbAvailable(): boolean {
  return findBinary('mariadbd') !== undefined && findBinary('mariadb-install-db') !== undefined
}

/**
 * Starts a fresh MariaDB on a free port of 127.0.0.1 with an empty database `legacy` and a user `loader` who may do
 * everything (RELOAD and REPLICATION included), binary log in full rows, LOCAL INFILE, utf8mb4, UTC. It ends with
 * this process, however that ends. Needs /bin/sh. Throws with the server's log where it does not start.
 */
export async function startMariadb({
  dir,
  signal,
  bufferPool = '256M',
  settings: further = {},
}: MariadbOptions): Promise<RunningServer> {
  signal?.throwIfAborted()
  const daemon = findBinary('mariadbd')
  const installer = findBinary('mariadb-install-db')
  if (!daemon || !installer) throw new Error('MariaDB is not installed: apt-get install mariadb-server')
  const account = await serverAccount(['mysql'])
  const home = await ownedFolder(dir, 'mariadb', account)
  const data = await ownedFolder(home, 'data', account)
  // Spools of sorts and LOAD DATA LOCAL go beside the data: /tmp may be small, or memory.
  const scratch = await ownedFolder(home, 'tmp', account)
  const identity = account ? { uid: account.uid, gid: account.gid } : {}
  await promisify(execFile)(
    installer,
    [
      '--no-defaults',
      `--datadir=${data}`,
      `--tmpdir=${scratch}`,
      '--skip-name-resolve',
      '--skip-test-db',
      '--auth-root-authentication-method=socket',
    ],
    { cwd: home, env: { PATH: systemPath(), LC_ALL: 'C', TZ: 'UTC' }, ...identity },
  )

  const password = randomBytes(18).toString('base64url')
  const init = join(home, 'init.sql')
  await writeFile(
    init,
    [
      `CREATE USER loader@'127.0.0.1' IDENTIFIED BY '${password}';`,
      "GRANT ALL PRIVILEGES ON *.* TO loader@'127.0.0.1' WITH GRANT OPTION;",
      'CREATE DATABASE legacy;',
      '',
    ].join('\n'),
    { mode: 0o600 },
  )
  if (account) await chown(init, account.uid, account.gid)

  const settings = {
    datadir: data,
    tmpdir: scratch,
    'init-file': init,
    'bind-address': '127.0.0.1',
    // No socket file: its path may exceed the 107 bytes the system allows.
    socket: '',
    'pid-file': join(home, 'mariadbd.pid'),
    'character-set-server': 'utf8mb4',
    'collation-server': 'utf8mb4_unicode_ci',
    'default-time-zone': '+00:00',
    'local-infile': '1',
    'log-bin': join(home, 'data', 'binlog'),
    'server-id': '1',
    'binlog-format': 'ROW',
    'binlog-row-image': 'FULL',
    'binlog-row-metadata': 'FULL',
    'innodb-buffer-pool-size': bufferPool,
    'innodb-log-file-size': '256M',
    // Made-up data: a crash of the machine may lose the last second, nobody will miss it.
    'innodb-flush-log-at-trx-commit': '2',
    'sync-binlog': '0',
    'max-connections': '150',
    'max-allowed-packet': '64M',
    ...further,
  }
  const address = (port: number) => `mysql://loader:${password}@127.0.0.1:${port}/legacy`
  const server = await startOnFreePort(
    'MariaDB',
    port => ({
      command: daemon,
      args: [
        '--no-defaults',
        '--skip-name-resolve',
        `--port=${port}`,
        ...Object.entries(settings).map(([key, value]) => `--${key}=${value}`),
      ],
      stopSignal: 'TERM',
      account,
      logFile: join(home, 'server.log'),
      cwd: home,
    }),
    async port => await (await mysql.createConnection(address(port))).end(),
    signal,
  )
  await rm(init)
  return { url: address(server.port), pid: server.pid, port: server.port, stop: server.stop }
}

/** Creates an empty database on the server and returns its URL. Throws where the name is taken. */
export async function createDatabase(server: Pick<RunningServer, 'url'>, name: string): Promise<string> {
  const connection = await mysql.createConnection(server.url)
  try {
    await connection.query(`CREATE DATABASE ${mysql.escapeId(name)}`)
  } finally {
    await connection.end()
  }
  const url = new URL(server.url)
  url.pathname = `/${encodeURIComponent(name)}`
  return url.href
}

// Debian keeps the daemon in /usr/sbin, which is not on an ordinary user's PATH.
const systemPath = () =>
  [
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/local/sbin',
    '/usr/local/bin',
    '/usr/sbin',
    '/usr/bin',
    '/sbin',
    '/bin',
  ].join(delimiter)

function findBinary(name: string): string | undefined {
  for (const folder of systemPath().split(delimiter)) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {}
  }
  return undefined
}
