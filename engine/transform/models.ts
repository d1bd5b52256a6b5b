import type { Part, StagedFile } from '../contracts/staging.ts'
import { taskName } from '../contracts/taskName.ts'
import { EngineError } from '../errors.ts'
import { type Plan, type PlannedRead, refuseReserved } from '../plan/plan.ts'
import { counted } from '../plural.ts'
import { hiddenChecks } from '../quality/hidden.ts'
import { KEY_PRESENT, nullKeysSql } from '../quality/keyRules.ts'
import { type Findings, quarantine } from '../quality/quarantine.ts'
import { type CheckResult, FINDINGS, findRows, openFindings, runSetCheck } from '../quality/rowChecks.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import type { Correction } from '../runtime/correction.ts'
import type { FailureScope } from '../runtime/failureScope.ts'
import { oursFirst, runTask } from '../runtime/task.ts'
import { bucketOf, bucketTasks } from '../runtime/taskGraph.ts'
import { bucketSql } from '../sql/buckets.ts'
import { quoteName } from '../sql/duckdb.ts'
import { MacroSession } from '../sql/macroSession.ts'
import type { OrderedCheck, OrderedModel, SqlGraph } from '../sql/model.ts'
import { stripped } from '../sql/text.ts'
import { setVariables } from '../sql/variables.ts'
import { allRows, type DataSet, filesBeside } from '../staging/dataSet.ts'
import type { Image } from '../staging/image.ts'
import { plainParts } from '../staging/image.ts'
import { copyFile } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { rowsIn } from '../staging/store.ts'
import { type Column, columnNamed, typeName, withOrigins } from '../types/logical.ts'
import { CHANGED_KEYS, changedSql, keyText } from './changedKeys.ts'
import { extractSql } from './corrections.ts'
import { diagnosing, type InQuery, type Source } from './diagnose.ts'
import { EarlierRows, type Found } from './earlierRows.ts'
import { enrich } from './enrich.ts'
import { mendedSql } from './mended.ts'
import { asSeen, asStaged, columnsOf, openSet, openView, refuseTooLarge } from './modelTypes.ts'
import type { JudgedExtract, Transformed } from './transformed.ts'

/** A model, or an extract taken as one. */
type Query = Pick<OrderedModel, 'name' | 'enrich' | 'keyed' | 'materialised'> &
  Source & { columns?: Column[]; plain?: DataSet & { columns?: Column[] } }

/** An extract's rows as they are staged, and the parts that hold them already. */
function asRead(
  { root }: RunContext,
  read: PlannedRead,
  image: Image,
  judged: JudgedExtract[],
): Pick<Query, 'sql' | 'columns' | 'plain'> {
  const { corrections } = judged.find(({ name }) => name === read.extract)!
  const plain = corrections === undefined ? plainParts(image, read) : undefined
  return {
    sql: extractSql(root, image, read, corrections),
    columns: image.columns,
    // They are apart where the source keeps them so, or were found to be.
    ...(plain && { plain: { parts: plain, plain: true, ...(read.key.length > 0 && { unique: read.key }) } }),
  }
}

