import type { LoadSpec } from '../contracts/load.ts'
import type { Described } from './checkColumns.ts'
import { type DuckRow, quoteName } from './duckdb.ts'
import { conjuncts, type SqlNode } from './parse.ts'
import type { Pitfall } from './pitfalls.ts'
import { nodesIn, type Side, sideOf } from './selects.ts'

/** What is known of the tables that a job's SQL reads. */
export interface Known {
  columns: ReadonlyMap<string, Described[]>
  /** Table → columns that no two of its rows have the same of. */
  keys: ReadonlyMap<string, string[]>
  /** Table → columns, in small letters, that a check of the settings lets no NULL into. */
  present?: ReadonlyMap<string, ReadonlySet<string>>
  /** All rows of those that are files of the job. */
  rows?: ReadonlyMap<string, DuckRow[]>
  loads: Pick<LoadSpec, 'table' | 'from'>[]
}

/** Aggregates that count a row as often as a join gives it. */
const COUNTING =
  /^(f?sum|sum_no_overflow|kahan_sum|sumkahan|product|avg|mean|favg|count|median|stddev.*|var.*)$/
const AGGREGATES =
  /^(count_star|min|max|first|last|any_value|arbitrary|list|array_agg|string_agg|listagg|group_concat|bool_and|bool_or|mode|arg_m(in|ax)|m(in|ax)_by|histogram|quantile.*|approx_.*)$/

interface Joined extends Side {
  node: SqlNode
  /** Columns that hold one value for each row of another side, in small letters; of `undefined`, always. `its`: that value's column. */
  equal: { column: string; other: Joined | undefined; its?: string }[]
  /** Whether it stands on the right of a join that gives each match. */
  isRight: boolean
}

/** What a SELECT counts more often than it is there, since a join gives it many times. */
export function fanOuts(select: SqlNode, ctes: ReadonlySet<string>, known: Known, isTop: boolean): Pitfall[] {
  return new FanOut(select, ctes, known).found(isTop)
}

class FanOut {
  private readonly select: SqlNode
  private readonly known: Known
  private readonly sides: Joined[] = []

  constructor(select: SqlNode, ctes: ReadonlySet<string>, known: Known) {
    this.select = select
    this.known = known
    this.collect(select.from_table as SqlNode, ctes)
    this.equate(conjuncts(select.where_clause as SqlNode))
  }

  found(isTop: boolean): Pitfall[] {
    if (this.sides.length < 2) return []
    const { aggregate_handling, group_expressions } = this.select
    const outputs = (this.select.select_list as SqlNode[] | undefined) ?? []
    const aggregates = [...nodesIn([outputs, this.select.having])].filter(
      ({ type, function_name: name = '' }) =>
        type === 'FUNCTION' && (COUNTING.test(name) || AGGREGATES.test(name)),
    )
    const groups = group_expressions as SqlNode[]
    const isGrouped = aggregate_handling === 'FORCE_AGGREGATES' || groups.length > 0 || aggregates.length > 0
    if (!isGrouped) return this.rowsMany(outputs, isTop)
    // Within a group, what it is grouped by is one value.
    const whole = outputs.filter(output => ![...nodesIn(output)].some(node => aggregates.includes(node)))
    const fixed = [...groups, ...whole].flatMap(node => this.resolve(node) ?? [])
    return [
      ...aggregates.flatMap(node => this.countedMany(node, fixed) ?? []),
      ...aggregates.flatMap(node => this.countedAnyway(node, groups) ?? []),
    ]
  }

