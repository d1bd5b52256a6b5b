import { counted } from '../../engine/plural.ts'
import type { ComparedCheck, ComparedModel, ComparedVersions } from '../workbench/versions.ts'
import { code, text } from './markdown.ts'
import { formatCount } from './meter.ts'
import { fittedText, markedText, terminalWidth } from './tableText.ts'

/** Whether rows, columns, the models themselves or what is loaded are others. */
export const differs = ({ models, loads }: ComparedVersions): boolean =>
  models.some(isOther) || loads.length > 0

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
    if (isNew) {
      const types = isNew.columns.map(column => `${column.name} ${column.type}`)
      lines.push(
        '',
        `${name}  new, ${counted(isNew.rows, 'row', formatCount)}`,
        `  columns: ${types.join(', ')}`,
      )
      const rows = fittedText(namesOf(isNew), newRows(isNew), [], terminalWidth(2))
      lines.push(...rows.map(line => `  ${line}`))
    } else if (isGone) lines.push('', `${name}  gone`)
    else if (diff && isOther({ name, diff })) {
      lines.push('', `${name}  ${countsOf(diff)}`, ...columnsOf(diff).map(line => `  ${line}`))
      lines.push(...samplesOf(diff))
    }
  }
  const equal = models.filter(model => !isOther(model)).map(({ name }) => name)
  if (equal.length > 0)
    lines.push('', `The same rows, though they or what they read changed: ${equal.join(', ')}`)
  for (const { name, state } of compared.loads) lines.push('', `load ${name}  ${state}`)
  for (const check of compared.checks)
    lines.push(
      '',
      `check ${check.table ? `${check.table}: ` : ''}${check.name}  ${[check.state, ...findsOf(check)].join(', ')}`,
    )
  for (const { name, reason } of left) lines.push('', `${name} could not be compared: ${reason}`)
  lines.push('', `${formatCount(same)} ${same === 1 ? 'model is' : 'models are'} as before.`)
  return lines.join('\n')
}

/** The same as Markdown, for a comment on a pull request. */
export function versionsMarkdown(compared: ComparedVersions): string {
  const { job, against, models, same, left } = compared
  const lines = [`### Models of ${code(job)} beside ${code(against)}`, '', capital(summary(compared))]
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
            isNew ? formatCount(isNew.rows) : '',
            '',
            '',
            isNew
              ? `the model is new: ${isNew.columns.map(column => `${column.name} ${column.type}`).join(', ')}`
              : 'the model is gone',
          ]
      lines.push(`| ${[code(name), ...cells.map(text)].join(' | ')} |`)
    }
  }
  if (compared.loads.length > 0) {
    lines.push('', '| loaded table | |', '|---|---|')
    for (const { name, state } of compared.loads) lines.push(`| ${code(name)} | ${state} |`)
  }
  if (compared.checks.length > 0) {
    lines.push('', '| check | table | | finds |', '|---|---|---|---|')
    for (const check of compared.checks)
      lines.push(
        `| ${code(check.name)} | ${check.table === undefined ? '' : code(check.table)} | ${check.state} | ${findsOf(check).join(', ')} |`,
      )
  }
  for (const { name, diff, isNew } of others) {
    const rows = isNew
      ? markdownTable(namesOf(isNew), newRows(isNew), shownOf(isNew.samples.length, isNew.rows))
      : diff && diff.samples.length > 0
        ? markdownSamples(diff)
        : undefined
    if (rows) lines.push('', `<details><summary>${text(name)}: rows</summary>`, '', ...rows, '', '</details>')
  }
  const equal = models.filter(model => !isOther(model)).map(({ name }) => code(name))
  if (equal.length > 0)
    lines.push('', `The same rows, though they or what they read changed: ${equal.join(', ')}.`)
  for (const { name, reason } of left) lines.push('', `${code(name)} could not be compared: ${text(reason)}.`)
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

const columnsOf = ({ columns, addedColumns, removedColumns, retyped, goneBy }: Diff): string[] => [
  ...goneBy.map(
    ({ by, rows }) =>
      `${counted(rows, 'row', formatCount)} gone: the check ${by} rejects ${rows === 1 ? 'it' : 'them'}`,
  ),
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
  const telling = [...diff.key, ...diff.columns.map(({ name }) => name)]
  return rows.length === 0
    ? []
    : [...markedText(names, rows, telling, '  '), ...shownOfDiff(diff).map(line => `  ${line}`)]
}

/** What a check finds now, of rows that it rejects and warns of. */
const findsOf = ({ found, state, table }: ComparedCheck): string[] => {
  if (state === 'gone') return []
  if (!found) return [table === undefined ? 'judged by a run' : 'not judged here']
  return found.length === 0
    ? ['finds no row']
    : found.map(
        ({ severity, rows }) =>
          `${severity === 'warn' ? 'warns of' : 'rejects'} ${counted(rows, 'row', formatCount)}`,
      )
}

type New = NonNullable<ComparedModel['isNew']>

const namesOf = ({ columns }: New) => columns.map(({ name }) => name)

const newRows = (model: New) => model.samples.map(row => namesOf(model).map(name => row[name] ?? null))

/** How many of some rows are shown, where not all are. */
const shownOf = (shown: number, all: number): string[] =>
  shown < all ? [`${formatCount(shown)} of ${counted(all, 'row', formatCount)} shown.`] : []

const shownOfDiff = ({ samples, changed, added, removed }: Diff) =>
  shownOf(samples.length, changed + added + removed)

const markdownSamples = (diff: Diff): string[] => {
  const { names, rows } = rowsOf(diff)
  return markdownTable(['', ...names], rows, shownOfDiff(diff))
}

function markdownTable(names: string[], rows: (string | null)[][], more: string[]): string[] {
  const line = (cells: (string | null)[]) => `| ${cells.map(cell => text(cell ?? 'NULL')).join(' | ')} |`
  return [
    line(names),
    `|${'---|'.repeat(names.length)}`,
    ...rows.map(line),
    ...(more.length > 0 ? ['', ...more] : []),
  ]
}
