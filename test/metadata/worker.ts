/**
 * Another process on a metadata store: `worker.ts ACTION`, the store in HOME_FOLDER and METADATA_URL. One line of
 * output says what came of it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from '../../engine/errors.ts'
import { openMetadata } from '../../src/metadata/open.ts'

const [action] = process.argv.slice(2)
const clock = { now: () => new Date() }
const metadata = await openMetadata(process.env.HOME_FOLDER!, clock, process.env.METADATA_URL)
const owner = `worker:${process.pid}`
try {
  if (action === 'open') console.log('open')
  if (action === 'count') await count()
  if (action === 'hold') await hold()
} finally {
  await metadata.close()
}

/** Raises a number that is read first and written later, each time under a lease that several workers want. */
async function count(): Promise<void> {
  const fences: number[] = []
  while (fences.length < 5) {
    const lease = await metadata.leases.acquire('counter', owner)
    if (!lease) {
      await delay(2)
      continue
    }
    fences.push(lease.fence)
    const [pool] = await metadata.database.all<{ slots: number }>(`SELECT slots FROM pools WHERE name = 'n'`)
    await delay(1)
    await metadata.database.run(`UPDATE pools SET slots = :slots WHERE name = 'n'`, {
      slots: pool!.slots + 1,
    })
    await metadata.leases.release(lease)
  }
  console.log(JSON.stringify(fences))
}

/** Starts a run, is stopped by whoever reads "started", and on waking up commits a task. */
async function hold(): Promise<void> {
  const record = await metadata.startRun({ run: 'r1', job: 'j', run_at: '', spec_hash: '', owner })
  const store = metadata.taskStore(record)
  await store.begin('extract')
  console.log('started')
  // Long enough for the reader of that line to stop us before.
  await delay(1000)
  try {
    await store.commit('extract', { parts: [{ file: 'late', rows: 1, bytes: 1 }] })
    console.log('committed')
  } catch (error) {
    console.log(error instanceof EngineError ? error.code : String(error))
  }
}
