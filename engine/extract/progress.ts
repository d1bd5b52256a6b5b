import { createHash } from 'node:crypto'
import type { Range, Read } from '../contracts/source.ts'
import type { Part, Staging } from '../contracts/staging.ts'
import { type RunContext, runFolder } from '../runtime/context.ts'
import { readManifest, writeManifest } from '../staging/store.ts'

/** What has been read of an extract, as its manifest says. */
interface Kept {
  /** Of the read: what another one left is of no use. */
  fingerprint: string
  parts: Part[]
  /** Chunks that were begun: numbers that part names have had. */
  chunks: number
  /** Null: all is read. */
  rest: Range | null
}

/**
 * How far a source without snapshots has been read in this run, kept after every chunk. See
 * {@link Snapshot.sequential}.
 */
export class Progress {
  private readonly staging: Staging
  private readonly file: string
  private readonly fingerprint: string
  private kept: Kept | undefined

  static async open(context: RunContext, read: Read): Promise<Progress> {
    const { columns, since, options } = read
    const fingerprint = createHash('sha256')
      .update(JSON.stringify([columns, since, options]))
      .digest('hex')
    const file = fileOf(context, read.extract)
    const kept = await readManifest<Kept>(context.staging, file)
    return new Progress(
      context.staging,
      file,
      fingerprint,
      kept?.fingerprint === fingerprint ? kept : undefined,
    )
  }

  private constructor(staging: Staging, file: string, fingerprint: string, kept: Kept | undefined) {
    this.staging = staging
    this.file = file
    this.fingerprint = fingerprint
    this.kept = kept
  }

  get parts(): Part[] {
    return this.kept?.parts ?? []
  }

  get chunks(): number {
    return this.kept?.chunks ?? 0
  }

  /** What is left to read; undefined where nothing was read yet. */
  get rest(): Range[] | undefined {
    return this.kept && (this.kept.rest ? [this.kept.rest] : [])
  }

  /** Keeps a chunk that was read, of `chunks` begun so far. Durable on return. */
  async keep(parts: Part[], rest: Range | undefined, chunks: number): Promise<void> {
    const kept: Kept = {
      fingerprint: this.fingerprint,
      parts: [...this.parts, ...parts],
      chunks,
      rest: rest ?? null,
    }
    await writeManifest(this.staging, this.file, kept)
    this.kept = kept
  }
}

/** Once the extract is committed, its progress counts no more: who does it again begins anew. */
export function forgetProgress(context: RunContext, extract: string): Promise<void> {
  return context.staging.withdraw(fileOf(context, extract))
}

const fileOf = (context: RunContext, extract: string) => `${runFolder(context)}/progress/${extract}.json`
