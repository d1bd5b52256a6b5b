import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { wrongClock } from '../clock.ts'
import { judgingProxy, type Verdict } from '../proxy.ts'
import { freshPostgres } from '../servers.ts'
import { holdsExactly, night } from './night.ts'

const GOOD = `CREATE TABLE members (id int PRIMARY KEY, name text);
  INSERT INTO members SELECT i, md5(i::text) || md5((-i)::text) FROM generate_series(1, 20000) AS i`
const yaml = (url: string, more = '', warehouse = url) => `connections: { shop: "${url}", wh: "${warehouse}" }
extract: { members: { from: shop, table: members, key: id } }
load: { loaded: { to: wh, from: members, key: id } }
retries: { limit: 0 }
${more}`

/** A night whose load hangs until it is let go. */
async function hanging(t: TestContext, name: string) {
  const { url, query } = await freshPostgres(t)
  await query(GOOD)
  let letGo = () => {}
  const gate = new Promise<void>(resolve => {
    letGo = resolve
  })
  const proxy = await judgingProxy(url, async (bytes): Promise<Verdict> => {
    if (bytes.includes('FROM STDIN')) await gate
    return 'pass'
  })
  t.after(() => proxy.close())
  const at = await night(t, name, { yaml: yaml(url, '', proxy.url) })
  return {
    ...at,
    letGo,
    holdsAll: () => holdsExactly(query, 'TABLE members'),
    /** Kills the process of the run, once it loads. */
    async killRun() {
      const owner = await at.until('the load begins', async () => {
        const [run] = await at.ask(metadata => metadata.activeRuns(name))
        const tasks = run ? await at.ask(metadata => metadata.tasks(run.run)) : []
        return tasks.some(({ task, status }) => task === 'load.wh' && status === 'RUNNING')
          ? run!.owner
          : undefined
      })
      process.kill(Number(owner.split(':')[1]), 'SIGKILL')
    },
  }
}

test('killed, and its scheduler with it: once that is started again, the run goes on, and that is told', async t => {
  const at = await hanging(t, 'killed')
  const service = at.serve()
  await at.killRun()
  service.kill('SIGKILL')
  await once(service, 'exit')
  at.letGo()
  at.serve()
  const alert = await at.alert('retry', /^run /)
  assert.match(alert.title, /is begun again/)
  await at.goesOn()
  await at.holdsAll()
})

test('killed again and again', async t => {
  const at = await hanging(t, 'oom')
  at.serve()
  await at.until('it runs', async () => (await at.ask(metadata => metadata.activeRuns('oom')))[0])
  await at.ask(({ database }) => database.run('UPDATE runs SET attempt = 10'))
  await at.killRun()
  const alert = await at.alert('failure', /^RESOURCE_EXHAUSTED/)
  assert.match(alert.what, /was killed 10 times/)
  at.letGo()
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  await at.goesOn()
  await at.holdsAll()
})

test('the disk is full', { skip: process.getuid?.() !== 0 && 'only root may make a small disk' }, async t => {
  const { url, query } = await freshPostgres(t)
  await query(GOOD)
  const at = await night(t, 'full', { yaml: yaml(url) })
  const disk = join(at.home, 'staging')
  mkdirSync(disk)
  // Room for the extract, not for the data set made from it.
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2200k', 'tmpfs', disk])
  try {
    at.serve()
    const alert = await at.alert('failure', /^RESOURCE_EXHAUSTED/)
    assert.deepEqual(alert.targets, ['wh: untouched'])
    execFileSync('mount', ['-o', 'remount,size=100M', disk])
    const typed = await at.type(alert)
    assert.equal(typed.code, 0, typed.output)
    await at.goesOn()
    await at.stop()
  } finally {
    execFileSync('umount', ['-l', disk])
  }
  await holdsExactly(query, 'TABLE members')
})

test('an SLA is missed', async t => {
  const { url, query } = await freshPostgres(t)
  await query(GOOD)
  const at = await night(t, 'late', { yaml: yaml(url, 'sla: { max_duration: 1ms }') })
  at.serve()
  const alert = await at.alert('sla', /^DURATION_EXCEEDED/)
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  assert.match(typed.output, /late {2}(RUNNING|SUCCESS)/)
  await at.goesOn()
  assert.match((await at.type(alert)).output, /SUCCESS[\s\S]*DURATION_EXCEEDED/)
  await holdsExactly(query, 'TABLE members')
})

test('the scheduler is down over the hour: the nights that are passed over are told, and typed', async t => {
  const { url, query } = await freshPostgres(t)
  await query(GOOD)
  const days = (ago: number) => new Date(Date.now() - ago * 24 * 3600_000).toISOString().slice(0, 10)
  const at = await night(t, 'down', {
    yaml: yaml(url),
    schedule: { catchup: false, depends_on_past: false, start: days(9) },
  })
  const service = at.serve(wrongClock(join(at.home, 'clock'), '-3d'))
  await at.goesOn(1)
  service.kill('SIGTERM')
  await once(service, 'exit')
  at.serve()
  const alert = await at.alert('failure', /^missed start/)
  assert.match(alert.what, /no scheduler was running\. 2 earlier data intervals are passed over/)
  await at.goesOn(2)
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  assert.equal((await at.goesOn(4)).length, 4)
  await holdsExactly(query, 'TABLE members')
})

test('the scheduler is down over the hour: what is caught up is told', async t => {
  const { url, query } = await freshPostgres(t)
  await query(GOOD)
  const at = await night(t, 'caught', { yaml: yaml(url) })
  const service = at.serve(wrongClock(join(at.home, 'clock'), '-1d'))
  await at.goesOn(1)
  service.kill('SIGTERM')
  await once(service, 'exit')
  at.serve()
  const alert = await at.alert('failure', /^missed start/)
  await at.goesOn(2)
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  assert.match(typed.output, /^(\S+ {2}\S+ {2}SUCCESS {2}run \S+\n){2}$/)
  await holdsExactly(query, 'TABLE members')
})

test('the metadata store is damaged: the service tells it and ends, and a new one goes on after what is typed', async t => {
  const { url, query } = await freshPostgres(t)
  await query(GOOD)
  const at = await night(t, 'store', { yaml: yaml(url) })
  const service = at.serve()
  await at.goesOn()
  const ended = once(service, 'exit')
  // It has nothing to begin, and knows by heart all that it asks.
  await delay(5000)
  const store = join(at.home, 'metadata.db')
  for (const file of [store, `${store}-wal`]) truncateSync(file, statSync(file).size >> 1)
  const alert = await at.alert('failure', /^METADATA_CORRUPT/)
  assert.deepEqual(await ended, [4, null])
  await query('INSERT INTO members VALUES (0, NULL)')
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  await holdsExactly(query, 'TABLE members')
  // Whoever was told by another job types the same.
  assert.equal((await at.type(alert)).code, 0)
  at.serve()
  await at.goesOn()
})
