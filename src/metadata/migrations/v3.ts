import type { Migration } from '../database.ts'
import { both } from './dialect.ts'

// Made anew in both databases, since the children must refer to the new table. States are not checked here but by
// the types of the code: a new one costs no migration.
const runs = `
DROP VIEW batch_job_history;
DROP INDEX one_active_run;
DROP INDEX runs_by_job;
ALTER TABLE runs RENAME TO old_runs;
ALTER TABLE tasks RENAME TO old_tasks;
ALTER TABLE parts RENAME TO old_parts;
ALTER TABLE sync_points RENAME TO old_sync_points;
ALTER TABLE sync_history RENAME TO old_sync_history;

CREATE TABLE runs (
  run TEXT PRIMARY KEY,
  job TEXT NOT NULL,
  status TEXT NOT NULL,
  goal TEXT NOT NULL DEFAULT 'load',
  trigger TEXT NOT NULL DEFAULT 'manual',
  priority INTEGER NOT NULL DEFAULT 0,
  run_at TEXT NOT NULL,
  interval_start TEXT,
  interval_end TEXT,
  started_at TEXT NOT NULL,
  ended_at TEXT,
  spec_hash TEXT NOT NULL,
  owner TEXT NOT NULL,
  fence INTEGER NOT NULL DEFAULT 0,
  attempt INTEGER NOT NULL DEFAULT 1,
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  error TEXT
) STRICT;
CREATE UNIQUE INDEX one_active_run ON runs (job, coalesce(interval_start, '')) WHERE status = 'RUNNING';
CREATE INDEX runs_by_job ON runs (job, started_at, run);
CREATE INDEX runs_by_time ON runs (started_at, run);
CREATE TABLE tasks (
  run TEXT NOT NULL REFERENCES runs,
  task TEXT NOT NULL,
  status TEXT NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 1,
  fence INTEGER NOT NULL DEFAULT 0,
  started_at TEXT NOT NULL,
  ended_at TEXT,
  retry_at TEXT,
  code TEXT,
  error TEXT,
  output TEXT,
  PRIMARY KEY (run, task)
) STRICT;
CREATE TABLE parts (
  run TEXT NOT NULL REFERENCES runs,
  dataset TEXT NOT NULL,
  file TEXT NOT NULL,
  rows INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (run, file)
) STRICT;
CREATE TABLE sync_points (
  job TEXT NOT NULL,
  extract TEXT NOT NULL,
  value TEXT,
  run TEXT NOT NULL REFERENCES runs,
  PRIMARY KEY (job, extract)
) STRICT;
CREATE INDEX sync_points_by_run ON sync_points (run);
CREATE TABLE sync_history (
  job_name TEXT NOT NULL,
  run TEXT PRIMARY KEY REFERENCES runs,
  sync_timestamp TEXT NOT NULL,
  status TEXT NOT NULL,
  records_processed INTEGER NOT NULL,
  duration_seconds REAL NOT NULL
) STRICT;
CREATE INDEX sync_history_by_job ON sync_history (job_name, sync_timestamp);

INSERT INTO runs (run, job, status, goal, run_at, started_at, ended_at, spec_hash, owner, error)
  SELECT run, job, status, goal, run_at, started_at, ended_at, spec_hash, owner, error FROM old_runs;
INSERT INTO tasks (run, task, status, started_at, ended_at, error, output)
  SELECT run, task, status, started_at, ended_at, error, output FROM old_tasks;
INSERT INTO parts (run, dataset, file, rows, bytes) SELECT run, dataset, file, rows, bytes FROM old_parts;
INSERT INTO sync_points (job, extract, value, run) SELECT job, extract, value, run FROM old_sync_points;
INSERT INTO sync_history (job_name, run, sync_timestamp, status, records_processed, duration_seconds)
  SELECT job_name, run, sync_timestamp, status, records_processed, duration_seconds FROM old_sync_history;
DROP TABLE old_tasks;
DROP TABLE old_parts;
DROP TABLE old_sync_points;
DROP TABLE old_sync_history;
DROP TABLE old_runs;`

