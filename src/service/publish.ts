import { writeFileSync } from 'node:fs'
import type { Logger } from 'pino'
import { errorData } from '../../engine/errors.ts'
import { atomicWrite } from '../../engine/staging/store.ts'
import { ask } from '../util/ask.ts'
import { type MetricsOptions, metricsText } from './metrics.ts'

/** Milliseconds that a push may take. */
const PUSH_MS = 10_000

/**
 * Gives the metrics of a run that no service watches to whoever collects them: a file for node_exporter's textfile
 * collector, or the URL of a push gateway's group (`http://gateway:9091/metrics/job/nightfreight`). What fails is logged and told; the run is
 * as it is.
 */
export async function publishMetrics(
  to: string,
  options: MetricsOptions,
  log: Logger,
  note: (text: string) => void,
): Promise<void> {
  try {
    const text = await metricsText(options)
    if (/^https?:/.test(to)) await push(to, text)
    else await atomicWrite(to, temporary => writeFileSync(temporary, text))
  } catch (error) {
    const reason = errorData(error).message
    log.error({ reason }, 'metrics were not published')
    note(`metrics were not published: ${reason}`)
  }
}

async function push(url: string, text: string): Promise<void> {
  const answer = await ask(url, {
    method: 'PUT',
    headers: { 'content-type': 'text/plain; version=0.0.4' },
    body: text,
    signal: AbortSignal.timeout(PUSH_MS),
  })
  if (!answer.ok) throw new Error(`the push gateway answered ${answer.status}`)
}
