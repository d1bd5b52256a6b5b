import type { Buckets } from './model.ts'
import { conjuncts, nodeOf, outputName, type SqlNode } from './parse.ts'

/** Why a query does not give the same by buckets, and at which byte of it. */
export class NotBucketed extends Error {
  readonly at: number | undefined

  constructor(message: string, at?: number) {
    super(message)
    this.at = at !== undefined && at <= Number.MAX_SAFE_INTEGER ? at : undefined
  }
}

/** Names are compared without case. */
const low = (text: string) => text.toLowerCase()

/** A table of a FROM. */
interface Relation {
  alias: string
  /** Its columns, in small letters, that hold in each row a key of the bucket that the row is in. */
  keys: Set<string>
}

interface From {
  isBucketed: boolean
  relations: Relation[]
  /** Names without a table that are such columns. */
  bare: Set<string>
}

interface Given {
  isBucketed: boolean
  keys: Set<string>
  /** The places of those, where no star stands before one; undefined where places are not known. */
  places?: Set<number>
}

const WHOLE: Given = { isBucketed: false, keys: new Set() }

interface Known extends Pick<Buckets, 'keys'> {
  isAggregate(name: string): boolean
  /** Macros (small letters) that hold more than a plain expression: their rows, groups or windows are not looked into. */
  isOpaque(name: string): boolean
}

/**
 * Gives the columns (small letters) of a query that hold, in each row, the key of the bucket that it is of. Fails with {@link NotBucketed} where a query that is done bucket by bucket may give other rows than the whole does: where a
 * join, group, DISTINCT or window of divided rows does not contain their key. Looks at the text alone; what it does not follow is refused.
 */
