import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PREFIX = 'nightfreight-drop-'

/** What a lane has to say of a file: why it is bad, or could not be opened today, or what people should know of it. */
export interface Told {
  kind: 'bad' | 'unopened' | 'note'
  name: string
  text: string
}

/** What there is to say of files that a lane has read one after another. */
interface ToldOf {
  /** Which read them: another may read the same files in another way. */
  extract: string
  /** The first of them. */
  first: string
  told: Told[]
}

const TOLD = 'told'

/** Says all that there is to say of files, in a lane that has read them to the end; it replaces what an earlier attempt said. */
export function tell(folder: string, told: ToldOf): void {
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
    const own = lines.map(line => JSON.parse(line) as ToldOf).filter(told => told.extract === extract)
    return [...new Map(own.map(({ first, told }) => [first, told])).values()].flat()
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
