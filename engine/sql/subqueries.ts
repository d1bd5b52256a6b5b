import type { Known } from './fanOut.ts'
import { conjuncts, nodeOf, outputName, type Query, type SqlNode } from './parse.ts'
import type { Pitfall } from './pitfalls.ts'
import { nodesIn, type Side, sidesBelow } from './selects.ts'

/** Where a subquery stands. */
export interface Around {
  /** What the query around it reads. */
  sides: readonly Side[]
  /** Names of the CTEs in its scope, in small letters. */
  ctes: ReadonlySet<string>
  known: Known
  /** Models and their queries. */
  queries: ReadonlyMap<string, Query>
}

const aliased = (sides: readonly Side[], alias: string) =>
  sides.find(side => side.alias === alias.toLowerCase())

/** What a subquery in an expression seldom should do. */
export function subqueryPitfall(node: SqlNode, around: Around): Pitfall | undefined {
  if (node.type === 'OPERATOR_NOT') {
    const [inner] = node.children as SqlNode[]
    return inner?.type === 'SUBQUERY' &&
      inner.subquery_type === 'ANY' &&
      inner.comparison_type === 'COMPARE_EQUAL'
      ? notIn(inner, around)
      : undefined
  }
  if (node.type !== 'SUBQUERY') return undefined
  if (node.subquery_type === 'ANY') return ownColumn(node, around)
  if (node.subquery_type === 'SCALAR') return manyRows(node, around)
  return undefined
}

const selectOf = (subquery: SqlNode): SqlNode | undefined => {
  const { node } = subquery.subquery as { node: SqlNode }
  return node.type === 'SELECT_NODE' ? node : undefined
}
const outputsOf = ({ select_list: list }: SqlNode) => (list as SqlNode[] | undefined) ?? []
const sidesOf = (select: SqlNode, { ctes, known }: Around): Side[] =>
  sidesBelow(select.from_table as SqlNode, ctes, [...known.columns.keys()])

/** One NULL among what NOT IN looks through, and it is true of no row. */
function notIn(subquery: SqlNode, around: Around): Pitfall | undefined {
  const select = selectOf(subquery)
  const [output] = select ? outputsOf(select) : []
  if (!select || !output) return undefined
  const isNull = output.type === 'VALUE_CONSTANT' && (output.value as { is_null: boolean }).is_null
  if (!isNull && !mayBeNull(output, select, around)) return undefined
  const named = output.column_names?.join('.')
  return {
    node: subquery,
    message: isNull
      ? 'NOT IN is never true of a list with NULL'
      : `NOT IN finds no row at all as soon as one ${named} is NULL`,
    hint: named
      ? `Add WHERE ${named} IS NOT NULL to the subquery, or write NOT EXISTS (SELECT … WHERE ${named} = …).`
      : 'Take NULL out of it.',
  }
}

/** How many queries deep it is looked up where a column comes from. */
const DEPTH = 20

/** Whether a column of a query is one of an extract's or a seed's that may hold NULL; not of what nobody knows. */
function mayBeNull(column: SqlNode, select: SqlNode, around: Around, depth = 0): boolean {
  if (column.type !== 'COLUMN_REF' || depth > DEPTH) return false
  const { known, queries } = around
  const [first, second] = column.column_names!
  const name = (second ?? first!).toLowerCase()
  const has = ({ table }: Side) =>
    table !== undefined && known.columns.get(table)!.some(each => each.name.toLowerCase() === name)
  const sides = sidesOf(select, around)
  if (sides.some(({ table }) => table === undefined)) return false
  const owners = second === undefined ? sides.filter(has) : [aliased(sides, first!)]
  const [owner] = owners
  if (owners.length !== 1 || !owner?.table || !has(owner)) return false
  const conditions = [
    ...conjuncts(select.where_clause as SqlNode),
    ...conditionsOf(select.from_table as SqlNode),
  ]
  if (conditions.some(condition => isStrict(condition, name))) return false
  const { table } = owner
  if (known.present?.get(table)?.has(name)) return false
  const rows = known.rows?.get(table)
  if (rows)
    return rows.some(row =>
      Object.entries(row).some(([key, value]) => key.toLowerCase() === name && value === null),
    )
  const query = queries.get(table)
  // An extract's: all but its key may be.
  if (!query) return !known.keys.get(table)?.some(key => key.toLowerCase() === name)
  const node = nodeOf(query.tree)
  if (node.type !== 'SELECT_NODE' || known.keys.get(table)?.some(key => key.toLowerCase() === name))
    return false
  const output = outputsOf(node).find(each => outputName(each)?.toLowerCase() === name)
  const ctes = new Set((node.cte_map?.map ?? []).map(({ key }) => key.toLowerCase()))
  return output !== undefined && mayBeNull(output, node, { ...around, ctes }, depth + 1)
}

