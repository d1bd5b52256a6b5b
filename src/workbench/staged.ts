import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LoadSpec } from '../../engine/contracts/load.ts'
import { EngineError } from '../../engine/errors.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { describedColumns } from '../../engine/plan/checkSql.ts'
import type { PlannedRead } from '../../engine/plan/plan.ts'
import { nullKeysSql } from '../../engine/quality/keyRules.ts'
import { FINDINGS, findRows, openFindings } from '../../engine/quality/rowChecks.ts'
import { bindJob } from '../../engine/sql/bind.ts'
import { quoteName } from '../../engine/sql/duckdb.ts'
import { refuse } from '../../engine/sql/faults.ts'
import type { MacroSession } from '../../engine/sql/macroSession.ts'
import type { OrderedModel, SqlGraph } from '../../engine/sql/model.ts'
import { stripped } from '../../engine/sql/text.ts'
import { REJECT, REJECTS, type Word } from '../../engine/sql/words.ts'
import { type Image, imageFile, type StagedSchema, schemaFile } from '../../engine/staging/image.ts'
import { diagnosing, type InQuery } from '../../engine/transform/diagnose.ts'
import { openTables } from '../../engine/transform/models.ts'
import { columnsOf, openView } from '../../engine/transform/modelTypes.ts'
import type { JudgedExtract } from '../../engine/transform/transformed.ts'
import type { Column } from '../../engine/types/logical.ts'
import type { JobOutline } from '../config/outline.ts'
import { flagOf } from '../runs/environment.ts'
import { openOutline } from '../runs/knownColumns.ts'
import { shellWord } from '../util/shell.ts'
import { openEnriched } from './enriched.ts'
import { readOf, type Scratch, scratchContext } from './scratch.ts'
import { graphOfOutline } from './testJob.ts'

/** A job's SQL over what the last run staged: no source is read, nothing is written. */
export interface StagedJob {
  outline: JobOutline
  graph: SqlGraph
  context: Scratch
  /** The extracts that are there. */
  reads: PlannedRead[]
  macros: MacroSession
  within: InQuery
  /** Tables with rows that checks reject or warn of, all of them in the session's table {@link foundTable}. */
  found: Map<string, RowsFound>
}

/** How many rows checks found: those left out, those that stay, and by each check. */
export interface RowsFound {
  rejected: number
  warned: number
  checks: { check: string; severity: Word<'severity'>; rows: number }[]
}

/** Table of the session with the rows of a table that checks found, a line a finding. */
const foundTable = (table: string) => `${OWN}.${quoteName(`found ${table}`)}`

/** Schema of the session for tables that are none of the job: who lists tables does not see them. */
const OWN = '_nf'
const goodTable = (table: string) => `${OWN}.${quoteName(`good ${table}`)}`
const RAW = `${OWN}.raw`

/**
 * Opens a job over the images that its last run left in `home`; all goes with `stack`. `place`: a folder of files that its
 * queries may read and write, too. Fails with CONFIG_INVALID without any image.
 */
export async function openStagedJob(
  folder: string,
  home: string,
  runAt: Date,
  stack: AsyncDisposableStack,
  place?: string,
): Promise<StagedJob> {
  const outline = await openOutline(folder, home)
  const graph = await graphOfOutline(outline)
  const root = join(home, 'staging')
  const context = await scratchContext(outline, runAt, stack, root, place)
  const images = new Map<string, Image>()
  const reads: PlannedRead[] = []
  for (const extract of outline.extracts) {
    const found = lastImage(root, outline.job, extract.name)
    if (!found) continue
    images.set(extract.name, found.image)
    reads.push(
      readOf(context, extract, {
        columns: found.image.columns,
        key: found.key.length > 0 ? found.key : extract.key,
      }),
    )
  }
  if (reads.length === 0 && outline.extracts.length > 0)
    throw new EngineError('CONFIG_INVALID', `${outline.job}: nothing is staged in ${home}`, {
      hint: `Run it once: nightfreight plan ${shellWord(folder)}${flagOf(home)} stages its tables, and loads nothing.`,
    })
  const judged = reads.map(({ extract }) => ({ name: extract })) as JudgedExtract[]
  const macros = await openTables(context, graph, reads, images, judged)
  const within = diagnosing(
    context.duck,
    graph,
    [...reads, ...outline.loads].flatMap(({ key }) => key),
  )
  return { outline, graph, context, reads, macros, within, found: new Map() }
}

