import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuOf } from '../measure.ts'

/** What a command took, from its start to its end. */
export interface Measured {
  seconds: number
  /** User and system time of all its processes. */
  clientCpu: number
  /** The same of the servers, meanwhile. */
  serverCpu: number
  /** Resident memory of all its processes together, at most, in bytes; looked at every 50 ms. */
  peak: number
}

const TICK_MS = 50
/** How long each of several commands goes on before the next has its turn. */
const TURN_MS = 20

/**
 * Runs a shell command as a stranger would, and measures it; `servers` are the first processes of the servers it uses. Fails
 * with what it printed where it ends with anything but 0.
 */
export async function measured(
  command: string,
  env: Record<string, string>,
  servers: number[],
): Promise<Measured> {
  const before = cpuOfServers(servers)
  const start = performance.now()
  const running = new Running(command, env)
  let peak = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, memoryOf(running.pid))
  }, TICK_MS)
  const clientCpu = await running.ended.finally(() => clearInterval(timer))
  const seconds = (performance.now() - start) / 1000
  return { seconds, clientCpu, serverCpu: cpuOfServers(servers) - before, peak }
}

/**
 * Processor seconds of shell commands that run side by side, only one of them going on at any time and each for a moment:
 * what disturbs a shared machine disturbs them alike, so that their ratio holds where the times themselves vary. Fails as
 * {@link measured} does.
 */
export async function inTurns(
  commands: { command: string; env: Record<string, string> }[],
): Promise<number[]> {
  const all = commands.map(({ command, env }) => new Running(command, env))
  const taken = Promise.all(all.map(running => running.ended))
  let done = false
  const over = taken
    .catch(() => {})
    .then(() => {
      done = true
    })
  for (const running of all) running.signal('SIGSTOP')
  while (!done)
    for (const running of all) {
      running.signal('SIGCONT')
      await Promise.race([running.ended.catch(() => {}), over, sleep(TURN_MS)])
      running.signal('SIGSTOP')
    }
  for (const running of all) running.signal('SIGCONT')
  return taken
}

/** A shell command that runs with all its processes in a group of its own. */
class Running {
  readonly pid: number
  /** User and system seconds of all its processes. */
  readonly ended: Promise<number>

  constructor(command: string, env: Record<string, string>) {
    // `times` tells the time of children that have ended, grandchildren included, whatever their number.
    const child = spawn('bash', ['-c', `set -o pipefail\n${command}\nstatus=$?\ntimes >&3\nexit $status`], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      detached: true,
    })
    this.pid = child.pid!
    let printed = ''
    let times = ''
    const [, out, error, third] = child.stdio
    for (const stream of [out!, error!])
      (stream as NodeJS.ReadableStream).setEncoding('utf8').on('data', (text: string) => {
        printed = (printed + text).slice(-20_000)
      })
    ;(third as NodeJS.ReadableStream).setEncoding('utf8').on('data', (text: string) => {
      times += text
    })
    this.ended = once(child, 'close').then(([code]) => {
      if (code !== 0)
        throw new Error(`ended with ${code}: ${printed.trim().split('\n').slice(-12).join('\n')}`)
      return secondsOf(times)
    })
  }

  /** To all its processes, where there still are any. */
  signal(name: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, name)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

/** The second line of `times`: the shell's children, as 0m1.234s 0m0.567s. */
function secondsOf(times: string): number {
  return [...(times.split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds),
    0,
  )
}

/** Resident bytes of the processes of a session, together. */
function memoryOf(session: number): number {
  let pages = 0
  for (const pid of processes())
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
      if (Number(fields[3]) === session)
        pages += Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1])
    } catch {
      // It has gone.
    }
  return pages * 4096
}

const processes = () => readdirSync('/proc').filter(name => /^\d+$/.test(name))

/** CPU seconds of servers: their own, those of children that they have waited for, and of those that live. */
function cpuOfServers(servers: number[]): number {
  let sum = servers.reduce((total, pid) => total + cpuOf(pid, true), 0)
  for (const pid of processes())
    try {
      const parent = Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[1])
      if (servers.includes(parent)) sum += cpuOf(Number(pid), false)
    } catch {
      // It has gone, and counts among its parent's.
    }
  return sum
}
