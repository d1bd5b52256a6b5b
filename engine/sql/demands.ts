import type { SqlNode } from './parse.ts'
import type { ColumnOf } from './pitfalls.ts'
import {
  between,
  both,
  either,
  isEmpty,
  isOneKind,
  NOT_NULL,
  NOTHING,
  NULL_ONLY,
  points,
  type Value,
  type ValueSet,
  without,
} from './valueSet.ts'

/** What a condition asks of one expression: the values for which it is true, and for which false. */
export interface Demand {
  node: SqlNode
  subject: SqlNode
  key: string
  whenTrue: ValueSet
  whenFalse: ValueSet
}

/** What is known where a condition stands. */
export interface Scope {
  columnOf: ColumnOf
  /** Columns of each row, by how a message names them: `orders.note`. */
  nameOf: (column: SqlNode) => string
  /** Rows are grouped: there is one in each group. */
  isGrouped: boolean
  isNeverNull: (column: SqlNode) => boolean
}

/** What functions give, all but NULL. */
const GIVEN: [name: RegExp, least: number, most?: number][] = [
  [
    /^(length|len|strlen|char(acter)?_length|octet_length|abs|strpos|instr|levenshtein|count|count_star|count_if)$/,
    0,
  ],
  [/^(row_number|rank|dense_rank|ntile)$/, 1],
]
/** The same of parts of a day or a time; those of an interval have no such bounds. */
const PARTS: typeof GIVEN = [
  [/^(dow|dayofweek|weekday)$/, 0, 6],
  [/^isodow$/, 1, 7],
  [/^month$/, 1, 12],
  [/^(day|dayofmonth)$/, 1, 31],
  [/^(doy|dayofyear)$/, 1, 366],
  [/^quarter$/, 1, 4],
  [/^hour$/, 0, 23],
  [/^(minute|second)$/, 0, 59],
]

/** Functions whose value is another for each row, whatever they are given. */
const RANDOM = /^(random|uuid|uuidv4|uuidv7|gen_random_uuid|nextval|currval)$/
const OPPOSITE = { true: 1, false: 0 }

/** Conditions beyond which nobody has written them, and they are not looked into. */
export const MAX_CONDITIONS = 200