/**
 * Makes models views of the session, with what they are made from, each without the rows that its checks reject. Without
 * `names`, all that can be made are; those that cannot are returned, with the reason.
 */
export async function openModels(
  job: StagedJob,
  names?: string[],
): Promise<{ name: string; reason: string }[]> {
  const { graph, reads, macros } = job
  const there = new Set(reads.map(({ extract }) => extract))
  const left: { name: string; reason: string }[] = []
  const needed = names && ancestors(graph, names)
  for (const model of graph.models) {
    if (needed && !needed.has(model.name)) continue
    const missing = [...model.reads, ...(model.extract ? [model.name] : [])].filter(
      table => !there.has(table),
    )
    if (missing.length > 0) {
      left.push({ name: model.name, reason: `${missing.join(', ')} was not read by the last run` })
      continue
    }
    await openModel(job, model).catch(async error => {
      if (error instanceof EngineError && error.code === 'MODEL_INVALID') await refuseUnbound(job, model.file)
      throw error
    })
    there.add(model.name)
    await macros.made([model.name])
  }
  return left
}

/** Fails with what binding finds wrong with a file, as `validate` tells it: it knows what was meant. */
async function refuseUnbound({ graph, reads }: StagedJob, file: string): Promise<void> {
  const known = new Map(
    reads.map(({ extract, columns, absent }) => [extract, describedColumns([...columns, ...absent])]),
  )
  const { faults } = await bindJob(graph, known)
  refuse(faults.filter(fault => fault.file === file))
}

async function openModel(job: StagedJob, model: OrderedModel): Promise<void> {
  const { context, graph, within } = job
  const { duck, spec } = context
  const { name, enrich, extract } = model
  if (enrich) await within(model, () => openEnriched(context, { ...model, enrich }))
  else if (!extract) await within(model, () => openView(context, graph, model))
  const checks = graph.checks.filter(check => check.model === name)
  const keys = loadKeys(spec.loads, name)
  if (checks.length + keys.length === 0) return
  const rows = extract || enrich ? `FROM ${quoteName(name)}` : stripped(model.sql)
  const number = 'row_number() OVER () - 1 AS file_row_number'
  await duck.run(`CREATE SCHEMA IF NOT EXISTS ${OWN}`)
  await within(model, () =>
    duck.run(`CREATE OR REPLACE TABLE ${RAW} AS SELECT *, ${number} FROM (${rows}\n)`),
  )
  const columns = await columnsOf(context, {
    file: model.file,
    sql: `SELECT * EXCLUDE (file_row_number) FROM ${RAW}`,
  })
  await openFindings(duck)
  for (const check of checks)
    await within(check, () =>
      findRows(
        duck,
        check,
        RAW,
        columns.map(column => column.name),
      ),
    )
  const isKey = ({ name }: Column) => keys.some(key => key.toLowerCase() === name.toLowerCase())
  const nullKeys = nullKeysSql(columns.filter(isKey), RAW)
  if (nullKeys) await duck.run(`INSERT INTO ${FINDINGS} SELECT *, '' FROM (${nullKeys})`)
  const all = `SELECT DISTINCT _nf_m.*, check_name AS ${CHECK}, severity AS ${SEVERITY} FROM ${FINDINGS} JOIN ${RAW} AS _nf_m ON file_row_number = row`
  await duck.run(`CREATE OR REPLACE TABLE ${foundTable(name)} AS ${all}`)
  job.found.set(name, await countFound(job, name))
  await duck.run(
    `CREATE OR REPLACE TABLE ${goodTable(name)} AS SELECT * EXCLUDE (file_row_number) FROM ${RAW}
     WHERE file_row_number NOT IN (SELECT row FROM ${FINDINGS} WHERE ${REJECTS})`,
  )
  await duck.run(`CREATE OR REPLACE VIEW ${quoteName(name)} AS FROM ${goodTable(name)}`)
  await duck.run(`DROP TABLE ${RAW}; DROP TABLE ${FINDINGS}`)
}

