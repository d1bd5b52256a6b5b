/**
 * `node test/soak/plan.ts [rows] [postgres|duckdb]`: a table of a million rows is loaded, five rows change, a plan shows
 * those five, the source changes again, and the plan loads exactly the five. Prints the seconds of each step, and
 * of the verification. Fails with an AssertionError where it does not.
 */
import assert from 'node:assert/strict'
import type { RunResult } from '../../src/runs/result.ts'
import { smallJob } from '../jobs/small.ts'
import { freshPostgres } from '../servers.ts'

const rows = Number(process.argv[2] ?? 1_000_000)
const kind = process.argv[3] ?? 'postgres'
const cleanups: (() => Promise<unknown>)[] = []
const hooks = { after: (act: () => Promise<unknown>) => void cleanups.unshift(act) }
try {
  const { url, query } = await freshPostgres(hooks)
  await query(`CREATE TABLE big AS SELECT i::bigint AS id, md5(i::text) AS name, 'mail' || i || '@example.org' AS email,
      (i % 100000) / 100.0::numeric(12,2) AS fee, i * 0.1::float8 AS score, date '2000-01-01' + i % 9000 AS joined,
      timestamptz '2026-01-01' + i * interval '1 second' AS seen FROM generate_series(1, ${rows}) AS i;
    ALTER TABLE big ALTER fee TYPE numeric(12,2), ADD PRIMARY KEY (id); ANALYZE big`)
  const to = kind === 'duckdb' ? 'duckdb:warehouse.duckdb' : url
  const job = await smallJob(hooks, 'soak_plan', {
    'job.yaml': `connections: { here: "${url}", to: "${to}" }
extract: { big: { from: here, table: big, key: id } }
load: { loaded: { to: to, from: big, key: id } }
resources: { memory: 800MB, threads: 2 }
`,
  })
  const step = async (name: string, running: Promise<RunResult>) => {
    const result = await running
    if (result.error) throw result.error
    const tasks = await job.metadata.tasks(result.run)
    const took = tasks.map(({ task, started_at, ended_at }) => `${task} ${span(started_at, ended_at!)}`)
    console.log(`${name}: ${result.seconds.toFixed(1)} s (${took.join(', ')})`)
    return result
  }
  await step('first load', job.run())
  const changed = [1, 2, 3, 4, 5].map(part => Math.floor((rows / 5) * part))
  await query(`UPDATE big SET name = 'changed' WHERE id IN (${changed.join(', ')})`)
  const plan = await step('plan', job.run({ goal: 'plan' }))
  const [preview] = plan.outcome.previews
  assert.deepEqual(preview!.counts, {
    rows,
    inserts: 0,
    updates: 5,
    deletes: 0,
    superseded: 0,
    keptGone: 0,
    unchanged: rows - 5,
  })
  assert.deepEqual(
    preview!.samples.updates.map(({ key, values }) => [
      Number(key.id),
      Object.keys(values),
      values.name!.after,
    ]),
    changed.map(id => [id, ['name'], 'changed']),
  )
  await query(`UPDATE big SET name = 'later' WHERE id % 1000 = 0; DELETE FROM big WHERE id = ${changed[0]}`)
  const loaded = await step('load of the plan', job.run({ fromPlan: plan.run }))
  const { inserted, updated, deleted } = loaded.outcome.loaded[0]!
  assert.deepEqual([inserted, updated, deleted], [0, 5, 0])
  assert.equal(loaded.outcome.verifications[0]!.equal, 5)
  const start = performance.now()
  const [verification] = (await job.verify()).loads
  console.log(`verify, every row: ${((performance.now() - start) / 1000).toFixed(1)} s`)
  assert.deepEqual([verification!.equal, verification!.wrong.rows], [rows, 0])
} finally {
  for (const cleanup of cleanups) await cleanup()
}

function span(from: string, to: string): string {
  return `${((Date.parse(to) - Date.parse(from)) / 1000).toFixed(1)} s`
}
