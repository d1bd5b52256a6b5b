import type { Outcome } from '../../engine/pipeline.ts'
import { counted } from '../../engine/plural.ts'
import { type Accounts, total } from '../../engine/quality/accounts.ts'
import { legible } from '../util/printable.ts'
import { formatCount } from './meter.ts'

/** Rejected rows, by table; an extract that is loaded as it is has those found at either end. */
export function rejectedByTable({ tables }: Pick<Outcome, 'tables'>): Map<string, number> {
  const rejected = new Map<string, number>()
  for (const { name, rejected: rows } of tables)
    if (rows > 0) rejected.set(name, (rejected.get(name) ?? 0) + rows)
  return rejected
}

/** What checks found of a night, or of what would be one: rows left out, by table and check, and what they warn of. */
export function checkedLines(outcome: Pick<Outcome, 'tables' | 'checks'>, place: string): string[] {
  const lines: string[] = []
  for (const [name, rejected] of rejectedByTable(outcome)) {
    const by = outcome.checks.filter(({ model, level }) => model === name && level === 'reject')
    const counts = by.map(check => `${check.name} ${formatCount(check.rows)}`)
    const told = by.length === 0 ? '' : `: ${counts.join(', ')}`
    lines.push(`  rejected  ${name}: ${counted(rejected, 'row', formatCount)} ${place}${told}`)
  }
  for (const { check, table, rows, reason } of warnedBy(outcome))
    lines.push(
      `  warned    ${table === undefined ? '' : `${table}: ${counted(rows, 'row', formatCount)} by `}${check}: ${legible(reason)}`,
    )
  return lines
}

/** What checks have warned of, with the first reason: rows of a table, or the night as a whole. */
export const warnedBy = ({ checks }: Pick<Outcome, 'checks'>) =>
  checks
    .filter(({ level }) => level === 'warn')
    .map(({ name, model, rows, samples }) => ({
      check: name,
      table: model,
      rows,
      reason: samples[0]?.reason ?? '',
    }))

/** Models whose rows an earlier run had, by that run; and, where there are any, why the others were computed. */
export function takenLines({ tables }: Pick<Outcome, 'tables'>): string[] {
  const grouped = (of: (table: Outcome['tables'][number]) => string | undefined) =>
    [...Map.groupBy(tables, of)].flatMap(([what, group]) =>
      what === undefined ? [] : [{ what, names: group.map(({ name }) => name) }],
    )
  const taken = grouped(table => table.taken)
  const updated = tables.flatMap(({ name, updated }) => (updated ? [{ name, ...updated }] : []))
  if (taken.length + updated.length === 0) return []
  return [
    ...taken.map(
      ({ what, names }) =>
        `  unchanged ${counted(names.length, 'model', formatCount)}, taken from run ${what}: ${names.join(', ')}`,
    ),
    ...updated.map(
      ({ name, run, keys }) =>
        `  updated   ${name}: ${counted(keys, 'changed key', formatCount)}, other rows taken from run ${run}`,
    ),
    ...grouped(table => table.computed).map(({ what, names }) => `  computed  ${names.join(', ')}: ${what}`),
  ]
}

/** The same for a program: by model, the run that its rows are of, or why they were computed. */
export const takenJson = ({ tables }: Pick<Outcome, 'tables'>) => ({
  unchanged: Object.fromEntries(tables.flatMap(({ name, taken }) => (taken ? [[name, taken]] : []))),
  updated: Object.fromEntries(tables.flatMap(({ name, updated }) => (updated ? [[name, updated]] : []))),
  computed: Object.fromEntries(tables.flatMap(({ name, computed }) => (computed ? [[name, computed]] : []))),
})

/** What became of every row: of each extract and model where there is more to say than its rows, and of all loads together. */
export function accountLines({ extracts, models, loads }: Accounts): string[] {
  const lines: string[] = []
  for (const { table, read, rows, earlier, corrected, rejected, superseded, gone } of extracts)
    if (rows !== read)
      lines.push(
        `${table}: ${sum([read, 'read'], [earlier, 'of earlier runs'], [corrected, 'corrected'])} = ${sum([rows, 'in the table'], [rejected, 'rejected'], [superseded, 'superseded'], [gone, 'gone'])}`,
      )
  for (const { table, in: read, out, rejected } of models)
    lines.push(
      `${table}: ${formatCount(read)} in, ${formatCount(out)} out, ${formatCount(rejected)} rejected`,
    )
  const equation = ({ read, loaded, unchanged, rejected, superseded }: ReturnType<typeof total>) =>
    `${formatCount(read)} read = ${[`${formatCount(loaded)} loaded`, `${formatCount(unchanged)} unchanged`, `${formatCount(rejected)} rejected`, `${formatCount(superseded)} superseded`].join(' + ')}`
  const name =
    loads.length === 1 ? `${loads[0]!.to}.${loads[0]!.table}` : `all ${counted(loads.length, 'load')}`
  if (loads.length > 0) lines.push(`${name}: ${equation(total(loads))}`)
  return lines
}

const sum = (first: [number, string], ...more: [number, string][]) =>
  [first, ...more.filter(([rows]) => rows > 0)]
    .map(([rows, what]) => `${formatCount(rows)} ${what}`)
    .join(' + ')
