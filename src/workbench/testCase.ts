import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, extname, join } from 'node:path'
import { z } from 'zod'
import type { LoadSpec } from '../../engine/contracts/load.ts'
import { EngineError } from '../../engine/errors.ts'
import type { Extracted } from '../../engine/extract/extracted.ts'
import { keepImages } from '../../engine/extract/images.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { checkSql } from '../../engine/plan/checkSql.ts'
import type { PlannedRead } from '../../engine/plan/plan.ts'
import { withinLimits } from '../../engine/quality/limits.ts'
import { ownFile, type RunContext } from '../../engine/runtime/context.ts'
import { FailureScope } from '../../engine/runtime/failureScope.ts'
import { quote, quoteName } from '../../engine/sql/duckdb.ts'
import type { Fault } from '../../engine/sql/faults.ts'
import { extractsOf } from '../../engine/sql/graph.ts'
import { inFile } from '../../engine/sql/locate.ts'
import type { SqlGraph } from '../../engine/sql/model.ts'
import { parseQuery } from '../../engine/sql/parse.ts'
import { stripped } from '../../engine/sql/text.ts'
import { copyFile } from '../../engine/staging/parts.ts'
import { filesSql } from '../../engine/staging/read.ts'
import { judgeExtracts } from '../../engine/transform/extracts.ts'
import { openTables, runSetChecks, transform } from '../../engine/transform/models.ts'
import type { Transformed } from '../../engine/transform/transformed.ts'
import { type Column, typeName } from '../../engine/types/logical.ts'
import { Document } from '../config/document.ts'
import type { JobOutline } from '../config/outline.ts'
import { validate } from '../config/validate.ts'
import { openRows, refuseRows, strayColumns, strayOutputs, valuesOf, wronglyTyped } from './rows.ts'
import { readOf } from './scratch.ts'

/** The run's time where a case says none. */
const RUN_AT = '2026-01-01T00:00:00Z'

/** Table of the session with what checks and key rules found. */
export const FOUND = 'findings'

const settings = z.strictObject({
  run_at: z
    .union([z.string(), z.date()])
    .transform(value => new Date(value))
    .refine(value => !Number.isNaN(value.getTime()), 'expected a time such as 2026-01-31T02:00:00Z')
    .optional(),
  night_checks: z.boolean().optional(),
  description: z.string().optional(),
})

/** What a case says of its run. */
export interface CaseSettings {
  runAt: Date
  /** `rows:` and `fresh:` of checks hold for it, too. */
  nightChecks: boolean
}

/** The settings of a case: as its own `case.yaml` says, or the one of all cases. Fails with CONFIG_INVALID, at the line. */
export async function caseSettings(folder: string): Promise<CaseSettings> {
  const [own, all] = await Promise.all(
    [join(folder, 'case.yaml'), join(folder, '../../case.yaml')].map(settingsIn),
  )
  const said = { ...all, ...own }
  return { runAt: said.run_at ?? new Date(RUN_AT), nightChecks: said.night_checks ?? false }
}

async function settingsIn(file: string): Promise<z.output<typeof settings>> {
  if (!existsSync(file)) return {}
  const document = await Document.open(file, readFileSync(file, 'utf8'))
  const said = validate(document, [], settings, document.value ?? {})
  document.throwIfAny()
  return said!
}

/** Columns of the extracts, and their keys. */
export type Tables = ReadonlyMap<string, { columns: Column[]; key: string[] }>

/**
 * Runs a job's models and checks by the engine's own steps over a case's inputs, in `context`'s session: afterwards it has
 * each table that was made, and {@link FOUND}; those not made, for want of an extract's columns, are returned. Fails with
 * the first failure of a model or check.
 */
export async function runCase(
  context: RunContext,
  { extracts }: JobOutline,
  whole: SqlGraph,
  tables: Tables,
  folder: string,
  { nightChecks }: CaseSettings,
): Promise<string[]> {
  const reads: PlannedRead[] = []
  const extracted: Extracted[] = []
  refuseStray(
    folder,
    extracts.map(({ name }) => name),
  )
  for (const extract of extracts) {
    const { name } = extract
    const known = tables.get(name)
    const input = ['.csv', '.sql'].map(ending => join(folder, name + ending)).find(existsSync)
    if (!known) {
      if (input) throw unknownColumns(name, input)
      continue
    }
    reads.push(readOf(context, extract, known))
    const part = await copyFile(
      context,
      await inputSql(context, name, known.columns, input),
      ownFile(context, `raw/${name}`, '.parquet'),
    )
    extracted.push({ extract: name, parts: part.rows > 0 ? [part] : [], rows: part.rows, watermark: null })
  }
  const checks = whole.checks.filter(({ ofNight }) => nightChecks || !ofNight)
  const made = withoutUnknown({ ...whole, checks }, new Set(reads.map(({ extract }) => extract)))
  const { graph } = made
  await checkSql(context, graph, reads)
  const failures = new FailureScope(context)
  const judged = await judgeExtracts(context, reads, extracted, failures)
  failures.check()
  const nights = new Map(judged.map(({ name, night }) => [name, night]))
  const { images } = await keepImages(context, reads, extracted, nights)
  const macros = await openTables(context, graph, reads, images, judged)
  const sets = await transform(context, graph, macros, { reads }, images, judged, failures)
  const setResults = await runSetChecks(context, graph, reads, failures)
  failures.check()
  await context.duck.run(
    `CREATE TABLE ${FOUND} (check_name VARCHAR, record VARCHAR, severity VARCHAR, reason VARCHAR)`,
  )
  for (const set of [...judged, ...sets])
    await takeFindings(context, set, keyOf(set, context.spec.loads, reads))
  const all = withinLimits([...sets.flatMap(set => set.checks), ...setResults], context.spec.checks, sets)
  for (const { name, model, level, samples } of all) {
    if (samples.length === 0 || (model !== undefined && level !== 'stop')) continue
    const lines = samples.map(({ reason }) => `(${[name, '', level, reason].map(quote).join(', ')})`)
    await context.duck.run(`INSERT INTO ${FOUND} VALUES ${lines.join(', ')}`)
  }
  return made.left
}

