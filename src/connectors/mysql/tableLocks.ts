import { createHash } from 'node:crypto'
import type { LoadCommit } from '../../../engine/contracts/load.ts'
import { ask } from './connect.ts'
import { nameOf } from './standing.ts'
import { type TargetSession, takeLocks } from './targetSession.ts'
import { literal } from './types.ts'

/**
 * Does what no two loads may do to one of the tables, or of the job, at a time: what each statement sees of a table then has all that
 * earlier ones left. Whoever only reads or writes rows does not wait.
 */
export async function withTableLocks<T>(
  session: TargetSession,
  { job, loads }: Pick<LoadCommit, 'job' | 'loads'>,
  signal: AbortSignal,
  act: () => Promise<T>,
): Promise<T> {
  const open = await session.open(signal)
  const names = loads.map(({ table }) => `SELECT SHA2(${nameOf(table)}, 256) AS name`)
  // In one order, so that no two wait for each other.
  const found =
    names.length === 0
      ? []
      : await ask<{ name: string }>(
          open,
          `SELECT DISTINCT name FROM (${names.join(' UNION ALL ')}) AS n ORDER BY name`,
        )
  const own = createHash('sha256').update(job).digest('hex')
  const locks = [
    literal(`nightfreight j ${own.slice(0, 40)}`),
    ...found.map(({ name }) => literal(`nightfreight t ${name.slice(0, 40)}`)),
  ]
  try {
    await takeLocks(open, locks, 'its tables', signal)
    return await act()
  } finally {
    // A connection that was lost holds none.
    const releases = locks.map(lock => `RELEASE_LOCK(${lock})`)
    await ask(open, `SELECT ${releases.join(', ')}`).catch(() => {})
  }
}
