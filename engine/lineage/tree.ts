import type { SqlNode } from '../sql/parse.ts'
import type { Known } from './known.ts'

/** Macros within macros; DuckDB's own limit is not far from it. */
export const MAX_DEPTH = 100

/** Functions that make rows of a list. */
export const UNNEST = ['unnest', 'unlist']

const COUNTS = ['count', 'count_star', 'count_if', 'countif', 'approx_count_distinct']
const QUESTIONS = [
  '~~',
  '!~~',
  '~~*',
  '!~~*',
  'regexp_matches',
  'regexp_full_match',
  'starts_with',
  'contains',
]
const ANSWERS = /^(COMPARE_|CONJUNCTION_|OPERATOR_(NOT|IS_NULL|IS_NOT_NULL)$)/

/** Whether an expression is a count, or yes or no: nothing of a value is in it. */
export function showsNothing({
  class: kind,
  type,
  function_name: name,
  subquery_type: asks,
}: SqlNode): boolean {
  if (kind === 'FUNCTION' || kind === 'WINDOW')
    return [...COUNTS, ...QUESTIONS].includes(String(name).toLowerCase())
  return kind === 'SUBQUERY' ? asks !== 'SCALAR' : kind === 'BETWEEN' || ANSWERS.test(String(type))
}

/** Whether an expression calls one of the functions, itself and not in a subquery. */
export function hasCall(node: unknown, names: string[]): boolean {
  if (Array.isArray(node)) return node.some(child => hasCall(child, names))
  if (node === null || typeof node !== 'object') return false
  const own = node as SqlNode
  if (own.class === 'SUBQUERY') return false
  if (own.class === 'FUNCTION' && names.includes(String(own.function_name).toLowerCase())) return true
  return Object.values(own).some(child => hasCall(child, names))
}

/** The parameters of a lambda: one name, or several in a row. */
export const parametersOf = (lhs: SqlNode): string[] =>
  lhs.class === 'COLUMN_REF'
    ? [lhs.column_names?.at(-1) ?? '']
    : ((lhs.children as SqlNode[] | undefined) ?? []).flatMap(parametersOf)

/** Whether an expression is an aggregate, itself or by a macro. */
export function hasAggregate(node: unknown, known: Known, depth = 0): boolean {
  if (Array.isArray(node)) return node.some(child => hasAggregate(child, known, depth))
  if (node === null || typeof node !== 'object' || depth > MAX_DEPTH) return false
  const own = node as SqlNode
  if (own.class === 'SUBQUERY' || own.class === 'WINDOW') return false
  if (own.class === 'FUNCTION') {
    const name = String(own.function_name).toLowerCase()
    if (known.isAggregate(name)) return true
    if (known.macro(name)?.some(({ node }) => hasAggregate(node.select_list, known, depth + 1))) return true
  }
  return Object.values(own).some(child => hasAggregate(child, known, depth))
}
