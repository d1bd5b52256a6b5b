import { databaseAndName } from './catalog.ts'
import { ask, type Session } from './connect.ts'
import { literal } from './types.ts'

/** A table behind a view, as the server writes down what the view is. */
const BEHIND = /\b(?:from|join)\s+\(*(`(?:[^`]|``)+`\.`(?:[^`]|``)+`)/g

/**
 * What of a table has no snapshots, with its storage engine: the table itself, or of a view those behind it, where the user may see
 * what it is made of.
 */
export async function unversionedOf(session: Session, table: string, signal: AbortSignal): Promise<string[]> {
  const found: string[] = []
  const tables = [table]
  // Views are added to it, and what is behind them.
  for (const each of tables) {
    const [database, name] = databaseAndName(each)
    const here = (of: string) => `${of}.table_schema = ${database} AND ${of}.table_name = ${literal(name)}`
    const [facts] = await ask(
      session,
      `SELECT t.engine AS engine, e.transactions AS versioned, v.view_definition AS definition
         FROM information_schema.tables t LEFT JOIN information_schema.engines e ON e.engine = t.engine
         LEFT JOIN information_schema.views v ON ${here('v')}
        WHERE ${here('t')}`,
      signal,
    )
    const { engine, versioned, definition } = facts ?? {}
    if (engine && versioned !== 'YES')
      found.push(each === table ? `${table} (${engine})` : `${table} (through ${each}, ${engine})`)
    for (const [, behind] of (definition ?? '').matchAll(BEHIND))
      if (!tables.includes(behind!)) tables.push(behind!)
  }
  return found
}
