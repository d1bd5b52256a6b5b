import { outputName, type SqlNode } from './parse.ts'
import type { Pitfall } from './pitfalls.ts'

/** Unions and the like, by position, of queries that name the same columns in another order. */
export function crossedColumns(node: unknown): Pitfall[] {
  if (node === null || typeof node !== 'object') return []
  const own = node as SqlNode
  const below = Object.values(own).flatMap(crossedColumns)
  if (own.type !== 'SET_OPERATION_NODE' || !/^(UNION|EXCEPT|INTERSECT)$/.test(String(own.setop_type)))
    return below
  const [one, other] = [firstSelect(own.left as SqlNode), firstSelect(own.right as SqlNode)]
  const crossed = one && other && crossedIn(one, other)
  return crossed ? [...below, crossed] : below
}

/** The query that names a result's columns. */
const firstSelect = (node: SqlNode): SqlNode | undefined =>
  node.type === 'SELECT_NODE'
    ? node
    : node.type === 'SET_OPERATION_NODE'
      ? firstSelect(node.left as SqlNode)
      : undefined

const namesOf = ({ select_list: list }: SqlNode) =>
  ((list as SqlNode[] | undefined) ?? []).map(output =>
    output.type === 'STAR' ? '*' : (outputName(output) ?? '').toLowerCase(),
  )

function crossedIn(one: SqlNode, other: SqlNode): Pitfall | undefined {
  const [names, others] = [namesOf(one), namesOf(other)]
  if (names.includes('*') || others.includes('*')) return undefined
  const tables = [one, other].map(({ from_table }) => (from_table as SqlNode)?.table_name)
  // The two directions of a pair are both meant.
  if (tables[0] !== undefined && tables[0] === tables[1]) return undefined
  const at = others.findIndex((name, index) => {
    const from = name ? names.indexOf(name) : -1
    // Where two columns have changed places.
    return from >= 0 && from !== index && names.includes(others[from] ?? '') && others[from] !== name
  })
  if (at < 0) return undefined
  return {
    node: (other.select_list as SqlNode[])[at]!,
    message: `${others[at]} goes into the column ${names[at]}: columns are paired by their order, not by their names`,
    hint: 'Write them in one order, or UNION ALL BY NAME.',
  }
}
