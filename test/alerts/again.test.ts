/** An alert that no channel took, or whose sender was killed, is sent all the same. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from '../../engine/errors.ts'
import { Alerts } from '../../src/alerts/alerts.ts'
import { alertOf } from '../../src/alerts/runAlerts.ts'
import { createLog } from '../../src/cli/log.ts'
import { countAlert, latestAlerts } from '../../src/metadata/alerts.ts'
import type { Metadata } from '../../src/metadata/metadata.ts'
import { openMetadata } from '../../src/metadata/open.ts'
import { ServiceAlerts } from '../../src/service/alerts.ts'
import type { Alert } from '../../src/spec/alert.ts'
import { smallJob } from '../jobs/small.ts'
import { freshPostgres } from '../servers.ts'
import { until } from '../web/site.ts'
import { receiver } from './receivers.ts'

const home = mkdtempSync(join(tmpdir(), 'nightfreight-again-'))
const stores: Metadata[] = []
after(async () => {
  for (const store of stores) await store.close()
  rmSync(home, { recursive: true })
})
const postgres = await freshPostgres()
let now = Date.parse('2026-02-01T02:00:00Z')
const clock = { now: () => new Date(now) }
stores.push(await openMetadata(home, clock, undefined), await openMetadata(home, clock, postgres.url))
const log = createLog({ secrets: [], stream: { write: () => {} } })
const SECOND = 1000
const HOUR = 3600 * SECOND
const NOTHING = { recovery: [], sla: [], retry: [], errors: [], success: [] }

const alertsTo = (hook: string, { database }: Metadata, patience?: number) =>
  new Alerts(
    {
      channels: { hook: { kind: 'webhook', url: hook, format: 'json' } },
      on: { ...NOTHING, failure: ['hook'] },
      repeatAfter: HOUR,
    },
    { site: undefined, database, clock, log, secrets: [], ...(patience !== undefined && { patience }) },
  )

let jobs = 0
const failure = (job = `j${++jobs}`) =>
  alertOf({ job, run: 'r1' }, clock.now(), {
    kind: 'failure',
    severity: 'CRITICAL',
    cause: 'CONNECTION_LOST',
    title: `${job}: failed`,
    what: 'lost',
  })
const states = async ({ database }: Metadata, job: string) =>
  (await latestAlerts(database, 9, job)).filter(each => each.channel === 'hook').map(({ state }) => state)

test('what a channel did not take is sent again, less and less often, until it is taken', async t => {
  for (const store of stores) {
    const hook = await receiver(
      t,
      response => response.writeHead(404).end(),
      response => response.writeHead(404).end(),
      response => response.end('ok'),
    )
    const alerts = alertsTo(hook.url, store)
    const alert = failure()
    assert.equal((await alerts.raise(alert))[0]!.state, 'failed')
    const sentAfter = async (ms: number) => {
      now += ms
      const both = await Promise.all([alerts.again(alert.job), alertsTo(hook.url, store).again(alert.job)])
      return both.flat().map(({ state }) => state)
    }
    assert.deepEqual(await sentAfter(30 * SECOND), [])
    assert.deepEqual(await sentAfter(31 * SECOND), ['failed'])
    assert.deepEqual(await sentAfter(90 * SECOND), [])
    assert.deepEqual(await sentAfter(31 * SECOND), ['sent'])
    assert.deepEqual(await sentAfter(HOUR), [])
    assert.deepEqual([hook.bodies.length, await states(store, alert.job)], [3, ['sent']])
    const told = JSON.parse(hook.bodies.at(-1)!) as Alert
    assert.deepEqual([told.title, told.at, told.times], [alert.title, alert.at, 1])
  }
})

/** A store that takes so long to count an alert. */
const slowly = ({ database }: Metadata, ms: number) =>
  ({
    database: Object.assign(Object.create(database) as Metadata['database'], {
      transaction: async (work: Parameters<Metadata['database']['transaction']>[0]) => {
        await delay(ms)
        return database.transaction(work)
      },
    }),
  }) as Metadata

test('an alert that was sent before a slow store had counted it is not sent again', async t => {
  for (const store of stores) {
    const hook = await receiver(t)
    const alerts = alertsTo(hook.url, slowly(store, 6 * SECOND), 2 * SECOND)
    const alert = failure()
    assert.equal((await alerts.raise(alert))[0]!.state, 'sent')
    await until('it is counted', async () => (await states(store, alert.job)).includes('sent') || undefined)
    now += HOUR
    assert.deepEqual(await alerts.again(alert.job), [])
    assert.equal(hook.bodies.length, 1)
  }
})

test('what became of an alert that is counted late is kept before whoever raised it closes the store', async t => {
  for (const store of stores) {
    const hook = await receiver(t)
    const alerts = alertsTo(hook.url, slowly(store, 3 * SECOND), 2 * SECOND)
    const [raised, waited] = [failure(), failure()]
    void alerts.raise(waited)
    assert.equal((await alerts.raise(raised))[0]!.state, 'sent')
    assert.deepEqual(await states(store, raised.job), ['sent'])
    await alerts.settled()
    assert.deepEqual(await states(store, waited.job), ['sent'])
  }
})

