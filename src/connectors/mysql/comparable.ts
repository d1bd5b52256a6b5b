import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import type { ComparedColumn } from '../../../engine/contracts/verification.ts'
import { type Column, columnNamed } from '../../../engine/types/logical.ts'
import { fits, isOwn, isText, type TargetColumn, type TargetTable } from './targetTypes.ts'

/** How the table keeps a load's columns; which it does not keep so that they can be compared, and why. */
export function comparable(
  { columns }: PlannedLoad,
  table: TargetTable,
): { columns: ComparedColumn[]; notes: string[] } {
  const notes: string[] = []
  const compared = columns.flatMap((column): ComparedColumn[] => {
    const target = columnNamed(table.columns, column.name)
    const reason = target ? obstacle(column, target) : 'the table does not have it'
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

function obstacle(brought: Column, column: TargetColumn): string | undefined {
  const { type } = brought
  if (!fits(brought, column)) return `its type is ${column.column_type} now`
  if (isOwn(brought, column)) return undefined
  const own = type.kind === 'text' && column.data_type === 'set'
  return own ? `${column.column_type} has a notation of its own` : undefined
}
