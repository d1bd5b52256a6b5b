import { REJECTED } from '../batch/builder.ts'
import type { SyncPoint } from '../loads.ts'
import type { Image } from '../staging/image.ts'
import { imageFile, type StagedSchema, schemaFile, withNight } from '../staging/image.ts'
import { writeManifest } from '../staging/store.ts'
import type { Extracted } from './extract.ts'
import type { PlannedRead } from './plan.ts'
import { printOf } from './refresh.ts'
import type { World } from './world.ts'

/**
 * Adds this night's parts to each extract's image and writes its manifest. The image becomes the one to build on
 * only when a target commits the sync point that names this run.
 */
export async function keepImages(world: World, reads: PlannedRead[], extracted: Extracted[]) {
  const images = new Map<string, Image>()
  const syncPoints: SyncPoint[] = []
  for (const read of reads) {
    const found = extracted.find(({ extract }) => extract === read.extract)
    // Its branch failed.
    if (!found) continue
    const { parts, gone, watermark, account } = found
    const { columns, absent, key, incremental } = read
    const seen = [...columns, ...absent]
    const night = { run: world.run, columns, parts, ...(gone && { gone }) }
    const image: Image = read.reused
      ? { ...read.base!.image, columns: seen, account }
      : { ...withNight(read.base?.image, seen, night), account }
    const spec = world.spec.extracts.find(({ name }) => name === read.extract)!
    if (!read.reused && spec.refresh !== undefined)
      image.read = { at: world.runAt.toISOString(), print: printOf(spec), unique: read.unique }
    const schema: StagedSchema = {
      columns: seen.filter(({ name }) => name !== REJECTED),
      absent: absent.map(({ name }) => name),
      key,
      watermark: incremental?.column,
      parts: [],
    }
    await writeManifest(world.staging, imageFile(world.spec.job, world.run, read.extract), image)
    await writeManifest(world.staging, schemaFile(world.spec.job, world.run, read.extract), schema)
    images.set(read.extract, image)
    syncPoints.push({ extract: read.extract, value: watermark, run: world.run })
  }
  return { images, syncPoints }
}
