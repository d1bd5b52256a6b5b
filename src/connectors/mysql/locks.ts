import type { LockQuestions } from '../wire/lockWatch.ts'
import { type Access, ask, connect, disconnect } from './connect.ts'

// MariaDB's words, then MySQL's. Times are the machine's.
const WAITS = [
  (
    thread: number,
  ) => `SELECT l.lock_table AS what, b.trx_mysql_thread_id AS thread, p.user AS who, p.host AS host,
      convert_tz(b.trx_started, 'SYSTEM', '+00:00') AS since
    FROM information_schema.innodb_lock_waits w
      JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_trx_id
      JOIN information_schema.innodb_trx b ON b.trx_id = w.blocking_trx_id
      JOIN information_schema.innodb_locks l ON l.lock_id = w.requested_lock_id
      LEFT JOIN information_schema.processlist p ON p.id = b.trx_mysql_thread_id
    WHERE r.trx_mysql_thread_id = ${thread}`,
  (thread: number) => `SELECT w.locked_table AS what, w.blocking_pid AS thread, p.user AS who, p.host AS host,
      convert_tz(w.blocking_trx_started, 'SYSTEM', '+00:00') AS since
    FROM sys.innodb_lock_waits w LEFT JOIN information_schema.processlist p ON p.id = w.blocking_pid
    WHERE w.waiting_pid = ${thread}`,
]
/** Of locks on a table as such, the server names the waiting side alone; a transaction that is open may hold them. */
const STATE = (thread: number) =>
  `SELECT state AS state FROM information_schema.processlist WHERE id = ${thread}
   AND (state LIKE 'Waiting for%lock%' OR state = 'User lock')`
const OPEN = (
  thread: number,
) => `SELECT t.trx_mysql_thread_id AS thread, p.user AS who, p.host AS host, convert_tz(t.trx_started, 'SYSTEM', '+00:00') AS since
  FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
  WHERE t.trx_mysql_thread_id <> ${thread} ORDER BY t.trx_started LIMIT 3`

type Row = Record<string, unknown>

const holder = ({ thread, who, host, since }: Row) =>
  `process ${thread} (${host}, user ${who}) since ${since} UTC (KILL ${thread} ends it)`

/** What the thread of a connection waits for, who holds it and since when, and how that is ended. */
export async function lockQuestions(access: Access, thread: number): Promise<LockQuestions> {
  const session = await connect(access)
  const rows = async () => {
    for (const query of WAITS) {
      const found = await ask(session, query(thread)).catch(() => undefined)
      if (found) return found
    }
    return []
  }
  return {
    async ask() {
      const found = await rows()
      if (found.length > 0) return found.map(row => `waits for a lock on ${row.what}, held by ${holder(row)}`)
      const states = await ask(session, STATE(thread))
      if (states.length === 0) return []
      const open = await ask(session, OPEN(thread)).catch(() => [])
      const perhaps = open.length === 0 ? '' : `, perhaps for ${open.map(holder).join(' or ')}`
      return states.map(({ state }) => `waits: ${state}${perhaps}`)
    },
    close: () => disconnect(session),
  }
}
