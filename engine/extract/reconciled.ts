import { counted } from '../plural.ts'

/** What a comparison of a log with its table found: rows of the table, and those that the log missed. */
export interface Reconciled {
  rows: number
  inserts: number
  updates: number
  deletes: number
  /** Keys of some of them, as people may see them. */
  keys: string[]
}

export const missedBy = ({ inserts, updates, deletes }: Reconciled) => inserts + updates + deletes

/** The same for people. */
export function reconciledText(found: Reconciled): string {
  const { rows, inserts, updates, deletes, keys } = found
  const compared = `${counted(rows, 'row')} compared with the source`
  if (missedBy(found) === 0) return `its log missed nothing: ${compared}`
  const more = missedBy(found) > keys.length ? '; …' : ''
  return `its log missed ${counted(inserts, 'insert')}, ${counted(updates, 'update')} and ${counted(deletes, 'delete')}, which are repaired (${keys.join('; ')}${more}): ${compared}`
}
