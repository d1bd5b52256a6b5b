import type { Queries } from './database.ts'
import type { Held } from './tasks.ts'
import { beyond, type Total } from './totals.ts'

/** How far a run is, as its process said last. */
export interface LiveState {
  /** ISO 8601 UTC. */
  at: string
  /** Share of all processors, 0 to 1, since it said so before. */
  cpu: number
  /** Bytes resident. */
  memory: number
  tasks: LiveTask[]
  retries: number
  lockWaits: number
}

/** A table that is read, transformed or loaded now. */
export interface LiveTask {
  task: string
  rows: number
  /** How many there will be, where that is known. */
  of?: number
  since: string
}

/** One line of what a run said. */
export interface LogLine {
  at: string
  text: string
}

/** Tasks of a run, each with those whose output it reads. */
export type RunGraph = Record<string, string[]>

export interface RunDetails<Report = unknown> {
  graph: RunGraph
  live: LiveState | undefined
  log: LogLine[]
  /** Of a run that has ended. */
  report: Report | undefined
  /** What its set checks measured, by their names: for the next run, and not for people, who see the report's. */
  measured: Measured
}

export type Measured = Record<string, number>

/** What is kept of a run that ends. */
export interface EndDetails {
  log: LogLine[]
  report?: object
  measured?: Measured
}

type Stored = Record<'graph' | 'live' | 'log' | 'report', string | null>

/** Notes what a run that goes on consists of, or how far it is; of whoever holds it. */
export async function noteDetails(
  queries: Queries,
  { run, fence }: Held,
  { graph, live, log }: Partial<RunDetails>,
  now: string,
): Promise<void> {
  const json = (value: unknown) => (value === undefined ? null : JSON.stringify(value))
  await queries.run(
    `INSERT INTO run_details (run, graph, live, log, updated_at)
     SELECT run, CAST(:graph AS TEXT), CAST(:live AS TEXT), CAST(:log AS TEXT), CAST(:now AS TEXT)
     FROM runs WHERE run = :run AND fence = :fence AND status = 'RUNNING'
     ON CONFLICT (run) DO UPDATE SET graph = coalesce(excluded.graph, run_details.graph),
       live = coalesce(excluded.live, run_details.live), log = coalesce(excluded.log, run_details.log),
       updated_at = excluded.updated_at`,
    { run, fence, graph: json(graph), live: json(live), log: json(log), now },
  )
}

/**
 * Keeps what is to be seen of a run that ends, where it is given; tells what the run counts beyond what its earlier
 * ends have counted.
 */
export async function endDetails(
  queries: Queries,
  run: string,
  seen: EndDetails | undefined,
  counted: Total[],
  now: string,
): Promise<Total[]> {
  const [before] = await queries.all<{ counted: string | null }>(
    'SELECT counted FROM run_details WHERE run = :run',
    { run },
  )
  await queries.run(
    `INSERT INTO run_details (run, log, report, counted, updated_at) VALUES (:run, :log, :report, :counted, :now)
     ON CONFLICT (run) DO UPDATE SET live = NULL, log = coalesce(excluded.log, run_details.log),
       report = coalesce(excluded.report, run_details.report), counted = excluded.counted,
       updated_at = excluded.updated_at`,
    {
      run,
      log: seen ? JSON.stringify(seen.log) : null,
      report: seen?.report ? JSON.stringify({ ...seen.report, measured: seen.measured }) : null,
      counted: JSON.stringify(counted),
      now,
    },
  )
  return beyond(JSON.parse(before?.counted ?? '[]') as Total[], counted)
}

export async function runDetails<Report>(queries: Queries, run: string): Promise<RunDetails<Report>> {
  const [found] = await queries.all<Stored>(
    'SELECT graph, live, log, report FROM run_details WHERE run = :run',
    { run },
  )
  const { graph, live, log, report } = found ?? {}
  const json = <T>(text: string | null | undefined) => (text ? (JSON.parse(text) as T) : undefined)
  const { measured = {}, ...kept } = json<Report & { measured?: Measured }>(report) ?? {}
  return {
    graph: json(graph) ?? {},
    live: json(live),
    log: json(log) ?? [],
    report: report ? (kept as Report) : undefined,
    measured,
  }
}

/** A run that has not ended; whether its process still is there, its owner and lease tell. */
interface RunOnItsWay {
  run: string
  job: string
  owner: string
  expires_at: string | null
}

/** How far the runs are that go on. */
export async function liveStates(
  queries: Queries,
): Promise<(RunOnItsWay & { live: LiveState | undefined })[]> {
  const found = await queries.all<RunOnItsWay & { live: string | null }>(
    `SELECT r.run, r.job, r.owner, l.expires_at, d.live FROM runs r LEFT JOIN run_details d ON d.run = r.run
     LEFT JOIN leases l ON l.name = 'run/' || r.run WHERE r.status = 'RUNNING' ORDER BY r.started_at, r.run`,
  )
  return found.map(({ live, ...run }) => ({ ...run, live: live === null ? undefined : JSON.parse(live) }))
}
