import { both } from './dialect.ts'

/** The quarantine of all jobs is listed by time, and counted by table and check, without its rows being read. */
export const v9 = both(`
CREATE INDEX error_records_by_time ON error_records (state, created_at);
CREATE INDEX error_records_by_check ON error_records (state, job, table_name, check_name, reason);`)
