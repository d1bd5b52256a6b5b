import type { Described } from './checkColumns.ts'
import type { SqlNode } from './parse.ts'
import { charactersIn } from './text.ts'

/** Every SELECT of a tree with the names of the CTEs in its scope. */
export function* selectsIn(
  node: unknown,
  ctes: ReadonlySet<string> = new Set(),
): Generator<{ node: SqlNode; ctes: ReadonlySet<string> }> {
  if (node === null || typeof node !== 'object') return
  const own = node as SqlNode
  const inner = new Set([...ctes, ...(own.cte_map?.map ?? []).map(({ key }) => key.toLowerCase())])
  if (own.type === 'SELECT_NODE') yield { node: own, ctes: inner }
  for (const child of Object.values(own)) yield* selectsIn(child, inner)
}

/** The nodes of an expression, and of no query within it. */
export function* nodesIn(node: unknown): Generator<SqlNode> {
  if (node === null || typeof node !== 'object') return
  const own = node as SqlNode
  if (own.type === 'SELECT_NODE' || own.type === 'SET_OPERATION_NODE') return
  if (own.type) yield own
  for (const child of Object.values(own)) yield* nodesIn(child)
}

/** What a FROM names. */
export interface Side {
  /** In small letters. */
  alias: string
  /** Undefined of what is no table of the job's. */
  table?: string
}

/** What one node of a FROM, which is no join, stands for. */
export function sideOf(node: SqlNode, ctes: ReadonlySet<string>, tables: readonly string[]): Side {
  const name = node.table_name ?? ''
  const alias = (node.alias || name).toLowerCase()
  if (node.type !== 'BASE_TABLE' || ctes.has(name.toLowerCase())) return { alias }
  const table = tables.find(each => each.toLowerCase() === name.toLowerCase())
  return { alias, ...(table !== undefined && { table }) }
}

/** All that a FROM names. */
export const sidesBelow = (node: SqlNode, ctes: ReadonlySet<string>, tables: readonly string[]): Side[] =>
  node?.type === 'JOIN'
    ? [node.left, node.right].flatMap(each => sidesBelow(each as SqlNode, ctes, tables))
    : [sideOf(node, ctes, tables)]

/** The tables that the SELECT reads which names a column at a character; undefined where not all of their columns are known. */
export function tablesAt(
  tree: SqlNode,
  sql: string,
  at: number,
  columns: ReadonlyMap<string, Described[]>,
): (Side & { table: string })[] | undefined {
  const names = ({ query_location: place }: SqlNode) =>
    place !== undefined && place <= sql.length * 4 && charactersIn(sql, place) === at
  for (const { node, ctes } of selectsIn(tree)) {
    const { cte_map: _, from_table, ...parts } = node
    if (![...nodesIn({ ...parts, type: undefined, from_table })].some(names)) continue
    const sides = sidesBelow(from_table as SqlNode, ctes, [...columns.keys()])
    return sides.every(({ table }) => table !== undefined)
      ? (sides as (Side & { table: string })[])
      : undefined
  }
  return undefined
}
