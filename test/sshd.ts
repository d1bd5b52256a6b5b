import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { ensureProgram } from './debian.ts'
import { freePort, listening } from './ports.ts'

const SSHD = '/usr/sbin/sshd'

/** An OpenSSH server of the test's own. */
export interface Sshd {
  port: number
  user: string
  /** Client's private key, a file. */
  key: string
  /** `SHA256:…` of its host key, which it shows first, and of another that it has, of type RSA. */
  hostKey: string
  rsaHostKey: string
  /** The line of its host key for known_hosts. */
  knownHost: string
  stop(): void
  start(): Promise<void>
  /** Gives it another host key. */
  changeHostKey(): Promise<void>
}

/** Starts sshd with its own configuration, host key and user key in `dir`: SFTP only, nobody but us, keys only. */
export async function startSshd(dir: string): Promise<Sshd> {
  ensureProgram(SSHD, 'openssh-server')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  mkdirSync('/run/sshd', { recursive: true })
  const keygen = (file: string, type = 'ed25519') =>
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', join(dir, file)])
  keygen('host')
  keygen('host_rsa', 'rsa')
  keygen('client')
  writeFileSync(join(dir, 'authorized'), readFileSync(join(dir, 'client.pub')), { mode: 0o600 })
  const port = await freePort()
  const config = join(dir, 'sshd_config')
  writeFileSync(
    config,
    `Port ${port}
ListenAddress 127.0.0.1
HostKey ${join(dir, 'host')}
HostKey ${join(dir, 'host_rsa')}
AuthorizedKeysFile ${join(dir, 'authorized')}
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PidFile none
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
ForceCommand internal-sftp
`,
  )
  let child: ReturnType<typeof spawn> | undefined
  const fingerprint = (file: string) =>
    execFileSync('ssh-keygen', ['-lf', join(dir, file)], { encoding: 'utf8' }).split(' ')[1]!
  const line = () =>
    `[127.0.0.1]:${port} ${readFileSync(join(dir, 'host.pub'), 'utf8').split(' ').slice(0, 2).join(' ')}\n`
  const server: Sshd = {
    port,
    user: userInfo().username,
    key: join(dir, 'client'),
    hostKey: fingerprint('host.pub'),
    rsaHostKey: fingerprint('host_rsa.pub'),
    knownHost: line(),
    stop: () => {
      child?.kill('SIGKILL')
    },
    start: async () => {
      child = spawn(SSHD, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'ignore'] })
      await listening(port)
    },
    changeHostKey: async () => {
      server.stop()
      rmSync(join(dir, 'host'))
      rmSync(join(dir, 'host.pub'))
      keygen('host')
      await server.start()
    },
  }
  await server.start()
  return server
}
