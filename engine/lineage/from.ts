import type { SqlNode } from '../sql/parse.ts'
import { none, type Refs, union } from './refs.ts'
import { columnOf, type From, type LineageColumn, same, wholeRow } from './scope.ts'

interface JoinContext {
  left: From
  /** The other side, which may name columns of this one. */
  right(left: From): From
  refs(condition: unknown, from: From): Refs
  mention(refs: Refs): void
}

/** A join: the columns of both sides, those of USING once; its condition decides about rows. */
export function joined(node: SqlNode, { left, right: other, refs, mention }: JoinContext): From {
  const right = other(left)
  const relations = [...left.relations, ...right.relations]
  const isNatural = node.ref_type === 'NATURAL'
  const using = isNatural
    ? left.columns
        .filter(({ name }) => right.columns.some(column => same(column.name, name)))
        .map(({ name }) => name)
    : ((node.using_columns as string[] | undefined) ?? [])
  const isUsed = (name: string) => using.some(each => same(each, name))
  const onBoth = using.map(name =>
    union(columnOf(left.columns, name) ?? none, columnOf(right.columns, name) ?? none),
  )
  // Of two sides whose columns are not known, any may be joined.
  const unknown = isNatural && [...left.columns, ...right.columns].some(({ spread }) => spread)
  const compared = unknown ? union(wholeRow(left), wholeRow(right)) : union(...onBoth)
  if (!isNatural) mention(compared)
  const kind = String(node.join_type)
  const merged = (column: LineageColumn): LineageColumn => {
    if (!isUsed(column.name)) return column
    const there = columnOf(right.columns, column.name) ?? none
    const from =
      kind === 'OUTER' || kind === 'FULL' ? union(column.from, there) : kind === 'RIGHT' ? there : column.from
    return { ...column, from }
  }
  const both = { relations, columns: [...left.columns, ...right.columns], rows: none }
  const rows = union(left.rows, right.rows, compared, refs(node.condition, both))
  if (kind === 'SEMI' || kind === 'ANTI') return { ...left, rows }
  return {
    relations,
    columns: [...left.columns.map(merged), ...right.columns.filter(({ name }) => !isUsed(name))],
    rows,
  }
}

interface PivotContext {
  refs(expression: unknown): Refs
  mention(refs: Refs): void
}

interface PivotColumn {
  pivot_expressions?: SqlNode[]
  unpivot_names?: string[]
  entries?: { values?: { value?: unknown }[]; star_expr?: SqlNode; expr?: SqlNode }[]
}

/** What PIVOT and UNPIVOT give; columns that are named after values stand together. */
export function fromPivot(
  node: SqlNode,
  source: From,
  { refs, mention }: PivotContext,
): { columns: LineageColumn[]; rows: Refs } {
  const pivots = (node.pivots as PivotColumn[] | undefined) ?? []
  const aggregates = (node.aggregates as SqlNode[] | undefined) ?? []
  const entries = pivots.flatMap(({ entries = [] }) => entries)
  if (aggregates.length === 0) return unpivoted(node, pivots, entries)
  const spread = union(refs(aggregates), ...pivots.map(({ pivot_expressions }) => refs(pivot_expressions)))
  const groups = (node.groups as string[] | undefined) ?? []
  const kept = groups.length
    ? groups.map(name => ({ name, from: columnOf(source.columns, name) ?? none }))
    : source.columns.filter(({ from }) => [...from].some(each => !spread.has(each)) || from.size === 0)
  if (groups.length) mention(wholeRow({ columns: kept }))
  return {
    columns: [...kept, { name: '*', from: spread, spread: 'yes' }],
    rows: union(source.rows, wholeRow({ columns: kept })),
  }

  function unpivoted(node: SqlNode, pivots: PivotColumn[], entries: NonNullable<PivotColumn['entries']>) {
    const named = entries.flatMap(({ values = [] }) => values.map(({ value }) => String(value)))
    const starred = entries.some(({ star_expr, expr }) => star_expr ?? expr)
    const isTurned = ({ name }: LineageColumn) => named.some(each => same(each, name))
    const turned = starred ? source.columns : source.columns.filter(isTurned)
    const values = union(
      ...(starred ? entries.map(({ star_expr, expr }) => refs(star_expr ?? expr)) : []),
      wholeRow({ columns: starred ? [] : turned }),
    )
    mention(values)
    const rest = starred
      ? source.columns.filter(({ from }) => [...from].some(each => !values.has(each)))
      : source.columns.filter(column => !isTurned(column))
    const names = pivots.flatMap(({ unpivot_names = [] }) => unpivot_names)
    const valueNames = (node.unpivot_names as string[] | undefined) ?? []
    return {
      columns: [
        ...rest,
        ...names.map((name): LineageColumn => ({ name, from: none })),
        ...valueNames.map((name): LineageColumn => ({ name, from: values })),
      ],
      // A value that is NULL gives no row.
      rows: union(source.rows, values),
    }
  }
}
