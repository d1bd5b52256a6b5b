/** A server that keeps too much of its log for a job is relieved of it, which somebody is told. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import pino from 'pino'
import { systemClock } from '../../src/cli/home.ts'
import { loadJob } from '../../src/config/load.ts'
import { ServiceAlerts } from '../../src/service/alerts.ts'
import { scheduledJob } from '../../src/service/catalog.ts'
import { KeptLogs } from '../../src/service/keptLogs.ts'
import { dropAfter, reversed } from '../jobs/following.ts'
import { smallJob } from '../jobs/small.ts'
import { freshPostgres } from '../servers.ts'

const warehouse = await freshPostgres()

test('beyond max_kept_log a slot is dropped and alerted; within it, and without one, nothing is', async t => {
  const own = reversed(t)
  const { url, query } = await freshPostgres(own)
  await query('CREATE TABLE items (id int PRIMARY KEY, note text)')
  await query("INSERT INTO items VALUES (1, 'one')")
  const yamlOf = (
    mode: string,
  ) => `connections: { s: { url: "${url}", max_kept_log: 4MB }, w: "${warehouse.url}" }
extract: { items: { from: s, table: items, mode: ${mode} } }
load: { kept_items: { to: w, from: items, key: id } }
resources: { memory: 300MB, threads: 1 }
`
  const job = await smallJob(own, 'kept', { 'job.yaml': yamlOf('changes') })
  dropAfter(own, job)
  const first = await job.cli('run', job.folder)
  assert.equal(first.code, 0, first.output)
  const slots = async () =>
    query(`SELECT 1 FROM pg_replication_slots WHERE slot_name LIKE 'nightfreight\\_kept%'`)
  const alerts: string[] = []
  const log = pino(
    { level: 'warn' },
    {
      write: line => {
        const { title, msg } = JSON.parse(line) as { title?: string; msg: string }
        alerts.push(title ?? msg)
      },
    },
  )
  const kept = new KeptLogs(
    log,
    new ServiceAlerts({
      database: job.metadata.database,
      clock: systemClock,
      log,
      home: job.home,
      env: { ...process.env },
    }),
  )
  const look = async () => {
    const before = kept.logs
    kept.look([scheduledJob(await loadJob(job.folder, process.env))])
    while (kept.logs === before) await delay(20)
  }
  await look()
  assert.equal(kept.logs.length, 1)
  assert.equal((await slots()).length, 1)
  await query("INSERT INTO items SELECT i, repeat('x', 1000) FROM generate_series(2, 20000) AS i")
  await look()
  assert.deepEqual(kept.logs, [])
  assert.equal((await slots()).length, 0)
  assert.deepEqual(alerts, ['kept: s keeps no log for it any more'])
  const next = await job.cli('run', job.folder)
  assert.equal(next.code, 2, next.output)
  assert.match(next.output, /LOG_LOST/)
  const anew = await job.cli('run', job.folder, '--full-refresh')
  assert.equal(anew.code, 0, anew.output)
  assert.equal((await slots()).length, 1)
  assert.equal((await warehouse.query('SELECT 1 FROM kept_items')).length, 20000)
  // Nobody reads it any more, and its server knows nothing of that.
  job.yaml(yamlOf('read'))
  await query("UPDATE items SET note = repeat('y', 1000)")
  await look()
  assert.deepEqual(kept.logs, [])
  assert.equal((await slots()).length, 0)
  assert.deepEqual(alerts, [
    'kept: s keeps no log for it any more',
    'a log that it reads no more was kept for it, and is no more',
  ])
})
