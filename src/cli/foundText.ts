import { type FoundFile, said } from '../copy/files.ts'
import { tableText } from './tableText.ts'

/** What files were found to be, with their first rows. */
export function foundText(found: FoundFile): string {
  const { names, rows, notes } = found
  return [said(found), ...(names && rows ? tableText(names, rows) : []), ...notes].join('\n')
}