export function requireBucketed(tree: SqlNode, known: Known): ReadonlySet<string> {
  const byTable = new Map(known.keys.map(({ table, column }) => [low(table), low(column)]))
  const keyNames = known.keys.map(({ table, column }) => `${table}.${column}`).join(', ')
  const read = new Set<string>()
  const given = query(nodeOf(tree), new Map())
  for (const { table } of known.keys)
    if (!read.has(low(table))) throw new NotBucketed(`${table} is divided into buckets, but not read`)
  if (!given.isBucketed) throw new NotBucketed('none of its rows are of a divided table')
  return given.keys

  function query(node: SqlNode, outer: ReadonlyMap<string, Given>): Given {
    const ctes = new Map(outer)
    for (const { key, value } of node.cte_map?.map ?? []) {
      const made = query(value.query!.node!, ctes)
      const isRenamed = ((value as { aliases?: string[] }).aliases ?? []).length > 0
      ctes.set(low(key), isRenamed ? { isBucketed: made.isBucketed, keys: new Set() } : made)
    }
    switch (node.type) {
      case 'SELECT_NODE':
        return select(node, ctes)
      case 'SET_OPERATION_NODE':
        return setOperation(node, ctes)
      default: {
        // A table that reads itself.
        const sides = [node.left, node.right].filter(side => side !== undefined) as SqlNode[]
        const self = new Map(ctes).set(low(String(node.cte_name)), WHOLE)
        if (sides.length === 0 || sides.some(side => query(side, self).isBucketed))
          throw new NotBucketed(`${node.type} is not followed`)
        return WHOLE
      }
    }
  }

  function select(node: SqlNode, ctes: ReadonlyMap<string, Given>): Given {
    const from = fromOf(node.from_table as SqlNode, ctes, conjuncts(node.where_clause as SqlNode | null))
    const items = node.select_list as SqlNode[]
    const modifiers = (node.modifiers as SqlNode[] | undefined) ?? []
    const groups = (node.group_expressions as SqlNode[] | undefined) ?? []
    const parts = [items, node.where_clause, groups, node.having, node.qualify, modifiers]
    const found = expressionsIn(parts)
    wholeSubqueries(found.subqueries, ctes)
    if (!from.isBucketed) return WHOLE
    // A name of the select list may stand in the way of a column of that name.
    for (const item of items) if (item.alias && !isKey(item, from)) from.bare.delete(low(item.alias))
    const isOwnKey = (item: SqlNode | undefined) => item !== undefined && isKey(item, from)
    for (const call of found.macros)
      throw new NotBucketed(
        `the macro ${call.function_name} reads a table, or groups: write out what it does`,
        call.query_location,
      )
    for (const window of found.windows)
      if (!(window.partitions as SqlNode[]).some(each => isOwnKey(each)))
        throw new NotBucketed(`PARTITION BY does not contain the key (${keyNames})`, window.query_location)
    const byAll = node.aggregate_handling === 'FORCE_AGGREGATES'
    if (byAll && !items.some(item => isOwnKey(item)))
      throw new NotBucketed(`GROUP BY ALL: the key (${keyNames}) is not selected`, groups[0]?.query_location)
    const hasStar = expressionsIn(items).stars.length > 0
    const grouping = (group: SqlNode) => {
      const place = (group.value as { value?: unknown } | undefined)?.value
      const isPlace = group.class === 'CONSTANT' && typeof place === 'number' && !hasStar
      return isOwnKey(isPlace ? items[place - 1] : group)
    }
    const sets = (node.group_sets as number[][] | undefined) ?? []
    if (sets.some(set => !set.some(index => grouping(groups[index]!))))
      throw new NotBucketed(`GROUP BY does not contain the key (${keyNames})`, groups[0]?.query_location)
    const [aggregate] = found.aggregates
    if (aggregate && sets.length === 0 && !byAll)
      throw new NotBucketed(
        `${aggregate.function_name} is over all rows: there is no GROUP BY with the key (${keyNames})`,
        aggregate.query_location,
      )
    if (node.having && sets.length === 0 && !byAll)
      throw new NotBucketed('HAVING without the key in GROUP BY')
    if (node.sample) throw new NotBucketed('a sample is of all rows')
    const given = output(items, from)
    judgeModifiers(modifiers, {
      distinct: items.some(item => isOwnKey(item)) || given.keys.size > 0,
      isKey: grouping,
    })
    return given
  }

  function judgeModifiers(
    modifiers: SqlNode[],
    { distinct, isKey }: { distinct: boolean; isKey: (target: SqlNode) => boolean },
  ): void {
    for (const modifier of modifiers) {
      if (/^LIMIT/.test(modifier.type!)) throw new NotBucketed('LIMIT and OFFSET count all rows')
      if (modifier.type !== 'DISTINCT_MODIFIER') continue
      const targets = (modifier.distinct_on_targets as SqlNode[] | undefined) ?? []
      if (targets.length > 0 ? !targets.some(isKey) : !distinct)
        throw new NotBucketed(`DISTINCT does not contain the key (${keyNames})`, targets[0]?.query_location)
    }
  }

  /** The columns of a select list that are keys of the bucket. */
  function output(items: SqlNode[], from: From): Given {
    const [first] = items
    const hasStar = expressionsIn(items).stars.length > 0
    if (hasStar) {
      // What a star stands for is not known, and may have the name of a later item.
      if (first?.class !== 'STAR' || first.columns === true || first.expr)
        return { isBucketed: true, keys: new Set() }
      const of = first.relation_name ? relationOf(from, String(first.relation_name)) : from.relations[0]
      const changed = low(
        JSON.stringify([
          first.exclude_list,
          first.replace_list,
          first.qualified_exclude_list,
          first.rename_list,
        ]),
      )
      const keys = [...(of?.keys ?? [])].filter(key => !changed.includes(JSON.stringify(key)))
      return { isBucketed: true, keys: new Set(keys) }
    }
    const places = new Set<number>()
    const names = new Map<string, boolean>()
    for (const [index, item] of items.entries()) {
      const own = isKey(item, from)
      if (own) places.add(index)
      const name = low(outputName(item) ?? '')
      names.set(name, own && names.get(name) !== false)
    }
    const keys = [...names].filter(([, own]) => own).map(([name]) => name)
    return { isBucketed: true, keys: new Set(keys), places }
  }

  function setOperation(node: SqlNode, ctes: ReadonlyMap<string, Given>): Given {
    const [left, right] = [node.left, node.right].map(side => query(side as SqlNode, ctes)) as [Given, Given]
    const modifiers = (node.modifiers as SqlNode[] | undefined) ?? []
    wholeSubqueries(expressionsIn(modifiers).subqueries, ctes)
    if (!left.isBucketed && !right.isBucketed) return WHOLE
    const kind = String(node.setop_type)
    if (left.isBucketed !== right.isBucketed)
      throw new NotBucketed(`one side of ${kind} is of divided tables (${keyNames}), the other is whole`)
    const byName = kind === 'UNION_BY_NAME'
    const places = new Set(left.places && right.places ? common(left.places, right.places) : [])
    const keys = byName ? common(left.keys, right.keys) : places.size > 0 ? left.keys : new Set<string>()
    const hasKey = byName ? keys.size > 0 : places.size > 0
    const keepsAll = /^UNION/.test(kind) && node.setop_all === true
    if (!keepsAll && !hasKey)
      throw new NotBucketed(`${kind} does not compare the key (${keyNames}) at one place of both sides`)
    judgeModifiers(modifiers, { distinct: hasKey, isKey: () => false })
    // Names are those of the left side; a key there that the right side has elsewhere is none.
    const isSure = byName || (left.places !== undefined && left.places.size === places.size)
    return { isBucketed: true, keys: isSure ? keys : new Set(), ...(!byName && { places }) }
  }

  /** `filters`: what holds for every row of it that is left in the end. */
  function fromOf(
    node: SqlNode | null | undefined,
    ctes: ReadonlyMap<string, Given>,
    filters: SqlNode[] = [],
  ): From {
    const nothing: From = { isBucketed: false, relations: [], bare: new Set() }
    switch (node?.type) {
      case undefined:
      case 'EMPTY':
        return nothing
      case 'BASE_TABLE': {
        const name = low(node.table_name ?? '')
        const isQualified = Boolean(node.schema_name || node.catalog_name)
        const made = isQualified ? undefined : ctes.get(name)
        const key = made ? undefined : byTable.get(name)
        if (key !== undefined && isQualified)
          throw new NotBucketed(`${name} is divided: name it without its schema`, node.query_location)
        if (key !== undefined) read.add(name)
        return relation(
          node,
          made ?? (key === undefined ? WHOLE : { isBucketed: true, keys: new Set([key]) }),
          name,
        )
      }
      case 'SUBQUERY':
        return relation(node, query((node.subquery as { node: SqlNode }).node, ctes), '')
      case 'JOIN':
        return join(node, ctes, filters)
      default: {
        const found = expressionsIn(node)
        wholeSubqueries(found.subqueries, ctes)
        const source = node?.source === undefined ? nothing : fromOf(node.source as SqlNode, ctes)
        if (source.isBucketed || found.macros.length > 0)
          throw new NotBucketed(`${node?.type} of a divided table is not followed`, node?.query_location)
        return { ...nothing, relations: [{ alias: low(node?.alias ?? ''), keys: new Set() }] }
      }
    }
  }

  function relation(node: SqlNode, { isBucketed, keys }: Given, name: string): From {
    if (node.sample && isBucketed) throw new NotBucketed('a sample is of all rows', node.query_location)
    const isRenamed = ((node.column_name_alias as string[] | undefined) ?? []).length > 0
    const own = isRenamed ? new Set<string>() : new Set(keys)
    return { isBucketed, relations: [{ alias: low(node.alias || name), keys: own }], bare: new Set(own) }
  }

  function join(node: SqlNode, ctes: ReadonlyMap<string, Given>, filters: SqlNode[]): From {
    // An outer join makes rows that a condition of WHERE would not have had.
    const held = node.join_type === 'INNER' ? filters : []
    const left = fromOf(node.left as SqlNode, ctes, held)
    const right = fromOf(node.right as SqlNode, ctes, held)
    wholeSubqueries(expressionsIn(node.condition).subqueries, ctes)
    const kind = String(node.join_type)
    const relations = [...left.relations, ...right.relations]
    if (!left.isBucketed && !right.isBucketed) return { isBucketed: false, relations, bare: new Set() }
    const fault = (message: string) => new NotBucketed(message, placeOf(node))
    const [isOuter, isSemi] = [kind === 'FULL' || kind === 'OUTER', kind === 'SEMI' || kind === 'ANTI']
    if (node.ref_type === 'NATURAL' || node.ref_type === 'POSITIONAL')
      throw fault(`a ${node.ref_type} join of a divided table is not followed: write its condition`)
    const without = (side: From): Relation[] =>
      side.relations.map(({ alias }) => ({ alias, keys: new Set<string>() }))
    if (left.isBucketed !== right.isBucketed) {
      const kept = left.isBucketed
        ? kind === 'INNER' || kind === 'LEFT' || isSemi
        : kind === 'INNER' || kind === 'RIGHT'
      if (!kept)
        throw fault(
          `a ${kind} join keeps rows of a table that is whole in every bucket: give it a key, or turn the join round`,
        )
      const keyed = left.isBucketed ? left : right
      return { isBucketed: true, relations, bare: keyed.bare }
    }
    const using = ((node.using_columns as string[] | undefined) ?? []).map(low)
    const merged = using.filter(name => left.bare.has(name) && right.bare.has(name))
    const isJoined =
      merged.length > 0 ||
      [...held, ...conjuncts(node.condition as SqlNode | null)].some(
        each =>
          (each.type === 'COMPARE_EQUAL' || each.type === 'COMPARE_NOT_DISTINCT_FROM') &&
          [
            [each.left, each.right],
            [each.right, each.left],
          ].some(([a, b]) => isKey(a as SqlNode, left) && isKey(b as SqlNode, right)),
      )
    if (!isJoined) throw fault(`a join of two divided tables does not compare their keys (${keyNames})`)
    if (isSemi)
      return { isBucketed: true, relations: [...left.relations, ...without(right)], bare: left.bare }
    if (kind === 'LEFT')
      return { isBucketed: true, relations: [...left.relations, ...without(right)], bare: left.bare }
    if (kind === 'RIGHT')
      return { isBucketed: true, relations: [...without(left), ...right.relations], bare: right.bare }
    if (isOuter)
      return { isBucketed: true, relations: [...without(left), ...without(right)], bare: new Set(merged) }
    return { isBucketed: true, relations, bare: new Set([...left.bare, ...right.bare]) }
  }

  function wholeSubqueries(subqueries: SqlNode[], ctes: ReadonlyMap<string, Given>): void {
    for (const each of subqueries)
      if (query((each.subquery as { node: SqlNode }).node, ctes).isBucketed)
        throw new NotBucketed(
          'a subquery reads a divided table: write it as a join on the key',
          each.query_location,
        )
  }

  /** What of an expression matters, its subqueries unopened. */
  function expressionsIn(parts: unknown) {
    const found = {
      subqueries: [] as SqlNode[],
      windows: [] as SqlNode[],
      aggregates: [] as SqlNode[],
      macros: [] as SqlNode[],
      stars: [] as SqlNode[],
    }
    const visit = (node: unknown): void => {
      if (Array.isArray(node)) for (const each of node) visit(each)
      if (node === null || typeof node !== 'object' || Array.isArray(node)) return
      const own = node as SqlNode
      const name = low(String(own.function_name ?? ''))
      if (own.class === 'SUBQUERY') {
        found.subqueries.push(own)
        visit(own.child)
        return
      }
      if (own.class === 'STAR') found.stars.push(own)
      if (own.class === 'WINDOW') found.windows.push(own)
      else if (name && known.isAggregate(name)) found.aggregates.push(own)
      if (name && known.isOpaque(name)) found.macros.push(own)
      for (const each of Object.values(own)) visit(each)
    }
    visit(parts)
    return found
  }
}

const common = <T>(a: ReadonlySet<T>, b: ReadonlySet<T>) => new Set([...a].filter(each => b.has(each)))

const relationOf = ({ relations }: From, name: string) => relations.find(({ alias }) => alias === low(name))

/** Whether an expression is a column that holds a key of the bucket. */
function isKey(node: SqlNode, from: From): boolean {
  if (node?.class !== 'COLUMN_REF') return false
  const names = (node.column_names ?? []).map(low)
  const [first, second] = names as [string, string | undefined]
  if (names.length === 1) return from.bare.has(first)
  return names.length === 2 && relationOf(from, first)?.keys.has(second!) === true
}

function placeOf({ query_location, condition, right }: SqlNode): number | undefined {
  return [
    query_location,
    (condition as SqlNode | null)?.query_location,
    (right as SqlNode)?.query_location,
  ].find(at => at !== undefined && at <= Number.MAX_SAFE_INTEGER)
}
