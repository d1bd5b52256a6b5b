/** Schema of the metadata store, one entry a version; an entry is never changed once released. Times are ISO 8601 UTC. */
export const MIGRATIONS = [
  `CREATE TABLE runs (
     run TEXT PRIMARY KEY,
     job TEXT NOT NULL,
     status TEXT NOT NULL CHECK (status IN ('RUNNING', 'SUCCESS', 'COMPLETED_WITH_ERRORS', 'FAILED')),
     run_at TEXT NOT NULL,
     started_at TEXT NOT NULL,
     ended_at TEXT,
     spec_hash TEXT NOT NULL,
     owner TEXT NOT NULL,
     error TEXT
   ) STRICT;
   CREATE UNIQUE INDEX one_active_run ON runs (job) WHERE status = 'RUNNING';
   CREATE INDEX runs_by_job ON runs (job, started_at);
   CREATE TABLE tasks (
     run TEXT NOT NULL REFERENCES runs,
     task TEXT NOT NULL,
     status TEXT NOT NULL CHECK (status IN ('RUNNING', 'SUCCESS', 'FAILED')),
     started_at TEXT NOT NULL,
     ended_at TEXT,
     output TEXT,
     error TEXT,
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
   CREATE TABLE sync_history (
     job_name TEXT NOT NULL,
     run TEXT NOT NULL REFERENCES runs,
     sync_timestamp TEXT NOT NULL,
     status TEXT NOT NULL,
     records_processed INTEGER NOT NULL,
     duration_seconds REAL NOT NULL,
     PRIMARY KEY (run)
   ) STRICT;
   CREATE VIEW batch_job_history AS
     SELECT job AS job_name, run, started_at AS start_time, ended_at AS end_time, status, error FROM runs;`,
  // SQLite cannot change a CHECK: the table is made anew, as https://sqlite.org/lang_altertable.html section 7 says.
  `DROP VIEW batch_job_history;
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
]
