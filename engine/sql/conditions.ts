import { constantOf, demandOf, given, isItself, MAX_CONDITIONS, nameOf, type Scope } from './demands.ts'
import { conjuncts, type SqlNode } from './parse.ts'
import type { Pitfall } from './pitfalls.ts'
import { both, either, isEmpty, isOneKind, NOT_NULL, type ValueSet, without } from './valueSet.ts'

/** A condition that decides nothing, and why. */
export interface Vain {
  node: SqlNode
  why: string
  hint: string
}

/** The conditions of a clause, of which all are to hold, that no row fulfils. */
export function neverTrue(condition: SqlNode | null | undefined, scope: Scope): Vain | undefined {
  const all = conjuncts(condition)
  if (all.length > MAX_CONDITIONS) return undefined
  const asked = new Map<string, ValueSet>()
  for (const node of all) {
    const alone = neverAlone(node, scope)
    if (alone) return alone
    const demand = demandOf(node, scope)
    if (!demand) continue
    const before = asked.get(demand.key) ?? { ...NOT_NULL, isNull: true }
    if (!isOneKind(before, demand.whenTrue)) continue
    const left = both(before, demand.whenTrue)
    if (isEmpty(left))
      return {
        node,
        why: `no value of ${shown(demand.subject)} fulfils this and what is asked of it before`,
        hint: 'Write OR in place of AND, or correct the bounds.',
      }
    asked.set(demand.key, left)
  }
  return undefined
}

/** One condition, joined to others by nothing. */
function neverAlone(node: SqlNode, scope: Scope): Vain | undefined {
  if (constantOf(node) === false)
    return {
      node,
      why: 'this is never true',
      hint: 'Write the condition that is meant, or take the file away.',
    }
  if (node.type === 'CONJUNCTION_OR') {
    if ((node.children as SqlNode[]).length > MAX_CONDITIONS) return undefined
    const each = (node.children as SqlNode[]).map(child => neverTrue(child, scope))
    return each.every(vain => vain !== undefined) ? each[0] : undefined
  }
  const demand = demandOf(node, scope)
  if (!demand || !isEmpty(both(demand.whenTrue, given(demand.subject, scope)))) return undefined
  const named = shown(demand.subject)
  if (isItself(node, scope))
    return {
      node,
      why: `${named} is compared with itself, which is never true`,
      hint: 'Compare it with the other column that is meant.',
    }
  if (node.type === 'COMPARE_BETWEEN')
    return {
      node,
      why: 'no value is between these',
      hint: 'BETWEEN has the least value first: BETWEEN least AND most.',
    }
  if (node.type === 'OPERATOR_IS_NULL')
    return {
      node,
      why: `${named} is never NULL, as a key or by a check`,
      hint: 'Ask for a column that may be NULL.',
    }
  return {
    node,
    why: `${named} ${givenText(demand.subject, scope)}`,
    hint: 'Compare it with a value that it can have.',
  }
}

/** A condition that every row fulfils, but for such as have NULL there. */
export function alwaysTrue(node: SqlNode, scope: Scope): Vain | undefined {
  if (node.type === 'CONJUNCTION_OR') {
    if ((node.children as SqlNode[]).length > MAX_CONDITIONS) return undefined
    const asked = new Map<string, ValueSet>()
    for (const each of node.children as SqlNode[]) {
      if (constantOf(each) === true)
        return {
          node: each,
          why: 'this is always true, and with it the whole OR',
          hint: 'Take it out of the OR.',
        }
      const demand = demandOf(each, scope)
      if (!demand) continue
      const before = asked.get(demand.key)
      if (before && !isOneKind(before, demand.whenTrue)) continue
      const now = before ? either(before, demand.whenTrue) : demand.whenTrue
      if (before && isEmpty(without(NOT_NULL, now)))
        return {
          node: each,
          why: `every value of ${shown(demand.subject)} fulfils this or what stands before the OR`,
          hint: `Write AND in place of OR, or ${shown(demand.subject)} NOT IN (…).`,
        }
      asked.set(demand.key, now)
    }
    return undefined
  }
  const demand = node.class === 'COMPARISON' ? demandOf(node, scope) : undefined
  if (!demand || isEmpty(demand.whenTrue)) return undefined
  if (isItself(node, scope))
    return {
      node,
      why: `${shown(demand.subject)} is compared with itself`,
      hint: 'Compare it with the other column that is meant.',
    }
  const values = given(demand.subject, scope)
  const isAny = values.ranges.every(({ from, to }) => !from && !to)
  if (
    isAny ||
    !isOneKind(values, demand.whenTrue) ||
    !isEmpty(without({ ...values, isNull: false }, demand.whenTrue))
  )
    return undefined
  return {
    node,
    why: `${shown(demand.subject)} ${givenText(demand.subject, scope)}`,
    hint: 'Compare it with a value that it need not have.',
  }
}

/** The branches of a CASE that no row comes to. */
export function unreached(node: SqlNode, scope: Scope): Vain[] {
  const branches = node.case_checks as { when_expr: SqlNode }[]
  if (branches.length > MAX_CONDITIONS) return []
  const taken = new Map<string, ValueSet>()
  return branches.flatMap(({ when_expr: when }) => {
    const never = neverTrue(when, scope)
    if (never) return [never]
    const all = conjuncts(when)
    const demands = all.flatMap(each => demandOf(each, scope) ?? [])
    const late = demands.find(({ key, whenTrue }) => {
      const before = taken.get(key)
      return before && isOneKind(before, whenTrue) && isEmpty(without(whenTrue, before))
    })
    if (late)
      return [
        {
          node: late.node,
          why: `a WHEN before it takes each such value of ${shown(late.subject)}`,
          hint: 'The first WHEN that is true counts: write the narrower one first.',
        },
      ]
    const [one] = demands
    if (one && all.length === 1) {
      const before = taken.get(one.key)
      if (!before || isOneKind(before, one.whenTrue))
        taken.set(one.key, before ? either(before, one.whenTrue) : one.whenTrue)
    }
    return []
  })
}

function givenText(subject: SqlNode, scope: Scope): string {
  const { from, to } = given(subject, scope).ranges[0] ?? {}
  if (nameOf(subject) === 'count_star' && from?.value === 1)
    return 'of a group is never below 1: who has no row has no group'
  return to ? `is from ${from?.value} to ${to.value}` : `is never below ${from?.value}`
}

/** How a message names an expression. */
function shown(node: SqlNode): string {
  if (node.type === 'COLUMN_REF') return node.column_names!.join('.')
  if (nameOf(node) === 'count_star') return 'count(*)'
  return /^\w+$/.test(node.function_name ?? '') ? `${node.function_name}()` : 'it'
}

/** What there is to say of a condition that decides nothing, with what follows. */
export const vainly = ({ node, why, hint }: Vain, follows: string): Pitfall => ({
  node,
  message: `${why}: ${follows}`,
  hint,
})