/** Columns of {@link foundTable} beside the row's own. */
export const CHECK = '_nf_check'
const SEVERITY = '_nf_severity'

/** Counts the rows of a table that checks found, or those of them of which a condition, in SQL, is true. */
export async function countFound({ context }: StagedJob, table: string, where?: string): Promise<RowsFound> {
  const rows = `FROM ${foundTable(table)} AS ${quoteName(table)}${where === undefined ? '' : ` WHERE ${where}\n`}`
  const lines = await context.duck.rows(
    `SELECT ${CHECK} AS name, ${SEVERITY} AS severity, count(DISTINCT file_row_number) AS n ${rows} GROUP BY ALL ORDER BY n DESC, name, severity`,
  )
  const [total] = await context.duck.rows(
    `SELECT count(DISTINCT row) FILTER (worst = '${REJECT}') AS rejected, count(DISTINCT row) FILTER (worst <> '${REJECT}') AS warned
     FROM (SELECT file_row_number AS row, min(${SEVERITY}) AS worst FROM (SELECT * ${rows}) GROUP BY 1)`,
  )
  return {
    rejected: Number(total!.rejected),
    warned: Number(total!.warned),
    checks: lines.map(({ name, severity, n }) => ({
      check: String(name),
      severity: String(severity) as Word<'severity'>,
      rows: Number(n),
    })),
  }
}

/** What stands after FROM for the rows that checks reject, a line a finding, with the check's name as {@link CHECK}. */
export const rejectedTable = (table: string) => `(FROM ${foundTable(table)} WHERE ${SEVERITY} = '${REJECT}')`

/** Columns that are the key of a load of this table: no row has NULL in one. */
export const loadKeys = (loads: Pick<LoadSpec, 'from' | 'key'>[], table: string): string[] => [
  ...new Set(loads.filter(({ from }) => from === table).flatMap(({ key }) => key)),
]

/** Fails with CONFIG_INVALID where a job has no model or extract of a name. */
export function requireTable({ outline }: StagedJob, name: string): void {
  const names = [...outline.models, ...outline.extracts].map(each => each.name)
  if (names.includes(name)) return
  throw new EngineError(
    'CONFIG_INVALID',
    `${outline.job} has no model or extract ${name}${didYouMean(name, names)}`,
    {
      hint: `There are: ${names.join(', ')}.`,
    },
  )
}

/** Tables with all that they are made from, and that their checks read. */
function ancestors({ models }: SqlGraph, names: string[]): Set<string> {
  const found = new Set<string>()
  const visit = (name: string) => {
    if (found.has(name)) return
    found.add(name)
    const model = models.find(each => each.name === name)
    for (const table of [...(model?.reads ?? []), ...(model?.awaits ?? [])]) visit(table)
  }
  names.forEach(visit)
  return found
}

/** Runs of a job that left something in staging, the last one first. */
export const stagedRuns = (root: string, job: string): string[] =>
  existsSync(join(root, job))
    ? readdirSync(join(root, job))
        .filter(name => /^\d{8}T/.test(name))
        .sort()
        .reverse()
    : []

/** The last image of an extract whose files are all there. */
function lastImage(root: string, job: string, extract: string): { image: Image; key: string[] } | undefined {
  for (const run of stagedRuns(root, job)) {
    const file = join(root, imageFile(job, run, extract))
    if (!existsSync(file)) continue
    const image = JSON.parse(readFileSync(file, 'utf8')) as Image
    if (!image.parts.every(part => existsSync(join(root, part.file)))) continue
    const schema = join(root, schemaFile(job, run, extract))
    const key = existsSync(schema) ? (JSON.parse(readFileSync(schema, 'utf8')) as StagedSchema).key : []
    return { image, key }
  }
  return undefined
}
