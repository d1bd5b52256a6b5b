import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { columnNamed } from '../../../engine/types/logical.ts'
import { hasName } from '../sql/names.ts'
import { parentsFirst, type Reference } from '../sql/references.ts'
import { apartSql, type LoadTables } from './changes.ts'
import type { ForeignKey } from './foreignKeys.ts'

// InnoDB checks each row at once, and no order of rows is right where a table refers to itself, or tables to each other. What a
// load brings is therefore checked once all of it is there. What it takes away is not: tables that we may not even see may refer
// to that, so the server is to heed them. So it is with values that change: first all tables refer to the new ones, unchecked, then
// those come, checked.

/** The foreign keys of loads, `keys`, by the tables of those; `loops` are those that no order of rows or tables helps. */
export function circlesOf(loads: StagedLoad[], keys: ForeignKey[]) {
  const isHere = (table: string) => loads.some(load => load.table === table)
  const between = keys.filter(({ child, parent }) => isHere(child.name) && isHere(parent.name))
  const others = between.filter(({ child, parent }) => child.sql !== parent.sql).map(referenceOf)
  const { circle } = parentsFirst(loads, others)
  const loops = between.filter(
    ({ child, parent }) =>
      child.sql === parent.sql || [child, parent].every(({ name }) => circle.includes(name)),
  )
  return { between, loops, outside: keys.filter(({ child }) => !isHere(child.name)) }
}

type Circles = ReturnType<typeof circlesOf>

const referenceOf = ({ child, parent }: ForeignKey): Reference => ({ child: child.name, parent: parent.name })

/**
 * The columns of a load's table that others may refer to, so that the server is to check where their values change; those that may do
 * so unseen among them. Undefined where it refers to no load's table: then the server is to check all of it.
 */
export function referredColumns(
  { table }: StagedLoad,
  { table: { unique } }: LoadTables,
  { between, loops, outside }: Circles,
): string[] | undefined {
  const isOwn = ({ child }: ForeignKey) => child.name === table
  if (!between.some(isOwn)) return undefined
  const toTable = (keys: ForeignKey[]) =>
    keys.filter(({ parent }) => parent.name === table).flatMap(({ to }) => to)
  const seen = toTable(outside)
  // By these the server can only check what nothing refers to any more, and what refers to something already.
  const looping = loops.filter(isOwn).flatMap(({ columns }) => columns)
  return [...seen, ...[...unique.flat(), ...toTable(between)].filter(name => !hasName(looping, name))]
}

/**
 * How rows that go are parted from each other first, so that each may go by itself: `apart`, of a table whose rows refer to each
 * other, has them refer to none. `references` are left, and order tables; `stuck`: columns by which a row always refers to one of its
 * own table.
 */
export function parted(
  loads: StagedLoad[],
  tablesOf: Map<StagedLoad, LoadTables>,
  { between, loops }: Circles,
) {
  const apart: { load: StagedLoad; sql: string }[] = []
  const references: Reference[] = []
  const stuck: { table: string; columns: string[] }[] = []
  for (const key of between) {
    const { child, parent, columns } = key
    const load = loads.find(({ table }) => table === child.name)!
    const tables = tablesOf.get(load)!
    // By these a row is found to go.
    const found = [...load.key, ...load.partitionBy]
    const free = columns.filter(
      name => columnNamed(tables.table.columns, name)?.nullable === 'YES' && !hasName(found, name),
    )
    if (loops.includes(key) && free.length > 0) {
      const sql = apartSql(load, tables, free)
      if (sql) apart.push({ load, sql })
    } else if (child.sql === parent.sql) stuck.push({ table: child.name, columns })
    else references.push(referenceOf(key))
  }
  return { apart, references, stuck }
}
