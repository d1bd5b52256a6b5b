import type { Outcome } from '../../engine/pipeline.ts'
import { counted } from '../../engine/plural.ts'
import { type Accounts, total } from '../../engine/quality/accounts.ts'
import { formatCount } from './meter.ts'

/** Rejected rows, by table; an extract that is loaded as it is has those found at either end. */
export function rejectedByTable({ tables }: Pick<Outcome, 'tables'>): Map<string, number> {
  const rejected = new Map<string, number>()
  for (const { name, rejected: rows } of tables)
    if (rows > 0) rejected.set(name, (rejected.get(name) ?? 0) + rows)
  return rejected
}

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
