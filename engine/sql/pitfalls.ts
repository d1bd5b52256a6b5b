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
export const pitfallOf = (node: SqlNode, columnOf: ColumnOf): Pitfall | undefined =>
  orderPitfall(node, columnOf) ?? callPitfall(node) ?? textPitfall(node, columnOf)

function orderPitfall(node: SqlNode, columnOf: ColumnOf): Pitfall | undefined {
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

/** Lists begin with 1. */
const LISTS =
  /^(split|str_split|string_split|string_to_array|regexp_split_to_array|str_split_regex|list_\w+|array_\w+|regexp_extract_all)$/
/** A class of characters, or one of them: each is to be replaced, where one is. */
const EACH = /^(\[[^\]]+\]\+?|\\[sdwDSW]\+?|[^\\^$.*+?()[\]{}|])$/

/** A function with what it seldom should be given. */
function callPitfall(node: SqlNode): Pitfall | undefined {
  const name = node.function_name?.toLowerCase() ?? ''
  const children = (node.children as SqlNode[] | undefined) ?? []
  const [first, second, third] = children
  if (node.type === 'WINDOW_LAST_VALUE' && !isUnordered(node) && node.end === 'CURRENT_ROW_RANGE')
    return {
      node,
      message: 'last_value() ends with the row that it stands in, and gives its own value',
      hint: 'Write first_value(… ORDER BY … DESC), or ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING.',
    }
  if (node.class === 'WINDOW') {
    const same = sameOrder(node)
    if (same) return same
    const fixed = [
      ...((node.partitions as SqlNode[] | undefined) ?? []),
      ...((node.orders as { expression: SqlNode }[] | undefined) ?? []).map(({ expression }) => expression),
    ].find(each => typeof literal(each) === 'string')
    if (fixed)
      return {
        node: fixed,
        message: `'${literal(fixed)}' is a text, the same in every row, and no column`,
        hint: `Write ${literal(fixed)} without quotes.`,
      }
  }
  if (node.type === 'OPERATOR_COALESCE' && second && literal(first!) != null)
    return {
      node: first!,
      message: 'coalesce() takes its first value, and this is never NULL: the others are never looked at',
      hint: 'Write the value for want of another last: coalesce(column, value).',
    }
  if (
    node.type === 'ARRAY_EXTRACT' &&
    LISTS.test(first?.function_name?.toLowerCase() ?? '') &&
    second &&
    literal(second) === 0
  )
    return {
      node: second,
      message: 'a list begins with 1: at 0 there is NULL',
      hint: 'Write [1] for the first.',
    }
  if (node.type !== 'FUNCTION') return undefined
  if (name === 'count' && first && !node.distinct && isTold(first))
    return {
      node,
      message: 'count() counts every value that is not NULL: false and 0, too',
      hint: 'Write count(*) FILTER (WHERE …), or count_if(…).',
    }
  const zeroed = aggregateOfRest(name, node)
  if (zeroed) return zeroed
  const none = /^(\+|-|\*|\/|\|\|)$/.test(name) ? children.find(each => literal(each) === null) : undefined
  if (none && children.length === 2)
    return {
      node,
      message: `${name} with NULL is NULL in every row`,
      hint: 'Take NULL out, or write coalesce(column, value).',
    }
  if (name === 'nullif' && literal(first!) != null)
    return {
      node,
      message: 'nullif() gives its first value, and this is one for every row',
      hint: 'Write nullif(column, value): NULL where they are equal.',
    }
  if (name === 'split_part' && third && literal(third) === 0)
    return {
      node: third,
      message: 'split_part() counts from 1: at 0 there is an empty text',
      hint: 'Write 1 for the first.',
    }
  if (name === 'regexp_replace' && children.length === 3 && EACH.test(String(literal(second!) ?? '')))
    return {
      node,
      message: `regexp_replace() replaces the first '${literal(second!)}' alone`,
      hint: "Write regexp_replace(…, …, …, 'g') for each of them.",
    }
  const looked =
    /^(contains|starts_with|ends_with|prefix|suffix|strpos|instr)$/.test(name) && second
      ? literal(second)
      : undefined
  if (typeof looked === 'string' && /^%.|.%$/.test(looked))
    return {
      node,
      message: `${name}() takes % as it is`,
      hint: `Write '${looked.replaceAll(/^%|%$/g, '')}'; or LIKE '${looked}'.`,
    }
  return undefined
}

