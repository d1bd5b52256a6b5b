import { join } from 'node:path'
import { REJECTED } from '../batch/builder.ts'
import type { Part, StagedFile } from '../contracts/staging.ts'
import { taskName } from '../contracts/taskName.ts'
import { type Category, EngineError } from '../errors.ts'
import type { Extracted } from '../extract/extract.ts'
import { type PlannedRead, refuseReserved } from '../plan/plan.ts'
import type { Tally } from '../quality/gate.ts'
import {
  type CheckResult,
  FINDINGS,
  findRows,
  openFindings,
  runSetCheck,
  summarise,
} from '../quality/rowChecks.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import type { Corrected, Correction } from '../runtime/correction.ts'
import type { FailureScope } from '../runtime/failureScope.ts'
import { runTask } from '../runtime/task.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { inFile } from '../sql/locate.ts'
import type { Check, Model, SqlGraph } from '../sql/model.ts'
import { stripped } from '../sql/text.ts'
import { allRows, type DataSet, goodRows } from '../staging/dataSet.ts'
import type { Image } from '../staging/image.ts'
import { imageSql, plainParts } from '../staging/image.ts'
import { copyFile } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { atomicWrite, rowsIn } from '../staging/store.ts'
import { type Column, typeFromName } from '../types/logical.ts'
import { correctExtract, recordSql, rowId, sortOut, withCorrections } from './corrections.ts'
import { enrich } from './enrich.ts'
import { MacroSession } from './macros.ts'

/** What one model, or the type rules of one extract, left in staging. */
export interface Transformed extends Tally, Omit<DataSet, 'parts'> {
  name: string
  columns: Column[]
  /** All its rows; absent for the type rules of an extract. */
  parts?: Part[]
  checks: CheckResult[]
  /** What came of its corrections, where there were any. */
  corrected?: Corrected
  /** Of an extract: Parquet file of its corrected rows below the staging root. */
  corrections?: string
}

/** A model, or an extract taken as one. */
type Query = Pick<Model, 'name' | 'file' | 'sql' | 'enrich'>

/** Tables of the night as models see them: one image an extract. */
export async function openTables(
  context: RunContext,
  graph: SqlGraph,
  reads: PlannedRead[],
  images: Map<string, Image>,
): Promise<MacroSession> {
  const { duck, runAt, root } = context
  await duck.run(`SET VARIABLE run_at = TIMESTAMPTZ ${quote(runAt.toISOString())}`)
  for (const read of reads) {
    const image = images.get(read.extract)
    if (image)
      await duck.run(`CREATE OR REPLACE VIEW ${quoteName(read.extract)} AS ${imageSql(root, image, read)}`)
  }
  const macros = new MacroSession(duck, graph.macros)
  await macros.made(reads.flatMap(({ extract }) => (images.has(extract) ? [extract] : [])))
  return macros
}

/** Runs the models in the order of their dependencies; each sees only the good rows of those before it. */
export async function transform(
  context: RunContext,
  graph: SqlGraph,
  macros: MacroSession,
  reads: PlannedRead[],
  images: Map<string, Image>,
  failures: FailureScope,
): Promise<Transformed[]> {
  const { duck, spec } = context
  const results: Transformed[] = []
  const keyChecks = (name: string) =>
    spec.loads.filter(load => load.from === name).flatMap(load => load.key.map(nullKey(name)))
  for (const model of graph.models) {
    const { name, inline, extract } = model
    const checks = [...spec.checks.filter(check => check.model === name), ...keyChecks(name)]
    // An extract that is loaded or checked as it is: its rows are a data set like a model's.
    const read = extract && reads.find(read => read.extract === name)
    const image = extract && images.get(name)
    const needs = [...(extract ? [name] : model.reads), ...model.awaits]
    await failures.attempt([name], needs, async () => {
      if (inline) {
        const view = `CREATE OR REPLACE VIEW ${quoteName(name)} AS ${stripped(model.sql)}`
        await inFile(model, () => duck.run(view))
      } else {
        const plain = image && read && plainParts(image, read)
        const stageOwn = (own: RunContext) => stage(own, model, checks, plain)
        const result = await runTask(context, taskName('model', name), stageOwn, filesOf)
        const set = { ...result, parts: result.parts! }
        await duck.run(`CREATE OR REPLACE VIEW ${quoteName(name)} AS ${goodRows(context.root, set)}`)
        results.push(result)
      }
      await macros.made([name])
    })
  }
  return results
}

const filesOf = ({ parts = [], findings, corrections }: Transformed): StagedFile[] => [
  ...parts,
  ...[findings, corrections].flatMap(file => (file === undefined ? [] : [{ file }])),
]

