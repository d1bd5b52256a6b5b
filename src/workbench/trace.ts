import { EngineError } from '../../engine/errors.ts'
import { ALL } from '../../engine/lineage/refs.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { type ColumnId, columnKey, type ProjectLineage, type ProjectTable } from './lineage.ts'

/** A column that another is made of, or is made of another, and how many steps it is away. */
export interface Traced extends ColumnId {
  depth: number
  /** The column through which it was reached. */
  via: ColumnId
}

/** What would happen without a column. */
export interface Impact {
  /** What names it, and fails: a file, or the load of a table. */
  fails: { job: string; what: string; line?: number; column?: number }[]
  /** Tables that lose a column, and say so nowhere. */
  loses: ColumnId[]
  /** Tables that are not made since what they are made of fails. */
  stops: string[]
}

export interface ColumnTrace extends ColumnId {
  type?: string
  /** The columns that its values are made of, nearest first. */
  madeOf: Traced[]
  /** Columns that decide which rows its table has. */
  rowsBy: ColumnId[]
  /** What decides the rows of its table and of those that it is made of. */
  deciders: Decider[]
  /** The columns that are made of it, nearest first. */
  usedBy: Traced[]
  /** Tables whose rows it decides. */
  decides: string[]
  /** Tables further on that are made of those. */
  reaches: string[]
  /** Checks that look at it. */
  checks: { job: string; file: string }[]
  without: Impact
}

const same = (a: ColumnId, b: ColumnId) =>
  a.table === b.table && (a.column === b.column || a.column === ALL || b.column === ALL)

/**
 * The table that a text names, and the column, where it names one: `revenue`, `warehouse.revenue.name`, with the job before
 * it (`shop/revenue.name`) where several have it. Fails with CONFIG_INVALID and the nearest names.
 */
export function findColumn(
  { tables }: ProjectLineage,
  text: string,
  job?: string,
): { table: ProjectTable; column?: string } {
  const all = [...tables.values()]
  const own = all.filter(table => job === undefined || table.job === job)
  const within = (name: string) => {
    const exact = all.filter(({ id }) => id === name).concat(own.filter(table => table.name === name))
    if (exact.length > 0) return exact
    // A table that is loaded, without its connection.
    return own.filter(table => table.kind === 'loaded' && table.name.endsWith(`.${name}`))
  }
  const whole = within(text)
  const at = text.lastIndexOf('.')
  const found = whole.length > 0 ? whole : at > 0 ? within(text.slice(0, at)) : []
  if (found.length > 1)
    throw new EngineError(
      'CONFIG_INVALID',
      `${text} is in several jobs: ${found.map(({ id }) => id).join(', ')}`,
      {
        hint: `Write one of these.`,
      },
    )
  const [table] = found
  if (!table) {
    const names = own.map(({ name }) => name)
    const wanted = names.some(name => text.startsWith(`${name}.`)) || at < 0 ? text : text.slice(0, at)
    throw new EngineError('CONFIG_INVALID', `there is no table ${wanted}${didYouMean(wanted, names)}`, {
      hint: `There are: ${[...new Set(names)].join(', ')}.`,
    })
  }
  if (whole.length > 0) return { table }
  const name = text.slice(at + 1)
  const names = table.columns.length > 0 ? table.columns.map(column => column.name) : namedOf(all, table.id)
  const column = names.find(each => each.toLowerCase() === name.toLowerCase())
  if (column === undefined && !names.includes(ALL)) {
    const unknown = table.columns.length === 0 ? ' that a query names; all are known after the first run' : ''
    throw new EngineError(
      'CONFIG_INVALID',
      `${table.name} has no column ${name}${unknown}${didYouMean(name, names)}`,
      { hint: `Its columns: ${names.join(', ')}.` },
    )
  }
  return { table, column: column ?? name }
}

/** Columns of a table that others name. */
const namedOf = (all: ProjectTable[], id: string): string[] => {
  const named = all.flatMap(({ columns, rows, mentions }) => [
    ...columns.flatMap(({ from }) => from),
    ...rows,
    ...mentions.map(({ column }) => column),
  ])
  return [...new Set(named.filter(({ table }) => table === id).map(({ column }) => column))]
}

/** Where a column comes from and goes to, over all jobs of a project. */
export function traceColumn(lineage: ProjectLineage, id: ColumnId): ColumnTrace {
  const { tables, checks } = lineage
  const all = [...tables.values()]
  const readers = Map.groupBy(
    all.flatMap(({ id, columns }) =>
      columns.flatMap(({ name, from }) => from.map(from => ({ from, made: { table: id, column: name } }))),
    ),
    ({ from }) => from.table,
  )
  const below = (each: ColumnId): ColumnId[] =>
    (readers.get(each.table) ?? []).filter(({ from }) => same(from, each)).map(({ made }) => made)
  const type = tables.get(id.table)?.columns.find(({ name }) => name === id.column)?.type
  const usedBy = walk(id, below)
  const touched = [id, ...usedBy]
  const decides = all
    .filter(({ rows }) => rows.some(row => touched.some(each => same(row, each))))
    .map(({ id }) => id)
  const reached = new Set(decides)
  for (const table of reached) for (const { id, reads } of all) if (reads.includes(table)) reached.add(id)
  return {
    ...id,
    ...(type !== undefined && { type }),
    madeOf: walk(id, each => madeFrom(lineage, each)),
    rowsBy: rowsBy(lineage, id.table),
    deciders: decidersOf(lineage, id.table),
    usedBy,
    decides,
    reaches: [...reached].filter(table => !decides.includes(table)),
    checks: checks
      .filter(({ mentions }) => mentions.some(({ column }) => touched.some(each => same(column, each))))
      .map(({ job, file }) => ({ job, file })),
    without: impactOf(lineage, id),
  }
}

