import { alwaysTrue, neverTrue, unreached, type Vain, vainly } from './conditions.ts'
import { demandOf, type Scope } from './demands.ts'
import type { Known } from './fanOut.ts'
import { joinPitfalls } from './joined.ts'
import { momentPitfall } from './moments.ts'
import { conjuncts, type Query, type SqlNode } from './parse.ts'
import { notBoolean, type Pitfall, pitfallOf, undoneBy, undoneJoins } from './pitfalls.ts'
import { placeholders } from './placeholders.ts'
import { nodesIn, type Side, sideOf } from './selects.ts'
import { subqueryPitfall } from './subqueries.ts'
import { charactersIn } from './text.ts'

/** Says of a node what it does, and what to write. */
export type Advise = (node: SqlNode, message: string, hint: string) => void

/** A SELECT, and what is known around it. */
export interface Selected {
  node: SqlNode
  ctes: ReadonlySet<string>
  known: Known
  /** Models, and their queries. */
  queries: ReadonlyMap<string, Query>
  sql: string
  /** The table whose rows it judges, which are not yet without those that are rejected. */
  judged: string | undefined
  /** What follows where no row fulfils its conditions. */
  follows: string
}

/** What one SELECT does that is allowed, and often gives other rows than were meant. */
export class Select {
  private readonly own: Selected
  private readonly node: SqlNode
  private readonly known: Known
  private readonly advise: Advise
  private readonly ctes: ReadonlySet<string>
  private readonly sides: Side[] = []
  /** Aliases of what is joined by LEFT JOIN. */
  private readonly outer = new Set<string>()
  /** Whether a join gives rows without a partner. */
  private isOuter = false

  constructor(own: Selected, advise: Advise) {
    this.own = own
    this.node = own.node
    this.ctes = own.ctes
    this.known = own.known
    this.advise = advise
  }

  look(): void {
    const { from_table, where_clause, select_list, having, qualify, modifiers } = this.node
    this.join(from_table as SqlNode)
    for (const each of this.undone(conjuncts(where_clause as SqlNode), this.outer)) this.tell(each)
    for (const each of conjuncts(where_clause as SqlNode))
      this.tell(notBoolean(each, column => this.columnOf(column)))
    const nodes = [...nodesIn([from_table, where_clause, select_list, having, qualify])]
    for (const node of nodes) this.expression(node)
    for (const each of placeholders(nodes)) this.tell(each)
    this.conditions(nodes)
    const limits = (modifiers as SqlNode[]) ?? []
    const distinct = limits.find(({ type }) => type === 'DISTINCT_MODIFIER')
    const [by] = (distinct?.distinct_on_targets as SqlNode[] | undefined) ?? []
    if (by && !limits.some(({ type }) => type === 'ORDER_MODIFIER'))
      this.advise(
        by,
        'DISTINCT ON without ORDER BY keeps any row of each, and another each time',
        'Write ORDER BY, by the columns that say which row is kept.',
      )
    const limit = limits.find(({ type }) => type === 'LIMIT_MODIFIER')
    const { value: most } = ((limit?.limit as SqlNode | undefined)?.value ?? {}) as { value?: unknown }
    if (limit && most === 0) {
      this.advise(limit.limit as SqlNode, `LIMIT 0 takes no row: ${this.own.follows}`, 'Take it away.')
      return
    }
    if (limit && !limits.some(({ type }) => type === 'ORDER_MODIFIER'))
      this.advise(
        limit.limit as SqlNode,
        'LIMIT without ORDER BY takes other rows each time',
        'Say which: ORDER BY … LIMIT ….',
      )
  }

  /** What its conditions cannot decide, and its joins do not say. */
  private conditions(nodes: SqlNode[]): void {
    const { where_clause, having, qualify, group_expressions } = this.node
    const scope = (isGrouped: boolean): Scope => ({
      columnOf: column => this.columnOf(column),
      nameOf: column => this.nameOf(column),
      isGrouped,
      isNeverNull: column => this.isNeverNull(column),
    })
    const isGrouped = ((group_expressions as unknown[] | undefined) ?? []).length > 0
    const joins = nodes.filter(({ type }) => type === 'JOIN')
    const tell = (vain: Vain | undefined, follows: string) => vain && this.tell(vainly(vain, follows))
    for (const clause of [where_clause, having, qualify] as (SqlNode | undefined)[])
      tell(neverTrue(clause, scope(isGrouped && clause === having)), this.own.follows)
    for (const { condition } of joins)
      tell(neverTrue(condition as SqlNode, scope(false)), 'no row has a partner')
    for (const clause of [where_clause, having, qualify, ...joins.map(({ condition }) => condition)])
      for (const each of conjuncts(clause as SqlNode))
        tell(alwaysTrue(each, scope(false)), 'the condition is true of every row that has a value there')
    for (const { filter } of nodes) tell(neverTrue(filter as SqlNode, scope(false)), 'it gets no row')
    for (const node of nodes) if (node.type === 'CONJUNCTION_OR') this.precedence(node, scope(false))
    for (const node of nodes)
      if (node.type === 'CASE_EXPR')
        for (const vain of unreached(node, scope(false))) tell(vain, 'its THEN is never given')
      else this.tell(subqueryPitfall(node, { ...this.own, sides: this.sides }))
    const joining = {
      sideOf: (node: SqlNode) => sideOf(node, this.ctes, [...this.known.columns.keys()]),
      ownerOf: (column: SqlNode) => this.ownerOf(column),
      isSingle: (table: string) => (this.known.rows?.get(table)?.length ?? 2) < 2,
      isCrossed: /\bcross\s+join\b/i.test(this.own.sql),
    }
    for (const each of joinPitfalls(this.node, joining)) this.tell(each)
  }