  /** A count(*) of what a LEFT JOIN finds for each row of its left: 1, where it finds nothing. */
  private countedAnyway(node: SqlNode, groups: SqlNode[]): Pitfall | undefined {
    const { join_type, using_columns } = this.select.from_table as { [key: string]: unknown }
    const [left, right, ...more] = this.sides
    if (node.function_name !== 'count_star' || node.filter || join_type !== 'LEFT' || more.length > 0)
      return undefined
    const using = ((using_columns as string[] | undefined) ?? []).map(name => name.toLowerCase())
    const by = groups.map(group => {
      const name = group.type === 'COLUMN_REF' ? group.column_names!.at(-1)!.toLowerCase() : ''
      if (group.column_names?.length === 1 && using.includes(name)) return name
      const column = this.resolve(group)
      return column?.side === left ? column?.column : undefined
    })
    const key = this.known.keys.get(left!.table ?? '')
    if (!key?.every(name => by.includes(name.toLowerCase())) || by.includes(undefined)) return undefined
    if (
      !this.whyMany(
        right!,
        right!.equal.map(({ column }) => column),
      )
    )
      return undefined
    return {
      node,
      message: `count(*) is 1 for a row of ${left!.table} without any of ${right!.table}: LEFT JOIN gives it a row of NULLs`,
      hint: `Write count(${right!.alias}.…), of a column that is never NULL.`,
    }
  }

  /** An aggregate of columns of some sides, each row of which is there once for each row of another side. */
  private countedMany(node: SqlNode, fixed: Column[]): Pitfall | undefined {
    const { function_name: name = '', distinct, children } = node
    if (!COUNTING.test(name) || distinct) return undefined
    const columns = [...nodesIn(children)].filter(({ type }) => type === 'COLUMN_REF')
    const owners = columns.map(column => this.resolve(column)?.side)
    if (owners.length === 0 || owners.some(owner => !owner?.table)) return undefined
    const start = owners as Joined[]
    const many = this.many(start, fixed)
    if (!many) return undefined
    const [own, other] = [start[0]!.table!, many.side.table!]
    return {
      node,
      message: `${name}() has a row of ${own} once for each row of ${other} that is joined to it: ${many.why}`,
      hint: `First make ${other} one row for each of ${own}, in a WITH: by GROUP BY, or QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) = 1.`,
    }
  }

  /** Joins of a SELECT without aggregates that give rows which nothing in them tells apart. */
  private rowsMany(outputs: SqlNode[], isTop: boolean): Pitfall[] {
    const modifiers = (this.select.modifiers as SqlNode[] | undefined) ?? []
    if (this.select.qualify || modifiers.some(({ type }) => type === 'DISTINCT_MODIFIER')) return []
    return this.sides.flatMap((side, index) => {
      const before = this.sides.slice(0, index)
      if (!side.isRight || before.length === 0) return []
      const many = this.many(before, [], [...before, side])
      if (many?.side !== side) return []
      const key = this.known.keys.get(side.table!)
      // Of one to many, each row of the many is there once, and its key says which it is.
      const isOnce = this.many([side], [], [...before, side]) === undefined
      if (isOnce && key && (!isTop || this.has(outputs, side, key))) return []
      const by = key?.map(quoteName).join(' and ')
      return {
        node: side.node,
        message: `the join may give a row many times: ${many.why}`,
        hint: `${by ? `Join by ${by}, or first` : 'First'} make ${side.table} one row a key: QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) = 1.`,
      }
    })
  }

  private has(outputs: SqlNode[], side: Joined, key: string[]): boolean {
    const given = outputs.map(output => this.resolve(output))
    return (
      outputs.some(
        ({ type, relation_name: of }) => type === 'STAR' && (!of || String(of).toLowerCase() === side.alias),
      ) ||
      key.every(name => {
        const column = name.toLowerCase()
        const same = side.equal.filter(each => each.column === column)
        return given.some(
          each =>
            (each?.side === side && each.column === column) ||
            same.some(({ other, its }) => each && other === each.side && its === each.column),
        )
      })
    )
  }

  /** The first side that may have many rows for one of each in `start`, and why. */
  private many(
    start: Joined[],
    fixed: Column[],
    among = this.sides,
  ): { side: Joined; why: string } | undefined {
    const one = new Set(start)
    const covered = (side: Joined) => [
      ...side.equal.filter(({ other }) => !other || one.has(other)).map(({ column }) => column),
      ...fixed.filter(each => each.side === side).map(({ column }) => column),
    ]
    for (let size = -1; size < one.size; ) {
      size = one.size
      for (const side of among) if (!one.has(side) && this.whyMany(side, covered(side)) === '') one.add(side)
    }
    for (const side of among) {
      const why = one.has(side) ? undefined : this.whyMany(side, covered(side))
      if (why) return { side, why }
    }
    return undefined
  }

