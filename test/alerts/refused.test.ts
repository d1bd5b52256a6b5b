import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { smallJob } from '../jobs/small.ts'
import { freshPostgres } from '../servers.ts'
import { alertsIn } from './told.ts'

const DAY_MS = 24 * 3600_000
const day = (ago: number) => new Date(Math.floor(Date.now() / DAY_MS - ago) * DAY_MS).toISOString()

test('a night that could not reach the metadata store is told with the command that runs that night', async t => {
  const { url } = await freshPostgres(t)
  const job = await smallJob(t, 'refused', {
    'in/items.csv': 'id\n1\n',
    'job.yaml': `schedule: { cron: "0 0 * * *", depends_on_past: true }
connections: { drop: "file:in", wh: "duckdb:wh.duckdb" }
extract: { items: { from: drop, files: "*.csv", take: all, key: id, schema: { id: INTEGER } } }
load: { items: { to: wh, from: items, key: id } }
alerts:
  channels: { pager: { command: [sh, -c, "cat >> alerts.jsonl; echo >> alerts.jsonl"] } }
  on: { failure: [pager] }
`,
  })
  const [start, end, today] = [day(3), day(2), day(1)]
  const interval = ['run-interval', job.folder, 'refused', '--start', start, '--end', end]
  // Nobody listens there.
  const away = { METADATA_URL: 'postgres://u:p@127.0.0.1:9/db' }
  const refused = await job.cliIn(away, ...interval, '--claim', '1', '--trigger', 'schedule')
  assert.equal(refused.code, 75, refused.err)
  const [alert, ...more] = alertsIn(join(job.folder, 'alerts.jsonl'))
  assert.deepEqual(more, [])
  assert.equal(
    alert!.command,
    `NIGHTFREIGHT_HOME=${job.home} nightfreight backfill ${job.folder} --from ${start} --to ${start}`,
  )
  const there = { METADATA_URL: url }
  for (const first of [start, end]) {
    const typed = await job.cliIn(there, 'backfill', job.folder, '--from', first, '--to', first)
    assert.equal(typed.code, 0, typed.err)
  }
  const again = await job.cliIn(there, 'backfill', job.folder, '--from', start, '--to', today, '--dry-run')
  assert.deepEqual(again.out.match(/SUCCESS already/g)?.length, 2, again.out)
})
