import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { rotate } from '../util/logFiles.ts'
import type { Assignment, Runner } from './runner.ts'

/**
 * One process a run: what kills it, or fills its memory, leaves the others alone, and it outlives us. It writes to a
 * file, not to a pipe, which would break with us; and has a process group of its own, so that a terminal's Ctrl-C
 * reaches it once, through us.
 */
export class Children implements Runner {
  private readonly command: string[]
  private readonly home: string
  private readonly running = new Set<ChildProcess>()

  /** `command` is what starts nightfreight; the output of runs goes to `runs.log` in `home`. */
  constructor(command: string[], home: string) {
    this.command = command
    this.home = home
  }

  async start({ job, claim, end, trigger }: Assignment): Promise<number | null> {
    const [program, ...args] = this.command as [string, ...string[]]
    mkdirSync(this.home, { recursive: true, mode: 0o700 })
    const log = join(this.home, 'runs.log')
    rotate(log)
    const output = openSync(log, 'a', 0o600)
    try {
      const interval = [
        '--start',
        claim.start,
        '--end',
        end,
        '--claim',
        String(claim.fence),
        '--trigger',
        trigger,
      ]
      const child = spawn(program, [...args, 'run-interval', job.folder, claim.job, ...interval], {
        stdio: ['ignore', output, output],
        detached: true,
      })
      this.running.add(child)
      const [code] = (await once(child, 'exit').finally(() => this.running.delete(child))) as [number | null]
      return code
    } finally {
      closeSync(output)
    }
  }

  stop(): void {
    for (const child of this.running) child.kill('SIGTERM')
  }
}
