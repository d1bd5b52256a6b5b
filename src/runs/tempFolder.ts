import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Metadata } from '../metadata/metadata.ts'
import { holdersOf } from '../metadata/sharedRuns.ts'
import { isAlive, ownName } from '../util/owner.ts'

/** A folder for temporary files that nobody has any more. */
export interface LeftTemp {
  /** What it is of: a run, or what else {@link makeTemp} was told. */
  of: string
  path: string
}

/** Makes a folder for temporary files of a run, below `tmp` of the home folder. Its name tells which process has it. */
export function makeTemp(home: string, run: string): string {
  const folder = join(home, 'tmp', run, `${randomBytes(4).toString('hex')}@${encodeURIComponent(ownName())}`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return folder
}

/** Removes such a folder, and the run's own where no other of its processes has one in it. */
export function removeTemp(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
  try {
    rmdirSync(dirname(folder))
  } catch {
    // It is not empty, or gone.
  }
}

/** Folders whose process is gone, or whose run others have taken over. */
export async function leftTemps(metadata: Metadata, home: string): Promise<LeftTemp[]> {
  const left: LeftTemp[] = []
  for (const of of foldersIn(join(home, 'tmp'))) {
    const folders = foldersIn(join(home, 'tmp', of))
    // Asked later: who makes a folder has the run's lease, or a step's, before.
    const holders = (await metadata.run(of)) && (await holdersOf(metadata.database, of))
    for (const name of folders) {
      const owner = ownerIn(name)
      const isLeft =
        owner === undefined
          ? holders?.every(each => !isAlive(each))
          : !isAlive(owner) || (holders && !holders.includes(owner))
      if (isLeft) left.push({ of, path: join(home, 'tmp', of, name) })
    }
  }
  return left
}

// Earlier versions named it by a number: it is of whoever has the run.
function ownerIn(name: string): string | undefined {
  const owner = name.split('@', 2)[1]
  return owner === undefined ? undefined : decodeURIComponent(owner)
}

function foldersIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true })
    return entries.flatMap(entry => (entry.isDirectory() ? [entry.name] : []))
  } catch (error) {
    // Its process has just removed it.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
