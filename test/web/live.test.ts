/** Live pages: one who watches keeps nobody else from it, and whoever may not any more does not. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Hono } from 'hono'
import { WebUsers } from '../../src/metadata/webUsers.ts'
import { Events } from '../../src/web/events.ts'
import { listen } from '../../src/web/server.ts'
import type { Hooks } from '../servers.ts'
import { seenJob } from '../service/seen.ts'
import { openSite } from './site.ts'

/** More than what the kernel keeps of a connection that is not read. */
const LARGE = 8 << 20

async function served(hooks: Hooks) {
  const events = new Events()
  let looks = 0
  const seen = { mayWatch: true, looks: () => looks }
  const look = async () => ({ main: `${++looks} `.padEnd(LARGE), isLive: true })
  const app = new Hono()
  app.get('/events', context => events.watch(context, 'page', look, async () => seen.mayWatch))
  const server = await listen(app, { host: '127.0.0.1', port: 0 })
  hooks.after(() => server.close())
  return { url: `http://127.0.0.1:${server.port}/events`, port: server.port, seen }
}

/** Reads what comes; how often a page came so far, and whether it is over. */
function reading(answer: Response) {
  const read = { pages: 0, isOver: false }
  void (async () => {
    const decoder = new TextDecoder()
    for await (const chunk of answer.body!)
      read.pages += decoder.decode(chunk, { stream: true }).split('event: page').length - 1
  })()
    .catch(() => {})
    .finally(() => {
      read.isOver = true
    })
  return read
}

async function within(seconds: number, what: string, isSo: () => boolean): Promise<void> {
  for (let n = 0; n < seconds * 10; n++) {
    if (isSo()) return
    await delay(100)
  }
  assert.fail(`${what}: not within ${seconds} s`)
}

test('one that does not read holds up nobody, and is dropped', async t => {
  const { url, port } = await served(t)
  const stalled = connect(port, '127.0.0.1').pause()
  stalled.on('error', () => {})
  t.after(() => stalled.destroy())
  await once(stalled, 'connect')
  stalled.write('GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await delay(500)
  const read = reading(await fetch(url))
  await within(20, 'pages come', () => read.pages >= 4)
  await delay(12_000)
  let ended = ''
  stalled.setEncoding('latin1').on('data', (text: string) => {
    ended = (ended + text).slice(-7)
  })
  stalled.resume()
  await within(5, 'its answer ends', () => ended.endsWith('0\r\n\r\n') || stalled.closed)
})

test('whoever may not any more is dropped', async t => {
  const { url, seen } = await served(t)
  const read = reading(await fetch(url))
  await within(10, 'a page comes', () => read.pages > 0)
  seen.mayWatch = false
  await within(30, 'it is over', () => read.isOver)
  const looks = seen.looks()
  await delay(3500)
  assert.equal(seen.looks(), looks, 'nobody watches')
})

test('a live page ends for whoever has logged out, and for one whose role is another', async t => {
  const job = await seenJob(t, 'live')
  const site = await openSite(t, { jobs: job.folder, home: job.home })
  const users = new WebUsers(site.metadata.database, { now: () => new Date() })
  const watching = async (name: string) => {
    await users.set(name, 'operator', 'correct horse battery')
    const secret = (await users.logIn(name, 'correct horse battery'))!
    const headers = { cookie: `nightfreight=${secret}` }
    return { secret, read: reading(await fetch(`${site.url}/events?page=/`, { headers })) }
  }
  const [ada, eve, bob] = [await watching('ada'), await watching('eve'), await watching('bob')]
  await within(10, 'pages come', () => [ada, eve, bob].every(({ read }) => read.pages > 0))
  await users.logOut(ada.secret)
  await users.set('eve', 'viewer', 'correct horse battery')
  await within(30, 'they are over', () => ada.read.isOver && eve.read.isOver)
  assert.equal(bob.read.isOver, false)
})
