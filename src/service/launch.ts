import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Metadata } from '../metadata/metadata.ts'
import { rotate } from '../util/logFiles.ts'
import { nameOf } from '../util/owner.ts'

/** Milliseconds that a command may take until its run is there, and between two looks for it. */
const BEGINS_MS = 20_000
const LOOK_MS = 200

/** What became of a command at its beginning: the run that it has begun or continued, or why there is none. */
export type Launched = { ok: true; run: string | undefined } | { ok: false; reason: string }

/** Begins commands of ours as processes of their own, which outlive us. */
export class Launcher {
  private readonly command: string[]
  private readonly home: string
  private readonly metadata: Metadata

  /** `command` is what starts nightfreight; what they say goes to `runs.log` in `home` once they have ended. */
  constructor(command: string[], home: string, metadata: Metadata) {
    this.command = command
    this.home = home
    this.metadata = metadata
  }

  async begin(...words: string[]): Promise<Launched> {
    const [program, ...args] = this.command as [string, ...string[]]
    const folder = join(this.home, 'tmp')
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const path = join(folder, `action-${randomBytes(6).toString('hex')}.log`)
    const output = openSync(path, 'ax', 0o600)
    const child = spawn(program, [...args, ...words], { stdio: ['ignore', output, output], detached: true })
    closeSync(output)
    child.unref()
    const owner = nameOf(child.pid!)
    const ended = once(child, 'exit').then(([code]) => {
      const text = readFileSync(path, 'utf8')
      const log = join(this.home, 'runs.log')
      rotate(log)
      appendFileSync(log, text, { mode: 0o600 })
      rmSync(path, { force: true })
      return { code: code as number | null, text }
    })
    // Once nobody waits here any more, an output that cannot be kept must not end the service.
    ended.catch(() => {})
    for (let waited = 0; waited < BEGINS_MS; waited += LOOK_MS) {
      const end = await Promise.race([ended, delay(LOOK_MS, undefined, { ref: false })])
      const run = await this.runOf(owner)
      if (run !== undefined || end?.code === 0) return { ok: true, run }
      if (end) return { ok: false, reason: refusalIn(end.text) }
    }
    return { ok: true, run: undefined }
  }

  /** The run that a process works on, or has worked on. */
  private async runOf(process: string): Promise<string | undefined> {
    const runs = await this.metadata.runs(LATEST)
    return runs.find(({ owner }) => owner === process)?.run
  }
}

/** Runs that are looked at for the one that has just begun. */
const LATEST = 50

/** The error of a command's output, without what came before it. */
function refusalIn(text: string): string {
  const lines = text.trim().split('\n')
  const error = lines.findIndex(line => /^error\b/.test(line))
  return (error < 0 ? lines.slice(-3) : lines.slice(error)).join('\n')
}
