import { setImmediate } from 'node:timers/promises'
import { Counter, Gauge, Registry } from 'prom-client'
import type { Clock } from '../../engine/contracts/tasks.ts'
import type { Category } from '../../engine/errors.ts'
import type { Metadata } from '../metadata/metadata.ts'
import { poolSlots, usedSlots } from '../metadata/pools.ts'
import { liveStates } from '../metadata/runDetails.ts'
import type { RunStatus } from '../metadata/runs.ts'
import { latestEnds, violationCounts } from '../metadata/seen.ts'
import { freshness } from '../metadata/tableHistory.ts'
import { type StoredTotal, type Total, type TotalName, totals } from '../metadata/totals.ts'
import { isRunning } from '../util/owner.ts'
import type { KeptLog } from './keptLogs.ts'
import type { Waiting } from './logWatch.ts'
import type { Machine } from './machine.ts'
import type { SchedulerFacts } from './scheduler.ts'

export interface MetricsOptions {
  metadata: Metadata
  clock: Clock
  machine: Machine
  /** What the scheduler of this process adds to what the store knows. */
  scheduler?: SchedulerFacts
  /** What keeps it from beginning runs that it should. */
  troubles?: number
  /** What waits in the logs of jobs that are followed. */
  waiting?: ReadonlyMap<string, Waiting>
  /** What servers keep of their logs for jobs. */
  kept?: KeptLog[]
  /** Jobs that are served here, also those that have not run yet. */
  jobs?: Iterable<string>
}

/** Counters, and the totals that they are; `labels`: what a total's label says. */
const COUNTERS: { name: string; help: string; total: TotalName; labels?: (label: string) => Labels }[] = [
  {
    name: 'batch_records_processed_total',
    help: 'Rows inserted, updated and deleted in targets.',
    total: 'processed',
  },
  { name: 'batch_records_total', help: 'Rows read for loaded tables.', total: 'records' },
  {
    name: 'batch_errors_total',
    help: 'Rows that were rejected, by category.',
    total: 'errors',
    labels: type => ({ type }),
  },
  {
    name: 'nightfreight_rows_total',
    help: 'Rows of loaded tables: read = loaded + unchanged + rejected + superseded.',
    total: 'rows',
    labels: label => {
      const cut = label.indexOf(' ')
      return { outcome: label.slice(0, cut), table: label.slice(cut + 1) }
    },
  },
  {
    name: 'nightfreight_runs_total',
    help: 'Runs that ended, by status.',
    total: 'runs',
    labels: status => ({ status }),
  },
  { name: 'nightfreight_run_seconds_total', help: 'Seconds that runs took.', total: 'seconds' },
  { name: 'nightfreight_retries_total', help: 'Tasks that were begun again.', total: 'retries' },
  {
    name: 'nightfreight_lock_waits_total',
    help: 'Times that a load began to wait for a lock.',
    total: 'lock_waits',
  },
  { name: 'nightfreight_chunks_total', help: 'Chunks read from sources.', total: 'chunks' },
  { name: 'nightfreight_chunk_rows_total', help: 'Rows of chunks.', total: 'chunk_rows' },
  { name: 'nightfreight_chunk_bytes_total', help: 'Bytes of staged chunks.', total: 'chunk_bytes' },
]

type Labels = Record<string, string>

/**
 * All metrics in Prometheus' text format: counters and figures of ended runs from the metadata store, those of runs that
 * go on from what these say there, the machine's own from here.
 */
export async function metricsText({
  metadata,
  clock,
  machine,
  scheduler,
  troubles,
  waiting = new Map(),
  kept = [],
  jobs = [],
}: MetricsOptions): Promise<string> {
  const { database } = metadata
  const families = counters(fromZero(await totals(database), jobs))
  const gauge = (name: string, help: string, points: [Labels, number][]) =>
    void families.push({ kind: Gauge, name, help, points })
  await runGauges(metadata, clock, gauge)
  const { cpu, memory, disk } = machine.read()
  gauge('batch_cpu_usage_percent', 'Use of all processors of the machine.', [[{}, cpu * 100]])
  gauge('batch_memory_usage_percent', "Use of the machine's, or the container's, memory.", [
    [{}, memory * 100],
  ])
  if (disk !== undefined)
    gauge('batch_disk_io_usage_percent', 'Share of time in which the busiest disk was at work.', [
      [{}, disk * 100],
    ])
  gauge('batch_queue_depth', 'Data intervals that wait for their run.', [
    [{}, await metadata.intervals.countWaiting()],
  ])
  const logs = [...waiting]
  gauge(
    'nightfreight_log_kept_bytes',
    'Log of changes that a server keeps: of Postgres for the job, of MySQL and MariaDB for everybody.',
    kept.map(({ job, connection, bytes }) => [{ job_name: job, connection }, bytes]),
  )
  gauge(
    'nightfreight_log_waiting_changes',
    'Changes that wait in the logs of a job that is followed.',
    logs.map(([job, { changes }]) => [{ job_name: job }, changes]),
  )
  gauge(
    'nightfreight_log_lag_seconds',
    'Since the first change was seen that no run has loaded.',
    logs.map(([job, { lag }]) => [{ job_name: job }, lag / 1000]),
  )
  if (scheduler) {
    gauge('nightfreight_jobs_blocked', 'Jobs whose data intervals wait for one that has failed.', [
      [{}, scheduler.blocked.size],
    ])
    gauge('nightfreight_scheduler_leads', '1 where this process plans and starts runs.', [
      [{}, scheduler.leads ? 1 : 0],
    ])
  }
  if (troubles !== undefined)
    gauge(
      'nightfreight_service_troubles',
      'What keeps runs from being begun that should be: lines of /readyz.',
      [[{}, troubles]],
    )
  return textOf(families)
}

