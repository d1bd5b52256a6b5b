import { both } from './dialect.ts'

/**
 * What is seen of nights: counters that outlive the runs which they count, figures of a run, what became of each loaded
 * table, and the live state, log and report of a run, each JSON.
 */
export const v7 = both(`
ALTER TABLE sync_history ADD COLUMN quality_score REAL;
ALTER TABLE sync_history ADD COLUMN data_lag_seconds REAL;
ALTER TABLE sync_history ADD COLUMN retries INTEGER;
ALTER TABLE sync_history ADD COLUMN lock_waits INTEGER;
ALTER TABLE sync_history ADD COLUMN chunks INTEGER;
ALTER TABLE sync_history ADD COLUMN chunk_rows INTEGER;
ALTER TABLE sync_history ADD COLUMN chunk_bytes INTEGER;
CREATE TABLE totals (
  job TEXT NOT NULL,
  name TEXT NOT NULL,
  label TEXT NOT NULL,
  value REAL NOT NULL,
  PRIMARY KEY (job, name, label)
) STRICT;
INSERT INTO totals (job, name, label, value)
  SELECT job_name, 'processed', '', sum(records_processed) FROM sync_history GROUP BY job_name;
INSERT INTO totals (job, name, label, value)
  SELECT job_name, 'seconds', '', sum(duration_seconds) FROM sync_history GROUP BY job_name;
INSERT INTO totals (job, name, label, value)
  SELECT job_name, 'runs', status, count(*) FROM sync_history GROUP BY job_name, status;
CREATE TABLE table_history (
  job TEXT NOT NULL,
  table_name TEXT NOT NULL,
  run TEXT NOT NULL,
  loaded_at TEXT NOT NULL,
  rows_read INTEGER NOT NULL,
  rows_loaded INTEGER NOT NULL,
  rows_unchanged INTEGER NOT NULL,
  rows_rejected INTEGER NOT NULL,
  rows_superseded INTEGER NOT NULL,
  rows_inserted INTEGER NOT NULL,
  rows_updated INTEGER NOT NULL,
  rows_deleted INTEGER NOT NULL,
  made_from TEXT NOT NULL,
  columns TEXT NOT NULL,
  PRIMARY KEY (run, table_name)
) STRICT;
CREATE INDEX table_history_by_table ON table_history (job, table_name, loaded_at);
CREATE TABLE run_details (
  run TEXT PRIMARY KEY,
  graph TEXT,
  live TEXT,
  log TEXT,
  report TEXT,
  counted TEXT,
  updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX runs_active ON runs (status) WHERE status = 'RUNNING';`)
