/** A real Prometheus scrapes a night, and every query of the dashboard and of the alerts is asked. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { openMetadata } from '../../src/metadata/open.ts'
import { liveStates } from '../../src/metadata/runDetails.ts'
import { ensureProgram } from '../debian.ts'
import { freshPostgres } from '../servers.ts'
import { openSite, scratch, until } from '../web/site.ts'
import {
  asked,
  DEPLOY,
  heldJob,
  type Point,
  PROMETHEUS,
  panels,
  rules,
  startPrometheus,
  untilRight,
  valuesOf,
} from './panels.ts'
import { seenJob, writeRows } from './seen.ts'

const exprs = (title: string) => panels.find(panel => panel.title === title)!.targets.map(({ expr }) => expr)

test("the dashboard has the specification's panels, asked as it asks them", () => {
  const of = (title: string) => panels.find(panel => panel.title === title)!.type
  const titles = [
    'Job Execution Timeline',
    'Processing Throughput',
    'Error Rate by Job',
    'Resource Utilization',
    'Queue Depth',
  ]
  assert.deepEqual(titles.map(of), ['state-timeline', 'timeseries', 'heatmap', 'gauge', 'stat'])
  assert.equal(exprs('Processing Throughput')[0], 'rate(batch_records_processed_total[5m])')
  assert.equal(
    exprs('Error Rate by Job')[0],
    'sum(rate(batch_errors_total[1h])) by (job_name) / sum(rate(batch_records_total[1h])) by (job_name)',
  )
  assert.deepEqual(exprs('Resource Utilization'), [
    'batch_cpu_usage_percent',
    'batch_memory_usage_percent',
    'batch_disk_io_usage_percent',
  ])
  assert.deepEqual(exprs('Queue Depth'), ['batch_queue_depth'])
})

test('Prometheus finds the rules and the configuration right', () => {
  ensureProgram(PROMETHEUS, 'prometheus')
  execFileSync('/usr/bin/promtool', ['check', 'rules', join(DEPLOY, 'prometheus/rules.yml')], {
    stdio: 'pipe',
  })
  const compose = parse(readFileSync(join(DEPLOY, 'compose.yaml'), 'utf8')) as {
    services: Record<string, object>
  }
  assert.deepEqual(Object.keys(compose.services), ['postgres', 'nightfreight', 'prometheus', 'grafana'])
})

/** Series by which each rule fires, and by which just not; what it says then. */
const FIRES: Record<string, { by: string[]; butNot: string[]; says: string; description?: string }> = {
  NightfreightRunFailed: {
    by: ['nightfreight_last_run_success{job_name="j"} 0'],
    butNot: ['nightfreight_last_run_success{job_name="j"} 1'],
    says: 'j: the latest run failed',
    description: 'nightfreight status j',
  },
  NightfreightErrorRate: {
    by: ['batch_errors_total{job_name="j",type="x"} 0+6', 'batch_records_total{job_name="j"} 0+100'],
    butNot: ['batch_errors_total{job_name="j",type="x"} 0+5', 'batch_records_total{job_name="j"} 0+100'],
    says: 'j: 6% of the rows are rejected',
    description: 'nightfreight errors list --job j',
  },
  NightfreightTableOld: {
    by: ['nightfreight_table_age_seconds{job_name="j",table="t"} 93601'],
    butNot: ['nightfreight_table_age_seconds{job_name="j",table="t"} 93600'],
    says: 't was loaded 1d 2h 0m 1s ago',
  },
  NightfreightLogKept: {
    by: ['nightfreight_log_kept_bytes{job_name="j",connection="c"} 60000000000'],
    butNot: ['nightfreight_log_kept_bytes{job_name="j",connection="c"} 50000000000'],
    says: 'c keeps 55.88GiB of its log, as j has not read it',
    description: 'nightfreight status j; where the job runs no more: nightfreight changes drop JOB',
  },
  NightfreightLogLag: {
    by: ['nightfreight_log_lag_seconds{job_name="j"} 901'],
    butNot: ['nightfreight_log_lag_seconds{job_name="j"} 900'],
    says: 'j: changes have waited in its logs for 15m 1s',
    description: 'nightfreight changes status JOB',
  },
  NightfreightBlocked: {
    by: ['nightfreight_jobs_blocked 1'],
    butNot: ['nightfreight_jobs_blocked 0'],
    says: '1 jobs wait for an interval that has failed',
  },
  NightfreightTrouble: {
    by: ['nightfreight_service_troubles 1'],
    butNot: ['nightfreight_service_troubles 0'],
    says: '1 troubles keep runs from being begun',
    description: '/readyz of the service says which',
  },
  NightfreightQueue: {
    by: ['batch_queue_depth 21'],
    butNot: ['batch_queue_depth 20'],
    says: '21 data intervals wait for their run',
  },
  NightfreightNobodyLeads: {
    by: ['nightfreight_scheduler_leads 0'],
    butNot: ['nightfreight_scheduler_leads{instance="a"} 0', 'nightfreight_scheduler_leads{instance="b"} 1'],
    says: 'no scheduler plans and starts runs',
  },
}

