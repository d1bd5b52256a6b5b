import type { LockQuestions } from '../wire/lockWatch.ts'
import { type Access, ask, connect, disconnect } from './connect.ts'

const WAITS = `SELECT coalesce(l.relation::regclass::text, l.locktype) AS what, b.pid, b.application_name AS application,
    b.usename AS who, to_char(coalesce(b.xact_start, b.backend_start) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since
  FROM unnest(pg_blocking_pids($1::int)) AS p(pid) JOIN pg_stat_activity b ON b.pid = p.pid
    LEFT JOIN LATERAL (SELECT relation, locktype FROM pg_locks WHERE pid = $1::int AND NOT granted LIMIT 1) l ON true`

/** What the backend of a connection waits for. */
export async function lockQuestions(access: Access, pid: number): Promise<LockQuestions> {
  const client = await connect(access)
  return {
    async ask() {
      const rows = await ask(client, access.name, WAITS, [pid])
      return rows.map(
        ({ what, pid, application, who, since }) =>
          `waits for a lock on ${what}, held by process ${pid} (${application || 'no application'}, user ${who}) since ${since} UTC`,
      )
    },
    close: () => disconnect(client),
  }
}
