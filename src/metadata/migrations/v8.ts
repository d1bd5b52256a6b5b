import { both } from './dialect.ts'

/** Who may look at nights and who may act on them, and what was done. */
export const v8 = both(`
CREATE TABLE web_users (
  name TEXT PRIMARY KEY,
  role TEXT NOT NULL,
  password TEXT,
  created_at TEXT NOT NULL
) STRICT;
CREATE TABLE web_sessions (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  expires_at TEXT NOT NULL
) STRICT;
CREATE TABLE audit_log (
  id TEXT PRIMARY KEY,
  at TEXT NOT NULL,
  who TEXT NOT NULL,
  role TEXT NOT NULL,
  address TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  outcome TEXT NOT NULL
) STRICT;
CREATE INDEX audit_log_by_time ON audit_log (at, id);`)
