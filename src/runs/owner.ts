import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import type { RunRecord } from '../metadata/runs.ts'

/**
 * Names this process so that a later one can tell whether it still lives: host, pid, and the pid's start time
 * where the system tells it (a pid is used again, a pair is not).
 */
export function ownName(): string {
  return `${hostname()}:${process.pid}:${startOf(process.pid) ?? ''}`
}

/** Whether the process named still runs. One on another host counts as alive: nobody here can tell. */
export function isAlive(owner: string): boolean {
  const [host, pid, start] = owner.split(':')
  if (host !== hostname()) return true
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const now = startOf(Number(pid))
  return now === undefined || now === start
}

/**
 * Whether somebody still runs a run: its lease has not expired, and its process, where it is one of this host, lives.
 * A process of another host is known by its lease alone.
 */
export function isRunning(run: Pick<RunRecord, 'owner' | 'expires_at'>, now: Date): boolean {
  return isAlive(run.owner) && (run.expires_at === null || Date.parse(run.expires_at) > now.getTime())
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
