import type { Read } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { relation, type Selection } from '../wire/selection.ts'
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
  const tables: string[] = []
  const queries: string[] = []
  const refused: Locks['refused'] = new Map()
  for (const { options } of reads) {
    const { table, query } = options as Selection
    const looks = [`(SELECT 1 FROM ${relation(options as Selection, tableName)} LIMIT 0)`]
    // As a table of another SELECT, the server would run a query that has no table; but not all take WITH in parentheses.
    if (query !== undefined) looks.unshift(`(${query}\n) LIMIT 0`)
    for (const look of looks)
      try {
        await ask(session, look, signal)
        if (table === undefined) queries.push(look)
        else tables.push(look)
        refused.delete(options)
        break
      } catch (error) {
        const isItsOwn =
          error instanceof EngineError &&
          !error.retryable &&
          !/^(INTERRUPTED|RESOURCE_EXHAUSTED)$/.test(error.code)
        if (!isItsOwn) throw error
        refused.set(options, error)
      }
  }
  const together = Array.from({ length: Math.ceil(tables.length / TOGETHER) }, (_, index) =>
    tables.slice(index * TOGETHER, (index + 1) * TOGETHER).join(' UNION ALL '),
  )
  return { statements: [...together, ...queries], refused }
}
