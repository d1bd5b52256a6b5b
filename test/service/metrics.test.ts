import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { beyond, totals } from '../../src/metadata/totals.ts'
import { Machine } from '../../src/service/machine.ts'
import { metricsText } from '../../src/service/metrics.ts'
import { samples, seenJob, seenYaml, writeRows } from './seen.ts'

const clock = { now: () => new Date() }

test('metrics are what the metadata tables say, night after night, and after a run is forgotten', async t => {
  const job = await seenJob(t, 'counted')
  const machine = new Machine()
  const read = async () => samples(await metricsText({ metadata: job.metadata, clock, machine }))
  const empty = await read()
  for (const name of ['batch_cpu_usage_percent', 'batch_memory_usage_percent', 'batch_queue_depth'])
    assert.ok(empty.get(name)! >= 0 && empty.get(name)! <= 100, name)
  const first = await job.run()
  assert.equal(first.status, 'COMPLETED_WITH_ERRORS', String(first.error))
  writeRows(job, 500, 1000)
  const second = await job.run()
  assert.equal(second.status, 'COMPLETED_WITH_ERRORS', String(second.error))
  const now = await read()
  const [sums] = await job.metadata.database.all<Record<string, number>>(
    `SELECT sum(records_processed) AS processed, sum(rows_read) AS "read", sum(rows_loaded) AS loaded,
       sum(rows_unchanged) AS unchanged, sum(rows_rejected) AS rejected, sum(duration_seconds) AS seconds FROM sync_history`,
  )
  const by = (name: string, labels: string) => now.get(`${name}{job_name="counted"${labels}}`)
  const table = (outcome: string) =>
    by('nightfreight_rows_total', `,outcome="${outcome}",table="warehouse.people"`) ?? 0
  assert.equal(by('batch_records_processed_total', ''), sums!.processed)
  assert.equal(by('batch_records_total', ''), sums!.read)
  assert.equal(by('batch_errors_total', ',type="DATA_INTEGRITY_ERROR"'), sums!.rejected)
  assert.equal(sums!.rejected, 25)
  for (const outcome of ['read', 'loaded', 'unchanged', 'rejected'])
    assert.equal(table(outcome), sums![outcome], outcome)
  assert.equal(table('read'), table('loaded') + table('unchanged') + table('rejected') + table('superseded'))
  assert.equal(by('nightfreight_runs_total', ',status="COMPLETED_WITH_ERRORS"'), 2)
  assert.ok(Math.abs(by('nightfreight_run_seconds_total', '')! - sums!.seconds!) < 1e-6)
  assert.equal(by('nightfreight_quality_score', ''), 0.99)
  assert.equal(by('nightfreight_last_run_success', ''), 1)
  assert.ok(by('nightfreight_table_age_seconds', ',table="warehouse.people"')! < 600)
  assert.equal(by('nightfreight_chunk_rows_total', ''), 1500)
  await job.metadata.database.run('DELETE FROM sync_history WHERE run = :run', { run: first.run })
  assert.equal((await read()).get('batch_records_processed_total{job_name="counted"}'), sums!.processed)
})

test('a run that is resumed counts its rows once', async t => {
  const job = await seenJob(t, 'again', 'quality: { max_error_rate: 0 }')
  const failed = await job.run()
  assert.equal(failed.status, 'FAILED')
  const counted = async (name: string) =>
    (await totals(job.metadata.database)).filter(total => total.name === name).map(({ value }) => value)
  assert.deepEqual([await counted('records'), await counted('errors')], [[1000], [10]])
  seenYaml(job, 'quality: { max_error_rate: 1 }')
  const resumed = await job.run({ resume: failed.run, acceptChanges: true })
  assert.equal(resumed.status, 'COMPLETED_WITH_ERRORS', String(resumed.error))
  assert.deepEqual([await counted('records'), await counted('errors')], [[1000], [10]])
  assert.deepEqual(await counted('processed'), [990])
})

test('a counter goes up only', () => {
  const total = (value: number) => ({ name: 'errors' as const, label: 'x', value })
  assert.deepEqual(beyond([total(10)], [total(8)]), [total(0)])
  assert.deepEqual(beyond([total(10)], [total(12)]), [total(2)])
})

test('a run without a service leaves its metrics in a file, or at a push gateway; neither fails it', async t => {
  const job = await seenJob(t, 'alone')
  const file = join(job.home, 'nightfreight.prom')
  const run = await job.cliIn({ NIGHTFREIGHT_METRICS: file }, 'run', job.folder)
  assert.equal(run.code, 0, run.output)
  const text = readFileSync(file, 'utf8')
  assert.match(text, /^# TYPE batch_records_processed_total counter$/m)
  assert.equal(samples(text).get('batch_records_processed_total{job_name="alone"}'), 990)
  const bodies: string[] = []
  const gateway = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    bodies.push(`${request.method} ${request.url}\n${body}`)
    response.writeHead(bodies.length > 1 ? 500 : 200).end()
  }).listen(0, '127.0.0.1')
  await once(gateway, 'listening')
  t.after(() => gateway.close())
  const url = `http://127.0.0.1:${(gateway.address() as AddressInfo).port}/metrics/job/nightfreight`
  const pushed = await job.cliIn({ NIGHTFREIGHT_METRICS: url }, 'run', job.folder)
  assert.equal(pushed.code, 0, pushed.output)
  assert.match(
    bodies[0]!,
    /^PUT \/metrics\/job\/nightfreight\n[\s\S]*batch_records_total\{job_name="alone"\} 2000/,
  )
  const refused = await job.cliIn({ NIGHTFREIGHT_METRICS: url }, 'run', job.folder)
  assert.equal(refused.code, 0)
  assert.match(refused.err, /metrics were not published: the push gateway answered 500/)
  const secret = url.replace('http://', 'http://me:T0PS3CRET@')
  const unusable = await job.cliIn({ NIGHTFREIGHT_METRICS: secret }, 'run', job.folder)
  assert.match(unusable.err, /metrics were not published: /)
  assert.doesNotMatch(unusable.output, /T0PS3CRET/)
})