  /** The alias of the table that a column is of; undefined where it is not known. */
  private ownerOf({ column_names: names }: SqlNode): string | undefined {
    const [first, second] = names!
    if (second !== undefined) return this.sides.find(({ alias }) => alias === first!.toLowerCase())?.alias
    const owners = this.sides.filter(({ table }) => table === undefined || this.has(table, first!))
    return owners.length === 1 && owners[0]!.table !== undefined ? owners[0]!.alias : undefined
  }

  private nameOf(column: SqlNode): string {
    const owner = this.ownerOf(column)
    const names = column.column_names!.map(name => name.toLowerCase())
    return owner === undefined || names.length > 2 ? names.join('.') : `${owner}.${names.at(-1)}`
  }

  /** Whether no row is without a column: it is an extract's key, or a check lets no other row through. */
  private isNeverNull(column: SqlNode): boolean {
    const owner = this.ownerOf(column)
    const { table } = this.sides.find(({ alias }) => alias === owner) ?? {}
    const { judged, queries } = this.own
    if (table === undefined || this.isOuter || table === judged) return false
    const name = column.column_names!.at(-1)!.toLowerCase()
    const key = queries.has(table) ? [] : (this.known.keys.get(table) ?? [])
    return key.some(each => each.toLowerCase() === name) || this.known.present?.get(table)?.has(name) === true
  }

  private has(table: string, column: string): boolean {
    return this.known.columns.get(table)!.some(({ name }) => name.toLowerCase() === column.toLowerCase())
  }

  /** Gives the tables below a FROM, and looks at each join on the way. */
  private join(node: SqlNode): Side[] {
    if (node?.type !== 'JOIN') {
      const side = sideOf(node, this.ctes, [...this.known.columns.keys()])
      if (node?.type === 'BASE_TABLE') this.sides.push(side)
      return [side]
    }
    const left = this.join(node.left as SqlNode)
    const right = this.join(node.right as SqlNode)
    const { join_type, ref_type } = node as { join_type?: string; ref_type?: string }
    const [side] = right
    if (join_type === 'INNER' && ref_type === 'REGULAR') this.later(node, left)
    if (join_type === 'LEFT') for (const { alias } of right) this.outer.add(alias)
    if (join_type !== 'INNER') this.isOuter = true
    if (ref_type === 'CROSS' && !this.node.where_clause && side?.table && left.some(({ table }) => table))
      this.advise(
        node.right as SqlNode,
        `every row is joined with every row of ${side.table}`,
        `Say which belong together: JOIN ${side.table} ON …; or CROSS JOIN a table of one row.`,
      )
    return [...left, ...right]
  }

  private undone(conditions: SqlNode[], outer: ReadonlySet<string>): Pitfall[] {
    return undoneJoins(conditions, column => {
      const owner = this.ownerOf(column)
      return owner !== undefined && outer.has(owner)
    })
  }

  /** A JOIN by what a LEFT JOIN before it may not have found. */
  private later(node: SqlNode, left: Side[]): void {
    const outer = new Set(left.map(({ alias }) => alias).filter(alias => this.outer.has(alias)))
    for (const each of this.undone(conjuncts(node.condition as SqlNode), outer)) this.tell(each)
    for (const name of (node.using_columns as string[] | undefined) ?? []) {
      const owners = left.filter(({ table }) => table === undefined || this.has(table, name))
      if (owners.length > 0 && owners.every(({ alias }) => outer.has(alias)))
        this.tell(undoneBy(node.right as SqlNode, `${owners[0]!.alias}.${name}`))
    }
  }

