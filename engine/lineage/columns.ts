import type { SqlNode } from '../sql/parse.ts'
import { none, type Refs, union } from './refs.ts'
import { columnOf, type From, type LineageColumn, outermost, relationOf, resolve, wholeRow } from './scope.ts'

/** The first `*` or `COLUMNS(…)` of an expression that makes columns of it; within a function that takes all of them, none does. */
export function starIn(node: unknown): SqlNode | undefined {
  if (Array.isArray(node)) {
    for (const child of node) {
      const found = starIn(child)
      if (found) return found
    }
    return undefined
  }
  if (node === null || typeof node !== 'object') return undefined
  const own = node as SqlNode
  if (own.class === 'STAR') return own
  if (own.class === 'SUBQUERY' || own.type === 'OPERATOR_UNPACK') return undefined
  return starIn(Object.values(own))
}

interface StarContext {
  /** What the expression around it is made of. */
  others: Refs
  refs(node: SqlNode): Refs
  mention(refs: Refs): void
  alias?: string
}

/** The columns that `*`, `t.*`, `* EXCLUDE …`, `COLUMNS(…)` stand for. */
export function expandStar(star: SqlNode, from: From, context: StarContext): LineageColumn[] {
  const { others, refs, mention, alias } = context
  const qualifier = star.relation_name as string | undefined
  const relation = qualifier ? relationOf(from, qualifier) : undefined
  // `s.*` of a column that is a struct: its fields.
  if (qualifier && !relation) {
    const whole = resolve({ ...outermost, from }, [qualifier])
    mention(whole)
    return [{ name: '*', from: union(whole, others), spread: 'yes' }]
  }
  const excluded = [
    ...((star.exclude_list as string[] | undefined) ?? []),
    ...((star.qualified_exclude_list as { column: string }[] | undefined) ?? []).map(({ column }) => column),
  ].map(name => name.toLowerCase())
  const replaced = new Map(
    ((star.replace_list as { key: string; value: SqlNode }[] | undefined) ?? []).map(({ key, value }) => [
      key.toLowerCase(),
      refs(value),
    ]),
  )
  const names = new Map(
    ((star.rename_list as { key: { column: string }; value: string }[] | undefined) ?? []).map(
      ({ key, value }) => [key.column.toLowerCase(), value],
    ),
  )
  const columns = relation?.columns ?? from.columns
  for (const name of [...excluded, ...replaced.keys(), ...names.keys()])
    mention(columnOf(columns, name) ?? none)
  const all = columns
    .filter(({ name, spread }) => spread === 'yes' || !excluded.includes(name.toLowerCase()))
    .map((column): LineageColumn => {
      const name = column.name.toLowerCase()
      const { spread, byName } = column
      return {
        name: names.get(name) ?? column.name,
        from: union(replaced.get(name) ?? column.from, others),
        ...(spread && { spread }),
        ...(byName && { byName }),
      }
    })
  // They are chosen by the names that they have in the table.
  const found = star.columns && star.expr ? chosen(star.expr as SqlNode, all, mention) : all
  return alias === undefined ? found : found.map(column => ({ ...column, name: alias }))
}

/** `COLUMNS('pattern')`, of a list of names, of a lambda: one column each, where it can be told which those are. */
function chosen(expr: SqlNode, all: LineageColumn[], mention: (refs: Refs) => void): LineageColumn[] {
  const { value } = (expr.value ?? {}) as { value?: unknown }
  if (expr.type === 'VALUE_CONSTANT' && typeof value === 'string' && !all.some(({ spread }) => spread)) {
    try {
      const pattern = new RegExp(value)
      return all.filter(({ name }) => pattern.test(name))
    } catch {
      // RE2 has what RegExp has not.
    }
  }
  const names = ((expr.children as SqlNode[] | undefined) ?? []).map(
    child => (child.value as { value?: unknown } | undefined)?.value,
  )
  if (expr.function_name === 'list_value' && names.every(name => typeof name === 'string')) {
    const found = names.map(name => ({ name, from: columnOf(all, name) ?? none }))
    mention(wholeRow({ columns: found }))
    return found
  }
  return [{ name: '*', from: wholeRow({ columns: all }), spread: 'yes', byName: name => columnOf(all, name) }]
}

/** What `1`, or `ALL`, means in GROUP BY and ORDER BY; undefined of another expression. */
export function columnList(node: SqlNode, columns: LineageColumn[]): Refs | undefined {
  if (node.class === 'STAR') return wholeRow({ columns })
  const { value } = (node.value ?? {}) as { value?: unknown }
  return node.type === 'VALUE_CONSTANT' && typeof value === 'number' ? columns[value - 1]?.from : undefined
}