const nullKey =
  (model: string) =>
  (column: string): Check => ({
    name: `key ${column} is present`,
    file: `load key ${column}`,
    model,
    sql: `SELECT ${quoteName(column)}, ${quote(`key column ${column} is NULL`)} AS reason FROM ${quoteName(model)} WHERE ${quoteName(column)} IS NULL`,
  })

/** Writes a query's rows, or takes the parts that hold them already, and checks them. */
async function stage(
  context: RunContext,
  model: Query,
  checks: Check[],
  plain?: Part[],
): Promise<Transformed> {
  const { progress } = context
  const task = taskName('model', model.name)
  progress.started(task)
  const set = plain
    ? ({ parts: plain, plain: true } as const)
    : { parts: [await inFile(model, () => materialise(context, model))] }
  const judged = await judge(context, model, checks, set)
  const corrections = judged.rejected > 0 ? await context.corrections(model.name) : []
  const result =
    corrections.length > 0 ? await correctModel(context, model, checks, judged, corrections) : judged
  progress.finished(task, `${result.rows} rows, ${result.rejected} rejected`)
  return result
}

async function materialise(context: RunContext, { name, sql, enrich: enrichment }: Query): Promise<Part> {
  if (enrichment) return enrich(context, { name, sql, enrich: enrichment })
  const columns = await context.duck.rows(`DESCRIBE ${stripped(sql)}`)
  refuseReserved(
    `model ${name}`,
    columns.map(column => String(column.column_name)),
  )
  return copyModel(context, stripped(sql), 'transformed', name)
}

const copyModel = (context: RunContext, sql: string, folder: string, name: string) =>
  copyFile(context, sql, ownFile(context, `${folder}/${name}`, '.parquet'), 'snappy')

/** Puts corrected rows in the place of rejected ones, in another file, and judges it all anew. */
async function correctModel(
  context: RunContext,
  model: Query,
  checks: Check[],
  result: Judged,
  corrections: Correction[],
): Promise<Transformed> {
  const { root, spec } = context
  const id = rowId(spec.job, model.name, 'record')
  const rejected = `SELECT row, ${id} AS _nf_id FROM read_parquet(${quote(join(root, result.findings!))}) WHERE severity = 'reject'`
  const { sql, ...corrected } = await sortOut(context, corrections, rejected, result.columns)
  if (!sql) return { ...result, corrected }
  const applied = corrected.applied.map(quote).join(', ')
  const mended = `SELECT * EXCLUDE (file_row_number) FROM ${allRows(root, result)}
      WHERE file_row_number NOT IN (SELECT row FROM (${rejected}) WHERE _nf_id IN (${applied}))
    UNION ALL BY NAME SELECT * EXCLUDE (_nf_id) FROM (${sql})`
  const parts = [await copyModel(context, mended, 'corrected', model.name)]
  return { ...(await judge(context, model, checks, { parts })), corrected }
}

type Judged = Transformed & DataSet

/** Checks a data set's rows. */
async function judge(context: RunContext, model: Query, checks: Check[], set: DataSet): Promise<Judged> {
  const { duck, root } = context
  const all = allRows(root, set)
  const columns = await columnsOf(context, model.file, `SELECT * EXCLUDE (file_row_number) FROM ${all}`)
  const rows = rowsIn(set.parts)
  await duck.run(`CREATE OR REPLACE VIEW ${quoteName(model.name)} AS ${goodRows(root, set)}`)
  const names = columns.map(column => column.name)
  await openFindings(duck)
  for (const check of checks) await inFile(check, () => findRows(duck, check, all, names))
  const findings = await quarantine(context, model.name, all, names)
  const result: Judged = { name: model.name, columns, ...set, rows, rejected: 0, marked: 0, checks: [] }
  const checked = checks.map(({ name }) => name)
  if (findings) return { ...result, ...(await tally(context, model.name, findings, checked)) }
  const passed = (name: string): CheckResult => ({
    name,
    model: model.name,
    level: 'pass',
    rows: 0,
    samples: [],
  })
  return { ...result, checks: checked.map(passed) }
}

/** Sends the rows that the extracts' own type rules rejected to the quarantine. */
export async function quarantineExtracts(
  context: RunContext,
  reads: PlannedRead[],
  extracted: Extracted[],
  images: Map<string, Image>,
  failures: FailureScope,
): Promise<Transformed[]> {
  const tables: Transformed[] = []
  for (const read of reads) {
    const found = extracted.find(({ extract }) => extract === read.extract)!
    const { extract } = read
    const table = await failures.attempt([extract], [extract], () =>
      quarantineExtract(context, read, found, images.get(extract)!),
    )
    if (table) tables.push(table)
  }
  return tables
}

