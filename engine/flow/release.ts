import type { Extracted } from './extract.ts'
import { once } from './once.ts'
import type { PlannedRead } from './plan.ts'
import type { World } from './world.ts'

/**
 * Lets sources tidy up what the targets now hold. Only after every commit: a run that is killed here, or given up,
 * leaves it to the next one, whose account still names what was read.
 */
export async function release(world: World, reads: PlannedRead[], extracted: Extracted[]): Promise<void> {
  for (const [index, read] of reads.entries()) {
    const source = world.sources.get(read.from)!
    const { account } = extracted[index]!
    if (!source.release || account === undefined) continue
    await once(world, `release.${read.extract}`, async () => {
      await source.release!(read, account, world.signal)
      return true
    })
  }
}
