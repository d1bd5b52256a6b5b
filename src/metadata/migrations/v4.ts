import { both } from './dialect.ts'

/** Error records are found by table and key, and say which run resolved them; the history says what became of all rows. */
export const v4 = both(`
DROP INDEX error_records_by_state;
DROP INDEX error_records_by_run;
ALTER TABLE error_records RENAME TO old_error_records;
CREATE TABLE error_records (
  id TEXT PRIMARY KEY,
  run TEXT NOT NULL,
  job TEXT NOT NULL,
  table_name TEXT NOT NULL,
  row_key TEXT,
  check_name TEXT NOT NULL,
  severity TEXT NOT NULL,
  category TEXT NOT NULL,
  code TEXT,
  reason TEXT NOT NULL,
  record TEXT NOT NULL,
  correction TEXT,
  state TEXT NOT NULL,
  resolved_by TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) STRICT;
INSERT INTO error_records (id, run, job, table_name, check_name, severity, category, code, reason, record, correction, state,
    attempts, created_at, updated_at)
  SELECT id, run, job, model, check_name, severity, category, code, reason, record, correction, state, attempts, created_at,
    updated_at FROM old_error_records;
DROP TABLE old_error_records;
CREATE INDEX error_records_by_state ON error_records (job, state, created_at, id);
CREATE INDEX error_records_by_run ON error_records (run);
CREATE INDEX error_records_by_key ON error_records (job, table_name, row_key);
ALTER TABLE sync_history ADD COLUMN rows_read INTEGER;
ALTER TABLE sync_history ADD COLUMN rows_loaded INTEGER;
ALTER TABLE sync_history ADD COLUMN rows_unchanged INTEGER;
ALTER TABLE sync_history ADD COLUMN rows_rejected INTEGER;
ALTER TABLE sync_history ADD COLUMN rows_superseded INTEGER;
ALTER TABLE sync_history ADD COLUMN error_rate REAL;
`)
