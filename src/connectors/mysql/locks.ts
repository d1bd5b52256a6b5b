import type { LockQuestions } from '../wire/lockWatch.ts'
import { type Access, ask, connect, disconnect } from './connect.ts'

// MariaDB's words, then MySQL's.
const WAITS = [
  (
    thread: number,
  ) => `SELECT l.lock_table AS what, b.trx_mysql_thread_id AS thread, p.user AS who, p.host AS host,
      b.trx_started AS since
    FROM information_schema.innodb_lock_waits w
      JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_trx_id
      JOIN information_schema.innodb_trx b ON b.trx_id = w.blocking_trx_id
      JOIN information_schema.innodb_locks l ON l.lock_id = w.requested_lock_id
      LEFT JOIN information_schema.processlist p ON p.id = b.trx_mysql_thread_id
    WHERE r.trx_mysql_thread_id = ${thread}`,
  (thread: number) => `SELECT w.locked_table AS what, w.blocking_pid AS thread, p.user AS who, p.host AS host,
      w.blocking_trx_started AS since
    FROM sys.innodb_lock_waits w LEFT JOIN information_schema.processlist p ON p.id = w.blocking_pid
    WHERE w.waiting_pid = ${thread}`,
]
/** Of locks on a table as such, the server names the waiting side alone. */
const STATE = (thread: number) =>
  `SELECT state AS state FROM information_schema.processlist WHERE id = ${thread} AND state LIKE 'Waiting for%lock%'`

/** What the thread of a connection waits for. */
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
      if (found.length > 0)
        return found.map(
          ({ what, thread, who, host, since }) =>
            `waits for a lock on ${what}, held by process ${thread} (${host}, user ${who}) since ${since} UTC`,
        )
      return (await ask(session, STATE(thread))).map(({ state }) => `waits: ${state}`)
    },
    close: () => disconnect(session),
  }
}