/** A window whose order is of what its rows are parted by: they have all the same of it. */
function sameOrder(node: SqlNode): Pitfall | undefined {
  const names = (list: SqlNode[]) =>
    list.map(each => (isColumn(each) ? each.column_names!.at(-1)!.toLowerCase() : ''))
  const parts = names((node.partitions as SqlNode[] | undefined) ?? [])
  const orders = names(
    ((node.orders as { expression: SqlNode }[] | undefined) ?? []).map(each => each.expression),
  )
  if (orders.length === 0 || !orders.every(name => name && parts.includes(name))) return undefined
  return {
    node,
    message: `ORDER BY ${orders.join(', ')} orders nothing: each PARTITION BY ${parts.join(', ')} has one value of it`,
    hint: 'Order by what says which row is the first: PARTITION BY key ORDER BY changed_at DESC.',
  }
}

/** An aggregate of a CASE whose ELSE is a value, and stands for the rows that are not meant. */
function aggregateOfRest(name: string, { children, distinct }: SqlNode): Pitfall | undefined {
  const [only] = children as SqlNode[]
  if (only?.type !== 'CASE_EXPR' || !(/^(avg|mean|min|median)$/.test(name) || (name === 'count' && distinct)))
    return undefined
  const rest = literal(only.else_expr as SqlNode)
  const whens = (only.case_checks as { then_expr: SqlNode }[]).map(({ then_expr }) => literal(then_expr))
  // Of 1 and 0, the mean is a share.
  if (whens.some(value => value !== undefined) || (rest !== 0 && !(distinct && rest != null)))
    return undefined
  return {
    node: only,
    message: `${name}() takes ELSE ${rest} for a value, too`,
    hint: 'Leave ELSE out: NULL is not counted.',
  }
}

/** Whether an expression is true or false, or 1 or 0, and never NULL where what it looks at is not. */
function isTold(node: SqlNode): boolean {
  if (node.class === 'COMPARISON' || node.class === 'CONJUNCTION' || node.class === 'BETWEEN') return true
  if (/^(COMPARE_(NOT_)?IN|OPERATOR_(IS_(NOT_)?NULL|NOT))$/.test(node.type ?? '')) return true
  if (node.type !== 'CASE_EXPR') return false
  const results = [
    ...(node.case_checks as { then_expr: SqlNode }[]).map(({ then_expr }) => then_expr),
    node.else_expr as SqlNode,
  ].map(literal)
  return results.every(value => value != null) && results.some(value => value === 0)
}

const CASES: [name: RegExp, of: (text: string) => string, kind: string][] = [
  [/^(upper|ucase)$/, text => text.toUpperCase(), 'capital'],
  [/^(lower|lcase)$/, text => text.toLowerCase(), 'small'],
]

