/** Whoever looks at a service, from a thread of their own: people, one page after the other, one who watches, Prometheus. */
import { setTimeout as delay } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'

const { port } = workerData as { port: number }
const site = `http://127.0.0.1:${port}`
const times = new Map<string, number[]>()
let isOver = false

async function ask(path: string): Promise<void> {
  const began = performance.now()
  const answer = await fetch(site + path)
  await answer.text()
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`)
  times.set(path, [...(times.get(path) ?? []), performance.now() - began])
}

const people = async () => {
  while (!isOver)
    for (const path of [
      '/',
      '/runs',
      '/jobs',
      '/jobs/job_0001',
      '/tables',
      '/tables/job_0001/warehouse.t1',
      '/sla',
      '/errors',
    ]) {
      await ask(path)
      await delay(250)
    }
}
const prometheus = async () => {
  while (!isOver) {
    await ask('/metrics')
    await delay(15_000)
  }
}
const watched = new AbortController()
const watcher = async () => {
  const answer = await fetch(`${site}/events?page=/`, { signal: watched.signal })
  for await (const _ of answer.body!);
}

const all = Promise.all([people(), prometheus()])
watcher().catch(() => {})
all.catch(error => {
  throw error
})
parentPort!.once('message', async () => {
  isOver = true
  watched.abort()
  parentPort!.postMessage([...times].map(([path, times]) => ({ path, times })))
})
