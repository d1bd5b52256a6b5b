import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'

// Only its programs are wanted: nothing is to listen on the machine's own port.
const INSTALL = `
set -e
# Test files run side by side, and apt-get waits for nobody.
exec 9>/tmp/nightfreight-apt.lock
flock 9
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\\nexit 101\\n' > /tmp/policy-rc.d.$$ && chmod +x /tmp/policy-rc.d.$$
[ -e /usr/sbin/policy-rc.d ] || { mv /tmp/policy-rc.d.$$ /usr/sbin/policy-rc.d; trap 'rm -f /usr/sbin/policy-rc.d' EXIT; }
apt-get update -q
apt-get install -q -y --no-install-recommends "$0"
`

/** Makes sure a program (a path, or a glob of it) of a Debian package is installed; throws with the line to type where it may not install it. */
export function ensureProgram(path: string, name: string): void {
  const isThere = () => globSync(path).length > 0
  if (isThere()) return
  const root = process.getuid?.() === 0
  const sudo = spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0
  const byHand = `the tests need ${path}. Type:\n\n    sudo apt-get install ${name}\n`
  if (!existsSync('/usr/bin/apt-get') || (!root && !sudo)) throw new Error(byHand)
  console.error(`${path} is missing: installing ${name} with apt-get.`)
  const [command = 'sh', ...rest] = [...(root ? [] : ['sudo', '-n']), 'sh', '-c', INSTALL, name]
  execFileSync(command, rest, { stdio: ['ignore', 2, 2] })
  if (!isThere()) throw new Error(byHand)
}
