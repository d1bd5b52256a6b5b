import { styleText } from 'node:util'
import type { Preview } from '../../engine/diff/preview.ts'
import { counted } from '../../engine/plural.ts'
import { jobText } from '../report/data.ts'
import type { RunResult } from '../runs/result.ts'
import { checkedLines, takenLines } from './accountText.ts'
import { formatCount, formatSpan } from './meter.ts'
import { shownValue } from './tableText.ts'

const MARKS = {
  inserts: { mark: '+', colour: 'green', verb: 'insert' },
  updates: { mark: '~', colour: 'yellow', verb: 'update' },
  deletes: { mark: '-', colour: 'red', verb: 'delete' },
} as const
type Kind = keyof typeof MARKS
const KINDS = Object.keys(MARKS) as Kind[]

/** Columns shown of a row that comes or goes. */
const SHOWN = 6

/** A plan for a person: compact, aligned; colours where asked for. `next`: the line that loads it. */
export function planText(result: RunResult, next: string, colours: boolean): string {
  const { run, seconds, outcome } = result
  const paint = (colour: 'green' | 'yellow' | 'red' | 'bold' | 'dim', text: string) =>
    colours ? styleText(colour, text, { validateStream: false }) : text
  const lines = [`${paint('bold', jobText(result))}: plan ${run}, made in ${formatSpan(seconds * 1000)}`, '']
  for (const { extract, rows } of outcome.extracted) {
    const read = outcome.reads.find(each => each.extract === extract)!
    lines.push(
      `  read      ${extract}: ${counted(rows, 'row', formatCount)}${read.since ? ` since ${read.since.value}` : ''}`,
    )
    for (const note of read.notes) lines.push(`            ${note}`)
  }
  lines.push(...takenLines(outcome))
  lines.push(...checkedLines(outcome, 'to the quarantine'))
  for (const plan of outcome.previews) lines.push('', ...loadLines(plan, paint))
  const total = (kind: Kind) => outcome.previews.reduce((sum, { counts }) => sum + counts[kind], 0)
  const totals = KINDS.map(kind => `${formatCount(total(kind))} to ${MARKS[kind].verb}`).join(', ')
  lines.push('', `${paint('bold', 'Plan:')} ${totals}.`)
  const estimates = Object.values(result.estimates)
  if (estimates.length > 0) {
    const sum = estimates.reduce((total, seconds) => total + seconds, 0)
    lines.push(`The load takes about ${formatSpan(sum * 1000)}, going by earlier ones.`)
  }
  lines.push(`Load exactly this:  ${next}`)
  return lines.join('\n')
}

type Paint = (colour: 'green' | 'yellow' | 'red' | 'bold' | 'dim', text: string) => string

function loadLines(plan: Preview, paint: Paint): string[] {
  const { counts, samples } = plan
  const lines = [paint('bold', `${plan.to}.${plan.table}`) + paint('dim', `  ${plan.mode} from ${plan.from}`)]
  const figures = KINDS.map(kind => {
    const { mark, colour, verb } = MARKS[kind]
    const text = `${mark} ${formatCount(counts[kind])} to ${verb}`
    return counts[kind] > 0 ? paint(colour, text) : text
  })
  figures.push(`${formatCount(counts.unchanged)} unchanged`)
  if (counts.superseded > 0) figures.push(`${formatCount(counts.superseded)} superseded`)
  if (counts.keptGone > 0) figures.push(`${formatCount(counts.keptGone)} gone, kept`)
  lines.push(`  ${figures.join('   ')}`)
  if (plan.older > 0)
    lines.push(
      `  of the updates, ${formatCount(plan.older)} ${plan.older === 1 ? 'is' : 'are'} older than the target's row, which stays`,
    )
  for (const note of plan.notes) lines.push(`  ${note}`)
  if (plan.columns.length > 0)
    lines.push(
      `  columns changed: ${plan.columns.map(({ name, rows }) => `${name} ${formatCount(rows)}`).join(', ')}`,
    )
  for (const kind of KINDS) {
    const { mark, colour, verb } = MARKS[kind]
    for (const sample of samples[kind]) {
      const key = Object.entries(sample.key).map(([name, value]) => `${name} = ${shownValue(value)}`)
      lines.push(`    ${paint(colour, `${mark} ${key.join(', ') || '(no key)'}`)}`)
      const values = Object.entries(sample.values)
      const some = kind === 'updates' ? values : values.slice(0, SHOWN)
      const width = Math.max(0, ...some.map(([name]) => name.length))
      for (const [name, value] of some) {
        const text =
          value !== null && typeof value === 'object'
            ? `${shownValue(value.before)} → ${shownValue(value.after)}`
            : shownValue(value)
        lines.push(`        ${name.padEnd(width)}  ${text}`)
      }
      if (some.length < values.length) lines.push(`        … of ${counted(values.length, 'column')}`)
    }
    const more = counts[kind] - samples[kind].length
    if (more > 0 && samples[kind].length > 0)
      lines.push(`    ${paint(colour, mark)} and ${formatCount(more)} more to ${verb}`)
  }
  return lines
}
