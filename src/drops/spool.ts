import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PREFIX = 'nightfreight-drop-'

/** What a lane has to say of a file: why it is bad, or could not be opened today, or what people should know of it. */
export interface Told {
  kind: 'bad' | 'unopened' | 'note'
  /** Which read it: another may read the same file in another way. */
  extract: string
  name: string
  text: string
}

const TOLD = 'told'

/** Says something of a file, in a lane. */
export function tell(folder: string, told: Told): void {
  appendFileSync(join(folder, TOLD), `${JSON.stringify(told)}\n`)
}

/** A folder of this process for what is on its way from a drop, and for what its lanes have to say of files. */
export class Spool {
  readonly folder: string

  constructor() {
    sweep()
    this.folder = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`))
  }

  /** What lanes that read for an extract had to say of files. */
  told(extract: string): Told[] {
    const path = join(this.folder, TOLD)
    if (!existsSync(path)) return []
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    return lines.map(line => JSON.parse(line) as Told).filter(told => told.extract === extract)
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
