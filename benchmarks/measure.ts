import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'

/** What a process used, as far as it got. */
export interface Usage {
  /** User and system time of all its threads, in seconds. */
  cpu: number
  /** Highest resident memory, in bytes. */
  peak: number
}

/** Reads a running process's usage from /proc (Linux); undefined when it has gone. */
export function usageOf(pid: number): Usage | undefined {
  try {
    const high = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    if (!high) return undefined
    return { cpu: cpuOf(pid, false), peak: Number(high[1]) * 1024 }
  } catch {
    return undefined
  }
}

/**
 * CPU seconds of a process, and where asked for of the children it has waited for; of a thread as `PID/task/TID`. Throws when
 * it has gone.
 */
export function cpuOf(pid: number | string, children: boolean): number {
  // After the name, which may hold spaces: fields 14 to 17 of proc_pid_stat(5) are its own times and its children's.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ').slice(11, 15)
  return fields.slice(0, children ? 4 : 2).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS
}

const TICKS = Number(execFileSync('getconf', ['CLK_TCK']))

/** Follows a process until `stop`, which gives the last usage seen. */
export function follow(pid: number): { stop(): Usage } {
  let last: Usage = { cpu: 0, peak: 0 }
  const look = () => {
    last = usageOf(pid) ?? last
  }
  look()
  const timer = setInterval(look, 50)
  return {
    stop() {
      look()
      clearInterval(timer)
      return last
    },
  }
}

/** The machine, for the head of every result. */
export function machine(): string {
  const gib = (totalmem() / 2 ** 30).toFixed(0)
  return `${cpus().length} × ${cpus()[0]!.model.trim()}, ${gib} GiB, Linux ${execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim()}, Node ${process.version}`
}

/** `1.23 GB`, decimal. */
export const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`

/** A Markdown table. */
export function table(head: string[], rows: (string | number)[][]): string {
  const line = (cells: (string | number)[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** Clean-ups of the servers a benchmark starts: the last registered is the first run. */
export function cleanUps() {
  const cleans: (() => Promise<void>)[] = []
  const run = async () => {
    for (const clean of cleans.splice(0)) await clean()
  }
  return {
    after: (clean: () => Promise<void>) => void cleans.unshift(clean),
    run,
    [Symbol.asyncDispose]: run,
  }
}
