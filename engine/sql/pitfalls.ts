import type { SqlNode } from './parse.ts'

/** What is allowed in an expression, and seldom does what was meant. */
export interface Pitfall {
  node: SqlNode
  message: string
  hint: string
}

/** Of a column: its type, and how it is written; undefined of anything else, and of what is not known. */
export type ColumnOf = (node: SqlNode) => { type: string; shown: string } | undefined

const isColumn = ({ type }: SqlNode) => type === 'COLUMN_REF'
/** A literal's value; undefined of what is none. */
function literal({ type, value }: SqlNode): unknown {
  if (type !== 'VALUE_CONSTANT') return undefined
  const found = value as { is_null: boolean; value?: unknown }
  return found.is_null ? null : found.value
}

/** Functions that give another answer for other orders of the same rows. */
const ORDERED = ['first', 'last', 'arbitrary', 'string_agg', 'listagg', 'group_concat', 'list', 'array_agg']
const WINDOWS =
  /^WINDOW_(RANK|RANK_DENSE|LEAD|LAG|FIRST_VALUE|LAST_VALUE|NTH_VALUE|NTILE|PERCENT_RANK|CUME_DIST)$/

/** What one node of an expression does, and seldom should. */
export function pitfallOf(node: SqlNode, columnOf: ColumnOf): Pitfall | undefined {
  const children = (node.children as SqlNode[] | undefined) ?? []
  const name = node.function_name?.toLowerCase() ?? ''
  if (WINDOWS.test(node.type ?? '') && isUnordered(node))
    return {
      node,
      message: 'a window without ORDER BY has its rows in another order each time',
      hint: 'Write OVER (PARTITION BY … ORDER BY …), by columns that no two rows have the same of.',
    }
  if (node.type === 'FUNCTION' && ORDERED.includes(name) && isUnorderedCall(node))
    return {
      node,
      message: `${name}() without ORDER BY takes the rows in another order each time`,
      hint: `Write ${name}(… ORDER BY …), by columns that no two rows have the same of.`,
    }
  if (node.type === 'FUNCTION' && (name === '/' || name === '//' || name === '%') && isZero(children[1]))
    return {
      node,
      message: name === '/' ? 'a division by zero is infinity, or NaN' : `${name} 0 is NULL`,
      hint: 'Write a / nullif(b, 0): NULL where b is 0.',
    }
  if (/^(substr|substring)$/.test(name) && children[1] && literal(children[1]) === 0)
    return {
      node,
      message: `${name}() counts from 1: from 0 it gives a character less`,
      hint: `Write ${name}(…, 1, …).`,
    }
  const pattern = /^(~~|!~~|~~\*|!~~\*)$/.test(name) && children[1] ? literal(children[1]) : undefined
  if (typeof pattern === 'string' && /[*?]/.test(pattern) && !/[%_]/.test(pattern))
    return {
      node,
      message: `LIKE takes * and ? as they are: only '${pattern}' itself is found`,
      hint: `Write '${pattern.replaceAll('*', '%').replaceAll('?', '_')}'; or GLOB in place of LIKE.`,
    }
  if (node.type === 'COMPARE_IN' || node.type === 'COMPARE_NOT_IN') {
    const none = children.slice(1).find(child => literal(child) === null)
    if (none)
      return {
        node,
        message:
          node.type === 'COMPARE_IN'
            ? 'NULL in a list is found by no row'
            : 'NOT IN a list with NULL is never true',
        hint: 'Take NULL out of the list, and write OR … IS NULL where such rows are meant.',
      }
  }
  if (node.type === 'CONJUNCTION_AND' || node.type === 'CONJUNCTION_OR') {
    const [wrong] = children.flatMap(child => notBoolean(child, columnOf) ?? [])
    if (wrong) return wrong
  }
  return undefined
}

/** A column that stands for a condition and is none. */
export function notBoolean(node: SqlNode, columnOf: ColumnOf): Pitfall | undefined {
  const column = isColumn(node) ? columnOf(node) : undefined
  if (!column || column.type === 'BOOLEAN') return undefined
  return {
    node,
    message: `${column.shown} is ${column.type} and stands for a condition: each value is cast to BOOLEAN, and one that is none fails the run`,
    hint: `Compare it with something: ${column.shown} = …, or ${column.shown} IS NOT NULL.`,
  }
}

const isUnordered = ({ orders, arg_orders }: SqlNode) =>
  [orders, arg_orders].every(list => ((list as unknown[] | undefined) ?? []).length === 0)

const isUnorderedCall = ({ order_bys: modifier }: SqlNode) =>
  (((modifier as SqlNode | null)?.orders as unknown[] | undefined) ?? []).length === 0

const isZero = (node: SqlNode | undefined) => node !== undefined && Number(literal(node) ?? Number.NaN) === 0

/** Conditions of a WHERE that undo a LEFT JOIN: rows without a partner have NULL there, and no comparison is true of it. */
export function undoneJoins(conditions: SqlNode[], left: ReadonlySet<string>): Pitfall[] {
  return conditions.flatMap(node => {
    if (
      node.class !== 'COMPARISON' ||
      node.type === 'COMPARE_DISTINCT_FROM' ||
      node.type === 'COMPARE_NOT_DISTINCT_FROM'
    )
      return []
    const column = [node.left, node.right].find(
      side => isColumn(side as SqlNode) && (side as SqlNode).column_names!.length > 1,
    ) as SqlNode | undefined
    const alias = column?.column_names?.[0]
    if (alias === undefined || !left.has(alias.toLowerCase())) return []
    return [
      {
        node,
        message: `the LEFT JOIN is undone: rows without a partner have NULL in ${column!.column_names!.join('.')}, and are left out`,
        hint: `Move the condition into the join's ON, or write JOIN in place of LEFT JOIN.`,
      },
    ]
  })
}
