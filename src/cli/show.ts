import { Command } from 'commander'
import { EngineError } from '../../engine/errors.ts'
import { counted } from '../../engine/plural.ts'
import { isNumeric } from '../../engine/types/duckType.ts'
import type { ColumnProfile, Shown, ShowOptions } from '../workbench/show.ts'
import { homeFolder } from './home.ts'
import { judgedLines } from './judgedText.ts'
import { formatCount } from './meter.ts'
import { print, printError } from './output.ts'
import { parseCount, parseTime } from './parse.ts'
import { fittedText, markedText, shownValue } from './tableText.ts'

interface ShowFlags {
  limit: number
  where?: string
  profile?: boolean
  diff?: boolean
  watch?: boolean
  at?: Date
  json?: boolean
}

export function showCommand(): Command {
  return new Command('show')
    .description("Show a model's rows, as its file says now, over what the last run read")
    .argument('<job>', "the job's folder")
    .argument('<model>', 'a model or an extract')
    .option('--limit <rows>', 'rows to show; with --diff, of each kind', parseCount, 20)
    .option('--where <condition>', 'only rows of which this SQL is true')
    .option(
      '--profile',
      "each column's type, NULLs, distinct values, least, greatest, and how values are spread",
    )
    .option('--diff', 'which rows it gives that the last run did not, and the other way round')
    .option('--watch', 'show it again whenever a file of the job is saved')
    .option('--at <time>', "the run's own time, ISO 8601 (default: now)", parseTime)
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      `
Reads no source and writes nothing: the tables are those that the last run, or plan, has staged on this machine. Rows that
checks reject are left out, as in a run. Sensitive values are masked.

Examples:
  nightfreight show queries/members members_clean
  nightfreight show queries/members members_clean --where "member_id < 10" --limit 5
  nightfreight show queries/members members_clean --profile
  nightfreight show queries/members members_clean --diff`,
    )
    .action(async (folder: string, table: string, flags: ShowFlags) => {
      const { showTable } = await import('../workbench/show.ts')
      const { limit, where, profile, diff, at, json = false, watch } = flags
      if (profile && diff)
        throw new EngineError('CONFIG_INVALID', '--profile and --diff are two answers', {
          hint: 'Ask for one of them.',
        })
      const options = (): ShowOptions => ({
        folder,
        home: homeFolder(),
        env: process.env,
        table,
        limit,
        runAt: at ?? new Date(),
        ...(where !== undefined && { where }),
        ...(profile && { profile }),
        ...(diff && { diff }),
      })
      const showOnce = async () => {
        const shown = await showTable(options())
        print(json ? JSON.stringify(shown) : showText(shown).join('\n'))
      }
      if (!watch) return showOnce()
      // Nobody looks any more.
      process.stdout.once('error', () => process.exit())
      const { watchFolder } = await import('../workbench/watch.ts')
      await watchFolder(folder, async () => {
        const started = performance.now()
        await showOnce().catch(error => printError(error, json))
        if (!json)
          print(
            `\n${new Date().toTimeString().slice(0, 8)}, ${((performance.now() - started) / 1000).toFixed(2)} s; watching ${folder}\n`,
          )
      })
    })
}

function showText({ table, columns, rows, total, found, profile, diff }: Shown): string[] {
  const judged = found ? judgedLines(found).map(line => `  ${line}`) : []
  if (profile) return [...profileText(table, total, profile), ...judged]
  if (diff) return diffText(table, diff)
  const lines = fittedText(
    columns.map(({ name }) => name),
    rows.map(row => columns.map(({ name }) => row[name] ?? null)),
    columns.map(({ type }) => isNumeric(type)),
  )
  return [
    ...lines,
    '',
    `${table}: ${counted(total, 'row', formatCount)}${rows.length < total ? `, ${formatCount(rows.length)} shown` : ''}`,
    ...judged,
  ]
}

const BARS = ' ▁▂▃▄▅▆▇█'

function profileText(table: string, total: number, profile: ColumnProfile[]): string[] {
  const rows = profile.map(({ name, type, nulls, distinct, min, max, histogram, top }) => [
    name,
    type,
    total === 0 ? '' : `${Math.round((1000 * nulls) / total) / 10} %`,
    formatCount(distinct),
    min,
    max,
    histogram
      ? bars(histogram)
      : (top ?? []).map(each => `${shownValue(each.value)} ${formatCount(each.rows)}`).join(', '),
  ])
  const names = ['column', 'type', 'NULL', 'distinct', 'min', 'max', 'values']
  return [
    ...fittedText(names, rows, [false, false, true, true]),
    '',
    `${table}: ${counted(total, 'row', formatCount)}`,
  ]
}

function bars(histogram: number[]): string {
  const most = Math.max(...histogram)
  return histogram.map(rows => BARS[rows === 0 ? 0 : 1 + Math.floor((7 * rows) / most)]).join('')
}

function diffText(table: string, diff: NonNullable<Shown['diff']>): string[] {
  const { run, isPlan, changed, added, removed, unchanged, addedColumns, removedColumns, columns, samples } =
    diff
  const lines = [
    `${table} beside ${isPlan ? 'plan' : 'run'} ${run}`,
    `  ~ ${formatCount(changed)} changed   + ${formatCount(added)} more   - ${formatCount(removed)} gone   ${formatCount(unchanged)} unchanged`,
  ]
  if (columns.length > 0)
    lines.push(
      `  columns changed: ${columns.map(({ name, rows }) => `${name} ${formatCount(rows)}`).join(', ')}`,
    )
  if (addedColumns.length > 0) lines.push(`  new columns: ${addedColumns.join(', ')}`)
  if (removedColumns.length > 0) lines.push(`  columns gone: ${removedColumns.join(', ')}`)
  if (samples.length === 0) return lines
  const names = Object.keys(samples[0]!.before ?? samples[0]!.after!)
  const rows = samples.flatMap(({ before, after }) => [
    ...(before ? [['-', ...names.map(name => before[name] ?? null)]] : []),
    ...(after ? [['+', ...names.map(name => after[name] ?? null)]] : []),
  ])
  const all = changed + added + removed
  const some =
    samples.length < all
      ? ['', `${formatCount(samples.length)} of ${counted(all, 'row', formatCount)} shown`]
      : []
  const telling = [...diff.key, ...columns.map(({ name }) => name)]
  return [...lines, '', ...markedText(names, rows, telling, '  '), ...some]
}
