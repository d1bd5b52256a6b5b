import { createHash } from 'node:crypto'
import type { LogPosition, Range, Read } from '../contracts/source.ts'
import type { Part, Staging } from '../contracts/staging.ts'
import { type RunContext, runFolder } from '../runtime/context.ts'
import { readManifest, writeManifest } from '../staging/store.ts'

/** What has been read of an extract, as its manifest says. */
interface Kept {
  /** Of the read: what another one left is of no use. */
  fingerprint: string
  /** When the first of it was asked for, in milliseconds since 1970; absent in what an earlier version wrote. */
  begun?: number
  parts: Part[]
  /** Chunks that were begun: numbers that part names have had. */
  chunks: number
  rest: Range[]
  /** Of a table whose log is read from then on: the position of the first view that parts are of. */
  position?: LogPosition
}

/** A view of a log's position is lost with its reader: what was read of it is kept so often, not after every chunk. */
const KEEP_MS = 1000

/**
 * How far a table has been read in this run, where whoever reads it again can go on: of a source without snapshots
 * ({@link Snapshot.sequential}), and of a view at a position of a log, from which what others read later is mended.
 */
export class Progress {
  private readonly staging: Staging
  private readonly file: string
  private readonly fingerprint: string
  private readonly position: LogPosition | undefined
  /** When the first of the table was asked for, by whichever attempt. */
  readonly begun: Date
  /** Whether an earlier attempt has read of it. */
  readonly isResumed: boolean
  private kept: Kept | undefined
  private keptAt = -Infinity

  /** `position`: of the view that is read now. */
  static async open(context: RunContext, read: Read, position?: LogPosition): Promise<Progress> {
    const { columns, since, options } = read
    const fingerprint = createHash('sha256')
      .update(JSON.stringify([columns, since, options]))
      .digest('hex')
    const file = fileOf(context, read.extract)
    const kept = await readManifest<Kept>(context.staging, file)
    const own = kept?.fingerprint === fingerprint ? kept : undefined
    // Where nobody knows, any change may have come since.
    const begun = own ? new Date(own.begun ?? 0) : context.clock.now()
    return new Progress(context.staging, file, fingerprint, position, begun, own)
  }

  private constructor(
    staging: Staging,
    file: string,
    fingerprint: string,
    position: LogPosition | undefined,
    begun: Date,
    kept: Kept | undefined,
  ) {
    this.staging = staging
    this.file = file
    this.fingerprint = fingerprint
    this.position = position
    this.begun = begun
    this.isResumed = kept !== undefined
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
    return this.kept?.rest
  }

  /** Position of an earlier view that parts are of; undefined where all are of the view that is read now. */
  get earlier(): LogPosition | undefined {
    const first = this.kept?.position
    return first === this.position ? undefined : first
  }

  /** Keeps all that is read so far, of `chunks` begun. Durable on return, where it is kept now: see {@link KEEP_MS}. */
  async keep(parts: Part[], rest: Range[], chunks: number): Promise<void> {
    const { fingerprint, position } = this
    const now = performance.now()
    if (position !== undefined && rest.length > 0 && now - this.keptAt < KEEP_MS) return
    this.keptAt = now
    const first = this.kept?.position ?? position
    const kept: Kept = {
      fingerprint,
      begun: this.begun.getTime(),
      parts,
      chunks,
      rest,
      ...(first !== undefined && { position: first }),
    }
    this.kept = kept
    await writeManifest(this.staging, this.file, kept)
  }
}

/** Once the extract is committed, its progress counts no more: who does it again begins anew. */
export function forgetProgress(context: RunContext, extract: string): Promise<void> {
  return context.staging.withdraw(fileOf(context, extract))
}

const fileOf = (context: RunContext, extract: string) => `${runFolder(context)}/progress/${extract}.json`