/** A metric with its values; what nobody has said anything of is left out: it would be 0. */
interface Family {
  kind: typeof Counter | typeof Gauge
  name: string
  help: string
  points: [Labels, number][]
}

/** Values that are written at a time: a scheduler shares the thread. */
const AT_ONCE = 2000

async function textOf(families: Family[]): Promise<string> {
  const parts: string[] = []
  for (const { kind, name, help, points } of families)
    for (let from = 0; from < points.length; from += AT_ONCE) {
      const registry = new Registry()
      const metric = new kind({ name, help, labelNames: namesOf(points), registers: [registry] })
      for (const [labels, value] of points.slice(from, from + AT_ONCE)) metric.inc(labels, value)
      const text = await registry.metrics()
      // A metric is described once.
      parts.push(from === 0 ? text : text.replace(/^(#.*\n)+/, ''))
      await setImmediate()
    }
  return parts.join('')
}

/** What a job counts from zero on, so that Prometheus sees its first night as an increase. */
const BEGUN: Total[] = [
  ...(
    [
      'processed',
      'records',
      'seconds',
      'retries',
      'lock_waits',
      'chunks',
      'chunk_rows',
      'chunk_bytes',
    ] as const
  ).map(name => ({
    name,
    label: '',
    value: 0,
  })),
  ...(['DATA_INTEGRITY_ERROR', 'FORMAT_ERROR', 'QUALITY_ERROR'] satisfies Category[]).map(
    (label): Total => ({ name: 'errors', label, value: 0 }),
  ),
  ...(['SUCCESS', 'COMPLETED_WITH_ERRORS', 'FAILED'] satisfies RunStatus[]).map(
    (label): Total => ({ name: 'runs', label, value: 0 }),
  ),
]

function fromZero(stored: StoredTotal[], jobs: Iterable<string>): StoredTotal[] {
  const key = ({ job, name, label }: StoredTotal) => JSON.stringify([job, name, label])
  const names = new Set(BEGUN.map(({ name }) => name))
  const known = new Set(stored.filter(({ name }) => names.has(name)).map(key))
  const all = [...new Set([...jobs, ...stored.map(({ job }) => job)])]
  const begun = all.flatMap(job => BEGUN.map(total => ({ ...total, job })))
  return [...stored, ...begun.filter(total => !known.has(key(total)))]
}

const namesOf = (points: [Labels, number][]) => Object.keys(points[0]?.[0] ?? {})

function counters(stored: StoredTotal[]): Family[] {
  const byName = Map.groupBy(stored, ({ name }) => name)
  return COUNTERS.map(({ name, help, total, labels = () => ({}) }) => ({
    kind: Counter,
    name,
    help,
    points: (byName.get(total) ?? []).map(({ job, label, value }): [Labels, number] => [
      { job_name: job, ...labels(label) },
      value,
    ]),
  }))
}

async function runGauges(
  { database }: Metadata,
  clock: Clock,
  gauge: (name: string, help: string, points: [Labels, number][]) => void,
): Promise<void> {
  const ends = await latestEnds(database)
  const last = (pick: (end: (typeof ends)[number]) => number | null) =>
    ends.flatMap((end): [Labels, number][] => {
      const value = pick(end)
      return value === null ? [] : [[{ job_name: end.job }, value]]
    })
  const age = (iso: string) => Math.max(0, (clock.now().getTime() - Date.parse(iso)) / 1000)
  gauge(
    'nightfreight_last_run_duration_seconds',
    'How long the latest run took.',
    last(end => end.seconds),
  )
  gauge(
    'nightfreight_last_run_success',
    '1 where the latest run is loaded, 0 where it failed.',
    last(end => (end.status === 'FAILED' ? 0 : 1)),
  )
  gauge(
    'nightfreight_data_lag_seconds',
    "From the newest row of the stalest extract to the latest run's time.",
    last(end => end.lag),
  )
  gauge(
    'nightfreight_quality_score',
    "Share of the worst table's rows without a finding, of the latest run.",
    last(end => end.score),
  )
  gauge(
    'nightfreight_table_age_seconds',
    'Since a table was loaded last.',
    (await freshness(database)).map(({ job, table, loadedAt }) => [{ job_name: job, table }, age(loadedAt)]),
  )
  gauge(
    'nightfreight_sla_violations',
    'SLA violations within the last 30 days.',
    (await violationCounts(database, new Date(clock.now().getTime() - VIOLATIONS_MS).toISOString())).map(
      ({ job, type, count }) => [{ job_name: job, type }, count],
    ),
  )
  const slots = await poolSlots(database)
  const used = await usedSlots(database, clock.now().toISOString())
  gauge(
    'nightfreight_pool_slots',
    'Slots of a pool.',
    [...slots].map(([pool, n]) => [{ pool }, n]),
  )
  gauge(
    'nightfreight_pool_slots_used',
    'Slots of a pool that extracts hold.',
    [...slots].map(([pool]) => [{ pool }, used.get(pool) ?? 0]),
  )
  const live = (await liveStates(database)).filter(run => isRunning(run, clock.now()))
  gauge('nightfreight_runs_active', 'Runs that go on, whoever began them.', [[{}, live.length]])
  gauge(
    'nightfreight_run_rows',
    'Rows so far of a task that goes on.',
    live.flatMap(({ job, live }) =>
      (live?.tasks ?? []).map(({ task, rows }): [Labels, number] => [{ job_name: job, task }, rows]),
    ),
  )
  gauge(
    'nightfreight_run_memory_bytes',
    'Resident memory of a run that goes on.',
    live.flatMap(({ job, live }) => (live ? [[{ job_name: job }, live.memory] as [Labels, number]] : [])),
  )
}

const VIOLATIONS_MS = 30 * 24 * 3600_000
