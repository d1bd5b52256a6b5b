import type { Query } from '../sql/parse.ts'
import { nodeOf } from '../sql/parse.ts'
import { type Known, NotFollowed } from './known.ts'
import { QueryReader } from './query.ts'
import { partsOf } from './refs.ts'
import { columnOf, wholeRow } from './scope.ts'

/**
 * The columns of tables whose values columns of a query may show; not those that it counts, compares or filters by.
 * Undefined of a query with a part of a kind that nobody follows.
 */
export function shownBy(
  { tree }: Query,
  columns: string[],
  known: Pick<Known, 'table' | 'macro'>,
): { table: string; column: string }[] | undefined {
  try {
    const reader = new QueryReader({ ...known, isAggregate: () => false }, 'shown')
    const made = reader.query(nodeOf(tree), undefined, true)
    const found = columns.flatMap(name => [...(columnOf(made.columns, name) ?? wholeRow(made))])
    return found.map(partsOf)
  } catch (error) {
    if (error instanceof NotFollowed) return undefined
    throw error
  }
}
