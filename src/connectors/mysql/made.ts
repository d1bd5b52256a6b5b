import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { columnNamed } from '../../../engine/types/logical.ts'
import type { TargetSession } from './targetSession.ts'
import { madeColumns } from './targetTypes.ts'
import { identifier } from './types.ts'

// What tables that loads make have beside columns and key.

const LONG = /^(long|medium|tiny)?(text|blob)\b/i
/** Characters, or bytes, of a long value that an index holds: four bytes each, and one of the smallest pages. */
const PREFIX = 191

/**
 * A table's columns: those that refer to a column of another have the type of that, which the server asks for.
 */
export function linkedColumns(
  load: PlannedLoad,
  loads: PlannedLoad[],
  collation: string,
): [name: string, definition: string][] {
  const columns = madeColumns(load, collation)
  return columns.map(([name, definition]) => {
    for (const { columns, table, to } of load.made?.references ?? []) {
      const at = columns.findIndex(column => column.toLowerCase() === name.toLowerCase())
      const parent = at < 0 ? undefined : loads.find(other => other.table === table && other !== load)
      const column = parent && columnNamed(parent.columns, to[at]!)
      if (!column) continue
      const [, its] = madeColumns(parent, collation).find(([own]) => own === column.name)!
      return [name, definition.replace(typeIn(definition), typeIn(its))]
    }
    return [name, definition]
  })
}

const typeIn = (definition: string) => definition.replace(/( NOT NULL| NULL)?( DEFAULT .*)?$/s, '')

/** Indexes as CREATE TABLE has them. */
export function indexDefinitions(
  { made }: PlannedLoad,
  columns: [name: string, definition: string][],
): string[] {
  return (made?.indexes ?? []).map(index => {
    const parts = index.columns.map(name => {
      const [, definition = ''] = columns.find(([own]) => own.toLowerCase() === name.toLowerCase()) ?? []
      // A unique index of MariaDB holds a long value by its hash; an index of its beginning would refuse what is none.
      return `${identifier(name)}${LONG.test(definition) && !index.unique ? `(${PREFIX})` : ''}`
    })
    return `${index.unique ? 'UNIQUE ' : ''}INDEX (${parts.join(', ')})`
  })
}

/** The statements that give tables just made their foreign keys, where the session has them. */
export const referenceStatements = (load: PlannedLoad, session: TargetSession) =>
  (load.made?.references ?? []).map(
    ({ columns, table, to }) =>
      `ALTER TABLE ${session.quoted(load.table)} ADD FOREIGN KEY (${columns.map(identifier).join(', ')}) REFERENCES ${session.quoted(table)} (${to.map(identifier).join(', ')})`,
  )
