import { type FoundFile, said } from '../copy/files.ts'
import { tableText } from './tableText.ts'

/** What files were found to be, with their first rows. */
export function foundText(found: FoundFile): string {
  const { names, rows, types, notes } = found
  return [said(found), ...(names && rows ? firstRows(names, rows, types) : []), ...notes].join('\n')
}

/** Types stand below the names of their columns. */
function firstRows(names: string[], rows: (string | null)[][], types: string[] | undefined): string[] {
  if (!types) return tableText(names, rows)
  const [head = '', rule = '', ...lines] = tableText(names, [types, ...rows])
  return [head, ...lines.splice(0, 1), rule, ...lines]
}