/** Columns that decide which rows a table has; of one that is loaded, which has those of its model. */
export function rowsBy({ tables }: ProjectLineage, id: string): ColumnId[] {
  const own = tables.get(id)
  const [from] = own?.kind === 'loaded' ? own.reads : []
  return (from === undefined ? own : tables.get(from))?.rows ?? []
}

/** What decides which rows a table has: columns, by its query's conditions, joins and groupings, and checks that reject. */
export interface Decider {
  table: string
  columns: ColumnId[]
  /** Files of the checks. */
  checks: string[]
}

/** What decides the rows of a table and of those that it is made of, nearest first; of tables where anything does. */
export function decidersOf({ tables, checks }: ProjectLineage, id: string): Decider[] {
  const found = new Set([id])
  for (const each of found) for (const read of tables.get(each)?.reads ?? []) found.add(read)
  return [...found].flatMap(table => {
    const columns = tables.get(table)?.rows ?? []
    const own = checks.filter(({ judges, rejects }) => rejects && judges.includes(table))
    return columns.length + own.length > 0 ? [{ table, columns, checks: own.map(({ file }) => file) }] : []
  })
}

/** The columns that one is made of, one step up. */
export const madeFrom = ({ tables }: ProjectLineage, { table, column }: ColumnId): ColumnId[] =>
  tables.get(table)?.columns.find(({ name }) => name === column || name === ALL)?.from ?? []

/** The columns that are made of one, one step down, by its {@link columnKey}. */
export function usersOf({ tables }: ProjectLineage): Map<string, ColumnId[]> {
  const uses = [...tables.values()].flatMap(({ id, columns }) =>
    columns.flatMap(({ name, from }) =>
      from.map(each => ({ key: columnKey(each), user: { table: id, column: name } })),
    ),
  )
  return new Map(
    [...Map.groupBy(uses, ({ key }) => key)].map(([key, own]) => [key, own.map(({ user }) => user)]),
  )
}

/** All that is reached from a column, each once, nearest first. */
export function walk(start: ColumnId, next: (id: ColumnId) => ColumnId[]): Traced[] {
  const seen = new Set([columnKey(start)])
  const found: Traced[] = []
  const queue: { id: ColumnId; depth: number }[] = [{ id: start, depth: 0 }]
  for (const { id, depth } of queue)
    for (const each of next(id)) {
      if (seen.has(columnKey(each))) continue
      seen.add(columnKey(each))
      found.push({ ...each, depth: depth + 1, via: id })
      queue.push({ id: each, depth: depth + 1 })
    }
  return found
}

/** What fails, and what loses a column without a word, were a column gone. */
function impactOf({ tables, checks }: ProjectLineage, id: ColumnId): Impact {
  const impact: Impact = { fails: [], loses: [], stops: [] }
  const gone: ColumnId[] = [id]
  const failed = new Set<string>()
  const names = ({ mentions }: Pick<ProjectTable, 'mentions'>, column: ColumnId) =>
    mentions.find(each => same(each.column, column))
  for (const column of gone)
    for (const table of tables.values()) {
      if (failed.has(table.id)) continue
      const named = names(table, column)
      if (named) {
        failed.add(table.id)
        const { file, place } = named.at
        impact.fails.push({
          job: table.job,
          what: table.kind === 'loaded' ? `load of ${table.name}` : file,
          ...(place && { line: place.line, column: place.column }),
        })
        continue
      }
      for (const each of table.columns) {
        if (!each.from.some(from => same(from, column))) continue
        const lost = { table: table.id, column: each.name }
        if (gone.some(other => same(other, lost))) continue
        gone.push(lost)
        impact.loses.push(lost)
      }
    }
  for (const check of checks) {
    const named = gone.map(column => names(check, column)).find(Boolean)
    if (!named) continue
    const { file, place } = named.at
    impact.fails.push({
      job: check.job,
      what: file,
      ...(place && { line: place.line, column: place.column }),
    })
  }
  for (const table of tables.values())
    if (!failed.has(table.id) && table.kind !== 'extract' && table.reads.some(each => failed.has(each))) {
      impact.stops.push(table.id)
      failed.add(table.id)
    }
  impact.loses = impact.loses.filter(({ table }) => !failed.has(table))
  return impact
}

/** Steps to either side of a table that are near. */
const NEAR = 2

/** A table, and those that are a few steps up or down from it. */
export function near(tables: ProjectLineage['tables'], id: string): string[] {
  const all = [...tables.values()]
  const found = new Set([id])
  for (const next of [
    (each: string) => tables.get(each)?.reads ?? [],
    (each: string) => all.filter(({ reads }) => reads.includes(each)).map(table => table.id),
  ]) {
    let edge = [id]
    for (let step = 0; step < NEAR; step++) {
      edge = edge.flatMap(next).filter(each => tables.has(each) && !found.has(each))
      for (const each of edge) found.add(each)
    }
  }
  return [...found]
}