/** A job's SQL without what is made from extracts that are not `known`, and the names of these models. */
function withoutUnknown(graph: SqlGraph, known: ReadonlySet<string>): { graph: SqlGraph; left: string[] } {
  const isMade = (table: string) => extractsOf(table, graph.models).every(extract => known.has(extract))
  const models = graph.models.filter(({ name }) => isMade(name))
  const checks = graph.checks.filter(({ model, reads }) =>
    [...reads, ...(model ? [model] : [])].every(isMade),
  )
  const left = graph.models.filter(model => !models.includes(model)).map(({ name }) => name)
  return { graph: { ...graph, models, checks }, left }
}

/** Fails with CONFIG_INVALID where a file looks like an input and is none: misspelled, it would be an empty table. */
export function refuseStray(folder: string, tables: string[]): void {
  const faults = readdirSync(folder, { withFileTypes: true }).flatMap((entry): Fault[] => {
    const { name } = entry
    const ending = extname(name)
    if (name === 'case.yaml' || name === 'expected' || ending === '.md' || name.startsWith('.')) return []
    const table = basename(name, ending)
    if (entry.isFile() && ['.csv', '.sql'].includes(ending) && tables.includes(table)) return []
    return [
      {
        file: join(folder, name),
        message: `is no input: no extract has this name${didYouMean(table, tables)}`,
        hint: `Inputs are ${tables.map(each => `${each}.csv`).join(', ')}, or .sql; what is expected lies in expected/.`,
      },
    ]
  })
  refuseRows(faults)
}

function unknownColumns(name: string, input: string): EngineError {
  const names = extname(input) === '.csv' ? openRows(input).names : []
  const columns = names.map(name => `${quoteName(name)} VARCHAR`).join(', ') || '…'
  return new EngineError('CONFIG_INVALID', `${input}: the columns of ${name} are not known`, {
    hint: `Run the job once, or write their types to tests/tables.sql: CREATE TABLE ${name} (${columns});`,
  })
}

/** SQL of an input's rows, each value of its column's type; none without a file. */
async function inputSql(
  { duck }: RunContext,
  name: string,
  columns: Column[],
  input: string | undefined,
): Promise<string> {
  const typed = (given: ReadonlySet<string>) =>
    columns.map(column => {
      const value = given.has(column.name.toLowerCase()) ? quoteName(column.name) : 'NULL'
      return `${value}::${typeName(column.type)} AS ${quoteName(column.name)}`
    })
  if (input === undefined) return `SELECT ${typed(new Set()).join(', ')} LIMIT 0`
  const known = columns.map(column => column.name)
  if (extname(input) === '.sql') {
    const text = readFileSync(input, 'utf8')
    const file = { file: input, sql: text }
    await parseQuery(duck, file, 'an input')
    const described = await inFile(file, () => duck.rows(`DESCRIBE ${stripped(text)}`))
    const names = described.map(({ column_name }) => String(column_name))
    refuseRows(strayOutputs(file, name, names, known))
    return `SELECT ${typed(new Set(names.map(each => each.toLowerCase()))).join(', ')} FROM (${stripped(text)}\n)`
  }
  const rows = openRows(input)
  refuseRows([...strayColumns(rows, name, known), ...(await wronglyTyped(duck, rows, columns))])
  const { names } = rows
  if (rows.rows.length === 0) return `SELECT ${typed(new Set()).join(', ')} LIMIT 0`
  const given = `(VALUES ${valuesOf(rows).join(', ')}) AS given(${names.map(quoteName).join(', ')})`
  return `SELECT ${typed(new Set(names.map(each => each.toLowerCase()))).join(', ')} FROM ${given}`
}

/** Columns by which people know a table's rows: the key of its load or extract, or of another that it has whole; or its first. */
function keyOf(
  { name, columns }: Transformed,
  loads: Pick<LoadSpec, 'from' | 'key'>[],
  reads: Pick<PlannedRead, 'extract' | 'key'>[],
): string[] {
  const all = [
    ...loads.map(({ from, key }) => ({ from, key })),
    ...reads.map(({ extract, key }) => ({ from: extract, key })),
  ]
  const names = columns.map(column => column.name)
  const whole = all.filter(({ key }) => key.length > 0 && key.every(column => names.includes(column)))
  return (whole.find(({ from }) => from === name) ?? whole[0])?.key ?? names.slice(0, 1)
}

/** Adds a table's findings to {@link FOUND}: a row by its key. */
async function takeFindings({ duck, root }: RunContext, set: Transformed, key: string[]): Promise<void> {
  if (!set.findings) return
  const shown = key.map(name => `coalesce(record ->> ${quote(`$."${name}"`)}, '')`)
  await duck.run(
    `INSERT INTO ${FOUND} SELECT check_name, concat_ws(' ', ${shown.join(', ')}), severity, reason
     FROM ${filesSql(root, [{ file: set.findings }])}`,
  )
}
