import type { Preview } from '../../engine/diff/preview.ts'
import { counted } from '../../engine/plural.ts'
import { jobText } from '../report/data.ts'
import type { RunResult } from '../runs/result.ts'
import { rejectedByTable } from './accountText.ts'
import { code, text } from './markdown.ts'
import { formatCount } from './meter.ts'
import { shownValue } from './tableText.ts'

/** A plan as Markdown, for a comment on a pull request: what would change, with samples that unfold. */
export function planMarkdown(result: RunResult): string {
  const { run, outcome } = result
  const { previews, checks, extracted, tables } = outcome
  const lines = [`### Plan of ${text(jobText(result))}`, '', summary(previews), '']
  lines.push('| table | insert | update | delete | unchanged |', '|---|---:|---:|---:|---:|')
  for (const { to, table, counts } of previews) {
    const figures = [counts.inserts, counts.updates, counts.deletes, counts.unchanged].map(formatCount)
    lines.push(`| ${code(`${to}.${table}`)} | ${figures.join(' | ')} |`)
  }
  for (const preview of previews) lines.push(...details(preview))
  const found = checks.filter(({ level }) => level !== 'pass')
  if (found.length > 0) {
    lines.push('', '| check | table | level | rows | for example |', '|---|---|---|---:|---|')
    for (const { name, model = '', level, rows, samples } of found)
      lines.push(
        `| ${code(name)} | ${model === '' ? '' : code(model)} | ${level} | ${formatCount(rows)} | ${text(samples[0]?.reason ?? '')} |`,
      )
  }
  const rejected = [...rejectedByTable(outcome)].map(([name, rows]) => `${code(name)} ${formatCount(rows)}`)
  if (rejected.length > 0) lines.push('', `To the quarantine: ${rejected.join(', ')} rows.`)
  const taken = tables.filter(table => table.taken !== undefined)
  if (taken.length > 0)
    lines.push(
      '',
      `${counted(taken.length, 'model', formatCount)} unchanged, taken from earlier runs: ${taken.map(({ name }) => code(name)).join(', ')}.`,
    )
  const read = extracted.map(({ extract, rows }) => `${code(extract)} ${formatCount(rows)}`)
  lines.push('', `Read: ${read.join(', ')} rows. Plan ${run}; nothing was loaded.`)
  return lines.join('\n')
}

/** Whether a run would change a target. */
export const changesTarget = ({ outcome }: Pick<RunResult, 'outcome'>): boolean =>
  outcome.previews.some(
    ({ counts, notes }) => isChange(counts) || notes.some(note => note.startsWith(ALTERS)),
  )

/** How a note begins that tells of a table's new columns. */
const ALTERS = 'the load changes the table'

const isChange = ({ inserts, updates, deletes }: Preview['counts']) => inserts + updates + deletes > 0

function summary(previews: Preview[]): string {
  const changed = previews.filter(({ counts }) => isChange(counts))
  if (changed.length === 0) return 'No row would change.'
  return `${changed.length} of ${counted(previews.length, 'table')} would change.`
}

const KINDS = [
  ['updates', 'update'],
  ['inserts', 'insert'],
  ['deletes', 'delete'],
] as const

function details({ table, columns, counts, samples, notes }: Preview): string[] {
  const { inserts, updates, deletes } = samples
  const lines: string[] = []
  for (const note of notes) lines.push('', `${code(table)}: ${text(note)}`)
  if (inserts.length + updates.length + deletes.length === 0) return lines
  const changed = columns.map(({ name, rows }) => `${text(name)} ${formatCount(rows)}`)
  const what = changed.length > 0 ? `columns changed: ${changed.join(', ')}` : 'rows'
  lines.push('', `<details><summary>${text(table)}: ${what}</summary>`, '')
  lines.push('| | key | column | before | after |', '|---|---|---|---|---|')
  const row = (mark: string, key: Record<string, string | null>, cells: (string | null)[]) => {
    const named = Object.entries(key).map(([name, value]) => `${name} = ${shownValue(value)}`)
    lines.push(
      `| ${mark} | ${text(named.join(', '))} | ${cells.map(cell => (cell === null ? '' : text(cell))).join(' | ')} |`,
    )
  }
  for (const { key, values } of updates)
    for (const [column, { before, after }] of Object.entries(values))
      row('~', key, [column, shownValue(before), shownValue(after)])
  const all = (values: Record<string, string | null>) =>
    Object.entries(values)
      .map(([name, value]) => `${name} ${shownValue(value)}`)
      .join(', ')
  for (const { key, values } of inserts) row('+', key, [null, null, all(values)])
  for (const { key, values } of deletes) row('-', key, [null, all(values), null])
  const shown = ([kind, word]: (typeof KINDS)[number]) =>
    counts[kind] > samples[kind].length
      ? [`${formatCount(samples[kind].length)} of ${counted(counts[kind], word, formatCount)}`]
      : []
  const some = KINDS.flatMap(shown)
  if (some.length > 0) lines.push('', `Shown: ${some.join(', ')}.`)
  lines.push('', '</details>')
  return lines
}