async function quarantineExtract(
  context: RunContext,
  read: PlannedRead,
  extracted: Extracted,
  image: Image,
): Promise<Transformed> {
  const columns = read.columns.filter(column => column.name !== REJECTED)
  const result: Transformed = {
    name: read.extract,
    columns,
    rows: extracted.rows,
    rejected: 0,
    marked: 0,
    checks: [],
  }
  if (columns.length === read.columns.length) return { ...result, rows: 0 }
  const found = await runTask(
    context,
    taskName('types', read.extract),
    async own => {
      const corrections = await context.corrections(read.extract)
      const mended = corrections.length > 0 ? await correctExtract(own, read, image, corrections) : undefined
      const { file, ...corrected } = mended ?? {}
      if (mended) Object.assign(result, { corrected, ...(file && { corrections: file }) })
      if (extracted.parts.length === 0) return result
      const source = `(SELECT row_number() OVER () AS file_row_number, * FROM ${filesSql(context.root, extracted.parts)} WHERE ${REJECTED} IS NOT NULL)`
      const name = 'exact types'
      await openFindings(context.duck)
      await context.duck.run(
        `INSERT INTO ${FINDINGS} BY NAME SELECT file_row_number AS row, ${quote(name)} AS check_name, 'reject' AS severity,
      list_aggregate(list_transform(from_json(${REJECTED}, '[{"column":"VARCHAR","value":"VARCHAR","reason":"VARCHAR"}]'),
        lambda _nf_f: _nf_f.column || ' = ' || _nf_f.value || ' ' || _nf_f.reason), 'string_agg', '; ') AS reason FROM ${source}`,
      )
      const names = [...columns.map(c => c.name), REJECTED]
      const findings = await quarantine(context, read.extract, source, names, 'FORMAT_ERROR')
      return findings ? { ...result, ...(await tally(context, read.extract, findings, [name])) } : result
    },
    filesOf,
  )
  if (found.corrections) {
    const table = imageSql(context.root, image, read)
    const view = withCorrections(table, context.root, found.corrections, read.key)
    await context.duck.run(`CREATE OR REPLACE VIEW ${quoteName(read.extract)} AS ${view}`)
  }
  return found
}

// The findings, with the whole record of each; no file where there is none.
async function quarantine(
  context: RunContext,
  model: string,
  rows: string,
  columns: string[],
  category: Category = 'DATA_INTEGRITY_ERROR',
) {
  const { duck, root, run } = context
  const [count] = await duck.rows(`SELECT count(*) AS n FROM ${FINDINGS}`)
  if (count!.n === 0) return undefined
  const file = ownFile(context, `quarantine/${model}`, '.parquet')
  await atomicWrite(join(root, file), temporary =>
    duck.run(`COPY (
      SELECT _nf_f.row, ${quote(model)} AS model, _nf_f.check_name, _nf_f.severity, ${quote(category)} AS category, _nf_f.reason,
        ${recordSql(columns, '_nf_m')} AS record, ${quote(run)} AS run
      FROM ${FINDINGS} AS _nf_f JOIN ${rows} AS _nf_m ON _nf_m.file_row_number = _nf_f.row
      ORDER BY _nf_f.row, _nf_f.check_name, _nf_f.reason
    ) TO ${quote(temporary)} (FORMAT parquet)`),
  )
  return file
}

async function tally(context: RunContext, model: string, findings: string, checks: string[]) {
  const table = `read_parquet(${quote(join(context.root, findings))})`
  const [counts] = await context.duck.rows(
    `SELECT count(DISTINCT row) AS marked, count(DISTINCT row) FILTER (severity = 'reject') AS rejected FROM ${table}`,
  )
  return {
    findings,
    marked: Number(counts!.marked),
    rejected: Number(counts!.rejected),
    checks: await summarise(context.duck, model, checks, table),
  }
}

/**
 * Runs the checks that judge the night as a whole. What one could not judge is not loaded, nor what is made from it; one
 * that reads no table judges all.
 */
export async function runSetChecks(
  context: RunContext,
  { checks, models }: SqlGraph,
  failures: FailureScope,
): Promise<CheckResult[]> {
  const results: CheckResult[] = []
  for (const check of checks) {
    if (check.model) continue
    const run = () => inFile(check, () => runSetCheck(context.duck, check))
    const guarded = new Set(check.reads)
    for (const { name, reads } of models) if (reads.some(table => guarded.has(table))) guarded.add(name)
    const result = guarded.size > 0 ? await failures.attempt([...guarded], check.reads, run) : await run()
    if (result) results.push(result)
  }
  return results
}

async function columnsOf(context: RunContext, file: string, sql: string): Promise<Column[]> {
  const described = await context.duck.rows(`DESCRIBE ${sql}`)
  return described.map(column => {
    const native = String(column.column_type)
    const type = typeFromName(native)
    if (!type)
      throw new EngineError('TYPE_UNSUPPORTED', `${file}: column ${column.column_name} has type ${native}`, {
        hint: 'Cast it to a scalar type, for instance to VARCHAR, or with to_json().',
      })
    return { name: String(column.column_name), type, nullable: true, native }
  })
}
