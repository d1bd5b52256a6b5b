import { Command } from 'commander'
import { EXIT } from '../../engine/errors.ts'
import { counted } from '../../engine/plural.ts'
import type { CaseResult, TestResult } from '../workbench/testJob.ts'
import { homeFolder } from './home.ts'
import { print, printError } from './output.ts'
import { markedText } from './tableText.ts'

interface TestFlags {
  write?: boolean
  json?: boolean
}

export function testCommand(): Command {
  return new Command('test')
    .description("Run a job's cases through its models and checks, without any connection")
    .argument('<job>', "the job's folder")
    .argument('[cases...]', 'the cases to run (default: all, and the tests of macros)')
    .option('--write', 'write what the job gives as what is expected: read it before you keep it')
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      `
A case is a folder below tests/cases: <extract>.csv or .sql are its inputs (a missing one is an empty table, missing columns are
NULL), and expected/<model>.csv or .sql what a model gives; expected/findings.csv is what checks find. case.yaml, of a case
or in tests/, says when the run is: run_at: 2026-01-31T02:00:00Z; night_checks: true lets rows: and fresh: of checks: judge it, too,
which say what a whole night has. Columns come from schema: of the extract, from tests/tables.sql, or
from the last run.

Examples:
  nightfreight test queries/members
  nightfreight test queries/members first --write`,
    )
    .action(async (folder: string, names: string[], { write, json }: TestFlags) => {
      const { testJob } = await import('../workbench/testJob.ts')
      const done = (result: CaseResult) => {
        if (!json) print(caseText(result).join('\n'))
      }
      const result = await testJob({ folder, home: homeFolder(), names, ...(write && { write }), done })
      if (json) print(JSON.stringify(testJson(result)))
      else print(macrosText(result).join('\n'))
      if (!isGood(result)) process.exitCode = EXIT.quality
    })
}

const isPassed = ({ error, differences }: CaseResult) => error === undefined && differences.length === 0

const isGood = ({ cases, macros }: TestResult) =>
  cases.every(isPassed) && macros.every(({ failures }) => failures.length === 0)

function caseText(result: CaseResult): string[] {
  const { name, seconds, error, differences, tables, written, rows } = result
  const head = `${isPassed(result) ? 'ok  ' : 'FAIL'}  ${name}  ${seconds.toFixed(2)} s  ${tables.join(', ')}`
  const lines = [
    head.trimEnd(),
    ...written.map(file => `      wrote ${file}: ${writtenText(file, rows[file] ?? 0)}`),
  ]
  if (error !== undefined) lines.push(...indent(told(error, false).trimEnd().split('\n')))
  for (const each of result.changes) lines.push(...differenceText(each, '- as it was, + as it is now'))
  for (const each of differences) lines.push(...differenceText(each, '- expected, + given'))
  return lines
}

/** A case that expects no rows, or rejected ones, may not be what was meant. */
function writtenText(file: string, rows: number): string {
  if (!/[\\/]findings\.csv$/.test(file)) return rows === 0 ? 'no row: is that meant?' : counted(rows, 'row')
  return rows === 0
    ? 'checks find nothing'
    : `${counted(rows, 'finding')}: rows that checks reject or warn of`
}

function differenceText({ table, difference }: CaseResult['differences'][number], signs: string): string[] {
  const lines: string[] = []
  const { columns, changed, missing, surplus, more } = difference
  const count = changed.length + missing.length + surplus.length + more
  lines.push(`      ${table}: ${counted(count, 'row')} ${count === 1 ? 'differs' : 'differ'} (${signs})`)
  const row = (mark: string, values: Record<string, string | null>) => [
    mark,
    ...columns.map(name => values[name]!),
  ]
  const rows = [
    ...changed.flatMap(({ expected, actual }) => [row('-', expected), row('+', actual)]),
    ...missing.map(each => row('-', each)),
    ...surplus.map(each => row('+', each)),
  ]
  const wrong = columns.filter(name =>
    changed.some(({ expected, actual }) => expected[name] !== actual[name]),
  )
  if (wrong.length > 0) lines.push(`      other values in: ${wrong.join(', ')}`)
  const shown =
    columns.length > MAX_COLUMNS && wrong.length > 0
      ? [columns[0]!, ...wrong.filter(name => name !== columns[0])]
      : columns
  const at = [0, ...shown.map(name => columns.indexOf(name) + 1)]
  const listed = rows.map(values => at.map(index => values[index]!))
  lines.push(...markedText(shown, listed, [columns[0]!, ...wrong], '      '))
  if (more > 0) lines.push(`      … and ${more} more`)
  return lines
}

/** A failure as it would be printed. */
function told(error: unknown, json: boolean): string {
  let text = ''
  printError(error, json, {
    stream: {
      write: part => {
        text += part
      },
    },
  })
  return text
}

/** Columns beyond which those of changed rows that are equal are not shown. */
const MAX_COLUMNS = 8

const indent = (lines: string[]) => lines.map(line => `      ${line}`)

function macrosText(result: TestResult): string[] {
  const { job, cases, macros } = result
  const lines = macros.flatMap(({ macro, rows, failures }) => [
    `${failures.length === 0 ? 'ok  ' : 'FAIL'}  macro ${macro}  ${counted(rows, 'row')}`,
    ...failures.map(
      ({ line, call, expected, actual }) =>
        `      line ${line}: ${call} is ${actual ?? 'NULL'}, expected ${expected ?? 'NULL'}`,
    ),
  ])
  const passed = cases.filter(isPassed).length
  const good = macros.filter(({ failures }) => failures.length === 0).length
  const unjudged = [...new Set(cases.flatMap(each => each.unjudged))]
  if (unjudged.length > 0)
    lines.push(
      `note: rows: and fresh: judge no case of a few rows: ${unjudged.join(', ')}; night_checks: true in case.yaml has them do so`,
    )
  const tail = macros.length > 0 ? `, ${good} of ${counted(macros.length, 'macro')}` : ''
  return [...lines, `${job}: ${passed} of ${counted(cases.length, 'case')}${tail} as expected`]
}

const testJson = (result: TestResult) => ({
  ...result,
  passed: isGood(result),
  cases: result.cases.map(({ error, ...each }) => ({
    ...each,
    ...(error !== undefined && { error: JSON.parse(told(error, true)) }),
  })),
})
