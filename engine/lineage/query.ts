import { ownValue } from '../ownValue.ts'
import type { MacroBody } from '../sql/macros.ts'
import { firstPlace, type SqlNode } from '../sql/parse.ts'
import { columnList, expandStar, starIn } from './columns.ts'
import { fromPivot, joined } from './from.ts'
import { type Known, NotFollowed, type QueryLineage } from './known.ts'
import { type Mentions, none, type Ref, type Refs, ref, union } from './refs.ts'
import {
  type CommonTable,
  columnOf,
  distinctNames,
  type From,
  type LineageColumn,
  nothing,
  outermost,
  type Parameter,
  renamed,
  resolve,
  type Scope,
  same,
  wholeRow,
} from './scope.ts'
import { combined } from './sets.ts'
import { hasAggregate, hasCall, MAX_DEPTH, parametersOf, showsNothing, UNNEST } from './tree.ts'

/** Columns of functions in FROM that have more than one. */
const FUNCTION_COLUMNS: Record<string, string[]> = {
  json_each: ['key', 'value', 'type', 'atom', 'id', 'parent', 'fullkey', 'path'],
  json_tree: ['key', 'value', 'type', 'atom', 'id', 'parent', 'fullkey', 'path'],
}

/** Reads what the columns of one query are made of, from its tree as DuckDB parsed it. */
export class QueryReader {
  readonly mentions: Mentions = new Map()
  private readonly known: Known
  private readonly of: 'made' | 'shown'
  /** How deep in macros: what stands there has no place in the query. */
  private depth = 0

  /** `of`: the columns that values are made of, or only those whose values they may show. */
  constructor(known: Known, of: 'made' | 'shown' = 'made') {
    this.known = known
    this.of = of
  }

  /** `isTop`: nobody sees in which order its rows are. */
  query(node: SqlNode, scope: Scope = outermost, isTop = false): QueryLineage {
    const ctes = new Map(scope.ctes)
    const outer: Scope = { ...scope, ctes }
    for (const { key, value } of node.cte_map?.map ?? []) {
      const table = this.query(value.query!.node!, outer)
      const columns = this.named(table.columns, (value as { aliases?: string[] }).aliases ?? [])
      ctes.set(key.toLowerCase(), { columns, rows: table.rows })
    }
    switch (node.type) {
      case 'SELECT_NODE':
        return this.select(node, outer, isTop)
      case 'SET_OPERATION_NODE':
        return this.setOperation(node, outer, isTop)
      case 'RECURSIVE_CTE_NODE':
        return this.recursive(node, outer)
      default:
        throw new NotFollowed(node.type)
    }
  }

  private recursive(node: SqlNode, scope: Scope): QueryLineage {
    const name = String(node.cte_name).toLowerCase()
    const aliases = (node.aliases as string[] | undefined) ?? []
    const first = this.query(node.left as SqlNode, scope)
    let table: CommonTable = { columns: this.named(first.columns, aliases), rows: first.rows }
    for (;;) {
      const ctes = new Map(scope.ctes).set(name, table)
      const next = this.query(node.right as SqlNode, { ...scope, ctes })
      const columns = table.columns.map((column, index) => ({
        ...column,
        from: union(column.from, next.columns[index]?.from ?? wholeRow(next)),
      }))
      const distinct = node.union_all === true ? none : union(...columns.map(({ from }) => from))
      const rows = union(table.rows, next.rows, distinct)
      const isSame =
        rows.size === table.rows.size &&
        columns.every(({ from }, index) => from.size === table.columns[index]!.from.size)
      table = { columns, rows }
      if (isSame) return table
    }
  }

  private setOperation(node: SqlNode, scope: Scope, isTop: boolean): QueryLineage {
    const sides = [node.left, node.right].map(side => this.query(side as SqlNode, scope))
    const [left, right] = sides as [QueryLineage, QueryLineage]
    const kind = String(node.setop_type)
    const { columns, named } = combined(kind, left, right)
    this.mention(named)
    const keepsAll = /^UNION/.test(kind) && node.setop_all === true
    const compared = keepsAll ? none : union(wholeRow(left), wholeRow(right))
    const rows = union(left.rows, right.rows, compared)
    const from: From = { relations: [], columns, rows }
    return {
      columns,
      rows: union(rows, this.modifiers(node, { ...scope, from, parent: scope }, columns, isTop)),
    }
  }

