import { counted } from '../../engine/plural.ts'
import type { ComparedModel, ComparedVersions } from '../workbench/versions.ts'
import { text } from './markdown.ts'
import { formatCount } from './meter.ts'
import { tableText } from './tableText.ts'

/** Whether rows, columns or the models themselves are others. */
export const differs = ({ models }: ComparedVersions): boolean => models.some(isOther)

const isOther = ({ diff, ...model }: ComparedModel): boolean =>
  !diff ||
  diff.changed + diff.added + diff.removed > 0 ||
  [diff.addedColumns, diff.removedColumns, diff.retyped].some(list => list.length > 0) ||
  model.isGone === true

/** Two versions of a job's models for a person. */
export function versionsText(compared: ComparedVersions): string {
  const { job, against, models, same, left } = compared
  const lines = [`${job} beside ${against}: ${summary(compared)}`]
  for (const { name, isNew, isGone, diff } of models) {
    if (isNew !== undefined) lines.push('', `${name}  new, ${counted(isNew, 'row', formatCount)}`)
    else if (isGone) lines.push('', `${name}  gone`)
    else if (diff && isOther({ name, diff })) {
      lines.push('', `${name}  ${countsOf(diff)}`, ...columnsOf(diff).map(line => `  ${line}`))
      lines.push(...samplesOf(diff).map(line => `  ${line}`))
    }
  }
  const equal = models.filter(model => !isOther(model)).map(({ name }) => name)
  if (equal.length > 0)
    lines.push('', `The same rows, though they or what they read changed: ${equal.join(', ')}`)
  for (const { name, reason } of left) lines.push('', `${name} could not be compared: ${reason}`)
  lines.push('', `${formatCount(same)} ${same === 1 ? 'model is' : 'models are'} as before.`)
  return lines.join('\n')
}

/** The same as Markdown, for a comment on a pull request. */
export function versionsMarkdown(compared: ComparedVersions): string {
  const { job, against, models, same, left } = compared
  const lines = [`### Models of ${text(job)} beside ${text(against)}`, '', capital(summary(compared))]
  const others = models.filter(isOther)
  if (others.length > 0) {
    lines.push('', '| model | changed | more | gone | unchanged | columns |', '|---|---:|---:|---:|---:|---|')
    for (const { name, isNew, diff } of others) {
      const cells = diff
        ? [
            ...[diff.changed, diff.added, diff.removed, diff.unchanged].map(formatCount),
            columnsOf(diff).join('; '),
          ]
        : [
            '',
            isNew === undefined ? '' : formatCount(isNew),
            '',
            '',
            isNew === undefined ? 'the model is gone' : 'the model is new',
          ]
      lines.push(`| ${[name, ...cells].map(text).join(' | ')} |`)
    }
  }
  for (const { name, diff } of others)
    if (diff && diff.samples.length > 0)
      lines.push(
        '',
        `<details><summary>${text(name)}: rows</summary>`,
        '',
        ...markdownSamples(diff),
        '',
        '</details>',
      )
  const equal = models.filter(model => !isOther(model)).map(({ name }) => text(name))
  if (equal.length > 0)
    lines.push('', `The same rows, though they or what they read changed: ${equal.join(', ')}.`)
  for (const { name, reason } of left) lines.push('', `${text(name)} could not be compared: ${text(reason)}.`)
  lines.push(
    '',
    `${formatCount(same)} ${same === 1 ? 'model is' : 'models are'} as before. Over what the last run read; nothing was read or loaded.`,
  )
  return lines.join('\n')
}

function summary({ models }: ComparedVersions): string {
  const others = models.filter(isOther).length
  if (others === 0) return 'no row differs.'
  return `${formatCount(others)} ${others === 1 ? 'model differs' : 'models differ'}.`
}

const capital = (sentence: string) => sentence[0]!.toUpperCase() + sentence.slice(1)

type Diff = NonNullable<ComparedModel['diff']>

const countsOf = ({ changed, added, removed, unchanged }: Diff) =>
  `~ ${formatCount(changed)} changed   + ${formatCount(added)} more   - ${formatCount(removed)} gone   ${formatCount(unchanged)} unchanged`

const columnsOf = ({ columns, addedColumns, removedColumns, retyped }: Diff): string[] => [
  ...(columns.length > 0
    ? [`columns changed: ${columns.map(({ name, rows }) => `${name} ${formatCount(rows)}`).join(', ')}`]
    : []),
  ...(addedColumns.length > 0 ? [`new columns: ${addedColumns.join(', ')}`] : []),
  ...(removedColumns.length > 0 ? [`columns gone: ${removedColumns.join(', ')}`] : []),
  ...retyped.map(({ name, before, after }) => `${name} is ${after}, was ${before}`),
]

/** Rows of a difference, each with what it is marked by. */
function rowsOf({ samples }: Diff): { names: string[]; rows: (string | null)[][] } {
  const names = Object.keys(samples[0]?.before ?? samples[0]?.after ?? {})
  const valuesOf = (mark: string, row: Record<string, string | null> | undefined) =>
    row ? [[mark, ...names.map(name => row[name] ?? null)]] : []
  return {
    names,
    rows: samples.flatMap(({ before, after }) => [...valuesOf('-', before), ...valuesOf('+', after)]),
  }
}

function samplesOf(diff: Diff): string[] {
  const { names, rows } = rowsOf(diff)
  return rows.length === 0 ? [] : tableText(['', ...names], rows)
}

function markdownSamples(diff: Diff): string[] {
  const { names, rows } = rowsOf(diff)
  const line = (cells: (string | null)[]) => `| ${cells.map(cell => text(cell ?? 'NULL')).join(' | ')} |`
  return [line(['', ...names]), `|${'---|'.repeat(names.length + 1)}`, ...rows.map(line)]
}
