import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, extname, join } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { Duck, quoteName } from '../../engine/sql/duckdb.ts'
import { refuse } from '../../engine/sql/faults.ts'
import { extractsOf, parseJob } from '../../engine/sql/graph.ts'
import { inFile } from '../../engine/sql/locate.ts'
import type { SqlGraph } from '../../engine/sql/model.ts'
import { modelColumn } from '../../engine/types/duckType.ts'
import type { JobOutline } from '../config/outline.ts'
import { openOutline, outlineTables } from '../runs/knownColumns.ts'
import { shellWord } from '../util/shell.ts'
import { asCsv, compare, type Difference, headerOf } from './compare.ts'
import { type MacroResult, testMacros } from './macroTest.ts'
import { scratchContext } from './scratch.ts'
import { caseSettings, FOUND, runCase, type Tables } from './testCase.ts'

/** How one case went: nothing of `error` and `differences` where it is as expected. */
export interface CaseResult {
  name: string
  seconds: number
  /** Tables that were compared. */
  tables: string[]
  differences: { table: string; difference: Difference }[]
  /** Files that were written anew. */
  written: string[]
  /** Rows of each of those. */
  rows: Record<string, number>
  /** How what was written differs from what was expected before. */
  changes: { table: string; difference: Difference }[]
  /** Checks of how many rows a night has, or how new they are, which did not judge it. */
  unjudged: string[]
  error?: unknown
}

export interface TestResult {
  job: string
  cases: CaseResult[]
  macros: MacroResult[]
}

export interface TestOptions {
  folder: string
  /** May know the columns of extracts. */
  home: string
  /** Cases to run; all where there are none. */
  names: string[]
  /** Writes what is expected as it is. */
  write?: boolean
  done?: (result: CaseResult) => void
}

/** Runs the cases of a job, and the tests of its macros, by the engine itself and without any connection. */
export async function testJob({ folder, home, names, write, done }: TestOptions): Promise<TestResult> {
  const outline = await openOutline(folder, home)
  const graph = await graphOfOutline(outline)
  const cases = casesIn(folder)
  const unknown = names.find(name => !cases.includes(name))
  if (unknown !== undefined)
    throw new EngineError(
      'CONFIG_INVALID',
      `${join(folder, 'tests/cases')} has no case ${unknown}${didYouMean(unknown, cases)}`,
      {
        hint:
          cases.length > 0
            ? `Its cases: ${cases.join(', ')}.`
            : 'A case is a folder with inputs as CSV, and expected/.',
      },
    )
  const tables = await inputTables(outline, folder, home)
  const result: TestResult = { job: outline.job, cases: [], macros: [] }
  for (const name of names.length > 0 ? names : cases) {
    const each = await testOne(outline, graph, tables, {
      name,
      folder: join(folder, 'tests/cases', name),
      write,
    })
    result.cases.push(each)
    done?.(each)
  }
  if (names.length === 0)
    for (const place of [join(folder, '../macros/tests'), join(folder, 'tests/macros')])
      if (existsSync(place)) result.macros.push(...(await testMacros(place, graph)))
  if (result.cases.length === 0 && result.macros.length === 0)
    throw new EngineError(
      'CONFIG_INVALID',
      `${outline.job} has no tests: ${join(folder, 'tests/cases')} holds none`,
      {
        hint: `Begin one: mkdir -p ${join(folder, 'tests/cases/first')}, put ${outline.extracts[0]?.name ?? 'an extract'}.csv in it, then nightfreight test ${shellWord(folder)} --write`,
      },
    )
  return result
}

/** A job's SQL, parsed and ordered; fails with MODEL_INVALID and all that is wrong. */
export async function graphOfOutline(outline: JobOutline): Promise<SqlGraph> {
  const duck = await Duck.open({ threads: 1 })
  try {
    const { graph, faults } = await parseJob(duck, outline)
    refuse(faults)
    return graph
  } finally {
    duck.close()
  }
}

