import type { Migration } from '../database.ts'

/** A run may stop before its load: PLANNED. */
export const v2: Migration = {
  // SQLite cannot change a CHECK: the table is made anew, as https://sqlite.org/lang_altertable.html section 7 says.
  sqlite: `
DROP VIEW batch_job_history;
CREATE TABLE new_runs (
  run TEXT PRIMARY KEY,
  job TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('RUNNING', 'PLANNED', 'SUCCESS', 'COMPLETED_WITH_ERRORS', 'FAILED')),
  run_at TEXT NOT NULL,
  started_at TEXT NOT NULL,
  ended_at TEXT,
  spec_hash TEXT NOT NULL,
  owner TEXT NOT NULL,
  error TEXT,
  goal TEXT NOT NULL DEFAULT 'load' CHECK (goal IN ('load', 'plan'))
) STRICT;
INSERT INTO new_runs SELECT run, job, status, run_at, started_at, ended_at, spec_hash, owner, error, 'load' FROM runs;
DROP TABLE runs;
ALTER TABLE new_runs RENAME TO runs;
CREATE UNIQUE INDEX one_active_run ON runs (job) WHERE status = 'RUNNING';
CREATE INDEX runs_by_job ON runs (job, started_at);
CREATE VIEW batch_job_history AS
  SELECT job AS job_name, run, started_at AS start_time, ended_at AS end_time, status, error FROM runs;`,
  postgres: `
ALTER TABLE runs DROP CONSTRAINT runs_status_check;
ALTER TABLE runs ADD CHECK (status IN ('RUNNING', 'PLANNED', 'SUCCESS', 'COMPLETED_WITH_ERRORS', 'FAILED'));
ALTER TABLE runs ADD COLUMN goal TEXT NOT NULL DEFAULT 'load' CHECK (goal IN ('load', 'plan'));`,
}
