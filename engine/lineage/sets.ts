import { none, type Refs, union } from './refs.ts'
import { type LineageColumn, wholeRow } from './scope.ts'

interface Side {
  columns: LineageColumn[]
}

/** The columns of a set operation, and those of its sides that it names by their place: without one, the others move. */
export function combined(kind: string, left: Side, right: Side): { columns: LineageColumn[]; named: Refs } {
  const sides = [left, right]
  const all = union(...sides.map(wholeRow))
  if (sides.some(side => side.columns.some(({ spread }) => spread === 'yes')))
    return { columns: [{ name: '*', from: all, spread: 'yes' }], named: all }
  if (kind === 'UNION_BY_NAME') {
    const byName = Map.groupBy(
      sides.flatMap(({ columns }) => columns),
      ({ name }) => name.toLowerCase(),
    )
    const columns = [...byName.values()].map(same => ({
      name: same[0]!.name,
      from: union(...same.map(({ from }) => from)),
    }))
    return { columns, named: none }
  }
  const columns = left.columns.map((column, index) => ({
    ...column,
    from: kind === 'EXCEPT' ? column.from : union(column.from, right.columns[index]?.from ?? none),
  }))
  return { columns, named: all }
}
