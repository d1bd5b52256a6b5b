import { both } from './dialect.ts'

/** What a lease's owner tells others. Runs of jobs that take over another's data intervals are not those of events: theirs are kept for ever. */
export const v11 = both(`
ALTER TABLE leases ADD COLUMN note TEXT;
UPDATE runs SET trigger = 'after' WHERE trigger = 'event' AND run IN (
  SELECT r.run FROM runs r
  JOIN intervals i ON i.interval_start = r.interval_start AND i.interval_end = r.interval_end AND i.job <> r.job
  WHERE r.trigger = 'event' AND (
    EXISTS (SELECT 1 FROM runs f WHERE f.job = i.job AND f.interval_start = i.interval_start AND f.ended_at <= r.started_at)
    OR (i.run IS NOT NULL AND NOT EXISTS (SELECT 1 FROM runs f WHERE f.run = i.run))));`)
