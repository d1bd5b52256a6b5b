import assert, { AssertionError } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parse } from 'yaml'
import type { Metadata } from '../../src/metadata/metadata.ts'
import { liveStates } from '../../src/metadata/runDetails.ts'
import { freePort } from '../ports.ts'
import { type FreshDatabase, freshPostgres, type Hooks } from '../servers.ts'
import { startOrdersApi } from '../web/ordersApi.ts'
import { scratch } from '../web/site.ts'

export const DEPLOY = join(import.meta.dirname, '../../deploy')
export const PROMETHEUS = '/usr/bin/prometheus'
const RULES = join(DEPLOY, 'prometheus/rules.yml')

export interface Panel {
  title: string
  type: string
  targets: { expr?: string; rawSql?: string }[]
}

export const { panels } = JSON.parse(
  readFileSync(join(DEPLOY, 'grafana/dashboards/nightfreight.json'), 'utf8'),
) as { panels: Panel[] }

export const rules = (
  parse(readFileSync(RULES, 'utf8')) as {
    groups: { rules: { alert: string; expr: string; labels: Record<string, string> }[] }[]
  }
).groups.flatMap(group => group.rules)

/** What a rule compares its measure with. */
const THRESHOLD = / (?:==|>) [\d.e*\s]+$/

/** Each query of the dashboard that Prometheus answers, and what each rule measures. */
export const asked: { of: string; expr: string }[] = [
  ...panels.flatMap(({ title, targets }) =>
    targets.flatMap(({ expr }, n) => (expr === undefined ? [] : [{ of: `${title} ${n}`, expr }])),
  ),
  ...rules.map(({ alert, expr }) => ({ of: alert, expr: expr.replace(THRESHOLD, '') })),
]

export interface Point {
  labels: Record<string, string>
  value: number
}

type Query = (expr: string) => Promise<Point[]>

/** A Prometheus that scrapes a host, with the rules; gives what queries it. */
export async function startPrometheus(hooks: Hooks, host: string, token: string): Promise<Query> {
  const folder = scratch(hooks, 'prometheus')
  const port = await freePort()
  writeFileSync(
    join(folder, 'prometheus.yml'),
    `global: { scrape_interval: 500ms, evaluation_interval: 1s }
rule_files: ["${RULES}"]
scrape_configs: [{ job_name: nightfreight, authorization: { credentials: ${token} }, static_configs: [{ targets: ["${host}"] }] }]
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
  hooks.after(async () => {
    server.kill('SIGTERM')
    if (server.exitCode === null) await once(server, 'exit')
  })
  return async expr => {
    const answer = await fetch(
      `http://127.0.0.1:${port}/api/v1/query?${new URLSearchParams({ query: expr })}`,
    )
    const { data, error } = (await answer.json()) as {
      data?: { result: { metric: Record<string, string>; value: [number, string] }[] }
      error?: string
    }
    assert.ok(data, `${expr}: ${error}`)
    return data.result.map(({ metric: { __name__, instance, job, ...labels }, value }) => ({
      labels,
      value: Number(value[1]),
    }))
  }
}

/** Tries until what it asserts is so. */
export async function untilRight(assertion: () => Promise<void>, seconds = 60): Promise<void> {
  const end = performance.now() + seconds * 1000
  for (;;)
    try {
      return await assertion()
    } catch (error) {
      if (!(error instanceof AssertionError) || performance.now() > end) throw error
      await delay(250)
    }
}

/**
 * A job from a table of Postgres into another there, read by its time, and from an API that has no second page until `goOn`: a
 * run lasts until then, or as long as somebody locks what it loads.
 */
