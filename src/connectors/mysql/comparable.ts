import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import type { ComparedColumn } from '../../../engine/contracts/verification.ts'
import { columnNamed } from '../../../engine/types/logical.ts'
import { fits, isOwn, isText, type TargetTable } from './targetTypes.ts'

/** How the table keeps a load's columns; which it does not keep so that they can be compared, and why. */
export function comparable(
  { columns }: PlannedLoad,
  table: TargetTable,
): { columns: ComparedColumn[]; notes: string[] } {
  const notes: string[] = []
  const compared = columns.flatMap((column): ComparedColumn[] => {
    const target = columnNamed(table.columns, column.name)
    const reason = !target
      ? 'the table does not have it'
      : fits(column, target)
        ? undefined
        : `its type is ${target.column_type} now`
    const { kind } = column.type
    if (!reason)
      return [
        {
          ...column,
          // MariaDB stores minus zero as zero.
          ...(kind === 'float' && { unsignedZero: true }),
          ...(kind === 'text' && !isText(target!) && !isOwn(column, target!) && { parsed: true }),
        },
      ]
    notes.push(`column ${column.name} is not compared: ${reason}`)
    return []
  })
  return { columns: compared, notes }
}
