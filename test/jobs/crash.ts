import type { ChildProcess } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { openMetadata } from '../../src/metadata/open.ts'
import type { FreshDatabase } from '../servers.ts'
import type { RunEvent } from './night.ts'

/** Kills the process at the first event that is so. */
export function killAt(is: (event: RunEvent) => boolean) {
  return (event: RunEvent, child: ChildProcess) => {
    if (is(event)) child.kill('SIGKILL')
  }
}

/** What the main job loaded: everything but the time stamp, which is the time of the commit. */
export const contents = ({ query }: FreshDatabase) =>
  query(`SELECT 'dim_members' AS name, count(*) AS rows, sum(hashtextextended((to_jsonb(d) - 'etl_timestamp')::text, 0))::text AS hash FROM dim_members d
    UNION ALL SELECT 'fact_payments', count(*), sum(hashtextextended((to_jsonb(f) - 'etl_timestamp')::text, 0))::text FROM fact_payments f
    UNION ALL SELECT 'staging tables left', count(*), string_agg(relname, ',') FROM pg_class WHERE relpersistence = 'u' ORDER BY name`)

/** The names of the main job's commit points, by an undisturbed run: each task when it begins and when it is done. */
export function commitPoints(events: RunEvent[]): string[] {
  const points = events.filter(({ event }) => event === 'started' || event === 'done')
  return [...new Set(points.map(({ event, task }) => `${task} ${event}`))]
}

export const isPoint = (point: string) => (event: RunEvent) => point === `${event.task} ${event.event}`

/** How runs ended and what they counted, error records and the quarantine's rows: without ids and times. */
export async function traces(home: string): Promise<unknown> {
  const metadata = await openMetadata(home, { now: () => new Date() }, undefined)
  const duck = await Duck.open({})
  try {
    const history = await metadata.history({ limit: 100 })
    const records = await metadata.errors.list({ limit: 100_000 })
    const files = globSync('*/*/quarantine/*.parquet', { cwd: join(home, 'staging') }).sort()
    const list = files.map(file => quote(join(home, 'staging', file))).join(', ')
    const quarantine =
      files.length === 0
        ? []
        : await duck.rows(
            `SELECT DISTINCT model, check_name, reason, record FROM read_parquet([${list}]) ORDER BY ALL`,
          )
    return {
      history: history.map(({ status, records_processed }) => ({ status, records_processed })),
      records: records
        .map(({ id, reason, state }) => ({ id, reason, state }))
        .sort((a, b) => (a.id < b.id ? -1 : 1)),
      quarantine,
    }
  } finally {
    duck.close()
    await metadata.close()
  }
}