  private select(node: SqlNode, outer: Scope, isTop: boolean): QueryLineage {
    const from = this.from(node.from_table as SqlNode, outer)
    const aliases = new Map<string, Refs>()
    const scope: Scope = { ...outer, from, aliases, parameters: outermost.parameters, parent: outer }
    const columns: LineageColumn[] = []
    const grouped: Refs[] = []
    const byAll = node.aggregate_handling === 'FORCE_AGGREGATES'
    for (const item of node.select_list as SqlNode[]) {
      const made = this.selected(item, scope)
      columns.push(...made)
      if (byAll && !hasAggregate(item, this.known)) grouped.push(...made.map(column => column.from))
      for (const column of made) if (item.alias) aliases.set(item.alias.toLowerCase(), column.from)
      grouped.push(this.unnested(item, scope))
    }
    for (const group of (node.group_expressions as SqlNode[] | undefined) ?? [])
      grouped.push(columnList(group, columns) ?? this.refs(group, scope))
    const rows = union(
      from.rows,
      ...grouped,
      ...['where_clause', 'having', 'qualify'].map(key => this.refs(node[key], scope)),
    )
    return { columns, rows: union(rows, this.modifiers(node, scope, columns, isTop)) }
  }

  /** The columns of one item of a select list. */
  private selected(item: SqlNode, scope: Scope): LineageColumn[] {
    const at = firstPlace(item)
    const star = starIn(item)
    if (star === item || star?.columns)
      return expandStar(star, scope.from, {
        others: star === item ? none : this.refs(item, scope, star),
        refs: node => this.refs(node, scope),
        mention: refs => this.mention(refs, at),
        ...(item !== star && item.alias && { alias: item.alias }),
      }).map(column => ({ ...column, ...(at !== undefined && { at }) }))
    const from = this.refs(item, scope)
    // `* LIKE 'a%'` is the columns of such names.
    if (star && item.is_operator === true)
      return [{ name: '*', from, spread: 'yes', byName: name => columnOf(scope.from.columns, name) }]
    const name = item.alias || item.column_names?.at(-1) || ''
    // What unnest gives of a struct is its fields.
    const spread = hasCall(item, UNNEST) ? 'maybe' : undefined
    return [{ name, from, ...(at !== undefined && { at }), ...(spread && { spread }) }]
  }

  /** What decides how often a row is there: lists that are unnested in the select list. */
  private unnested(item: SqlNode, scope: Scope): Refs {
    return hasCall(item, UNNEST) ? this.refs(item, scope) : none
  }

  private modifiers(node: SqlNode, scope: Scope, columns: LineageColumn[], isTop: boolean): Refs {
    const modifiers = (node.modifiers as SqlNode[] | undefined) ?? []
    const cut = modifiers.some(({ type }) => /^LIMIT/.test(type!))
    const found: Refs[] = []
    for (const modifier of modifiers) {
      if (modifier.type === 'DISTINCT_MODIFIER') {
        const targets = modifier.distinct_on_targets as SqlNode[] | undefined
        if (!targets?.length) found.push(wholeRow({ columns }))
        for (const target of targets ?? [])
          found.push(columnList(target, columns) ?? this.refs(target, scope))
      } else if (modifier.type === 'ORDER_MODIFIER') {
        const orders = (modifier.orders as { expression: SqlNode }[] | undefined) ?? []
        const keys = orders.map(
          ({ expression }) =>
            columnList(expression, columns) ?? this.refs(expression, scope, undefined, true),
        )
        const picks = modifiers.some(each => (each.distinct_on_targets as SqlNode[] | undefined)?.length)
        if (cut || picks || !isTop) found.push(...keys)
      } else found.push(this.refs(modifier, scope))
    }
    return union(...found)
  }

