import { REJECTED } from '../batch/builder.ts'
import type { SyncPoint } from '../contracts/load.ts'
import { taskName } from '../contracts/taskName.ts'
import type { PlannedRead } from '../plan/plan.ts'
import { fingerprintOf } from '../plan/refresh.ts'
import type { RunContext } from '../runtime/context.ts'
import { isOurs } from '../runtime/task.ts'
import type { Image } from '../staging/image.ts'
import { imageFile, type Night, type StagedSchema, schemaFile, withNight } from '../staging/image.ts'
import { writeManifests } from '../staging/store.ts'
import type { Extracted } from './extracted.ts'

/** What is known of the rows of a night beyond its parts. */
export interface NightRows extends Pick<Night, 'out' | 'distinctBy'> {
  /** Rows of the table then. */
  rows: number
}

/** The table with what this run read. */
export function imageOf(
  { run, spec, runAt }: RunContext,
  read: PlannedRead,
  { parts, gone, cursor, folded }: Extracted,
  { rows, ...known }: Partial<NightRows> = {},
): Image {
  const { columns, absent } = read
  const seen = [...columns, ...absent]
  const counted = rows === undefined ? {} : { rows }
  if (read.reused) return { ...read.base!.image, columns: seen, cursor, ...counted }
  const night = { run, columns, parts, ...(gone && { gone }), ...known }
  const base = folded ? { ...read.base!.image, nights: folded } : read.base?.image
  const image: Image = { ...withNight(base, seen, night), cursor, ...counted }
  const extract = spec.extracts.find(({ name }) => name === read.extract)!
  if (extract.refresh !== undefined || extract.incremental)
    image.read = { at: runAt.toISOString(), fingerprint: fingerprintOf(extract), unique: read.unique }
  return image
}

/**
 * Writes the manifest of each extract's image. It becomes the one to build on only when a target commits the sync
 * point that names this run.
 */
export async function keepImages(
  context: RunContext,
  reads: PlannedRead[],
  extracted: Extracted[],
  known: Map<string, NightRows>,
) {
  const { staging, run, spec } = context
  const images = new Map<string, Image>()
  const syncPoints: SyncPoint[] = []
  const manifests: { file: string; content: Image | StagedSchema }[] = []
  for (const read of reads) {
    const { extract, columns, absent, key, catalog, incremental } = read
    const found = extracted.find(one => one.extract === extract)
    // Its branch failed.
    if (!found || !known.has(extract)) continue
    const image = imageOf(context, read, found, known.get(extract))
    const schema: StagedSchema = {
      columns: [...columns, ...absent].filter(({ name }) => name !== REJECTED),
      absent: absent.map(({ name }) => name),
      key,
      catalog,
      watermark: incremental?.column,
      parts: [],
    }
    // A later step of the run reads what the one has written that judged the extract.
    if (isOurs(context, taskName('types', extract))) {
      manifests.push({ file: imageFile(spec.job, run, extract), content: image })
      manifests.push({ file: schemaFile(spec.job, run, extract), content: schema })
    }
    images.set(extract, image)
    syncPoints.push({ extract, value: found.watermark, run })
  }
  await writeManifests(staging, manifests)
  return { images, syncPoints }
}
