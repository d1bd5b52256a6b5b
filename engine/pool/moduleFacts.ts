import { EngineError } from '../errors.ts'
import type { ModuleFacts } from './describeModule.ts'
import { moduleBeside } from './entry.ts'
import { Workers } from './pool.ts'

/** How long a file may take to be loaded. */
const LOADED_WITHIN_MS = 10_000

/** What a module of a job's folder is, found out in a thread that ends with it: a file may never end, and is loaded once in a thread. */
export async function moduleFacts(url: string, folder: string): Promise<ModuleFacts> {
  const workers = new Workers(1)
  const within = AbortSignal.timeout(LOADED_WITHIN_MS)
  try {
    const entry = moduleBeside(import.meta.url, 'describeModule')
    return await workers.offload<ModuleFacts>(entry, 'describeModule', { url, folder }, within)
  } catch (error) {
    if (error instanceof EngineError) throw error
    const message = within.aborted
      ? `it does not end within ${LOADED_WITHIN_MS / 1000} seconds`
      : `its thread ended: ${(error as Error).message.split('\n')[0]}`
    const hint =
      'What a file does outside of its function is done whenever the job is looked at: let it define, and no more.'
    return { fault: { message, hint } }
  } finally {
    await workers.close()
  }
}
