/** A real Prometheus scrapes a night, and every query of the dashboard and of the alerts is asked. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { parse } from 'yaml'
import { openMetadata } from '../../src/metadata/open.ts'
import { ensureProgram } from '../debian.ts'
import { freePort } from '../ports.ts'
import { freshPostgres } from '../servers.ts'
import { openSite, scratch, until } from '../web/site.ts'
import { seenJob, writeRows } from './seen.ts'

const DEPLOY = join(import.meta.dirname, '../../deploy')
const PROMETHEUS = '/usr/bin/prometheus'

interface Panel {
  title: string
  type: string
  targets: { expr?: string; rawSql?: string }[]
}
const { panels } = JSON.parse(readFileSync(join(DEPLOY, 'grafana/dashboards/nightfreight.json'), 'utf8')) as {
  panels: Panel[]
}
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

test('Prometheus scrapes a night: every query answers, with what the metadata tables say', async t => {
  ensureProgram(PROMETHEUS, 'prometheus')
  const job = await seenJob(t, 'scraped')
  const token = 'viewer-token-0123456789'
  const site = await openSite(t, {
    jobs: job.folder,
    home: job.home,
    args: ['--host', '0.0.0.0'],
    env: { NIGHTFREIGHT_VIEWER_TOKEN: token },
  })
  const folder = scratch(t, 'prometheus')
  const [port, rules] = [await freePort(), join(DEPLOY, 'prometheus/rules.yml')]
  writeFileSync(
    join(folder, 'prometheus.yml'),
    `global: { scrape_interval: 500ms, evaluation_interval: 1s }
rule_files: ["${rules}"]
scrape_configs: [{ job_name: nightfreight, authorization: { credentials: ${token} }, static_configs: [{ targets: ["${new URL(site.url).host}"] }] }]
`,
  )
  const server = spawn(
    PROMETHEUS,
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  )
  t.after(async () => {
    server.kill('SIGTERM')
    if (server.exitCode === null) await once(server, 'exit')
  })
  const query = async (expr: string): Promise<{ metric: Record<string, string>; value: number }[]> => {
    const answer = await fetch(
      `http://127.0.0.1:${port}/api/v1/query?${new URLSearchParams({ query: expr })}`,
    )
    const { data, error } = (await answer.json()) as {
      data?: { result: { metric: Record<string, string>; value: [number, string] }[] }
      error?: string
    }
    assert.ok(data, `${expr}: ${error}`)
    return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }))
  }
  // From zero, so that the first night is an increase.
  await until('it is scraped', async () =>
    (await query('batch_records_total').catch(() => [])).length > 0 ? true : undefined,
  )
  await delay(1500)
  for (const first of [1000, 2000]) {
    const run = await job.run()
    assert.equal(run.status, 'COMPLETED_WITH_ERRORS', String(run.error))
    writeRows(job, 500, first)
  }
  const sum = async (column: string) =>
    (await job.metadata.database.all<{ n: number }>(`SELECT sum(${column}) AS n FROM sync_history`))[0]!.n
  const [processed, read, rejected] = [
    await sum('records_processed'),
    await sum('rows_read'),
    await sum('rows_rejected'),
  ]
  await until('the nights are scraped', async () =>
    (await query('batch_records_processed_total'))[0]?.value === processed ? true : undefined,
  )
  await delay(1500)
  // Nothing runs now, and no chunk is seen by a second scrape alone.
  for (const { title, targets } of panels)
    for (const { expr } of targets)
      if (expr && !/run_rows|data_lag|chunk/.test(expr))
        assert.ok((await query(expr)).length > 0, `${title}: ${expr}`)
      else if (expr) await query(expr)
  const one = async (expr: string) => {
    const found = await query(expr)
    assert.deepEqual(
      found.map(({ metric }) => metric.job_name ?? 'scraped'),
      ['scraped'],
      expr,
    )
    return found[0]!.value
  }
  const near = (actual: number, expected: number, what: string) =>
    assert.ok(Math.abs(actual - expected) <= Math.abs(expected) * 0.02, `${what}: ${actual}, not ${expected}`)
  near(await one(exprs('Error Rate by Job')[0]!), rejected / read, 'error rate')
  assert.ok((await one(exprs('Processing Throughput')[0]!)) > 0)
  assert.equal(await one('sum(batch_errors_total)'), rejected)
  assert.equal(await one('batch_records_total'), read)
  assert.equal(
    await one(
      'nightfreight_rows_total{outcome="read"} - ignoring(outcome) nightfreight_rows_total{outcome="loaded"}',
    ),
    read - (await sum('rows_loaded')),
  )
  assert.equal(await one('batch_queue_depth'), 0)
  for (const expr of exprs('Resource Utilization')) {
    const value = await one(expr!)
    assert.ok(value >= 0 && value <= 100, `${expr}: ${value}`)
  }
  assert.deepEqual(await query('ALERTS{alertname="NightfreightRunFailed"}'), [])
  writeFileSync(join(job.folder, 'clean.sql'), 'SELECT nothing FROM people')
  assert.equal((await job.run()).status, 'FAILED')
  await until(
    'the alert',
    async () =>
      (await query('ALERTS{alertname="NightfreightRunFailed",job_name="scraped"}')).length > 0
        ? true
        : undefined,
    20,
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
  const sql = panels.find(({ title }) => title === 'Job Execution Timeline')!.targets[0]!.rawSql!
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