  /** Why a table has many rows of which some columns are the same; '' where it has one, undefined where nobody knows. */
  private whyMany({ table, equal }: Joined, columns: string[]): string | undefined {
    if (table === undefined || equal.length === 0) return undefined
    const key = this.known.keys.get(table)
    const missing = key?.filter(name => !columns.includes(name.toLowerCase()))
    if (missing?.length === 0) return ''
    const rows = this.known.rows?.get(table)
    if (rows) {
      const names = this.known.columns.get(table)!.map(({ name }) => name)
      const own = names.filter(name => columns.includes(name.toLowerCase()))
      const values = rows
        .map(row => own.map(name => row[name]))
        .filter(row => row.every(value => value !== null))
      if (new Set(values.map(row => JSON.stringify(row))).size === values.length) return ''
      return `${table} has several rows of one ${own.join(', ') || 'kind'}`
    }
    return missing && `${table} has one row a ${key!.join(', ')}, and ${missing.join(', ')} is not joined by`
  }

  private collect(node: SqlNode, ctes: ReadonlySet<string>, isRight = false): Joined[] {
    if (node?.type !== 'JOIN') {
      const side = { ...sideOf(node, ctes, [...this.known.columns.keys()]), node, equal: [], isRight }
      this.sides.push(side)
      return [side]
    }
    const { join_type, ref_type, using_columns } = node as { [key: string]: unknown }
    const gives = ref_type === 'REGULAR' && ['INNER', 'LEFT', 'OUTER'].includes(String(join_type))
    const left = this.collect(node.left as SqlNode, ctes, isRight)
    const right = this.collect(node.right as SqlNode, ctes, gives)
    for (const name of (using_columns as string[] | undefined) ?? []) {
      const column = name.toLowerCase()
      const owners = (sides: Joined[]) => sides.filter(side => this.hasColumn(side, column))
      for (const one of owners(left))
        for (const other of owners(right)) pair({ side: one, column }, { side: other, column })
    }
    this.equate(conjuncts(node.condition as SqlNode))
    return [...left, ...right]
  }

  private equate(conditions: SqlNode[]): void {
    for (const { type, left, right } of conditions) {
      if (type !== 'COMPARE_EQUAL' && type !== 'COMPARE_NOT_DISTINCT_FROM') continue
      const [a, b] = [this.resolve(left as SqlNode), this.resolve(right as SqlNode)]
      if (a && b && a.side !== b.side) pair(a, b)
      for (const [one, other] of [
        [a, right],
        [b, left],
      ] as [Column | undefined, SqlNode][]) {
        if (!one || other.type === 'COLUMN_REF') continue
        const columns = [...nodesIn(other)].filter(node => node.type === 'COLUMN_REF')
        const owners = new Set(columns.map(column => this.resolve(column)?.side))
        const [owner] = owners
        if (owners.size > 1 || (owners.size === 1 && !owner)) continue
        one.side.equal.push({ column: one.column, other: owner })
        // It is joined, by nothing that its key could be of.
        owner?.equal.push({ column: '', other: one.side })
      }
    }
  }

  private hasColumn({ table }: Joined, column: string): boolean {
    return (
      table === undefined || this.known.columns.get(table)!.some(({ name }) => name.toLowerCase() === column)
    )
  }

  private resolve({ type, column_names: names }: SqlNode): Column | undefined {
    if (type !== 'COLUMN_REF' || !names) return undefined
    const [first, second] = names.map(name => name.toLowerCase())
    if (second !== undefined) {
      const side = this.sides.find(({ alias }) => alias === first)
      return side && { side, column: second }
    }
    const owners = this.sides.filter(side => this.hasColumn(side, first!))
    return owners.length === 1 ? { side: owners[0]!, column: first! } : undefined
  }
}

interface Column {
  side: Joined
  column: string
}

function pair(a: Column, b: Column): void {
  a.side.equal.push({ column: a.column, other: b.side, its: b.column })
  b.side.equal.push({ column: b.column, other: a.side, its: a.column })
}
