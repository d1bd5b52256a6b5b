import { createHash } from 'node:crypto'
import type { Part } from '../../engine/contracts/staging.ts'
import { EngineError } from '../../engine/errors.ts'
import type { PlannedRead } from '../../engine/plan/plan.ts'
import type { Image, Night } from '../../engine/staging/image.ts'
import type { FileStore } from '../stores/store.ts'

/** One archived part. */
export interface ArchivedPart {
  /** Below the archive's root. */
  path: string
  /** Of the archived file. */
  bytes: number
  sha256: string
  /** What it was in staging. */
  part: Part
}

/** All that models saw of one extract: the image of that night, with what a later night needs to go on from it. */
export interface ArchivedExtract {
  read: Omit<PlannedRead, 'base' | 'cursor'>
  /** The sync point that it was read from. */
  base?: { value: string | null; run: string } & Pick<Image, 'read'>
  watermark: string | null
  note?: string
  cursor?: unknown
  /** Oldest first; the last one is what the run itself read. */
  nights: (Omit<Night, 'parts' | 'gone' | 'out'> & {
    parts: ArchivedPart[]
    gone?: ArchivedPart[]
    out?: ArchivedPart
  })[]
}

/** The raw data of one run. */
export interface ArchivedRun {
  job: string
  run: string
  runAt: string
  archivedAt: string
  extracts: ArchivedExtract[]
}

interface Sealed {
  format: 1
  /** Of the JSON of `content`. */
  sha256: string
  content: ArchivedRun
}

const NAME = 'archive.json'

export const manifestPath = (job: string, run: string) => `${job}/${run}/${NAME}`

/** The runs of a listing of a job's folder. */
export function runsIn(paths: string[]): string[] {
  return paths.flatMap(path => (path.endsWith(`/${NAME}`) ? [path.split('/')[1]!] : []))
}

export function seal(content: ArchivedRun): string {
  return JSON.stringify({ format: 1, sha256: sha256(content), content } satisfies Sealed, null, 1)
}

/** The manifest of a run; undefined where none was archived. Fails with STAGING_CORRUPT where it is damaged. */
export async function readArchived(
  store: FileStore,
  job: string,
  run: string,
): Promise<ArchivedRun | undefined> {
  const path = manifestPath(job, run)
  const bytes = await store.get(path)
  if (!bytes) return undefined
  const damaged = (why: string, cause?: unknown) =>
    new EngineError('STAGING_CORRUPT', `${store.where}/${path}: ${why}`, {
      cause,
      hint: 'Nothing was restored. Take the file from a backup, or restore another run.',
    })
  let sealed: Sealed
  try {
    sealed = JSON.parse(bytes.toString())
  } catch (cause) {
    throw damaged('is no JSON', cause)
  }
  if (sealed.format !== 1) throw damaged(`has format ${sealed.format}, and this version knows format 1`)
  if (sha256(sealed.content) !== sealed.sha256) throw damaged('is not what was written: its checksum differs')
  return sealed.content
}

const sha256 = (content: ArchivedRun) => createHash('sha256').update(JSON.stringify(content)).digest('hex')
