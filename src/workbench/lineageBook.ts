import { readFolder } from '../config/folder.ts'
import { foldersOf, openLineage, type ProjectLineage } from './lineage.ts'

/** What the jobs in a folder say: another text as soon as a file of theirs is another. */
async function stampOf(folder: string): Promise<string> {
  const said = foldersOf(folder).all.map(async job => {
    // One that cannot be read says why.
    const { hash } = await readFolder(job).catch((error: Error) => ({ hash: error.message }))
    return `${job} ${hash}`
  })
  return (await Promise.all(said)).join('\n')
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
    const stamp = await stampOf(folder)
    const known = this.known.get(folder)
    if (known?.stamp === stamp && performance.now() - known.at < FRESH_MS) return known.lineage
    const lineage = openLineage(folder, this.home)
    this.known.set(folder, { stamp, at: performance.now(), lineage })
    // Whoever asks next may find it mended.
    lineage.catch(() => this.known.delete(folder))
    return lineage
  }
}
