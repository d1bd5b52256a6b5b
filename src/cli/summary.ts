import { styleText } from 'node:util'
import type { Outcome } from '../../engine/pipeline.ts'
import { counted } from '../../engine/plural.ts'
import { total } from '../../engine/quality/accounts.ts'
import { describeVerification, type Verification } from '../../engine/verify/result.ts'
import { jobText } from '../report/data.ts'
import type { RunResult } from '../runs/result.ts'
import { legible } from '../util/printable.ts'
import { runPath, siteOf } from '../util/site.ts'
import {
  accountLines,
  checkedLines,
  rejectedByTable,
  takenJson,
  takenLines,
  warnedBy,
} from './accountText.ts'
import { formatCount, formatSpan } from './meter.ts'
import { hasColours, print } from './output.ts'
import { aligned } from './table.ts'

/** Prints what a run did. */
export function printSummary(result: RunResult, json: boolean): void {
  if (json) print(JSON.stringify(summaryJson(result)))
  else print(summaryText(result, hasColours()), hasColours())
}

/** What a run did, for a person: a line a table, its counts in columns, and the account of all rows. */
export function summaryText(result: RunResult, colours = false): string {
  const { run, status, seconds, outcome, archive, report } = result
  const paint = (colour: 'green' | 'red' | 'yellow' | 'dim', text: string) =>
    colours ? styleText(colour, text, { validateStream: false }) : text
  const colour = status === 'SUCCESS' ? 'green' : result.error === undefined ? 'yellow' : 'red'
  const lines = [`${jobText(result)}: ${paint(colour, status)} in ${formatSpan(seconds * 1000)} (run ${run})`]
  // What is loaded as it was read has its rows in the table of loads.
  const loaded = new Set(outcome.loaded.length > 0 ? outcome.changes.map(({ load }) => load.from) : [])
  for (const { extract, rows } of outcome.extracted)
    if (!loaded.has(extract)) lines.push(`  read      ${extract}: ${counted(rows, 'row', formatCount)}`)
  lines.push(...takenLines(outcome))
  for (const { name, corrected } of outcome.tables)
    if (corrected && corrected.applied.length > 0)
      lines.push(
        `  corrected ${name}: ${counted(corrected.applied.length, 'row', formatCount)} in place of rejected ones`,
      )
  lines.push(...checkedLines(outcome, 'in the quarantine'))
  const [head, ...rows] = aligned(loadRows(outcome))
  if (rows.length > 0) lines.push(paint('dim', `  ${head}`), ...rows.map(row => `  ${row}`))
  const left = leftOut(outcome)
  if (left.length > 0) lines.push(paint('red', `  not loaded: ${left.join(', ')}`))
  for (const { table, to, reason, cascades = [] } of outcome.loaded) {
    if (reason) lines.push(`  ${to}.${table}: all rows were compared with the table: ${legible(reason)}`)
    lines.push(...cascades.map(line => `  ${to}.${table}: ${legible(line)}`))
  }
  for (const verification of outcome.verifications)
    if (!isPlain(verification))
      lines.push(
        `  verified  ${verification.to}.${verification.table}: ${legible(describeVerification(verification))}`,
      )
  lines.push(...accountLines(outcome.accounts).map(line => `  rows      ${line}`))
  if (archive?.failed !== undefined) lines.push(`  NOT archived, the next run tries again: ${archive.failed}`)
  else if (archive) lines.push(`  archived  ${archive.where}`)
  const page = pageOf(run)
  if (page) lines.push(`  page      ${page}`)
  if (report !== '') lines.push(`  report    ${report}`)
  return lines.join('\n')
}

/** Tables that a run has left out of what it loaded. */
const leftOut = ({ feeds, loaded }: Outcome): string[] =>
  loaded.length === 0 ? [] : Object.keys(feeds).filter(table => !loaded.some(load => load.table === table))

/** A header, and a line of counts for each load; columns that most runs leave at 0 are there where one is not. */
function loadRows({ loaded, accounts, verifications }: Outcome): string[][] {
  if (loaded.length === 0) return []
  const loads = loaded.map(load => {
    const isSame = ({ table, to }: { table: string; to: string }) => table === load.table && to === load.to
    return { ...load, account: accounts.loads.find(isSame), verification: verifications.find(isSame) }
  })
  type Load = (typeof loads)[number]
  const columns: { name: string; isKept?: true; of: (load: Load) => number | undefined }[] = [
    { name: 'read', of: ({ account }) => account?.read, isKept: true },
    { name: 'inserted', of: ({ inserted }) => inserted, isKept: true },
    { name: 'updated', of: ({ updated }) => updated, isKept: true },
    { name: 'deleted', of: ({ deleted }) => deleted, isKept: true },
    { name: 'unchanged', of: ({ account, unchanged }) => account?.unchanged ?? unchanged, isKept: true },
    { name: 'older', of: ({ older }) => older },
    { name: 'rejected', of: ({ account }) => account?.rejected },
    // Those that are older than the table's have a column of their own.
    { name: 'superseded', of: ({ account, older }) => account && account.superseded - older },
    { name: 'gone, kept', of: ({ account }) => account?.keptGone },
  ]
  const shown = columns.filter(({ isKept, of }) => isKept || loads.some(load => (of(load) ?? 0) > 0))
  return [
    ['loaded', ...shown.map(({ name }) => name), 'verified'],
    ...loads.map(load => [
      `${load.to}.${load.table}`,
      ...shown.map(({ of }) => count(of(load))),
      verified(load.verification),
    ]),
  ]
}

const count = (rows: number | undefined) => (rows === undefined ? '-' : formatCount(rows))

function verified(verification: Verification | undefined): string {
  if (!verification) return 'no'
  if (verification.wrong.rows > 0) return `${formatCount(verification.wrong.rows)} differ`
  return verification.rows === 0 ? 'nothing to compare' : `${formatCount(verification.equal)} equal`
}

/** Whether a word in the table says all of it. */
const isPlain = ({ wrong, newer, leftAlone, others }: Verification) =>
  wrong.rows + newer + leftAlone + others === 0

/** What a run did, for a program: one object. */
export function summaryJson(result: RunResult) {
  const { run, job, environment, status, seconds, outcome, archive, report, resumed } = result
  const { extracted, tables, quality, loaded, verifications, accounts } = outcome
  return {
    event: 'result',
    run,
    job,
    ...(environment !== undefined && { environment }),
    status,
    resumed,
    seconds,
    read: Object.fromEntries(extracted.map(({ extract, rows }) => [extract, rows])),
    ...takenJson(outcome),
    corrected: Object.fromEntries(
      tables.map(({ name, corrected }) => [name, corrected?.applied.length ?? 0]),
    ),
    rejected: {
      ...Object.fromEntries(tables.map(({ name }) => [name, 0])),
      ...Object.fromEntries(rejectedByTable(outcome)),
    },
    warned: warnedBy(outcome),
    quality,
    loaded,
    left_out: leftOut(outcome),
    accounts: { ...accounts, run: total(accounts.loads) },
    reconciled: Object.fromEntries(
      extracted.flatMap(({ extract, reconciled }) => (reconciled ? [[extract, reconciled]] : [])),
    ),
    verifications,
    archive,
    report,
    ...(pageOf(run) && { page: pageOf(run) }),
  }
}

/** Where a run is shown live; undefined where nobody has said how the dashboard is reached. */
function pageOf(run: string): string | undefined {
  const site = siteOf(process.env)
  return site && `${site}${runPath(run)}`
}
