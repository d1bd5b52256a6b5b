import { REJECTED } from '../batch/builder.ts'
import type { SyncPoint } from '../contracts/load.ts'
import type { PlannedRead } from '../plan/plan.ts'
import { fingerprintOf } from '../plan/refresh.ts'
import type { RunContext } from '../runtime/context.ts'
import type { Image } from '../staging/image.ts'
import { imageFile, type StagedSchema, schemaFile, withNight } from '../staging/image.ts'
import { writeManifest } from '../staging/store.ts'
import type { Extracted } from './extract.ts'

/**
 * Adds this night's parts to each extract's image and writes its manifest. The image becomes the one to build on
 * only when a target commits the sync point that names this run.
 */
export async function keepImages(context: RunContext, reads: PlannedRead[], extracted: Extracted[]) {
  const images = new Map<string, Image>()
  const syncPoints: SyncPoint[] = []
  for (const read of reads) {
    const found = extracted.find(({ extract }) => extract === read.extract)
    // Its branch failed.
    if (!found) continue
    const { parts, gone, watermark, cursor } = found
    const { columns, absent, key, incremental } = read
    const seen = [...columns, ...absent]
    const night = { run: context.run, columns, parts, ...(gone && { gone }) }
    const image: Image = read.reused
      ? { ...read.base!.image, columns: seen, cursor }
      : { ...withNight(read.base?.image, seen, night), cursor }
    const spec = context.spec.extracts.find(({ name }) => name === read.extract)!
    if (!read.reused && spec.refresh !== undefined)
      image.read = { at: context.runAt.toISOString(), fingerprint: fingerprintOf(spec), unique: read.unique }
    const schema: StagedSchema = {
      columns: seen.filter(({ name }) => name !== REJECTED),
      absent: absent.map(({ name }) => name),
      key,
      watermark: incremental?.column,
      parts: [],
    }
    await writeManifest(context.staging, imageFile(context.spec.job, context.run, read.extract), image)
    await writeManifest(context.staging, schemaFile(context.spec.job, context.run, read.extract), schema)
    images.set(read.extract, image)
    syncPoints.push({ extract: read.extract, value: watermark, run: context.run })
  }
  return { images, syncPoints }
}