async function testOne(
  outline: JobOutline,
  graph: SqlGraph,
  tables: Tables,
  { name, folder, write }: { name: string; folder: string; write?: boolean },
): Promise<CaseResult> {
  const started = performance.now()
  const result: CaseResult = {
    name,
    seconds: 0,
    tables: [],
    differences: [],
    written: [],
    rows: {},
    changes: [],
    unjudged: [],
  }
  try {
    await using stack = new AsyncDisposableStack()
    const settings = await caseSettings(folder)
    const context = await scratchContext(outline, settings.runAt, stack)
    const left = await runCase(context, outline, graph, tables, folder, settings)
    if (!settings.nightChecks)
      result.unjudged = graph.checks.flatMap(({ name, ofNight }) => (ofNight ? [name] : []))
    const made = [
      ...graph.models.map(model => model.name),
      ...outline.extracts.map(extract => extract.name),
      FOUND,
    ]
    const place = join(folder, 'expected')
    const files = existsSync(place)
      ? readdirSync(place)
          .filter(file => /\.(csv|sql)$/.test(file))
          .sort()
      : []
    if (files.length === 0 && write) {
      mkdirSync(place, { recursive: true })
      files.push(...ofInputs(outline, graph, folder).map(table => `${table}.csv`), `${FOUND}.csv`)
    }
    if (files.length === 0)
      throw new EngineError('CONFIG_INVALID', `${place} has no file: nothing is expected`, {
        hint: 'nightfreight test … --write writes what the job gives; read it before you keep it.',
      })
    for (const file of files) {
      const table = basename(file, extname(file))
      if (left.includes(table) || !made.includes(table))
        throw new EngineError(
          'CONFIG_INVALID',
          left.includes(table)
            ? `${join(place, file)}: ${table} cannot be made: the columns of an extract that it reads are not known`
            : `${join(place, file)}: no model or extract is called ${table}${didYouMean(table, made)}`,
          {
            hint: 'tests/tables.sql can hold CREATE TABLE statements of extracts whose columns job.yaml does not declare.',
          },
        )
      const path = join(place, file)
      const key = [...outline.loads.filter(({ from }) => from === table), ...outline.extracts].flatMap(
        each => each.key,
      )
      const by = table === FOUND ? ['check_name', 'record'] : key
      if (write && extname(file) === '.csv') {
        const before = existsSync(path) ? readFileSync(path, 'utf8') : undefined
        const text = await asCsv(context.duck, table, before === undefined ? [] : headerOf(path))
        if (text !== before) {
          const difference = before === undefined ? undefined : await compare(context.duck, table, path, by)
          if (difference) result.changes.push({ table, difference })
          writeFileSync(path, text)
          result.written.push(path)
          result.rows[path] = await rowsOf(context.duck, table)
        }
        result.tables.push(table)
        continue
      }
      const difference = await compare(context.duck, table, path, by)
      result.tables.push(table)
      if (difference) result.differences.push({ table, difference })
    }
  } catch (error) {
    result.error = error
  }
  result.seconds = (performance.now() - started) / 1000
  return result
}

/** What is loaded of what a case gives an input for: all else is empty in it. */
function ofInputs({ loads }: JobOutline, { models }: SqlGraph, folder: string): string[] {
  const given = new Set(readdirSync(folder).map(file => basename(file, extname(file))))
  const loaded = new Set(loads.map(({ from }) => from))
  return [...loaded].filter(from => extractsOf(from, models).some(extract => given.has(extract)))
}

async function rowsOf(duck: Duck, table: string): Promise<number> {
  const [found] = await duck.rows(`SELECT count(*)::INTEGER AS n FROM ${quoteName(table)}`)
  return Number(found!.n)
}

/** The extracts' columns: of `tests/tables.sql`, declared, or as the last run knew them. */
export async function inputTables(outline: JobOutline, folder: string, home: string): Promise<Tables> {
  const tables = new Map(outlineTables(outline, home))
  const file = join(folder, 'tests/tables.sql')
  if (!existsSync(file)) return tables
  const duck = await Duck.open({ threads: 1, folders: [] })
  try {
    const sql = readFileSync(file, 'utf8')
    await inFile({ file: 'tests/tables.sql', sql }, () => duck.run(sql))
    for (const { name, key } of outline.extracts) {
      const columns = await duck.rows(`DESCRIBE ${quoteName(name)}`).catch(() => undefined)
      if (!columns) continue
      const found = columns.map(({ column_name, column_type }) =>
        modelColumn(String(column_name), String(column_type)),
      )
      tables.set(name, { columns: found, key: key.length > 0 ? key : (tables.get(name)?.key ?? []) })
    }
    return tables
  } finally {
    duck.close()
  }
}

/** The names of a job's cases. */
export function casesIn(job: string): string[] {
  const folder = join(job, 'tests/cases')
  return existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true })
        .filter(entry => entry.isDirectory())
        .map(({ name }) => name)
        .sort()
    : []
}