/** What a condition asks of one expression; undefined of what asks of several, or of what is not understood. */
export function demandOf(node: SqlNode, scope: Scope): Demand | undefined {
  const children = (node.children as SqlNode[] | undefined) ?? []
  const of = (
    subject: SqlNode,
    whenTrue: ValueSet,
    whenFalse = without(NOT_NULL, whenTrue),
  ): Demand | undefined => {
    const key = keyOf(subject, scope)
    return key === undefined ? undefined : { node, subject, key, whenTrue, whenFalse }
  }
  switch (node.type) {
    case 'OPERATOR_IS_NULL':
      return of(children[0]!, NULL_ONLY, NOT_NULL)
    case 'OPERATOR_IS_NOT_NULL':
      return of(children[0]!, NOT_NULL, NULL_ONLY)
    case 'OPERATOR_NOT': {
      const inner = demandOf(children[0]!, scope)
      return inner && { ...inner, node, whenTrue: inner.whenFalse, whenFalse: inner.whenTrue }
    }
    case 'CONJUNCTION_AND':
    case 'CONJUNCTION_OR': {
      if (children.length > MAX_CONDITIONS) return undefined
      const [first, ...rest] = children.map(child => demandOf(child, scope))
      const isAnd = node.type === 'CONJUNCTION_AND'
      return rest.reduce(
        (one, other) =>
          one &&
          other &&
          one.key === other.key &&
          isOneKind(one.whenTrue, other.whenTrue, one.whenFalse, other.whenFalse)
            ? {
                subject: one.subject,
                key: one.key,
                node,
                whenTrue: (isAnd ? both : either)(one.whenTrue, other.whenTrue),
                whenFalse: (isAnd ? either : both)(one.whenFalse, other.whenFalse),
              }
            : undefined,
        first,
      )
    }
    case 'COMPARE_IN':
    case 'COMPARE_NOT_IN': {
      const [subject, ...list] = children
      const values = list.map(each => valueIn(each, subject!, scope))
      if (values.some(value => value === undefined)) return undefined
      if (new Set(values.map(value => typeof value)).size > 1) return undefined
      const inside = points(values as Value[])
      const outside = without(NOT_NULL, inside)
      return node.type === 'COMPARE_IN' ? of(subject!, inside, outside) : of(subject!, outside, inside)
    }
    case 'COMPARE_BETWEEN': {
      const subject = node.input as SqlNode
      const [least, most] = [node.lower, node.upper].map(each => valueIn(each as SqlNode, subject, scope))
      if (least === undefined || most === undefined || typeof least !== typeof most) return undefined
      return of(subject, between(least, most))
    }
    case 'COLUMN_REF':
    case 'FUNCTION':
      // True is 1.
      return of(node, between(1, 1), between(0, 0))
  }
  if (node.class !== 'COMPARISON') return undefined
  const [left, right] = [node.left as SqlNode, node.right as SqlNode]
  if (constantOf(node) !== undefined) return undefined
  if (isItself(node, scope)) {
    const isTrue = /^COMPARE_(EQUAL|\w+EQUALTO)$/.test(node.type!)
    return of(left, isTrue ? NOT_NULL : NOTHING, isTrue ? NOTHING : NOT_NULL)
  }
  for (const [subject, other, type] of [
    [left, right, node.type!],
    [right, left, MIRRORED[node.type!] ?? node.type!],
  ] as const) {
    const value = valueIn(other, subject, scope)
    if (value === undefined || subject.type === 'VALUE_CONSTANT') continue
    const found = COMPARED[type]?.(value)
    if (found) return of(subject, found)
    const point = between(value, value)
    const others = either(without(NOT_NULL, point), NULL_ONLY)
    if (type === 'COMPARE_DISTINCT_FROM') return of(subject, others, point)
    if (type === 'COMPARE_NOT_DISTINCT_FROM') return of(subject, point, others)
  }
  return undefined
}

const MIRRORED: Record<string, string> = {
  COMPARE_LESSTHAN: 'COMPARE_GREATERTHAN',
  COMPARE_GREATERTHAN: 'COMPARE_LESSTHAN',
  COMPARE_LESSTHANOREQUALTO: 'COMPARE_GREATERTHANOREQUALTO',
  COMPARE_GREATERTHANOREQUALTO: 'COMPARE_LESSTHANOREQUALTO',
}

const COMPARED: Record<string, (value: Value) => ValueSet> = {
  COMPARE_EQUAL: value => between(value, value),
  COMPARE_NOTEQUAL: value => without(NOT_NULL, between(value, value)),
  COMPARE_LESSTHAN: value => between(undefined, value, { most: true }),
  COMPARE_GREATERTHAN: value => between(value, undefined, { least: true }),
  COMPARE_LESSTHANOREQUALTO: value => between(undefined, value),
  COMPARE_GREATERTHANOREQUALTO: value => between(value, undefined),
}

export const isItself = ({ class: kind, left, right }: SqlNode, scope: Scope): boolean => {
  if (kind !== 'COMPARISON' || (left as SqlNode).type === 'VALUE_CONSTANT') return false
  const key = keyOf(left as SqlNode, scope)
  return key !== undefined && key === keyOf(right as SqlNode, scope)
}

/** The value of what is true or false whatever the row: of a literal, and of two that are compared. */
export function constantOf(node: SqlNode): boolean | undefined {
  const own = literalOf(node)
  if (typeof own === 'boolean') return own
  if (node.class !== 'COMPARISON') return undefined
  const [left, right] = [literalOf(node.left as SqlNode), literalOf(node.right as SqlNode)]
  if (left === undefined || right === undefined || typeof left !== typeof right) return undefined
  if (typeof left === 'boolean' || typeof right === 'boolean') return undefined
  const set = COMPARED[node.type!]?.(right)
  return set && !isEmpty(both(set, between(left, left)))
}