/** A text that is compared with what it cannot be, or with an order that is not that of numbers. */
function textPitfall(node: SqlNode, columnOf: ColumnOf): Pitfall | undefined {
  const children = (node.children as SqlNode[] | undefined) ?? []
  const isIn = node.type === 'COMPARE_IN' || node.type === 'COMPARE_NOT_IN'
  const [subject, ...others] =
    isIn || /^(~~|!~~)$/.test(node.function_name ?? '')
      ? children
      : node.class === 'COMPARISON'
        ? [node.left as SqlNode, node.right as SqlNode]
        : node.type === 'COMPARE_BETWEEN'
          ? [node.input as SqlNode, node.lower as SqlNode, node.upper as SqlNode]
          : []
  const texts = others.map(each => literal(each)).filter(value => typeof value === 'string')
  if (!subject || texts.length === 0) return undefined
  for (const [name, of, kind] of CASES) {
    const wrong = texts.find(text => of(text) !== text)
    if (name.test(subject.function_name?.toLowerCase() ?? '') && wrong !== undefined)
      return {
        node,
        message: `${subject.function_name}() gives ${kind} letters, and is never '${wrong}'`,
        hint: `Write '${of(wrong)}'.`,
      }
  }
  const pattern = texts.find(text => /^%.|.%$/.test(text))
  if (
    (isIn || /^COMPARE_(NOT)?EQUAL$/.test(node.type!)) &&
    pattern !== undefined &&
    /^%.*[^\d\s]|[^\d\s%].*%$/.test(pattern)
  )
    return {
      node,
      message: `${isIn ? 'IN' : '='} takes % as it is: only '${pattern}' itself is equal to it`,
      hint: `Write LIKE '${pattern}'.`,
    }
  if (isIn && others.length === 1 && /^[^\s,]+(,\s*[^\s,]+)+$/.test(texts[0]!))
    return {
      node,
      message: `'${texts[0]}' is one text, with commas in it`,
      hint: `Write each in quotes of its own: IN (${texts[0]!
        .split(/,\s*/)
        .map(text => `'${text.replaceAll("'", '')}'`)
        .join(', ')}).`,
    }
  if (node.function_name && /\[\^|\[.-.\]/.test(texts[0]!))
    return {
      node,
      message: `LIKE takes [ and ] as they are: only % and _ stand for others in '${texts[0]}'`,
      hint: 'Write GLOB, with * and ? and […]; or regexp_matches(text, pattern).',
    }
  const isOrder = /^COMPARE_(LESS|GREATER)/.test(node.type ?? '') || node.type === 'COMPARE_BETWEEN'
  const isText = columnOf(subject)?.type === 'VARCHAR'
  if (isOrder && isText && texts.every(text => /^(0|-?[1-9]\d{0,2})(\.\d+)?$/.test(text)))
    return {
      node,
      message: `${columnOf(subject)!.shown} is VARCHAR, and texts have the order of a dictionary: '10' is before '9'`,
      hint: `Write TRY_CAST(${columnOf(subject)!.shown} AS DECIMAL(18,2)), and the number without quotes.`,
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

/** Conditions that undo a LEFT JOIN: rows without a partner have NULL there, and nothing is true of it. `isOuter`: of a column. */
export function undoneJoins(conditions: SqlNode[], isOuter: (column: SqlNode) => boolean): Pitfall[] {
  return conditions.flatMap(node => {
    const column = strictlyOf(node).find(each => each && isColumn(each) && isOuter(each))
    return column ? [undoneBy(node, column.column_names!.join('.'))] : []
  })
}

export const undoneBy = (node: SqlNode, column: string): Pitfall => ({
  node,
  message: `the LEFT JOIN is undone: rows without a partner have NULL in ${column}, and are left out`,
  hint: `Move the condition into the join's ON, or write JOIN in place of LEFT JOIN.`,
})

/** What a condition is never true of where it is NULL. */
function strictlyOf(node: SqlNode): SqlNode[] {
  const children = (node.children as SqlNode[] | undefined) ?? []
  if (node.class === 'COMPARISON')
    return /DISTINCT_FROM$/.test(node.type!) ? [] : [node.left as SqlNode, node.right as SqlNode]
  if (node.type === 'COMPARE_BETWEEN') return [node.input as SqlNode]
  const isStrict = /^COMPARE_(NOT_)?IN$/.test(node.type ?? '') || /^!?~~\*?$/.test(node.function_name ?? '')
  return isStrict ? children.slice(0, 1) : []
}
