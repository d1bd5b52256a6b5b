/** A year of nights: 10,000 runs of 200 jobs, 1,000,000 tasks. Every page answers at once, metrics too. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { seenJob } from '../service/seen.ts'
import { openSite } from './site.ts'

const RUNS = 10_000
const JOBS = 200
const TASKS = 100
/** What a page may take; the median of a few, since others use the machine, too. */
const LIMIT_MS = 300

/** Runs as they would have been, the latest an hour ago, one every ten minutes. */
function fill(file: string): { run: string; job: string } {
  const database = new DatabaseSync(file)
  const at = `strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || (60 + (${RUNS} - n) * 10) || ' minutes')`
  database.exec(`PRAGMA synchronous = OFF; BEGIN;
    CREATE TEMP TABLE seq AS WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${RUNS}) SELECT n FROM s;
    CREATE TEMP TABLE new_runs AS SELECT n, printf('run-%06d', n) AS run, printf('job_%03d', n % ${JOBS}) AS job, ${at} AS at,
      CASE WHEN n % 50 = 0 THEN 'FAILED' WHEN n % 7 = 0 THEN 'COMPLETED_WITH_ERRORS' ELSE 'SUCCESS' END AS status FROM seq;
    INSERT INTO runs (run, job, status, run_at, started_at, ended_at, spec_hash, owner)
      SELECT run, job, status, at, at, at, '', '' FROM new_runs;
    INSERT INTO tasks (run, task, status, started_at, ended_at, output)
      SELECT run, 'model.m' || s.n, 'SUCCESS', at, at, '{}' FROM new_runs JOIN seq s ON s.n <= ${TASKS};
    INSERT INTO sync_history (run, job_name, sync_timestamp, status, records_processed, duration_seconds, rows_read, rows_loaded,
        rows_unchanged, rows_rejected, rows_superseded, error_rate, quality_score)
      SELECT run, job, at, status, 900, 12.5, 1000, 900, 90, 10, 0, 0.01, 0.99 FROM new_runs;
    INSERT INTO table_history SELECT job, 'warehouse.t' || (s.n % 10), run, at, 1000, 900, 90, 10, 0, 800, 100, 0, '["a"]', '[]'
      FROM new_runs JOIN seq s ON s.n <= 10;
    INSERT INTO error_records (id, run, job, table_name, row_key, check_name, severity, category, reason, record, state, created_at, updated_at)
      SELECT run || s.n, run, job, 'clean', s.n, 'name_missing', 'reject', 'DATA_INTEGRITY_ERROR', 'no name', '{"id":"1"}', 'open', at, at
      FROM new_runs JOIN seq s ON s.n <= 10;
    INSERT INTO sla_violations SELECT job, run, 'DURATION_EXCEEDED', 'HIGH', 1, 2, at FROM new_runs WHERE n % 40 = 0;
    INSERT INTO intervals (job, interval_start, interval_end, state, run, updated_at) SELECT job, at, at, 'SUCCESS', run, at FROM new_runs;
    INSERT INTO totals SELECT job, 'runs', status, count(*) FROM new_runs GROUP BY job, status;
    INSERT INTO totals SELECT job, 'processed', '', 900 * count(*) FROM new_runs GROUP BY job;
    COMMIT; ANALYZE;`)
  database.close()
  return { run: 'run-009999', job: 'job_199' }
}

test('10,000 runs and 1,000,000 tasks: each page answers in under 300 ms', async t => {
  const job = await seenJob(t, 'scale')
  const { run, job: name } = fill(join(job.home, 'metadata.db'))
  const site = await openSite(t, { jobs: job.folder, home: job.home })
  const [{ n }] = (await site.metadata.database.all<{ n: number }>('SELECT count(*) AS n FROM tasks')) as [
    { n: number },
  ]
  assert.equal(n, RUNS * TASKS)
  const paths = [
    ...['/', '/runs', '/runs?status=FAILED', `/runs?job=${name}`, `/runs/${run}`, '/jobs', `/jobs/${name}`],
    ...[
      '/tables',
      `/tables/${name}/warehouse.t3`,
      '/errors',
      `/errors?job=${name}&reason=name`,
      `/errors?run=${run}`,
    ],
    ...[`/errors/${run}3`, '/sla', '/audit', '/metrics'],
  ]
  const slow: string[] = []
  for (const path of paths) {
    const times: number[] = []
    for (let again = 0; again < 5; again++) {
      const began = performance.now()
      const { status } = await site.ask(path)
      times.push(performance.now() - began)
      assert.equal(status, 200, path)
    }
    const median = times.sort((a, b) => a - b)[2]!
    t.diagnostic(`${path}: ${median.toFixed(0)} ms`)
    if (median > LIMIT_MS) slow.push(`${path}: ${median.toFixed(0)} ms`)
  }
  assert.deepEqual(slow, [])
})