test('each rule fires where it should, and says what it should', t => {
  ensureProgram(PROMETHEUS, 'prometheus')
  assert.deepEqual(
    rules.map(({ alert }) => alert),
    Object.keys(FIRES),
  )
  const labels = (text: string) =>
    Object.fromEntries(
      [...text.matchAll(/(job_name|table|connection)="(\w+)"/g)].map(found => found.slice(1, 3)),
    )
  const seen = (alertname: string, series: string[], alerts: object[]) => ({
    interval: '1m',
    input_series: series.map(text => {
      const [name, values] = text.split(' ') as [string, string]
      return { series: name, values: `${values.includes('+') ? values : `${values}+0`}x60` }
    }),
    alert_rule_test: [{ eval_time: '1h', alertname, exp_alerts: alerts }],
  })
  const tests = rules.flatMap(({ alert, labels: own }) => {
    const { by, butNot, says, description } = FIRES[alert]!
    const fired = {
      exp_labels: { ...own, ...labels(by[0]!) },
      exp_annotations: { summary: says, ...(description && { description }) },
    }
    return [seen(alert, by, [fired]), seen(alert, butNot, [])]
  })
  const file = join(scratch(t, 'rules'), 'tests.json')
  writeFileSync(
    file,
    JSON.stringify({ rule_files: [join(DEPLOY, 'prometheus/rules.yml')], evaluation_interval: '1m', tests }),
  )
  execFileSync('/usr/bin/promtool', ['test', 'rules', file], { stdio: 'pipe' })
})

