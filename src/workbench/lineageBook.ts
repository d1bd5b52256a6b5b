import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { openLineage, type ProjectLineage } from './lineage.ts'

/** What the files of a project look like: another text as soon as one is written. */
function stampOf(folder: string): string {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && /\.(sql|ya?ml|csv)$/i.test(entry.name))
    .map(entry => join(entry.parentPath, entry.name))
    .sort()
  return files
    .map(file => {
      const stat = statSync(file, { throwIfNoEntry: false })
      return `${file} ${stat?.mtimeMs} ${stat?.size}`
    })
    .join('\n')
}

/** Milliseconds after which columns that a run has come to know are asked for anew. */
const FRESH_MS = 60_000

/** The lineage of projects, read again only where their files are others than before. */
export class LineageBook {
  private readonly home: string
  private readonly known = new Map<string, { stamp: string; at: number; lineage: Promise<ProjectLineage> }>()

  constructor(home: string) {
    this.home = home
  }

  /** Of the jobs in a folder. Fails as {@link openLineage} does. */
  async of(folder: string): Promise<ProjectLineage> {
    const stamp = stampOf(folder)
    const known = this.known.get(folder)
    if (known?.stamp === stamp && performance.now() - known.at < FRESH_MS) return known.lineage
    const lineage = openLineage(folder, this.home)
    this.known.set(folder, { stamp, at: performance.now(), lineage })
    // Whoever asks next may find it mended.
    lineage.catch(() => this.known.delete(folder))
    return lineage
  }
}
