import { ask } from './connect.ts'
import { nameOf } from './standing.ts'
import { type TargetSession, takeLocks } from './targetSession.ts'
import { literal } from './types.ts'

/**
 * Does what no two loads may do to one of the tables at a time: what each statement sees of a table then has all that
 * earlier ones left. Whoever only reads or writes rows does not wait.
 */
export async function withTableLocks<T>(
  session: TargetSession,
  tables: string[],
  signal: AbortSignal,
  act: () => Promise<T>,
): Promise<T> {
  const open = await session.open(signal)
  const names = tables.map(table => `SELECT SHA2(${nameOf(table)}, 256) AS name`)
  // In one order, so that no two wait for each other.
  const found =
    names.length === 0
      ? []
      : await ask<{ name: string }>(
          open,
          `SELECT DISTINCT name FROM (${names.join(' UNION ALL ')}) AS n ORDER BY name`,
        )
  const locks = found.map(({ name }) => literal(`nightfreight t ${name.slice(0, 40)}`))
  try {
    await takeLocks(open, locks, 'its tables', signal)
    return await act()
  } finally {
    // A connection that was lost holds none.
    const releases = locks.map(lock => `RELEASE_LOCK(${lock})`)
    if (locks.length > 0) await ask(open, `SELECT ${releases.join(', ')}`).catch(() => {})
  }
}
