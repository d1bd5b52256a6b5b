import { join } from 'node:path'
import { REJECTED } from '../batch/builder.ts'
import { type Category, EngineError } from '../errors.ts'
import type { Part, StagedFile } from '../ports.ts'
import type { Tally } from '../quality/gate.ts'
import { type CheckResult, findingsSql, runSetCheck, stripped, summarise } from '../quality/rowChecks.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { tablesOf } from '../sql/graph.ts'
import type { Image } from '../staging/image.ts'
import { imageSql } from '../staging/image.ts'
import { rowsOf } from '../staging/parquet.ts'
import { pathsOf, place } from '../staging/store.ts'
import { type Column, typeFromName } from '../types/logical.ts'
import type { Branches } from './branches.ts'
import { correctExtract, recordSql, rowId, sortOut, withCorrections } from './correct.ts'
import type { Corrected, Correction } from './correction.ts'
import type { Extracted } from './extract.ts'
import { once } from './once.ts'
import type { PlannedRead } from './plan.ts'
import type { Check } from './spec.ts'
import { type OrderedModel, staysView } from './tasks.ts'
import { ownFile, type World } from './world.ts'

/** What one model, or the type rules of one extract, left in staging. */
export interface Transformed extends Tally {
  name: string
  columns: Column[]
  /** Parquet file of all rows below the staging root; absent for an extract and for a model that stays a view. */
  file?: string
  /** Parquet file of the quarantine: findings with row number, check, severity, reason and record. */
  findings?: string
  checks: CheckResult[]
  /** What came of its corrections, where there were any. */
  corrected?: Corrected
  /** Of an extract: Parquet file of its corrected rows below the staging root. */
  corrections?: string
}

/** Tables of the night as models see them: one image an extract. */
export async function openTables(
  world: World,
  reads: PlannedRead[],
  images: Map<string, Image>,
): Promise<void> {
  const { duck, spec, runAt, root } = world
  for (const { file, sql } of spec.macros) await inFile(file, () => duck.run(sql))
  await duck.run(`SET VARIABLE run_at = TIMESTAMPTZ ${quote(runAt.toISOString())}`)
  for (const read of reads) {
    const image = images.get(read.extract)
    if (image)
      await duck.run(`CREATE OR REPLACE VIEW ${quoteName(read.extract)} AS ${imageSql(root, image, read)}`)
  }
}

/** Runs the models in the order of their dependencies; each sees only the good rows of those before it. */
export async function transform(
  world: World,
  models: OrderedModel[],
  branches: Branches,
): Promise<Transformed[]> {
  const { duck, spec } = world
  const extracts = spec.extracts.map(extract => extract.name)
  const results: Transformed[] = []
  const keyChecks = (name: string) =>
    spec.loads.filter(load => load.from === name).flatMap(load => load.key.map(nullKey(name)))
  const add = async (model: { name: string; file: string; sql: string }, checks: Check[]) => {
    const result = await once(world, `model.${model.name}`, own => materialise(own, model, checks), filesOf)
    await duck.run(`CREATE OR REPLACE VIEW ${quoteName(model.name)} AS ${goodRows(world.root, result)}`)
    results.push(result)
  }
  // An extract that is loaded as it is: its rows are a data set like a model's.
  for (const name of extracts)
    if (spec.loads.some(load => load.from === name))
      await branches.attempt([name], [name], () =>
        add({ name, file: `extract ${name}`, sql: `FROM ${quoteName(name)}` }, keyChecks(name)),
      )
  for (const model of models) {
    const checks = [...spec.checks.filter(check => check.model === model.name), ...keyChecks(model.name)]
    const view = `CREATE OR REPLACE VIEW ${quoteName(model.name)} AS ${stripped(model.sql)}`
    await branches.attempt([model.name], model.reads, () =>
      staysView(spec, models, model.name) ? inFile(model.file, () => duck.run(view)) : add(model, checks),
    )
  }
  return results
}

const filesOf = ({ file, findings, corrections }: Transformed): StagedFile[] =>
  [file, findings, corrections].flatMap(name => (name === undefined ? [] : [{ file: name }]))

/** SQL of a data set's rows without those its findings reject; `numbered` adds `file_row_number`. */
export function goodRows(
  root: string,
  { file, findings }: { file?: string; findings?: string },
  withNumbers = false,
): string {
  const rows = numbered(join(root, file!))
  const bad = findings
    ? ` WHERE file_row_number NOT IN (SELECT row FROM read_parquet(${quote(join(root, findings))}) WHERE severity = 'reject')`
    : ''
  return `SELECT *${withNumbers ? '' : ' EXCLUDE (file_row_number)'} FROM ${rows}${bad}`
}

