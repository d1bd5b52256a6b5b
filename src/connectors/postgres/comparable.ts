import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import type { ComparedColumn } from '../../../engine/contracts/verification.ts'
import type { Column } from '../../../engine/types/logical.ts'
import { columnCalled, fit, isOwn, type TargetColumn } from './merge.ts'
import { isText } from './types.ts'

/** How the table keeps a load's columns; which it does not keep so that they can be compared, and why. */
export function comparable(
  { columns }: PlannedLoad,
  found: TargetColumn[],
): { columns: ComparedColumn[]; notes: string[] } {
  const notes: string[] = []
  const compared = columns.flatMap((column): ComparedColumn[] => {
    const target = columnCalled(found, column.name)
    const reason = target ? obstacle(column, target) : 'the table does not have it'
    if (!reason) {
      const parsed = column.type.kind === 'text' && isParsed(column, target!)
      return [
        { ...column, ...(target!.typname === 'bpchar' && { unpadded: true }), ...(parsed && { parsed }) },
      ]
    }
    notes.push(`column ${column.name} is not compared: ${reason}`)
    return []
  })
  return { columns: compared, notes }
}

function obstacle(brought: Column, column: TargetColumn): string | undefined {
  const { type } = brought
  const way = fit(brought, column)
  if (!way) return `its type is ${column.native} now`
  const plain = ['binary', 'text', 'int', 'decimal'].includes(type.kind)
  const kept = !plain && column.category === 'S'
  return kept ? `${column.native} keeps it as text` : undefined
}

/**
 * Whether the server makes of a text something that has a notation of its own. An enum's is its label, and a source of
 * the same type has given that very notation; a UUID has one, which every system writes.
 */
const isParsed = (brought: Column, column: TargetColumn) =>
  fit(brought, column) === 'parse' &&
  column.category !== 'E' &&
  !(brought.duck === 'UUID' && column.typname === 'uuid') &&
  !(isOwn(brought, column) && isText(column.typname, column.typmod))