export async function heldJob(
  hooks: Hooks,
  home: string,
): Promise<FreshDatabase & { folder: string; goOn(): void }> {
  const { url, mood } = await startOrdersApi(hooks)
  const { promise, resolve } = Promise.withResolvers<void>()
  mood.secondPage = promise
  const database = await freshPostgres(hooks)
  await database.query(`CREATE TABLE items AS SELECT i AS id, i AS n, now() - interval '2 hours' AS seen
    FROM generate_series(1, 1000) AS i; ALTER TABLE items ADD PRIMARY KEY (id)`)
  const folder = join(home, 'held')
  mkdirSync(folder)
  writeFileSync(
    join(folder, 'job.yaml'),
    `job: held
connections: { db: "${database.url}", shop: { url: "${url}", concurrency: 1 } }
extract:
  items: { from: db, table: items, key: id, incremental: { column: seen } }
  orders: { from: shop, path: /orders, paginate: page, limit: 50, records: orders, total: total, key: id, schema: { id: BIGINT, amount: BIGINT, city: VARCHAR } }
load:
  items_loaded: { to: db, from: items, key: id }
  orders_loaded: { to: db, from: orders, key: id }
resources: { memory: 300MB, threads: 1 }
retries: { limit: 3, delay: 100ms }
`,
  )
  return { ...database, folder, goOn: resolve }
}

/** Values of a query: exact, or off by a share of each or by so much. */
interface Values {
  points: Point[]
  share?: number
  off?: number
}

/** An ended run, with its line of the history. */
interface Ended {
  job: string
  status: string
  records_processed: number
  duration_seconds: number
  data_lag_seconds: number | null
  quality_score: number | null
  rows_read: number
  rows_rejected: number
  retries: number
  lock_waits: number
  chunks: number
  chunk_rows: number
}

/** Prometheus extends a rate to the ends of its window by up to an interval of the scrapes. */
const EXTENDED = 0.05

