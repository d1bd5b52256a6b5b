import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PREFIX = 'nightfreight-drop-'

/** A folder of this process for what is on its way from a drop, and for what its lanes have to say of files. */
export class Spool {
  readonly folder: string

  constructor() {
    sweep()
    this.folder = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`))
  }

  /** Files that a lane found bad, and why. */
  bad(): Map<string, string> {
    const path = join(this.folder, 'bad')
    if (!existsSync(path)) return new Map()
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    return new Map(lines.map(line => JSON.parse(line) as [string, string]))
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

// A process that was killed leaves its folder behind, and it may be large.
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length).split('-')[0]) : 0
    if (pid > 0 && !isRunning(pid)) rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
