import { none, type Refs, union } from './refs.ts'

/** A column of what a query reads from, or gives, and the columns of tables that its values are made of. */
export interface LineageColumn {
  name: string
  from: Refs
  /** Byte of the query at which it is made. */
  at?: number
  /** It stands for columns whose number is not known: surely, or perhaps. */
  spread?: 'yes' | 'maybe'
  /** Of such: what the one of a name is made of, where that is known. */
  byName?: (name: string) => Refs | undefined
}

/** What stands in a FROM under one name. */
export interface Relation {
  alias: string
  columns: LineageColumn[]
}

/** A whole FROM: what names without a table mean, and which columns decide about its rows. */
export interface From {
  relations: Relation[]
  /** In the order of `*`; columns of USING once. */
  columns: LineageColumn[]
  rows: Refs
}

/** What a name means that is no column: an argument of a macro, a parameter of a lambda. */
export interface Parameter {
  from: Refs
  /** Tells that it is mentioned. */
  mention?: () => void
}

export interface Scope {
  from: From
  ctes: ReadonlyMap<string, CommonTable>
  /** Columns of the select list, by name. */
  aliases: ReadonlyMap<string, Refs>
  parameters: ReadonlyMap<string, Parameter>
  parent?: Scope
}

/** A CTE: its columns, and which columns decide about its rows. */
export interface CommonTable {
  columns: LineageColumn[]
  rows: Refs
}

export const nothing: From = { relations: [], columns: [], rows: none }

/** Of a query that stands in no other. */
export const outermost: Scope = { from: nothing, ctes: new Map(), aliases: new Map(), parameters: new Map() }

/** Whether two names are one: DuckDB's have no case. */
export const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase()

/** What a column is made of, by name; undefined where there is none. A column that stands for many may be it. */
export function columnOf(columns: LineageColumn[], name: string): Refs | undefined {
  const found = columns.filter(column => !column.spread && same(column.name, name))
  if (found.length > 0) return union(...found.map(({ from }) => from))
  const named = columns.filter(column => column.spread === 'maybe' && same(column.name, name))
  if (named.length > 0) return union(...named.map(({ from }) => from))
  const open = columns.filter(({ spread }) => spread)
  if (open.length === 0) return undefined
  return union(...open.map(({ byName, from }) => byName?.(name) ?? from))
}

export const wholeRow = ({ columns }: { columns: LineageColumn[] }): Refs =>
  union(...columns.map(({ from }) => from))

export const relationOf = ({ relations }: From, name: string): Relation | undefined =>
  relations.find(({ alias }) => same(alias, name))

/** What a name of one to four parts means: a parameter, a column, a field of one, a row; in the nearest query that has it. */
export function resolve(scope: Scope | undefined, names: string[], aliasFirst = false): Refs {
  const [first = '', second, third] = names
  for (let at = scope; at; at = at.parent) {
    const parameter = at.parameters.get(first.toLowerCase())
    if (parameter) {
      parameter.mention?.()
      return parameter.from
    }
    const alias = at.aliases.get(first.toLowerCase())
    if (aliasFirst && alias && second === undefined) return alias
    if (second !== undefined) {
      const inTable = relationOf(at.from, first)
      const column = inTable && columnOf(inTable.columns, second)
      if (column) return column
      const inSchema = third === undefined ? undefined : relationOf(at.from, second)
      const deeper = inSchema && columnOf(inSchema.columns, third!)
      if (deeper) return deeper
    }
    const column = columnOf(at.from.columns, first)
    if (column) return column
    if (alias) return alias
    const row = relationOf(at.from, first)
    if (row && second === undefined) return wholeRow(row)
  }
  return none
}

/** Columns under new names, in order; further ones keep theirs. */
export const renamed = (columns: LineageColumn[], names: string[]): LineageColumn[] => {
  if (names.length === 0) return columns
  const [spread] = columns.filter(column => column.spread === 'yes')
  if (spread) {
    // Which of them a name stands for is not known.
    const from = wholeRow({ columns })
    return [...names.map(name => ({ name, from })), { name: '*', from, spread: 'maybe' as const }]
  }
  return [
    ...columns.map((column, index): LineageColumn => {
      const name = names[index]
      if (name === undefined) return column
      return { name, from: column.from, ...(column.at !== undefined && { at: column.at }) }
    }),
    ...names.slice(columns.length).map(name => ({ name, from: wholeRow({ columns }) })),
  ]
}

/** A second column of a name gets a number, as a subquery's does; it is not there without the first one. */
export function distinctNames(columns: LineageColumn[]): LineageColumn[] {
  const seen = new Map<string, LineageColumn>()
  return columns.map(column => {
    const twin = seen.get(column.name.toLowerCase())
    let name = column.name
    for (let n = 1; !column.spread && seen.has(name.toLowerCase()); n++) name = `${column.name}_${n}`
    seen.set(name.toLowerCase(), column)
    return twin && !column.spread ? { ...column, name, from: union(column.from, twin.from) } : column
  })
}