  private from(node: SqlNode | null | undefined, outer: Scope): From {
    switch (node?.type) {
      case undefined:
      case 'EMPTY':
        return nothing
      case 'BASE_TABLE':
        return this.baseTable(node, outer)
      case 'SUBQUERY': {
        const query = this.query((node.subquery as { node: SqlNode }).node, outer)
        return this.relation(node, query.columns, query.rows)
      }
      case 'JOIN':
        return joined(node, {
          left: this.from(node.left as SqlNode, outer),
          right: left => this.from(node.right as SqlNode, { ...outer, from: left, parent: outer }),
          refs: (condition, from) => this.refs(condition, { ...outer, from, parent: outer }),
          mention: refs => this.mention(refs, node.query_location),
        })
      case 'TABLE_FUNCTION':
        return this.tableFunction(node, outer)
      case 'EXPRESSION_LIST': {
        const rows = node.values as SqlNode[][]
        const columns = (rows[0] ?? []).map((_, index) => ({
          name: `col${index}`,
          from: union(...rows.map(row => this.refs(row[index], outer))),
        }))
        return this.relation(node, columns, none)
      }
      case 'PIVOT': {
        const source = this.from(node.source as SqlNode, outer)
        const found = fromPivot(node, source, {
          refs: expression => this.refs(expression, { ...outer, from: source, parent: outer }),
          mention: refs => this.mention(refs, node.query_location),
        })
        return this.relation(node, found.columns, found.rows)
      }
      case 'SHOW_REF': {
        const query = node.query ? this.query(node.query as SqlNode, outer) : { columns: [], rows: none }
        const from = union(wholeRow(query), query.rows)
        return this.relation(node, [{ name: '*', from, spread: 'yes' }], none)
      }
      default:
        throw new NotFollowed(node!.type)
    }
  }

  private baseTable(node: SqlNode, outer: Scope): From {
    const name = node.table_name ?? ''
    const ofSchema = node.schema_name && node.schema_name !== 'main' && node.schema_name !== 'recurring'
    const cte = ofSchema ? undefined : outer.ctes.get(name.toLowerCase())
    if (cte) return this.relation(node, cte.columns, cte.rows, name)
    const table = this.known.table(ofSchema ? `${node.schema_name}.${name}` : name)
    if (!table) return this.relation(node, [], none, name)
    const own = (column: string): Refs => new Set([ref(table.name, column)])
    const columns = table.columns?.map(column => ({ name: column, from: own(column) })) ?? [
      { name: '*', from: own('*'), spread: 'yes' as const, byName: own },
    ]
    return this.relation(node, columns, none, name)
  }

  private relation(node: SqlNode, columns: LineageColumn[], rows: Refs, name = ''): From {
    const given = distinctNames(columns)
    const all = this.named(given, (node.column_name_alias as string[] | undefined) ?? [])
    return { relations: [{ alias: node.alias || name, columns: all }], columns: all, rows }
  }

  /** Columns under other names: those that are named by their place. */
  private named(columns: LineageColumn[], names: string[]): LineageColumn[] {
    if (names.length > 0) this.mention(wholeRow({ columns: columns.slice(0, names.length) }))
    return renamed(columns, names)
  }

  private tableFunction(node: SqlNode, outer: Scope): From {
    const call = node.function as SqlNode
    const name = String(call.function_name).toLowerCase()
    const bodies = this.known.macro(name)
    if (bodies) {
      const query = this.expanded(bodies, call, outer)
      return this.relation(node, query.columns, query.rows, name)
    }
    const from = this.refs(call.children, outer)
    const names = [
      ...(ownValue(FUNCTION_COLUMNS, name) ?? [name]),
      ...(node.with_ordinality === 'WITH_ORDINALITY' ? ['ordinality'] : []),
    ]
    const spread = UNNEST.includes(name) ? { spread: 'maybe' as const } : {}
    const columns = names.map(column => ({ name: column, from, ...spread }))
    return this.relation(node, columns, from, name)
  }

