import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mariadbAvailable } from '../src/demo/servers/mariadb.ts'

// The core packages hold the programs without the system service, so nothing starts by itself. Older releases
// carry the version in the package's name, hence the look-up.
const INSTALL = `
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends $(apt-cache pkgnames mariadb- | grep -E '^mariadb-(server|client)-core(-[0-9.]+)?$')
`

/**
 * Makes sure MariaDB's programs are installed; on Debian and its kin, as root or with a sudo that asks nothing, by
 * installing them. Throws with the line to type otherwise: the tests are never skipped.
 */
export function ensureMariadb(): void {
  if (mariadbAvailable()) return
  const byHand =
    process.platform === 'darwin' ? 'brew install mariadb' : 'sudo apt-get install mariadb-server'
  const privilege = existsSync('/usr/bin/apt-get') ? escalation() : undefined
  if (!privilege)
    throw new Error(`the tests need MariaDB, and I may not install it here. Type:\n\n    ${byHand}\n`)
  console.error('MariaDB is missing: installing it with apt-get.')
  const [command = 'sh', ...rest] = [...privilege, 'sh', '-c', INSTALL]
  execFileSync(command, rest, { stdio: ['ignore', 2, 2] })
  if (!mariadbAvailable())
    throw new Error(`apt-get ended without installing MariaDB. Type:\n\n    ${byHand}\n`)
}

function escalation(): string[] | undefined {
  if (process.getuid?.() === 0) return []
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? ['sudo', '-n'] : undefined
}
