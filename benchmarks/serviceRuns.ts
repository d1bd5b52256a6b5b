/** Runs that do nothing but to sleep and to note what runs note, from a thread with a store of its own, as processes have. */
import { setTimeout as delay } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { openMetadata } from '../src/metadata/open.ts'
import { ownName } from '../src/util/owner.ts'

export interface SleptRun {
  job: string
  start: string
  end: string
  fence: number
}

const { home, url, offset, tables, seconds } = workerData as {
  home: string
  url: string | undefined
  offset: number
  tables: number
  /** That a run takes, at least and at most. */
  seconds: [number, number]
}
const clock = { now: () => new Date(Date.now() + offset) }
const metadata = await openMetadata(home, clock, url)

async function sleep({ job, start, end, fence: claimed }: SleptRun): Promise<void> {
  const run = { run: `tonight-${job}`, job, run_at: end, spec_hash: '', owner: ownName() }
  const claim = { job, start, fence: claimed }
  const { fence } = await metadata.startRun({ ...run, interval_start: start, interval_end: end }, 1, claim)
  await delay((seconds[0] + Math.random() * (seconds[1] - seconds[0])) * 1000)
  const made = Array.from({ length: tables }, (_, n) => ({
    table: `warehouse.t${n}`,
    ...{ read: 1000, loaded: 900, unchanged: 90, rejected: 10, superseded: 0 },
    ...{ inserted: 800, updated: 100, deleted: 0, madeFrom: ['a'], columns: [] },
  }))
  const nothing = { error: undefined, syncPoints: [] }
  const ended = { ...run, ...nothing, fence, status: 'SUCCESS' as const, runAt: end, tables: made }
  await metadata.endRun({ ...ended, records: 900 * tables, seconds: 12 })
}

parentPort!.on('message', (run: SleptRun | 'end') => {
  if (run === 'end') void metadata.close().then(() => parentPort!.postMessage('ended'))
  else void sleep(run).then(() => parentPort!.postMessage(run.job))
})
