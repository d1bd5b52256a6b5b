import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/**
 * The machine as far as a process number means anything there: its name, and what tells it from others of that name, from
 * itself before it was started anew, and from containers, which have numbers of their own.
 */
const MACHINE = [hostname(), ...numbering()].join('/')

/**
 * Names this process so that a later one can tell whether it still lives: machine, pid, and the pid's start time
 * where the system tells it (a pid is used again, a pair is not).
 */
export const ownName = (): string => nameOf(process.pid)

/** The same of another process of this machine. */
export const nameOf = (pid: number): string => `${MACHINE}:${pid}:${startOf(pid) ?? ''}`

/** Whether the process named still runs. One on another machine counts as alive: nobody here can tell. */
export function isAlive(owner: string): boolean {
  const [machine = '', pid, start] = owner.split(':')
  // Earlier versions wrote the name alone.
  if (machine !== MACHINE && machine !== hostname()) return true
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const now = startOf(Number(pid))
  return now === undefined || now === start
}

/**
 * Whether somebody still runs what is theirs by a lease: it has not expired, and their process, where it is one of this
 * machine, lives. A process of another is known by its lease alone.
 */
export function isRunning(
  { owner, expires_at }: { owner: string; expires_at: string | null },
  now: Date,
): boolean {
  return isAlive(owner) && (expires_at === null || Date.parse(expires_at) > now.getTime())
}

// Field 22 of /proc/PID/stat (proc(5)), counted after the parenthesised command; a zombie counts as gone.
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? 'gone' : fields[19]
  } catch {
    return undefined
  }
}

/** Whether a process was started before the system of this machine was: of one that names the start of its own. */
export function isOfEarlierBoot(owner: string): boolean {
  const [, boot] = /\/([0-9a-f]{8})\.[0-9a-f]{8}:/.exec(owner) ?? []
  const [, own] = /\/([0-9a-f]{8})\./.exec(MACHINE) ?? []
  return boot !== undefined && own !== undefined && boot !== own
}

/** What tells apart where processes are numbered: the start of the system and the container; nothing where it does not say. */
function numbering(): string[] {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')
    const container = readlinkSync('/proc/self/ns/pid')
    return [
      [boot, container].map(text => createHash('sha256').update(text).digest('hex').slice(0, 8)).join('.'),
    ]
  } catch {
    return []
  }
}
