import { type FoundFile, said } from '../copy/files.ts'
import { formatCount } from './meter.ts'
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

/** Names of views that are shown. */
const SHOWN = 10

/** Views that were left out; `done`: what would have been done with them. */
export function viewsText(views: string[], done: 'copied' | 'taken'): string {
  const more = views.length > SHOWN ? ` and ${formatCount(views.length - SHOWN)} more` : ''
  return `views, which are ${done} where --tables names them: ${views.slice(0, SHOWN).join(', ')}${more}`
}