/** What each of {@link asked} should give: read from the metadata tables, not from the totals that metrics are written from. */
export function valuesOf({ database }: Metadata, query: Query): Record<string, () => Promise<Values>> {
  const ended = () =>
    database.all<Ended>(
      'SELECT r.job, h.* FROM runs r JOIN sync_history h ON h.run = r.run ORDER BY r.started_at, r.run',
    )
  const byJob = async (
    of: (runs: Ended[]) => number | null,
    jobs = ['held', 'scraped'],
  ): Promise<Point[]> => {
    const runs = await ended()
    return jobs.flatMap(job => {
      const own = runs.filter(run => run.job === job)
      const value = of(own)
      return value === null ? [] : [{ labels: { job_name: job }, value }]
    })
  }
  const sum = (column: keyof Ended) => (runs: Ended[]) =>
    runs.reduce((total, run) => total + Number(run[column]), 0)
  const latest = (of: (run: Ended) => number | null) => (runs: Ended[]) =>
    runs.length === 0 ? null : of(runs.at(-1)!)
  /** How far a counter has gone since it was first seen. */
  const grown = async (points: Point[], first: string): Promise<Point[]> => {
    const before = await query(first)
    return points.map(({ labels, value }) => {
      const began = before.find(point => JSON.stringify(point.labels) === JSON.stringify(labels))
      return { labels, value: value - (began?.value ?? 0) }
    })
  }
  const over = (points: Point[], divisor: (n: number) => number) =>
    points.map(({ labels, value }, n) => ({ labels, value: value / divisor(n) }))
  const one = (value: number): Point[] => [{ labels: {}, value }]
  const none = async (): Promise<Values> => ({ points: [] })
  const percent = async (): Promise<Values> => ({ points: one(50), off: 50 })
  const errorRate = async (): Promise<Values> => {
    const read = await byJob(sum('rows_read'))
    const rates = over(await byJob(sum('rows_rejected')), n => read[n]!.value)
    return { points: rates, share: EXTENDED }
  }
  const queueDepth = async (): Promise<Values> => {
    const [row] = await database.all<{ n: number }>(
      `SELECT count(*) AS n FROM intervals WHERE state = 'WAITING'`,
    )
    return { points: one(row!.n) }
  }
  const tableAge = async (): Promise<Values> => {
    const rows = await database.all<{ job: string; name: string; at: string }>(
      'SELECT job, table_name AS name, max(loaded_at) AS at FROM table_history GROUP BY job, table_name',
    )
    const points = rows.map(({ job, name, at }) => ({
      labels: { job_name: job, table: name },
      value: (Date.now() - Date.parse(at)) / 1000,
    }))
    return { points, off: 5 }
  }
  const increase = (column: 'retries' | 'lock_waits') => async () => ({
    points: one(sum(column)(await ended())),
    share: EXTENDED,
  })
  return {
    'Processing Throughput 0': async () => ({
      points: over(
        await grown(
          await byJob(sum('records_processed')),
          'min_over_time(batch_records_processed_total[5m])',
        ),
        () => 300,
      ),
      share: EXTENDED,
    }),
    'Processing Throughput 1': async () => ({
      points: (await liveStates(database)).flatMap(({ job, live }) =>
        live && live.tasks.length > 0
          ? [{ labels: { job_name: job }, value: live.tasks.reduce((rows, task) => rows + task.rows, 0) }]
          : [],
      ),
    }),
    'Error Rate by Job 0': errorRate,
    'Resource Utilization 0': percent,
    'Resource Utilization 1': percent,
    'Resource Utilization 2': percent,
    'Queue Depth 0': queueDepth,
    'Active Runs 0': async () => {
      const [row] = await database.all<{ n: number }>(
        `SELECT count(*) AS n FROM runs WHERE status = 'RUNNING'`,
      )
      return { points: one(row!.n) }
    },
    'Rows by Outcome 0': async () => {
      const outcomes = ['read', 'loaded', 'unchanged', 'rejected', 'superseded']
      const columns = outcomes.map(outcome => `sum(rows_${outcome}) AS "${outcome}"`)
      const [row] = await database.all<Record<string, number>>(`SELECT ${columns} FROM table_history`)
      const points = outcomes
        .map(outcome => ({ labels: { outcome }, value: row![outcome]! }))
        .filter(({ value }) => value > 0)
      const first = 'sum(min_over_time(nightfreight_rows_total[1h])) by (outcome)'
      return { points: over(await grown(points, first), () => 3600), share: EXTENDED }
    },
    'Run Duration 0': async () => ({ points: await byJob(latest(run => run.duration_seconds)), off: 1e-6 }),
    'Table Age 0': tableAge,
    'Quality Score 0': async () => ({ points: await byJob(latest(run => run.quality_score)) }),
    'Data Lag 0': async () => ({ points: await byJob(latest(run => run.data_lag_seconds)), off: 1e-6 }),
    'Runs by Status 0': async () => {
      const runs = await ended()
      const points = ['SUCCESS', 'COMPLETED_WITH_ERRORS', 'FAILED'].map(status => ({
        labels: { status },
        value: runs.filter(run => run.status === status).length,
      }))
      return { points, share: EXTENDED }
    },
    'Retries and Lock Waits 0': increase('retries'),
    'Retries and Lock Waits 1': increase('lock_waits'),
    'Rows a Chunk 0': async () => {
      const chunks = await byJob(sum('chunks'))
      return { points: over(await byJob(sum('chunk_rows')), n => chunks[n]!.value), share: EXTENDED }
    },
    NightfreightRunFailed: async () => ({
      points: await byJob(latest(run => (run.status === 'FAILED' ? 0 : 1))),
    }),
    NightfreightErrorRate: errorRate,
    NightfreightTableOld: tableAge,
    // Of jobs that read change logs.
    NightfreightLogKept: none,
    NightfreightLogLag: none,
    NightfreightBlocked: async () => ({ points: one(0) }),
    NightfreightTrouble: async () => ({ points: one(0) }),
    NightfreightQueue: queueDepth,
    NightfreightNobodyLeads: none,
  }
}