/** Tables of the night as models see them: one image an extract. */
export async function openTables(
  context: RunContext,
  graph: SqlGraph,
  reads: PlannedRead[],
  images: Map<string, Image>,
  judged: JudgedExtract[],
): Promise<MacroSession> {
  const { duck, runAt, root } = context
  await setVariables(duck, graph.vars, runAt, context.lastValues)
  for (const read of reads) {
    const image = images.get(read.extract)
    if (!image) continue
    const { corrections } = judged.find(({ name }) => name === read.extract)!
    await duck.run(
      `CREATE OR REPLACE VIEW ${quoteName(read.extract)} AS ${asSeen(extractSql(root, image, read, corrections), image.columns)}`,
    )
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
  plan: Pick<Plan, 'reads' | 'refresh'>,
  images: Map<string, Image>,
  judged: JudgedExtract[],
  failures: FailureScope,
): Promise<Transformed[]> {
  const { reads } = plan
  const results: Transformed[] = []
  const earlier = new EarlierRows(context, graph, plan, images, judged, results)
  const within = inQueryOf(context, graph, reads)
  let made: Map<string, Pick<Query, 'plain'>> | undefined
  for (const model of graph.models) {
    if (model.late) made ??= await makeBuckets(context, within, graph.models, failures)
    const { name, inline, extract } = model
    const checks = graph.checks.filter(check => check.model === name)
    // An extract that is loaded or checked as it is: its rows are a data set like a model's.
    const read = extract && reads.find(read => read.extract === name)
    const image = extract && images.get(name)
    const needs = [...(extract || model.buckets ? [name] : []), ...model.reads, ...model.awaits]
    await failures.attempt([name], needs, async () => {
      if (inline) {
        await within(model, () => openView(context, graph, model))
      } else {
        const rows = read && image ? asRead(context, read, image, judged) : made?.get(name)
        const query = { ...model, ...rows }
        const look = async () => (rows || model.enrich ? {} : earlier.find(model))
        const stageOwn = (own: RunContext) => stage(own, within, query, checks, look)
        const result = await runTask(context, taskName('model', name), stageOwn, filesOf)
        const set = { ...result, parts: result.parts! }
        await openSet(context, set)
        results.push(result)
      }
      await macros.made([name])
    })
  }
  return results
}

/** What one bucket of a model is, and the version of the DuckDB that divided its rows. */
interface Bucket {
  part: Part
  columns: Column[]
  version: string
}

/** Makes the rows of all models that are made in buckets, those first that are this process's to make. */
async function makeBuckets(
  context: RunContext,
  within: InQuery,
  models: OrderedModel[],
  failures: FailureScope,
): Promise<Map<string, Pick<Query, 'plain'>>> {
  const version = await context.duck.version()
  const made = new Map<string, Bucket[]>()
  const all = models.flatMap(model => bucketTasks(model).map(task => ({ model, task })))
  for (const { model, task } of oursFirst(context, all, each => each.task)) {
    const { name, reads, buckets } = model
    const number = bucketOf(task)
    await failures.attempt([name], [name, ...reads], async () => {
      const sql = bucketSql(model.sql, buckets!, number)
      const act = (own: RunContext) =>
        within(model, async (): Promise<Bucket> => {
          return { ...(await copyQuery(own, model, sql, 'buckets', `${name}/${number}`)), version }
        })
      const bucket = await runTask(context, task, act, ({ part }) => [part])
      const others = made.get(name) ?? []
      if (bucket.version !== (others.find(Boolean)?.version ?? bucket.version))
        throw new EngineError(
          'RESUME_REFUSED',
          `${name}: its buckets were divided by two versions of DuckDB`,
          {
            hint: 'Nothing is lost: let all workers have one version of nightfreight, and run the job anew, with --fresh.',
          },
        )
      others[number] = bucket
      made.set(name, others)
    })
  }
  return new Map(
    [...made].map(([name, buckets]) => {
      const plain = { parts: buckets.map(({ part }) => part), columns: buckets[0]!.columns }
      return [name, { plain }]
    }),
  )
}

const inQueryOf = ({ duck, spec }: RunContext, graph: SqlGraph, reads: PlannedRead[]): InQuery =>
  diagnosing(
    duck,
    graph,
    [...spec.loads, ...reads].flatMap(({ key }) => key),
  )

const filesOf = (made: Transformed): StagedFile[] => [...(made.parts ?? []), ...filesBeside(made)]

/** Writes a query's rows, or takes the parts that hold them already, and checks them, whoever made them. */
async function stage(
  context: RunContext,
  within: InQuery,
  model: Query,
  checks: OrderedCheck[],
  look: () => Promise<Found>,
): Promise<Transformed> {
  const { progress } = context
  const task = taskName('model', model.name)
  progress.started(task)
  const { basis, rows, update, computed } = await look()
  const make = () => (update ? renew(context, model, update) : materialise(context, model))
  const set = model.plain ?? rows ?? (await within(model, make))
  const judged = await judge(context, within, model, checks, set)
  const corrections = await context.corrections(model.name)
  const result =
    corrections.length > 0 ? await correctModel(context, within, model, checks, judged, corrections) : judged
  const updated = update && { run: update.run, keys: update.keys }
  const from = rows
    ? `, unchanged: taken from run ${rows.taken}`
    : updated
      ? `, computed for ${counted(updated.keys, 'changed key')}, the others taken from run ${updated.run}`
      : ''
  progress.finished(task, `${counted(result.rows, 'row')}, ${result.rejected} rejected${from}`)
  // Corrected rows are not what the query gives.
  const isCorrected = result.parts !== judged.parts
  return {
    ...result,
    ...(basis && !isCorrected && { basis }),
    ...(updated && { updated }),
    ...(computed !== undefined && { computed }),
  }
}

async function materialise(context: RunContext, model: Query): Promise<DataSet & { columns?: Column[] }> {
  const { name, file, sql, enrich: enrichment } = model
  if (enrichment) {
    const { part, columns } = await enrich(context, { name, file, sql, enrich: enrichment })
    return { columns, parts: [part] }
  }
  const { part, columns } = await copyQuery(context, model, model.sql, 'transformed', name)
  return { columns, parts: [part] }
}

/** Writes the rows that an earlier run had of a model, but for those of changed keys, which are computed anew. */
async function renew(
  context: RunContext,
  model: Query,
  { parts, columns }: NonNullable<Found['update']>,
): Promise<DataSet & { columns: Column[] }> {
  const { name, keyed, materialised } = model
  const anew = asStaged(changedSql(model.sql, materialised!.keys!), columns)
  const text = keyText(columns, keyed!)
  const kept = `SELECT * FROM ${filesSql(context.root, parts)}
    WHERE ${text} IS NOT NULL AND ${text} NOT IN (SELECT k FROM ${CHANGED_KEYS})`
  const sql = `${kept} UNION ALL BY NAME SELECT * FROM (${anew})`
  const part = await copyModel(context, sql, 'transformed', name)
  if (context.verifyIncremental) await requireWhole(context, model, columns, part)
  return { columns, parts: [part] }
}

/** Fails with VERIFY_FAILED where an incremental model has other rows than its query gives over all. */
async function requireWhole(
  { duck, root }: RunContext,
  { name, file, sql, keyed }: Query,
  columns: Column[],
  part: Part,
): Promise<void> {
  const [whole, own] = [
    `SELECT * FROM (${asStaged(stripped(sql), columns)})`,
    `SELECT * FROM ${filesSql(root, [part])}`,
  ]
  const key = keyText(columns, keyed!)
  const [found] = await duck.rows(
    `SELECT count(*) AS n, min(${key}) AS k FROM ((${whole} EXCEPT ALL ${own}) UNION ALL (${own} EXCEPT ALL ${whole}))`,
  )
  if (Number(found!.n) > 0)
    throw new EngineError(
      'VERIFY_FAILED',
      `${file}: ${counted(Number(found!.n), 'row')} of ${name} differ from those of its query over all rows, such as of ${keyed} = ${found!.k}`,
      {
        hint: 'Its answer may hang on the order of rows; if not, please report this. -- @materialised table computes it whole.',
      },
    )
}

/** Writes the rows of a model's query, or of the same query over one of its buckets. */
async function copyQuery(
  context: RunContext,
  { name, file, sql: whole }: Pick<Query, 'name' | 'file' | 'sql'>,
  sql: string,
  folder: string,
  to: string,
): Promise<{ part: Part; columns: Column[] }> {
  const columns = await columnsOf(context, { file, sql: whole })
  refuseReserved(
    `model ${name}`,
    columns.map(column => column.name),
  )
  const staged = asStaged(stripped(sql), columns)
  try {
    return { columns, part: await copyModel(context, staged, folder, to, columns) }
  } catch (error) {
    await refuseTooLarge(context.duck, { file, sql }, columns)
    throw error
  }
}

/**
 * By itself DuckDB collects many more values of a column in a dictionary before it does without: names and addresses are all
 * different. It sets aside memory for so many in each column: of many columns that is more than it needs.
 */
const DICTIONARY = { values: 4000, columns: 100 }

function copyModel(context: RunContext, sql: string, folder: string, name: string, columns?: Column[]) {
  const types = columns?.map(({ type }) => typeName(type))
  const isNarrow = types !== undefined && types.length <= DICTIONARY.columns
  const options = {
    compression: 'snappy',
    ...(isNarrow && { dictionary: DICTIONARY.values }),
    ...(types && { types }),
  } as const
  return copyFile(context, sql, ownFile(context, `${folder}/${name}`, '.parquet'), options)
}

/** Puts corrected rows in the place of rejected ones, in another file, and judges it all anew. */
async function correctModel(
  context: RunContext,
  within: InQuery,
  model: Query,
  checks: OrderedCheck[],
  result: Judged,
  corrections: Correction[],
): Promise<Transformed> {
  const { corrected, sql } = await mendedSql(context, result, corrections)
  if (!sql) return { ...result, corrected }
  const parts = [await copyModel(context, sql, 'mended', model.name)]
  return { ...(await judge(context, within, model, checks, { parts, columns: result.columns })), corrected }
}

type Judged = Transformed & DataSet

/** Checks a data set's rows. */
async function judge(
  context: RunContext,
  within: InQuery,
  model: Query,
  checks: OrderedCheck[],
  { columns: known, ...set }: DataSet & { columns?: Column[] },
): Promise<Judged> {
  const { duck, root, spec } = context
  const all = allRows(root, set)
  const loads = spec.loads.filter(({ from }) => from === model.name)
  const staged = `SELECT * EXCLUDE (file_row_number) FROM ${all}`
  const described = known ?? (await columnsOf(context, { file: model.file, sql: staged }))
  const columns = model.columns ? withOrigins(described, model.columns) : described
  const rows = rowsIn(set.parts)
  await openSet(context, { ...set, name: model.name, columns })
  const seen = `(${asSeen(`SELECT * FROM ${all}`, columns)})`
  const names = columns.map(column => column.name)
  if (checks.length > 0) await openFindings(duck)
  for (const check of checks) await within(check, () => findRows(duck, check, seen, names))
  const keys = new Set(loads.flatMap(({ key }) => key.map(name => columnNamed(columns, name))))
  const nullKeys = nullKeysSql(
    columns.filter(column => keys.has(column)),
    all,
  )
  const category = 'DATA_INTEGRITY_ERROR'
  const findings: Findings[] = []
  if (checks.length > 0)
    findings.push({ sql: `SELECT row, check_name, severity, reason FROM ${FINDINGS}`, category })
  if (nullKeys) findings.push({ sql: nullKeys, category })
  const checked = [...checks.map(({ name }) => name), ...(nullKeys ? [KEY_PRESENT] : [])]
  const judged = { name: model.name, rows: all, columns: names }
  const found = await quarantine(context, taskName('model', model.name), judged, findings, checked)
  const passed = checked.map(name => ({
    name,
    model: model.name,
    level: 'pass' as const,
    rows: 0,
    samples: [],
  }))
  return { name: model.name, columns, ...set, rows, rejected: 0, marked: 0, checks: passed, ...found }
}

/**
 * Runs the checks that judge the night as a whole. What one could not judge is not loaded, nor what is made from it; one
 * that reads no table judges all.
 */
export async function runSetChecks(
  context: RunContext,
  graph: SqlGraph,
  reads: PlannedRead[],
  failures: FailureScope,
): Promise<CheckResult[]> {
  const results: CheckResult[] = []
  const within = inQueryOf(context, graph, reads)
  const hidden = await hiddenChecks(context, graph)
  for (const check of graph.checks) {
    if (check.model) continue
    const run = () => within(check, () => runSetCheck(context, check, hidden.has(check)))
    const guarded = new Set(check.reads)
    for (const { name, reads } of graph.models) if (reads.some(table => guarded.has(table))) guarded.add(name)
    const result = guarded.size > 0 ? await failures.attempt([...guarded], check.reads, run) : await run()
    if (result) results.push(result)
  }
  return results
}
