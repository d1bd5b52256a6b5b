import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureProgram } from './debian.ts'
import { freePort, listening } from './ports.ts'

const PGBOUNCER = '/usr/sbin/pgbouncer'
const SIZE = 4

/** Starts pgbouncer before the server of a URL: transaction pooling over `size` connections; `more` is of its configuration. */
export async function startPgbouncer(folder: string, url: string, more = '') {
  ensureProgram(PGBOUNCER, 'pgbouncer')
  const { hostname, port: behind, username, password, pathname } = new URL(url)
  const database = pathname.slice(1)
  const port = await freePort()
  const file = join(folder, 'pgbouncer.ini')
  writeFileSync(
    file,
    `[databases]
${database} = host=${hostname} port=${behind} user=${username} password=${decodeURIComponent(password)}
sessions = host=${hostname} port=${behind} dbname=${database} user=${username} password=${decodeURIComponent(password)} pool_mode=session
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
auth_type = any
pool_mode = transaction
default_pool_size = ${SIZE}
unix_socket_dir =
${more}
`,
  )
  // It refuses to run as root.
  chmodSync(folder, 0o755)
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const child = spawn(PGBOUNCER, ['-q', ...user, file], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  await listening(port)
  return {
    url: `postgres://${username}@127.0.0.1:${port}/${database}`,
    /** The same with a connection for each session. */
    sessionUrl: `postgres://${username}@127.0.0.1:${port}/sessions`,
    size: SIZE,
    async stop() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