  /** What a macro gives of its arguments: those that its body does not use are not there. */
  private expanded(bodies: MacroBody[], call: SqlNode, scope: Scope): QueryLineage {
    const given = (call.children as SqlNode[] | undefined) ?? []
    const body =
      bodies.find(({ parameters }) => parameters.length === given.length) ??
      bodies.find(({ parameters }) => parameters.length > given.length) ??
      bodies[0]!
    const parameters = new Map<string, Parameter>()
    const positional = given.filter(
      ({ alias }) => !alias || !body.parameters.some(each => same(each.name, alias)),
    )
    for (const [index, { name, fallback }] of body.parameters.entries()) {
      const argument =
        given.find(({ alias }) => alias !== undefined && same(alias, name)) ?? positional[index] ?? fallback
      const before = new Map(this.mentions)
      const from = this.refs(argument, scope)
      const own = [...this.mentions].filter(([each]) => !before.has(each))
      for (const [each] of own) this.mentions.delete(each)
      parameters.set(name.toLowerCase(), {
        from,
        mention: () => {
          for (const [each, at] of own) if (!this.mentions.has(each)) this.mentions.set(each, at)
        },
      })
    }
    if (this.depth > MAX_DEPTH) return { columns: [], rows: none }
    this.depth++
    try {
      return this.query(body.node, { ...outermost, parameters })
    } finally {
      this.depth--
    }
  }

  private mention(refs: Refs, at?: number): void {
    for (const each of refs)
      if (!this.mentions.has(each)) this.mentions.set(each, this.depth > 0 ? undefined : at)
  }

  /** The columns that an expression is made of; `skipped` is a part that is looked at elsewhere. */
  private refs(node: unknown, scope: Scope, skipped?: SqlNode, aliasFirst = false): Refs {
    const found = new Set<Ref>()
    const add = (refs: Refs) => {
      for (const each of refs) found.add(each)
    }
    const visit = (node: unknown, scope: Scope): void => {
      if (Array.isArray(node)) {
        for (const child of node) visit(child, scope)
        return
      }
      if (node === null || typeof node !== 'object' || node === skipped) return
      const own = node as SqlNode
      if (this.of === 'shown' && showsNothing(own)) return
      switch (own.class) {
        case 'COLUMN_REF': {
          const refs = resolve(scope, own.column_names ?? [], aliasFirst)
          this.mention(refs, own.query_location)
          add(refs)
          return
        }
        case 'OPERATOR': {
          // A field of a whole row.
          const [of, field] = (own.children as SqlNode[] | undefined) ?? []
          const name = (field?.value as { value?: unknown } | undefined)?.value
          if (own.type !== 'STRUCT_EXTRACT' || of?.class !== 'COLUMN_REF' || typeof name !== 'string') break
          const refs = resolve(scope, [...of.column_names!, name])
          this.mention(refs, own.query_location)
          add(refs)
          return
        }
        case 'POSITIONAL_REFERENCE':
          add(scope.from.columns[Number(own.index) - 1]?.from ?? none)
          return
        case 'STAR':
          for (const column of expandStar(own, scope.from, {
            others: none,
            refs: node => this.refs(node, scope),
            mention: refs => this.mention(refs, own.query_location),
          }))
            add(column.from)
          return
        case 'SUBQUERY': {
          const query = this.query((own.subquery as { node: SqlNode }).node, scope)
          if (!/EXISTS/.test(String(own.subquery_type))) add(wholeRow(query))
          if (this.of === 'made') add(query.rows)
          visit(own.child, scope)
          return
        }
        case 'CASE': {
          if (this.of === 'made') break
          for (const { then_expr } of own.case_checks as { then_expr: SqlNode }[]) visit(then_expr, scope)
          visit(own.else_expr, scope)
          return
        }
        case 'LAMBDA': {
          const names = parametersOf(own.lhs as SqlNode)
          const parameters = new Map([
            ...scope.parameters,
            ...names.map(name => [name.toLowerCase(), { from: none }] as const),
          ])
          visit(own.expr, { ...scope, parameters })
          return
        }
        case 'FUNCTION':
        case 'WINDOW': {
          const bodies = this.known.macro(String(own.function_name).toLowerCase())
          if (!bodies) break
          const query = this.expanded(bodies, own, scope)
          add(wholeRow(query))
          if (this.of === 'made') add(query.rows)
          for (const key of ['filter', 'order_bys', 'partitions', 'orders', 'filter_expr'])
            visit(own[key], scope)
          return
        }
      }
      for (const child of Object.values(own)) if (typeof child === 'object') visit(child, scope)
    }
    visit(node, scope)
    return found
  }
}