// JSON is text in both: what a value was, byte for byte, and no character that jsonb refuses.
const night = `
CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  fence INTEGER NOT NULL,
  expires_at TEXT NOT NULL
) STRICT;
CREATE TABLE delta_tracking (
  job TEXT NOT NULL,
  run TEXT NOT NULL,
  extract TEXT NOT NULL,
  target TEXT NOT NULL,
  key_columns TEXT NOT NULL,
  sync_point TEXT,
  rows_inserted INTEGER NOT NULL,
  rows_updated INTEGER NOT NULL,
  rows_deleted INTEGER NOT NULL,
  state TEXT,
  updated_at TEXT NOT NULL,
  PRIMARY KEY (run, target, extract)
) STRICT;
CREATE INDEX delta_tracking_by_job ON delta_tracking (job, target, updated_at);
CREATE TABLE checkpoints (
  id TEXT PRIMARY KEY,
  job TEXT NOT NULL,
  run TEXT NOT NULL,
  task TEXT,
  kind TEXT NOT NULL CHECK (kind IN ('full', 'incremental')),
  state TEXT NOT NULL,
  created_at TEXT NOT NULL
) STRICT;
CREATE INDEX checkpoints_by_run ON checkpoints (run, created_at, id);
CREATE INDEX checkpoints_by_job ON checkpoints (job, created_at, id);
CREATE TABLE error_records (
  id TEXT PRIMARY KEY,
  run TEXT NOT NULL,
  job TEXT NOT NULL,
  model TEXT NOT NULL,
  check_name TEXT NOT NULL,
  severity TEXT NOT NULL,
  category TEXT NOT NULL,
  code TEXT,
  reason TEXT NOT NULL,
  record TEXT NOT NULL,
  correction TEXT,
  state TEXT NOT NULL CHECK (state IN ('open', 'queued', 'reprocessed', 'discarded')),
  attempts INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX error_records_by_state ON error_records (job, state, created_at, id);
CREATE INDEX error_records_by_run ON error_records (run);
CREATE TABLE intervals (
  job TEXT NOT NULL,
  interval_start TEXT NOT NULL,
  interval_end TEXT NOT NULL,
  state TEXT NOT NULL,
  run TEXT,
  try INTEGER NOT NULL DEFAULT 0,
  updated_at TEXT NOT NULL,
  PRIMARY KEY (job, interval_start)
) STRICT;
CREATE INDEX intervals_by_state ON intervals (state, job, interval_start);
CREATE TABLE pauses (
  kind TEXT NOT NULL CHECK (kind IN ('job', 'pool')),
  name TEXT NOT NULL,
  paused_by TEXT NOT NULL,
  since TEXT NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT;
CREATE TABLE pools (
  name TEXT PRIMARY KEY,
  slots INTEGER NOT NULL
) STRICT;
CREATE TABLE pool_slots (
  pool TEXT NOT NULL,
  run TEXT NOT NULL,
  task TEXT NOT NULL,
  slots INTEGER NOT NULL,
  lease TEXT NOT NULL,
  taken_at TEXT NOT NULL,
  PRIMARY KEY (pool, run, task)
) STRICT;
CREATE TABLE triggers (
  id TEXT PRIMARY KEY,
  job TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload TEXT NOT NULL,
  created_at TEXT NOT NULL,
  consumed_by TEXT,
  consumed_at TEXT
) STRICT;
CREATE INDEX triggers_waiting ON triggers (job, created_at) WHERE consumed_by IS NULL;
CREATE TABLE alerts (
  key TEXT NOT NULL,
  channel TEXT NOT NULL,
  job TEXT NOT NULL,
  run TEXT,
  kind TEXT NOT NULL,
  severity TEXT NOT NULL,
  state TEXT NOT NULL,
  payload TEXT NOT NULL,
  times INTEGER NOT NULL DEFAULT 1,
  first_at TEXT NOT NULL,
  sent_at TEXT,
  PRIMARY KEY (key, channel)
) STRICT;
CREATE INDEX alerts_by_state ON alerts (state, first_at);
CREATE TABLE sla_violations (
  job TEXT NOT NULL,
  run TEXT NOT NULL,
  type TEXT NOT NULL,
  severity TEXT NOT NULL,
  expected REAL NOT NULL,
  actual REAL NOT NULL,
  at TEXT NOT NULL,
  PRIMARY KEY (job, run, type)
) STRICT;
CREATE INDEX sla_violations_by_time ON sla_violations (at);`

const view = (time: (column: string) => string) => `
CREATE VIEW batch_job_history AS
  SELECT r.job AS job_name, r.run, ${time('r.started_at')} AS start_time, ${time('r.ended_at')} AS end_time,
    r.status, r.error, h.records_processed, h.duration_seconds
  FROM runs r LEFT JOIN sync_history h ON h.run = r.run;`

const tables = both(runs + night)

/** Data intervals, leases and fences, and the tables of scheduling, errors, SLA and alerts. */
export const v3: Migration = {
  sqlite: tables.sqlite + view(column => column),
  // So that a dashboard can compare them with now().
  postgres: tables.postgres + view(column => `CAST(${column} AS TIMESTAMPTZ)`),
}