/** Digits of a number that is exact in a double. */
const EXACT = 15

function literalOf(node: SqlNode): number | string | boolean | undefined {
  if (node.type === 'OPERATOR_CAST') {
    const { id } = node.cast_type as { id: string }
    const text = literalOf(node.child as SqlNode)
    if (id === 'BOOLEAN' && (text === 't' || text === 'f')) return text === 't'
    return /^(DATE|TIMESTAMP)$/.test(id) && typeof text === 'string' ? momentOf(text) : undefined
  }
  if (node.type !== 'VALUE_CONSTANT') return undefined
  const { type, value, is_null } = node.value as {
    type: { id: string; type_info?: { scale?: number } }
    value?: unknown
    is_null: boolean
  }
  if (is_null) return undefined
  if (typeof value === 'string') return value
  if (typeof value !== 'number' || String(value).replace(/\D/g, '').length > EXACT) return undefined
  return type.id === 'DECIMAL' ? Number(`${value}e-${type.type_info?.scale ?? 0}`) : value
}

/** A literal, as what it is compared with takes it; undefined of what has no order that is known here. */
function valueIn(node: SqlNode, subject: SqlNode, { columnOf }: Scope): Value | undefined {
  const value = literalOf(node)
  if (typeof value === 'boolean') return OPPOSITE[`${value}`]
  if (typeof value !== 'string') return value
  const type = columnOf(subject)?.type
  if (type === 'VARCHAR') return value
  const isNumber = value.trim() === '' || !Number.isNaN(Number(value))
  if (type === undefined) return isNumber ? undefined : (momentOf(value) ?? value)
  return /^(DATE|TIMESTAMP)$/.test(type) ? momentOf(value) : undefined
}

/** A day or a time of one, with all that its order is told by. */
function momentOf(text: string): string | undefined {
  const [, day, time = '00:00:00'] = /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d(?:\.\d+)?))?$/.exec(text) ?? []
  return day && `${day} ${time.replace(/\.0+$/, '')}`
}

/** The values that an expression can have. */
export function given(subject: SqlNode, { columnOf, isGrouped, isNeverNull }: Scope): ValueSet {
  const name = nameOf(subject)
  const time = ((subject.children as SqlNode[] | undefined) ?? []).at(-1)
  const isTime = time && /^(DATE|TIMESTAMP)/.test(columnOf(time)?.type ?? castOf(time) ?? '')
  const [, least, most] = [...GIVEN, ...(isTime ? PARTS : [])].find(([each]) => each.test(name)) ?? []
  if (least !== undefined)
    return { ...between(isGrouped && name === 'count_star' ? 1 : least, most), isNull: true }
  return { ...NOT_NULL, isNull: !(subject.type === 'COLUMN_REF' && isNeverNull(subject)) }
}

const castOf = ({ type, cast_type: to }: SqlNode) =>
  type === 'OPERATOR_CAST' ? (to as { id: string }).id : undefined

/** A function's name, or what part of a time it gives. */
export const nameOf = ({ function_name: name = '', children }: SqlNode): string => {
  const part = name === 'date_part' ? literalOf((children as SqlNode[])[0]!) : undefined
  return String(part ?? name).toLowerCase()
}

/** The same for expressions that have the same value in a row; undefined of one that has another each time, or is not read. */
export function keyOf(node: SqlNode, { nameOf: named }: Scope): string | undefined {
  let isKnown = true
  const plain = (of: unknown): unknown => {
    if (of === null || typeof of !== 'object') return of
    if (Array.isArray(of)) return of.map(plain)
    const each = of as SqlNode
    if (each.type === 'SUBQUERY' || each.class === 'LAMBDA' || each.class === 'PARAMETER') isKnown = false
    if (RANDOM.test(each.function_name?.toLowerCase() ?? '')) isKnown = false
    if (each.type === 'COLUMN_REF') return { column: named(each) }
    const { query_location: _, alias: __, ...rest } = each
    return Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, plain(value)]))
  }
  const key = JSON.stringify(plain(node))
  return isKnown ? key : undefined
}