test('an alert whose sender was killed is sent by others; nobody waits for one for ever', async t => {
  for (const store of stores) {
    const hook = await receiver(t)
    const alerts = alertsTo(hook.url, store)
    const killed = (alert: Alert) =>
      store.database.transaction(queries => countAlert(queries, alerts.prepared(alert)))
    const first = failure()
    await killed(first)
    now += 30 * SECOND
    assert.deepEqual(await alerts.again(first.job), [])
    assert.equal((await alerts.raise(failure(first.job)))[0]!.state, 'held')
    now += 100 * SECOND
    assert.deepEqual(await alerts.again(first.job), [{ channel: 'hook', state: 'sent' }])
    assert.equal((JSON.parse(hook.bodies[0]!) as Alert).times, 2)

    const second = failure()
    await killed(second)
    now += 130 * SECOND
    assert.equal((await alerts.raise(failure(second.job)))[0]!.state, 'sent')

    const third = failure()
    await killed(third)
    now += 49 * HOUR
    assert.deepEqual(await alerts.again(third.job), [])
    assert.equal(hook.bodies.length, 2)
  }
})

const yaml = (hook: string) => `connections: { drop: "file:drop", wh: "duckdb:wh.duckdb" }
extract: { ids: { from: drop, files: "*.csv", key: id, schema: { id: INTEGER } } }
load: { out: { to: wh, from: clean, key: id } }
resources: { memory: 300MB, threads: 1 }
alerts:
  channels: { hook: { webhook: "${hook}" } }
  on: { failure: hook, recovery: hook }
`
const GOOD = 'SELECT id FROM ids'
const files = (hook: string) => ({
  'job.yaml': yaml(hook),
  'clean.sql': `SELECT id, error('it broke') AS x FROM ids`,
  'drop/a.csv': 'id\n1\n',
})

/** As if the channel had not taken it some minutes ago. */
const minutesAgo = ({ database }: Metadata) =>
  database.run(
    `UPDATE alerts SET payload = replace(payload, '"triedAt":"2', '"triedAt":"1') WHERE state = 'failed'`,
  )

test('a run of which nobody could be told is told by the next one, before it says that all is well', async t => {
  const hook = await receiver(
    t,
    response => response.writeHead(404).end(),
    response => response.end('ok'),
  )
  const job = await smallJob(t, 'untold', files(hook.url))
  assert.equal((await job.run()).status, 'FAILED')
  await minutesAgo(job.metadata)
  writeFileSync(join(job.folder, 'clean.sql'), GOOD)
  assert.equal((await job.run()).error, undefined)
  const told = hook.bodies.slice(1).map(body => (JSON.parse(body) as Alert).kind)
  assert.deepEqual(told, ['failure', 'recovery'])
})

test('a run that was killed once it had ended leaves its alert to the service', async t => {
  const hook = await receiver(t)
  const job = await smallJob(t, 'leftover', files(hook.url))
  const { database } = job.metadata
  const { endRun } = job.metadata
  job.metadata.endRun = async end => {
    await endRun.call(job.metadata, end)
    throw new EngineError('FENCED', 'killed')
  }
  await assert.rejects(job.run(), /killed/)
  const [run] = await job.metadata.runs(1)
  assert.deepEqual([run!.status, await states(job.metadata, 'leftover')], ['FAILED', ['sending']])
  await database.run(`UPDATE alerts SET sent_at = '2026-01-01T00:00:00.000Z' WHERE channel = 'hook'`)
  const service = new ServiceAlerts({
    database,
    clock: { now: () => new Date() },
    log,
    home: job.home,
    env: {},
  })
  service.again(new Map([['leftover', { folder: job.folder }]]))
  await until('it is sent', async () => (hook.bodies.length === 1 ? true : undefined), 20)
  await until(
    'it is kept',
    async () => ((await states(job.metadata, 'leftover'))[0] === 'sent' ? true : undefined),
    20,
  )
})

test('a start that was missed is told after the run has succeeded, and is no failure of it', async t => {
  const hook = await receiver(
    t,
    response => response.writeHead(404).end(),
    response => response.writeHead(404).end(),
    response => response.end('ok'),
  )
  const job = await smallJob(t, 'missed', { ...files(hook.url), 'clean.sql': GOOD })
  const { database } = job.metadata
  const service = new ServiceAlerts({
    database,
    clock: { now: () => new Date() },
    log,
    home: job.home,
    env: {},
  })
  const { folder } = job
  await service.missed({ name: 'missed', folder } as never, { due: new Date() } as never)
  await minutesAgo(job.metadata)
  assert.equal((await job.run()).error, undefined)
  assert.equal(hook.bodies.length, 2, 'no recovery')
  await minutesAgo(job.metadata)
  service.again(new Map([['missed', { folder }]]))
  await until('it is sent', async () => (hook.bodies.length === 3 ? true : undefined), 20)
  assert.match((JSON.parse(hook.bodies[2]!) as Alert).title, /did not start when it should/)
  const isResolved = async () => ((await states(job.metadata, 'missed'))[0] === 'resolved' ? true : undefined)
  await until('its cause is gone', isResolved, 20)
})