const numbered = (path: string) => `read_parquet(${quote(path)}, file_row_number = true)`

const nullKey =
  (model: string) =>
  (column: string): Check => ({
    name: `key ${column} is present`,
    file: `load key ${column}`,
    model,
    sql: `SELECT ${quoteName(column)}, ${quote(`key column ${column} is NULL`)} AS reason FROM ${quoteName(model)} WHERE ${quoteName(column)} IS NULL`,
  })

async function materialise(
  world: World,
  model: { name: string; file: string; sql: string },
  checks: Check[],
) {
  const { duck, observer } = world
  const task = `model.${model.name}`
  observer.started(task)
  const file = ownFile(world, `transformed/${model.name}`, '.parquet')
  await place(join(world.root, file), temporary =>
    inFile(model.file, () =>
      duck.run(`COPY (${stripped(model.sql)}) TO ${quote(temporary)} (FORMAT parquet, COMPRESSION snappy)`),
    ),
  )
  let result = await judge(world, model, checks, file)
  const corrections = result.rejected > 0 ? await world.corrections(model.name) : []
  if (corrections.length > 0) result = await correctModel(world, model, checks, result, corrections)
  observer.finished(task, `${result.rows} rows, ${result.rejected} rejected`)
  return result
}

/** Puts corrected rows in the place of rejected ones, in another file, and judges it all anew. */
async function correctModel(
  world: World,
  model: { name: string; file: string },
  checks: Check[],
  { file, findings, columns, ...result }: Transformed,
  corrections: Correction[],
): Promise<Transformed> {
  const { root, spec, duck } = world
  const id = rowId(spec.job, model.name, 'record')
  const rejected = `SELECT row, ${id} AS _nf_id FROM read_parquet(${quote(join(root, findings!))}) WHERE severity = 'reject'`
  const { sql, ...corrected } = await sortOut(world, corrections, rejected, columns)
  if (!sql) return { file, findings, columns, ...result, corrected }
  const applied = corrected.applied.map(quote).join(', ')
  const mended = ownFile(world, `corrected/${model.name}`, '.parquet')
  await place(join(root, mended), temporary =>
    duck.run(`COPY (
      SELECT * EXCLUDE (file_row_number) FROM ${numbered(join(root, file!))}
        WHERE file_row_number NOT IN (SELECT row FROM (${rejected}) WHERE _nf_id IN (${applied}))
      UNION ALL BY NAME SELECT * EXCLUDE (_nf_id) FROM (${sql})
    ) TO ${quote(temporary)} (FORMAT parquet, COMPRESSION snappy)`),
  )
  return { ...(await judge(world, model, checks, mended)), corrected }
}

/** Checks a data set's rows. */
async function judge(
  world: World,
  model: { name: string; file: string },
  checks: Check[],
  file: string,
): Promise<Transformed> {
  const { duck, root } = world
  const path = join(root, file)
  const columns = await columnsOf(world, model.file, path)
  const rows = await rowsOf(path)
  await duck.run(
    `CREATE OR REPLACE VIEW ${quoteName(model.name)} AS SELECT * EXCLUDE (file_row_number) FROM ${numbered(path)}`,
  )
  const names = columns.map(column => column.name)
  const queries: string[] = []
  for (const check of checks)
    queries.push(await inFile(check.file, () => findingsSql(duck, check, numbered(path), names)))
  const findings = await quarantine(world, model.name, numbered(path), names, queries)
  const result: Transformed = { name: model.name, columns, file, rows, rejected: 0, marked: 0, checks: [] }
  const checked = checks.map(({ name }) => name)
  if (findings) return { ...result, ...(await tally(world, model.name, findings, checked)) }
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
  world: World,
  reads: PlannedRead[],
  extracted: Extracted[],
  images: Map<string, Image>,
  branches: Branches,
): Promise<Transformed[]> {
  const tables: Transformed[] = []
  for (const read of reads) {
    const found = extracted.find(({ extract }) => extract === read.extract)!
    const { extract } = read
    const table = await branches.attempt([extract], [extract], () =>
      quarantineExtract(world, read, found, images.get(extract)!),
    )
    if (table) tables.push(table)
  }
  return tables
}

