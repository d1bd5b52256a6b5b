import type { Offload } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import type { StageInput } from './stage.ts'
import type { TargetSession } from './targetSession.ts'

/** Parquet files on their way into a table, over several connections. */
interface Parts extends Omit<StageInput, 'access' | 'path'> {
  paths: string[]
  offload: Offload
  lanes: number
  /** Called with rows as they are sent. */
  progress?(rows: number): void
}

/** Sends Parquet files into a table, in worker threads; the rows sent. The first part that fails stops the others. */
export async function sendParts(
  { access }: TargetSession,
  { paths, offload, lanes, progress, ...parts }: Parts,
  signal: AbortSignal,
): Promise<number> {
  // Their threads end, and with them their connections.
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const module = moduleBeside(import.meta.url, 'stage')
  const waiting = [...paths]
  let sent = 0
  const lane = async () => {
    for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
      const input: StageInput = { access, path, ...parts }
      try {
        const count = await offload<number>(module, 'stagePart', input, either)
        sent += count
        progress?.(count)
      } catch (error) {
        failed.abort()
        throw error
      }
    }
  }
  const results = await Promise.allSettled(Array.from({ length: Math.min(lanes, paths.length) }, lane))
  if (signal.aborted) throw new EngineError('INTERRUPTED', `${parts.where}: interrupted`)
  const reasons = results.flatMap(result => (result.status === 'rejected' ? [result.reason as Error] : []))
  if (reasons.length > 0) throw reasons.find(reason => reason instanceof EngineError) ?? reasons[0]
  return sent
}
