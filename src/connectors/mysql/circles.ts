import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { columnNamed } from '../../../engine/types/logical.ts'
import { parentsFirst, type Reference } from '../sql/references.ts'
import { apartSql, type LoadTables } from './changes.ts'
import type { ForeignKey } from './foreignKeys.ts'

// InnoDB checks each row at once, and no order of rows is right where a table refers to itself, or tables to each other. What a
// load brings is therefore checked once all of it is there. What it takes away is not: tables that we may not even see may refer
// to that, so the server is to heed them.

/** Columns of a load's table that belong to foreign keys. */
export interface CircleColumns {
  /** By which it refers to tables of the same commit: their values are checked at the end. */
  own: string[]
  /** That others may refer to: the server is to check where their values change. */
  referred: string[]
}

/** The columns of a load's table that belong to foreign keys, of those in `keys`, or may belong to some that we do not see. */
export function circleColumns(
  { table }: StagedLoad,
  { table: { unique } }: LoadTables,
  keys: ForeignKey[],
): CircleColumns {
  const own = keys
    .filter(({ child, parent }) => child.name === table && parent.loaded)
    .flatMap(({ columns }) => columns)
  const to = keys.filter(({ parent }) => parent.name === table).flatMap(key => key.to)
  return { own, referred: [...new Set([...unique.flat(), ...to])].filter(name => !own.includes(name)) }
}

/**
 * How rows that go are parted from each other first, so that each may go by itself: `apart`, of a table whose rows refer to each
 * other, has them refer to none. `references` are left, and order tables; `stuck`: columns by which a row always refers to one of its
 * own table.
 */
export function parted(loads: StagedLoad[], tablesOf: Map<StagedLoad, LoadTables>, keys: ForeignKey[]) {
  const between: Reference[] = []
  for (const { child, parent } of keys)
    if (child.loaded && parent.loaded && child.sql !== parent.sql)
      between.push({ child: child.name, parent: parent.name })
  const { circle } = parentsFirst(loads, between)
  const apart: { load: StagedLoad; sql: string }[] = []
  const references: Reference[] = []
  const stuck: { table: string; columns: string[] }[] = []
  for (const { child, parent, columns } of keys) {
    const load = loads.find(({ table }) => table === child.name)
    if (!load || !parent.loaded) continue
    const own = child.sql === parent.sql
    const tables = tablesOf.get(load)!
    const free = columns.filter(name => columnNamed(tables.table.columns, name)?.nullable === 'YES')
    const loops = own || [child, parent].every(({ name }) => circle.includes(name))
    const sql = loops && free.length > 0 ? apartSql(load, tables, free) : undefined
    if (sql) apart.push({ load, sql })
    if (loops && free.length > 0) continue
    if (own) stuck.push({ table: child.name, columns })
    else references.push({ child: child.name, parent: parent.name })
  }
  return { apart, references, stuck }
}
