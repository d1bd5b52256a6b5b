import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
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
  // `times` tells the time of children that have ended, grandchildren included, whatever their number.
  const child = spawn('bash', ['-c', `set -o pipefail\n${command}\nstatus=$?\ntimes >&3\nexit $status`], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    detached: true,
  })
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
  let peak = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, memoryOf(child.pid!))
  }, TICK_MS)
  const [code] = (await once(child, 'close')) as [number | null]
  clearInterval(timer)
  const seconds = (performance.now() - start) / 1000
  if (code !== 0) throw new Error(`ended with ${code}: ${printed.trim().split('\n').slice(-12).join('\n')}`)
  return { seconds, clientCpu: secondsOf(times), serverCpu: cpuOfServers(servers) - before, peak }
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
