import { createHash } from 'node:crypto'
import type { SyncPoint } from '../contracts/load.ts'
import type { ExtractSpec, Read } from '../contracts/source.ts'
import type { Image, StagedSchema } from '../staging/image.ts'
import type { PlannedRead } from './plan.ts'

/** What an extract's rows depend on beside the source: an image of another fingerprint is of no use to it. */
export function fingerprintOf({ from, key, columns, options }: ExtractSpec): string {
  return createHash('sha256')
    .update(JSON.stringify([from, key, columns, options]))
    .digest('hex')
}

/** What is known of an extract's last read. */
export interface LastRead {
  point: SyncPoint
  image: Image
  known: StagedSchema
}

/**
 * The read of an extract that need not be read yet: as the run that read it last left it. Undefined where it must be.
 */
export function stillFresh(
  spec: ExtractSpec,
  last: LastRead | undefined,
  runAt: Date,
  limits: Read['limits'],
): PlannedRead | undefined {
  const read = last?.image.read
  if (!last || !read || spec.refresh === undefined || read.fingerprint !== fingerprintOf(spec))
    return undefined
  const age = runAt.getTime() - Date.parse(read.at)
  // A run of an earlier interval must not see what was read after it.
  if (age < 0 || age >= spec.refresh) return undefined
  const { point, image, known } = last
  const gone = (name: string) => known.absent.includes(name)
  return {
    extract: spec.name,
    where: `${spec.from}.${spec.name}`,
    from: spec.from,
    columns: image.columns.filter(({ name }) => !gone(name)),
    absent: image.columns.filter(({ name }) => gone(name)),
    key: known.key,
    unique: read.unique,
    options: spec.options,
    limits,
    base: { value: point.value, run: point.run, image },
    reused: true,
    notes: [`is not read: as of ${read.at}, by its refresh`],
  }
}