async function quarantineExtract(
  world: World,
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
  const found = await once(
    world,
    `types.${read.extract}`,
    async own => {
      const corrections = await world.corrections(read.extract)
      const mended = corrections.length > 0 ? await correctExtract(own, read, image, corrections) : undefined
      const { file, ...corrected } = mended ?? {}
      if (mended) Object.assign(result, { corrected, ...(file && { corrections: file }) })
      if (extracted.parts.length === 0) return result
      const paths = pathsOf(world.root, extracted.parts as Part[])
        .map(quote)
        .join(', ')
      const source = `(SELECT row_number() OVER () AS file_row_number, * FROM read_parquet([${paths}]) WHERE ${REJECTED} IS NOT NULL)`
      const name = 'exact types'
      const query = `SELECT file_row_number AS row, ${quote(name)} AS check_name, 'reject' AS severity,
      list_aggregate(list_transform(from_json(${REJECTED}, '[{"column":"VARCHAR","value":"VARCHAR","reason":"VARCHAR"}]'),
        lambda f: f.column || ' = ' || f.value || ' ' || f.reason), 'string_agg', '; ') AS reason FROM ${source}`
      const findings = await quarantine(
        world,
        read.extract,
        source,
        [...columns.map(c => c.name), REJECTED],
        [query],
        'FORMAT_ERROR',
      )
      return findings ? { ...result, ...(await tally(world, read.extract, findings, [name])) } : result
    },
    filesOf,
  )
  if (found.corrections) {
    const table = imageSql(world.root, image, read)
    const view = withCorrections(table, world.root, found.corrections, read.key)
    await world.duck.run(`CREATE OR REPLACE VIEW ${quoteName(read.extract)} AS ${view}`)
  }
  return found
}

// One line a finding, with the whole record; no file where there is none.
async function quarantine(
  world: World,
  model: string,
  rows: string,
  columns: string[],
  queries: string[],
  category: Category = 'DATA_INTEGRITY_ERROR',
) {
  if (queries.length === 0) return undefined
  const { duck, root, run } = world
  const found = `(${queries.join(' UNION ALL ')})`
  const [count] = await duck.rows(`SELECT count(*) AS n FROM ${found}`)
  if (count!.n === 0) return undefined
  const file = ownFile(world, `quarantine/${model}`, '.parquet')
  await place(join(root, file), temporary =>
    duck.run(`COPY (
      SELECT f.row, ${quote(model)} AS model, f.check_name, f.severity, ${quote(category)} AS category, f.reason,
        ${recordSql(columns, 'm')} AS record, ${quote(run)} AS run
      FROM ${found} AS f JOIN ${rows} AS m ON m.file_row_number = f.row ORDER BY f.row, f.check_name, f.reason
    ) TO ${quote(temporary)} (FORMAT parquet)`),
  )
  return file
}

async function tally(world: World, model: string, findings: string, checks: string[]) {
  const table = `read_parquet(${quote(join(world.root, findings))})`
  const [counts] = await world.duck.rows(
    `SELECT count(DISTINCT row) AS marked, count(DISTINCT row) FILTER (severity = 'reject') AS rejected FROM ${table}`,
  )
  return {
    findings,
    marked: Number(counts!.marked),
    rejected: Number(counts!.rejected),
    checks: await summarise(world.duck, model, checks, table),
  }
}

/** Runs the checks that judge the night as a whole. What one could not judge is not loaded. */
export async function runSetChecks(world: World, branches: Branches): Promise<CheckResult[]> {
  const results: CheckResult[] = []
  for (const check of world.spec.checks) {
    if (check.model) continue
    const tables = await tablesOf(world.duck, check)
    const result = await branches.attempt(tables, tables, () =>
      inFile(check.file, () => runSetCheck(world.duck, check)),
    )
    if (result) results.push(result)
  }
  return results
}

async function columnsOf(world: World, file: string, path: string): Promise<Column[]> {
  const described = await world.duck.rows(`DESCRIBE SELECT * FROM read_parquet(${quote(path)})`)
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

async function inFile<T>(file: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (cause) {
    if (!(cause instanceof EngineError) || cause.message.startsWith(file)) throw cause
    const line = /LINE (\d+):/.exec(cause.message)?.[1]
    throw new EngineError(cause.code, `${file}${line ? `:${line}` : ''}: ${cause.message}`, {
      cause,
      hint: cause.hint,
    })
  }
}
