import { conjuncts, type SqlNode } from './parse.ts'
import type { Pitfall } from './pitfalls.ts'
import { nodesIn, type Side } from './selects.ts'

interface Joined extends Side {
  node: SqlNode
}

/** How joins are looked at. */
export interface Joining {
  /** What each node of a FROM, which is no join, stands for. */
  sideOf: (node: SqlNode) => Side
  /** The side of a column; undefined where it is not known. */
  ownerOf: (column: SqlNode) => string | undefined
  /** Whether a table has one row at the most. */
  isSingle: (table: string) => boolean
  /** Whether CROSS JOIN is written: it is meant, then. */
  isCrossed: boolean
}

/** Joins that pair rows by nothing that is of both sides, or by what nobody has written. */
export function joinPitfalls(select: SqlNode, joining: Joining): Pitfall[] {
  const sides: Joined[] = []
  const conditions = conjuncts(select.where_clause as SqlNode)
  const found: Pitfall[] = []
  /** Sides that belong together, by the first of them. */
  const group = new Map<string, string>()
  const rootOf = (alias: string): string => {
    const up = group.get(alias)
    return up === undefined || up === alias ? alias : rootOf(up)
  }
  const tie = (aliases: Iterable<string>) => {
    const [first, ...rest] = aliases
    for (const each of rest) group.set(rootOf(each), rootOf(first!))
  }
  /** Joins whose condition says nothing of two sides. */
  let isWanted = true
  const collect = (node: SqlNode): Joined[] => {
    if (node?.type !== 'JOIN') {
      const side = { ...joining.sideOf(node), node }
      sides.push(side)
      return [side]
    }
    const [left, right] = [collect(node.left as SqlNode), collect(node.right as SqlNode)]
    const { ref_type: kind } = node
    const [one] = right
    if (kind === 'NATURAL')
      found.push({
        node: node.right as SqlNode,
        message:
          'NATURAL JOIN joins by every name that both have: a new column in a source makes it another join',
        hint: 'Say by what: JOIN … USING (column).',
      })
    if (kind === 'POSITIONAL')
      found.push({
        node: node.right as SqlNode,
        message: 'POSITIONAL JOIN pairs rows by their order, and tables have none',
        hint: 'Say by what: JOIN … USING (column).',
      })
    const using = ((node.using_columns as string[] | undefined) ?? []).length > 0
    const own = conjuncts(node.condition as SqlNode)
    const isConstant =
      own.length > 0 && own.every(each => ![...nodesIn(each)].some(({ type }) => type === 'COLUMN_REF'))
    const isSeen = kind === 'REGULAR' || (kind === 'CROSS' && !joining.isCrossed)
    if (using || isConstant || !isSeen) tie([...left, ...right].map(({ alias }) => alias))
    if (!one?.table) isWanted = false
    conditions.push(...own)
    return [...left, ...right]
  }
  collect(select.from_table as SqlNode)
  if (sides.length < 2 || !isWanted || sides.some(({ table }) => table === undefined)) return found
  // Without any condition all are joined with all, which is told of CROSS joins elsewhere.
  if (conditions.length === 0) return found
  for (const condition of conditions) {
    const nodes = [...nodesIn(condition)]
    // What a subquery asks of the rows around it is not looked into.
    if (nodes.some(({ type }) => type === 'SUBQUERY')) return found
    const owners = nodes.filter(({ type }) => type === 'COLUMN_REF').map(joining.ownerOf)
    if (owners.some(owner => owner === undefined)) return found
    tie(new Set(owners as string[]))
  }
  const [first] = sides
  const apart = sides.find(
    ({ alias, table }) => rootOf(alias) !== rootOf(first!.alias) && !joining.isSingle(table!),
  )
  if (apart && !joining.isSingle(first!.table!))
    found.push({
      node: apart.node,
      message: `every row is joined with every row of ${apart.table}: no condition is of it and of another table`,
      hint: `Say which belong together: JOIN ${apart.table} ON ${apart.alias}.… = ${first!.alias}.…; or write CROSS JOIN.`,
    })
  return found
}
