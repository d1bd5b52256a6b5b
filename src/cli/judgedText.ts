import { counted } from '../../engine/plural.ts'
import type { Word } from '../../engine/sql/words.ts'
import type { RowsFound } from '../workbench/staged.ts'
import { formatCount } from './meter.ts'

/** What checks make of a table's rows, for a person: those left out, and those that they warn of. */
export function judgedLines({ rejected, warned, checks }: RowsFound): string[] {
  const by = (severity: Word<'severity'>) =>
    checks
      .filter(each => each.severity === severity)
      .map(({ check, rows }) => `${check} ${formatCount(rows)}`)
      .join(', ')
  return [
    ...(rejected > 0
      ? [`left out: ${counted(rejected, 'row', formatCount)} that checks reject: ${by('reject')}`]
      : []),
    ...(by('warn') !== ''
      ? [`warned of: ${counted(warned, 'row', formatCount)} that stay: ${by('warn')}`]
      : []),
  ]
}
