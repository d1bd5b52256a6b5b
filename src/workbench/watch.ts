import { existsSync, watch } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** Saving a file is several events; within this time they are one. */
const SETTLE_MS = 60

/** Acts now, and again whenever a file of a job's folder or of its macros is saved; until the process ends. */
export async function watchFolder(folder: string, act: () => Promise<void>): Promise<never> {
  let wake = Promise.withResolvers<void>()
  const changed = (_: string, file: string | null) => {
    if (file === null || /\.(sql|yaml|csv)$/i.test(file)) wake.resolve()
  }
  watch(folder, { recursive: true }, changed)
  const macros = join(folder, '../macros')
  if (existsSync(macros)) watch(macros, changed)
  for (;;) {
    wake = Promise.withResolvers<void>()
    await act()
    await wake.promise
    await delay(SETTLE_MS)
  }
}
