import type { Read } from '../../../engine/contracts/source.ts'
import type { EngineError } from '../../../engine/errors.ts'
import { ownRefusal } from '../wire/refusal.ts'
import { conditionOf, relation, type Selection } from '../wire/selection.ts'
import { ask, type Session } from './connect.ts'
import { tableName } from './types.ts'

/** Tables that one statement opens. */
const TOGETHER = 50

/** Statements that lock what reads are of, and why what cannot be opened cannot: its read says so. */
export interface Locks {
  statements: string[]
  refused: Map<unknown, EngineError>
}

/**
 * Looks at what reads are of, for statements that read no row of it: from then on until their transaction ends nobody swaps or alters
 * it (RENAME TABLE, ALTER TABLE), so that its name means what it meant when the snapshot was taken.
 */
export async function locksOf(session: Session, reads: Read[], signal: AbortSignal): Promise<Locks> {
  const locks: Locks = { statements: [], refused: new Map() }
  const tables = reads.filter(({ options }) => (options as Selection).query === undefined)
  for (let from = 0; from < tables.length; from += TOGETHER) {
    const some = tables.slice(from, from + TOGETHER)
    const together = some.map(lookAt).join(' UNION ALL ')
    const refusal = await refused(session, together, signal)
    if (!refusal) locks.statements.push(together)
    else for (const read of some) await lock(session, read, [lookAt(read)], locks, signal)
  }
  for (const read of reads) {
    const { query, where } = read.options as Selection
    if (query === undefined) continue
    // As a table of another SELECT, the server would run a query that has no table; but not all take WITH in parentheses.
    const looks = where === undefined ? [`(${query}\n) LIMIT 0`, lookAt(read)] : [lookAt(read)]
    await lock(session, read, looks, locks, signal)
  }
  return locks
}

function lookAt(read: Read): string {
  const options = read.options as Selection
  const condition = conditionOf(options).map(each => ` WHERE ${each}`)
  return `(SELECT 1 FROM ${relation(options, tableName)}${condition.join('')} LIMIT 0)`
}

/** Takes the first of some statements that the server takes. */
async function lock(session: Session, read: Read, looks: string[], locks: Locks, signal: AbortSignal) {
  for (const look of looks) {
    const refusal = await refused(session, look, signal)
    if (!refusal) {
      locks.statements.push(look)
      return void locks.refused.delete(read.options)
    }
    locks.refused.set(read.options, refusal)
  }
}

/** Why the server does not take a statement; any other failure is thrown. */
async function refused(session: Session, sql: string, signal: AbortSignal): Promise<EngineError | undefined> {
  try {
    await ask(session, sql, signal)
    return undefined
  } catch (error) {
    return ownRefusal(error)
  }
}