test('every query of the dashboard and of the rules gives what the metadata tables say, in a night and after it', async t => {
  ensureProgram(PROMETHEUS, 'prometheus')
  const job = await seenJob(t, 'scraped')
  const held = await heldJob(t, job.home)
  const [viewer, operator] = ['viewer-token-0123456789', 'operator-token-0123456789']
  const site = await openSite(t, {
    jobs: job.folder,
    home: job.home,
    args: [held.folder, '--host', '0.0.0.0'],
    env: { NIGHTFREIGHT_VIEWER_TOKEN: viewer, NIGHTFREIGHT_OPERATOR_TOKEN: operator },
  })
  const query = await startPrometheus(t, new URL(site.url).host, viewer)
  const { database } = job.metadata
  const expected = valuesOf(job.metadata, query)
  assert.deepEqual(
    asked.map(({ of }) => of),
    Object.keys(expected),
    'each query has its expected values here',
  )
  const asStored = async () => {
    for (const { of, expr } of asked) {
      const [found, { points, share = 0, off = 0 }] = [await query(expr), await expected[of]!()]
      const label = ({ labels }: Point) => JSON.stringify(Object.entries(labels).sort())
      assert.deepEqual(found.map(label).sort(), points.map(label).sort(), `${of}: ${expr}`)
      for (const point of points) {
        const { value } = found.find(other => label(other) === label(point))!
        const most = Math.abs(point.value) * share + off
        assert.ok(
          Object.is(value, point.value) || Math.abs(value - point.value) <= most,
          `${of}${label(point)}: ${value}, not ${point.value}`,
        )
      }
    }
  }
  // From zero, so that the first night is an increase.
  await until('both are scraped', async () =>
    (await query('batch_records_total').catch(() => [])).length === 2 ? true : undefined,
  )
  for (const first of [1000, 2000]) {
    const run = await job.run()
    assert.equal(run.status, 'COMPLETED_WITH_ERRORS', String(run.error))
    writeRows(job, 500, first)
  }
  await database.run('UPDATE table_history SET loaded_at = :at', {
    at: new Date(Date.now() - 30 * 3600_000).toISOString(),
  })
  const begin = async () => {
    const answer = await site.ask('/jobs/held/run', {
      method: 'POST',
      headers: { authorization: `Bearer ${operator}` },
    })
    assert.equal(answer.status, 303, answer.text)
  }
  const heldEnds = (count: number) =>
    until(`held has ended ${count} times`, async () => {
      const ended = (await site.metadata.runs(99)).filter(run => run.job === 'held' && run.ended_at)
      for (const { status, error } of ended) assert.equal(status, 'SUCCESS', String(error))
      return ended.length === count ? true : undefined
    })
  await begin()
  await until('rows are read', async () =>
    (await liveStates(database)).some(({ live }) => live?.tasks.some(({ rows }) => rows > 0))
      ? true
      : undefined,
  )
  await untilRight(asStored)
  held.goOn()
  await heldEnds(1)
  await held.query("UPDATE items SET seen = now() - interval '1 hour', n = -n WHERE id > 900")
  await held.query('BEGIN')
  await held.query('LOCK TABLE items_loaded IN SHARE MODE')
  await begin()
  await until('the load waits', async () =>
    (await liveStates(database)).some(({ live }) => live?.lockWaits === 1) ? true : undefined,
  )
  await database.run(
    `INSERT INTO intervals (job, interval_start, interval_end, state, updated_at)
     VALUES ('unknown', '2026-01-01', '2026-01-02', 'WAITING', '2026-01-02')`,
  )
  await untilRight(asStored)
  const waiting = () =>
    held.query<{ pid: number }>(
      "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'items_loaded'::regclass",
    )
  const [{ pid }] = (await waiting()) as [{ pid: number }]
  await held.query('SELECT pg_terminate_backend($1)', [pid])
  await until('its connection is lost', async () =>
    (await waiting()).some(other => other.pid === pid) ? undefined : true,
  )
  await held.query('ROLLBACK')
  await heldEnds(2)
  await untilRight(asStored)
  const [sums] = await database.all<{ retries: number; waits: number; lags: number }>(
    'SELECT sum(retries) AS retries, sum(lock_waits) AS waits, count(data_lag_seconds) AS lags FROM sync_history',
  )
  assert.ok(sums!.retries > 0 && sums!.waits > 0 && sums!.lags === 2, JSON.stringify(sums))
  assert.deepEqual(await query('ALERTS{alertname="NightfreightRunFailed"}'), [])
  writeFileSync(join(job.folder, 'clean.sql'), 'SELECT nothing FROM people')
  assert.equal((await job.run()).status, 'FAILED')
  await untilRight(asStored)
  await until('the alert', async () =>
    (await query('ALERTS{alertname="NightfreightRunFailed",job_name="scraped"}')).length > 0
      ? true
      : undefined,
  )
})

test("the timeline's query is right in a store on Postgres", async t => {
  const { url, query } = await freshPostgres(t)
  const metadata = await openMetadata('/nowhere', { now: () => new Date() }, url)
  const { fence } = await metadata.startRun({
    run: 'r1',
    job: 'j',
    run_at: new Date().toISOString(),
    spec_hash: '',
    owner: 'me',
  })
  await metadata.endRun({
    run: 'r1',
    fence,
    job: 'j',
    status: 'SUCCESS',
    runAt: new Date().toISOString(),
    records: 1,
    seconds: 1,
    error: undefined,
    syncPoints: [],
  })
  await metadata.close()
  const inStore = panels.flatMap(({ targets }) => targets.flatMap(({ rawSql }) => rawSql ?? []))
  assert.equal(inStore.length, 1, 'each query of the store is asked here')
  const [sql] = inStore as [string]
  const rows = await query<{ metric: string; status: string | null }>(sql)
  assert.deepEqual(
    rows.map(({ metric, status }) => [metric, status]),
    [
      ['j', 'SUCCESS'],
      ['j', null],
    ],
  )
  const asSpecified =
    await query(`SET search_path = nightfreight_metadata; SELECT job_name, start_time, end_time, status
    FROM batch_job_history WHERE start_time > now() - interval '24 hours' ORDER BY start_time DESC`)
  assert.equal(asSpecified.length, 1)
})