  /** a OR b AND c, without brackets, where a and b are of one column. */
  private precedence(node: SqlNode, scope: Scope): void {
    const children = node.children as SqlNode[]
    const equal = (each: SqlNode | undefined) =>
      each?.type === 'COMPARE_EQUAL' ? demandOf(each, scope)?.key : undefined
    for (const [index, child] of children.entries()) {
      if (child.type !== 'CONJUNCTION_AND') continue
      const all = conjuncts(child)
      const beside = [
        [children[index - 1], all[0]],
        [children[index + 1], all.at(-1)],
      ]
      const isOne = beside.some(([one, other]) => equal(one) !== undefined && equal(one) === equal(other))
      if (!isOne) continue
      const { sql } = this.own
      const places = [...nodesIn(child)].flatMap(({ query_location: at = Infinity }) => at)
      const before = sql.slice(0, charactersIn(sql, Math.min(...places)))
      if (before.trimEnd().endsWith('(')) continue
      this.advise(
        child,
        'AND binds before OR: without brackets, it belongs to what stands beside it alone',
        'Write (… OR …) AND …, or IN (…) AND …; or the brackets that there are: … OR (… AND …).',
      )
    }
  }

  private expression(node: SqlNode): void {
    if (
      node.type === 'WINDOW_ROW_NUMBER' &&
      (node.orders as unknown[]).length === 0 &&
      (node.arg_orders as unknown[]).length === 0
    )
      this.advise(
        node,
        'row_number() without ORDER BY numbers the rows otherwise each time',
        'Write OVER (PARTITION BY … ORDER BY …), by columns that no two rows have the same of.',
      )
    const columnOf = (column: SqlNode) => this.columnOf(column)
    this.tell(pitfallOf(node, columnOf) ?? momentPitfall(node, columnOf) ?? this.quotedColumn(node))
    if (node.class !== 'COMPARISON' || !node.left || !node.right) return
    const [left, right] = [node.left as SqlNode, node.right as SqlNode]
    const isNull = ({ type, value }: SqlNode) =>
      type === 'VALUE_CONSTANT' && (value as { is_null: boolean }).is_null
    if (/^COMPARE_(NOT)?EQUAL$/.test(node.type!) && (isNull(left) || isNull(right))) {
      const is = node.type === 'COMPARE_EQUAL' ? 'IS NULL' : 'IS NOT NULL'
      this.advise(node, 'a comparison with NULL is never true', `Write ${is}.`)
      return
    }
    const [a, b] = [this.typed(left), this.typed(right)]
    const text = a?.kind === 'text' ? a : b?.kind === 'text' ? b : undefined
    const other = text === a ? b : a
    if (text?.column && other && other.kind !== 'text')
      this.advise(
        node,
        `${text.shown} is VARCHAR and is compared with ${other.shown}: each value is cast to ${other.type}, and one that is none fails the run`,
        `Write TRY_CAST(${text.shown} AS ${other.type}), which gives NULL for such a value.`,
      )
  }

  /** A function of nothing but a text that is a column's name. */
  private quotedColumn({ type, function_name: name, children }: SqlNode): Pitfall | undefined {
    const [only, ...more] = (type === 'FUNCTION' && (children as SqlNode[])) || []
    const text = only?.type === 'VALUE_CONSTANT' ? (only.value as { value?: unknown }).value : undefined
    if (typeof text !== 'string' || more.length > 0 || name === 'getvariable') return undefined
    if (!this.sides.some(({ table }) => table !== undefined && this.has(table, text))) return undefined
    return {
      node: only!,
      message: `'${text}' is a text, the same in every row, and not the column ${text}`,
      hint: `Write ${text} without quotes.`,
    }
  }

  private tell(pitfall: Pitfall | undefined): void {
    if (pitfall) this.advise(pitfall.node, pitfall.message, pitfall.hint)
  }

  private columnOf(node: SqlNode): { type: string; shown: string } | undefined {
    const found = this.typed(node)
    return found?.column ? found : undefined
  }

  /** The type of a column or a literal, as far as it is known. */
  private typed(
    node: SqlNode,
  ): { kind: 'text' | 'other'; type: string; shown: string; column: boolean } | undefined {
    if (node.type === 'VALUE_CONSTANT') {
      const { type, value } = node.value as { type: { id: string }; value?: unknown }
      if (!/^(TINY|SMALL|BIG|HUGE)?INT(EGER)?$|^DECIMAL$|^DOUBLE$/.test(type.id)) return undefined
      const shown = type.id === 'DECIMAL' ? 'a number' : String(value)
      return { kind: 'other', type: type.id === 'DECIMAL' ? 'DOUBLE' : type.id, shown, column: false }
    }
    if (node.type !== 'COLUMN_REF') return undefined
    const [first, second] = node.column_names!
    const sides =
      second === undefined ? this.sides : this.sides.filter(({ alias }) => alias === first!.toLowerCase())
    if (sides.some(({ table }) => table === undefined)) return undefined
    const name = (second ?? first!).toLowerCase()
    const found = sides.flatMap(({ table }) =>
      this.known.columns.get(table!)!.filter(column => column.name.toLowerCase() === name),
    )
    if (found.length !== 1) return undefined
    const { type } = found[0]!
    return {
      kind: type === 'VARCHAR' ? 'text' : 'other',
      type,
      shown: node.column_names!.join('.'),
      column: true,
    }
  }
}