const conditionsOf = (from: SqlNode | undefined): SqlNode[] =>
  from?.type === 'JOIN'
    ? [
        ...(from.join_type === 'INNER' ? conjuncts(from.condition as SqlNode) : []),
        ...((from.using_columns as string[] | undefined) ?? []).map(name => ({
          type: 'OPERATOR_IS_NOT_NULL',
          children: [{ type: 'COLUMN_REF', column_names: [name] }],
        })),
        ...[from.left, from.right].flatMap(each => conditionsOf(each as SqlNode)),
      ]
    : []

/** Whether a condition is true only where a column is not NULL. */
function isStrict(condition: SqlNode, name: string): boolean {
  if (/^(OPERATOR_IS_NULL|CONJUNCTION_OR|COMPARE_(NOT_)?DISTINCT_FROM|CASE_EXPR)$/.test(condition.type ?? ''))
    return false
  return [...nodesIn(condition)].some(
    ({ type, column_names: names }) => type === 'COLUMN_REF' && names!.at(-1)!.toLowerCase() === name,
  )
}

/** A subquery that gives a column of the query around it: each row finds itself. */
function ownColumn(subquery: SqlNode, around: Around): Pitfall | undefined {
  const select = selectOf(subquery)
  const [output] = select ? outputsOf(select) : []
  if (!select || output?.type !== 'COLUMN_REF') return undefined
  const inner = sidesOf(select, around)
  const [first, second] = output.column_names!
  const has = ({ table }: Side, name: string) =>
    around.known.columns.get(table!)!.some(column => column.name.toLowerCase() === name.toLowerCase())
  if (inner.length === 0 || inner.some(({ table }) => table === undefined)) return undefined
  const isInner = second === undefined ? inner.some(side => has(side, first!)) : aliased(inner, first!)
  if (isInner) return undefined
  const outer =
    second === undefined
      ? around.sides.find(side => side.table !== undefined && has(side, first!))
      : aliased(around.sides, first!)
  if (!outer) return undefined
  const tables = inner.map(({ table }) => table).join(', ')
  return {
    node: output,
    message: `${tables} has no column ${second ?? first}: it is that of ${outer.alias}, so each row finds itself`,
    hint: `Its columns: ${around.known.columns
      .get(inner[0]!.table!)!
      .map(({ name }) => name)
      .join(', ')}.`,
  }
}

/** A subquery that stands for one value, and gives a row for each of a table. */
function manyRows(subquery: SqlNode, around: Around): Pitfall | undefined {
  const select = selectOf(subquery)
  if (!select || select.where_clause || select.qualify || (select.group_expressions as unknown[])?.length > 0)
    return undefined
  if (((select.modifiers as unknown[] | undefined) ?? []).length > 0) return undefined
  const [side, ...more] = sidesOf(select, around)
  const [output] = outputsOf(select)
  const { table } = side ?? {}
  if (output?.type !== 'COLUMN_REF' || more.length > 0 || table === undefined || around.queries.has(table))
    return undefined
  const rows = around.known.rows?.get(table)
  if (rows && rows.length < 2) return undefined
  return {
    node: subquery,
    message: `one value is wanted, and ${table} gives one for each of its rows: with two of them, the run fails`,
    hint: 'Write max(…), or WHERE … for the one row that is meant.',
  }
}
