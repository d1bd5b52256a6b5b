import type { LoadSpec, PlannedLoad } from '../contracts/load.ts'
import type { TableIndex, TableReference } from '../contracts/structure.ts'
import { columnNamed } from '../types/logical.ts'
import type { PlannedRead } from './plan.ts'

/**
 * What a load's table gets beside columns and key where the load makes it; `left`: what of its source it does not get, and
 * why, for people. Pure. `reads` and `loads` are those of the job, `family` is the target's.
 */
export function madeOf(
  load: PlannedLoad,
  reads: Pick<PlannedRead, 'extract' | 'structure'>[],
  loads: LoadSpec[],
  family: string | undefined,
): { made?: NonNullable<PlannedLoad['made']>; left: string[] } {
  const left = family === undefined ? [] : [...typesLeft(load, family)]
  if (load.indexes === undefined && load.foreignKeys === undefined) return { left }
  const source = structureOf(load, reads)
  const asked = Array.isArray(load.indexes)
    ? load.indexes.map((columns): TableIndex => ({ columns, unique: false }))
    : load.indexes === 'source'
      ? source.indexes
      : []
  const has = (columns: string[]) => columns.every(name => columnNamed(load.columns, name))
  // A type of its users may be text in the target, which has no such index.
  const own = (columns: string[]) =>
    columns.every(name => {
      const origin = columnNamed(load.columns, name)?.origin
      return origin?.family === family && !origin?.custom
    })
  const indexes = asked.filter(({ columns, method }) => {
    if (method && has(columns)) {
      const made = method.family === family && own(columns)
      if (!made) left.push(`index of ${columns.join(', ')}: ${method.name}`)
      return made
    }
    const nested = columns.find(name => columnNamed(load.columns, name)?.type.kind === 'nested')
    if (!has(columns)) left.push(`index of ${columns.join(', ')}: the load has not all of these columns`)
    else if (nested !== undefined) left.push(`index of ${columns.join(', ')}: ${nested} is not ordered`)
    return has(columns) && nested === undefined && !sameSet(columns, load.key)
  })
  const references: TableReference[] = []
  for (const { columns, table, to } of load.foreignKeys === 'source' ? source.references : []) {
    const what = `foreign key of ${columns.join(', ')} to ${table}`
    const parents = loads.filter(other => other.to === load.to && structureOf(other, reads).table === table)
    const [parent] = parents
    if (!has(columns)) left.push(`${what}: the load has not all of its columns`)
    else if (!parent) left.push(`${what}: the job does not load that table`)
    else if (parent.mode === 'scd2' || load.mode === 'scd2')
      left.push(`${what}: a history has many rows of one key`)
    else if (!sameSet(parent.key, to) && !isUnique(parent, reads, to))
      left.push(`${what}: ${to.join(', ')} is not unique in ${parent.table}`)
    else references.push({ columns, table: parent.table, to })
  }
  if (load.indexes === 'source') left.push(...source.others)
  const made = {
    indexes: load.mode === 'scd2' ? indexes.map(own => ({ ...own, unique: false })) : indexes,
    references,
  }
  return { ...(indexes.length + references.length > 0 && { made }), left }
}

/** Types that a source's users define: what a system of its family makes of them. */
function* typesLeft({ columns }: PlannedLoad, family: string): Generator<string> {
  for (const { name, origin } of columns) {
    if (origin?.family !== family) continue
    if (origin.domain !== undefined)
      yield `domain ${origin.domain} of column ${name}, which is ${origin.type}`
    if (origin.custom)
      yield `type ${origin.type} of column ${name}, which is text where the target has no type of that name`
  }
}

const structureOf = ({ from }: Pick<LoadSpec, 'from'>, reads: Pick<PlannedRead, 'extract' | 'structure'>[]) =>
  reads.find(({ extract }) => extract === from)?.structure ?? {
    table: '',
    indexes: [],
    references: [],
    others: [],
  }

const isUnique = (load: LoadSpec, reads: Pick<PlannedRead, 'extract' | 'structure'>[], columns: string[]) =>
  load.indexes === 'source' &&
  structureOf(load, reads).indexes.some(index => index.unique && sameSet(index.columns, columns))

const sameSet = (a: string[], b: string[]) =>
  a.length === b.length && a.every(name => b.some(other => other.toLowerCase() === name.toLowerCase()))
