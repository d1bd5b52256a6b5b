import type { LockQuestions } from '../wire/lockWatch.ts'
import { type Access, ask, connect, disconnect } from './connect.ts'

// A row that somebody has changed is waited for by the transaction: the row's table is one that we hold a row of, or write
// to. Of sessions of other users the server tells the transaction's time to few: then it is since when we wait. A
// prepared transaction has no session, and is told as process 0.
const WAITS = `SELECT coalesce(l.relation::regclass::text,
      (SELECT 'a row of ' || t.relation::regclass FROM pg_locks t WHERE t.pid = $1::int AND t.locktype = 'tuple' LIMIT 1),
      (SELECT 'a row of ' || string_agg(DISTINCT t.relation::regclass::text, ' or ') FROM pg_locks t
         JOIN pg_class c ON c.oid = t.relation AND c.relkind IN ('r', 'p')
       WHERE t.pid = $1::int AND t.mode = 'RowExclusiveLock' AND c.relnamespace::regnamespace::text <> 'nightfreight'),
      CASE l.locktype WHEN 'advisory' THEN 'a table that another load writes' ELSE l.locktype END) AS what, p.pid, b.application_name AS application,
    b.usename AS who, to_char(b.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since,
    to_char(CAST(to_jsonb(l) ->> 'waitstart' AS timestamptz) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS waits
  FROM unnest(pg_blocking_pids($1::int)) AS p(pid) LEFT JOIN pg_stat_activity b ON b.pid = p.pid
    LEFT JOIN LATERAL (SELECT * FROM pg_locks WHERE pid = $1::int AND NOT granted LIMIT 1) l ON true`

type Wait = Record<'what' | 'pid' | 'application' | 'who' | 'since' | 'waits', string | null>

/** What is waited for, who holds it and since when, and how that is ended. */
function waitText({ what, pid, application, who, since, waits }: Wait): string {
  const on = `waits for a lock on ${what ?? 'something'}, held by`
  const time = since ? ` since ${since} UTC` : waits ? `; waits since ${waits} UTC` : ''
  if (pid === '0')
    return `${on} a prepared transaction${time} (pg_prepared_xacts lists them; ROLLBACK PREPARED ends one)`
  return `${on} process ${pid} (${application || 'no application'}, user ${who ?? 'unknown'})${time} (SELECT pg_terminate_backend(${pid}) ends it)`
}

/** What the backend of a connection waits for. */
export async function lockQuestions(access: Access, pid: number): Promise<LockQuestions> {
  const client = await connect(access)
  return {
    ask: async () => (await ask<Wait>(client, access.name, WAITS, [pid])).map(waitText),
    close: () => disconnect(client),
  }
}
