import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import type { Mask } from '../../engine/mask.ts'
import { type Duck, quoteName } from '../../engine/sql/duckdb.ts'
import { inFile } from '../../engine/sql/locate.ts'
import { stripped } from '../../engine/sql/text.ts'
import { allRows, rejectedRows } from '../../engine/staging/dataSet.ts'
import { partOf } from '../../engine/staging/store.ts'
import { isNumeric } from '../../engine/types/duckType.ts'
import { openMask } from '../runs/mask.ts'
import { openModels, openStagedJob, requireTable, type StagedJob, stagedRuns } from './staged.ts'

type Texts = Record<string, string | null>

/** A column of a table: its values as texts. */
export interface ColumnProfile {
  name: string
  type: string
  nulls: number
  distinct: number
  min: string | null
  max: string | null
  /** Of numbers and times: rows in ten ranges of equal width, from `min` to `max`. */
  histogram?: number[]
  /** Of others: the most frequent values, with their rows. */
  top?: { value: string | null; rows: number }[]
}

export interface Shown {
  table: string
  columns: { name: string; type: string }[]
  rows: Texts[]
  /** Of the table, or of what the condition leaves of it. */
  total: number
  profile?: ColumnProfile[]
  diff?: TableDiff
}

/** How a table differs from that of the last run. */
export interface TableDiff {
  run: string
  addedColumns: string[]
  removedColumns: string[]
  changed: number
  added: number
  removed: number
  unchanged: number
  samples: { before?: Texts; after?: Texts }[]
}

export interface ShowOptions {
  folder: string
  home: string
  env: Record<string, string | undefined>
  table: string
  limit: number
  /** A condition of SQL. */
  where?: string
  profile?: boolean
  diff?: boolean
  runAt: Date
}

/** Buckets of a histogram, most frequent values, and rows shown of a difference. */
const BUCKETS = 10
const TOP = 3
const SAMPLES = 10

/** Shows a model, as its file says now, over what the last run read. Sensitive values are masked. */
export async function showTable(options: ShowOptions): Promise<Shown> {
  const { folder, home, env, table, runAt } = options
  await using stack = new AsyncDisposableStack()
  const job = await openStagedJob(folder, home, runAt, stack)
  requireTable(job, table)
  const mask = openMask(home, env, job.outline)
  // What cannot be computed quotes the value.
  return await showOpened(job, options, mask).catch(error => {
    throw mask.error(error)
  })
}

async function showOpened(job: StagedJob, options: ShowOptions, mask: Mask): Promise<Shown> {
  const { table, limit, where } = options
  const [left] = await openModels(job, [table])
  if (left) throw new EngineError('CONFIG_INVALID', `${left.name} cannot be shown: ${left.reason}`)
  const { duck } = job.context
  const source = { file: '--where', sql: where ?? '', reads: [table] }
  const model = job.graph.models.find(({ name }) => name === table)
  const isPlain =
    model && !model.extract && !model.enrich && !job.graph.checks.some(check => check.model === table)
  // Its own text, so that a failure has its place there.
  const from = isPlain ? `FROM (${stripped(model.sql)}\n) AS ${quoteName(table)}` : `FROM ${quoteName(table)}`
  const rows = where === undefined ? from : `${from} WHERE ${where}\n`
  const act = async (): Promise<Shown> => {
    const columns = await described(duck, rows)
    const list = columns.map(({ name }) => `${quoteName(name)}::VARCHAR AS ${quoteName(name)}`).join(', ')
    const [count] = await duck.rows(`SELECT count(*) AS n ${rows}`)
    const found = (await duck.rows(`SELECT ${list} FROM (${rows} LIMIT ${limit})`)) as Texts[]
    const sensitive = mask.columnsOf(table)
    return {
      table,
      columns,
      rows: found.map(row => mask.record(sensitive, row) as Texts),
      total: Number(count!.n),
      ...(options.profile && { profile: await profileOf(duck, rows, columns, mask, sensitive) }),
      ...(options.diff && { diff: await diffOf(job, table, mask) }),
    }
  }
  const told = where === undefined ? act : () => inFile(source, act)
  return await (model && !model.extract ? job.within(model, told) : told())
}

async function described(duck: Duck, rows: string): Promise<{ name: string; type: string }[]> {
  const found = await duck.rows(`DESCRIBE SELECT * ${rows}`)
  return found.map(({ column_name, column_type }) => ({
    name: String(column_name),
    type: String(column_type),
  }))
}

const isOrdered = (type: string) => isNumeric(type) || /^(DATE|TIMESTAMP.*)$/.test(type)

async function profileOf(
  duck: Duck,
  rows: string,
  columns: { name: string; type: string }[],
  mask: Mask,
  sensitive: string[],
): Promise<ColumnProfile[]> {
  const profiles: ColumnProfile[] = []
  for (const { name, type } of columns) {
    const column = quoteName(name)
    const isNested = /[[(]/.test(type) && !type.startsWith('DECIMAL')
    const least = isNested ? 'NULL' : `min(${column})::VARCHAR`
    const most = isNested ? 'NULL' : `max(${column})::VARCHAR`
    const [facts] = await duck.rows(
      `SELECT count(*) - count(${column}) AS nulls, count(DISTINCT ${column}) AS distinct_values, ${least} AS least, ${most} AS most ${rows}`,
    )
    const shown = (value: unknown) => mask.value(sensitive, name, value as string | null)
    const profile: ColumnProfile = {
      name,
      type,
      nulls: Number(facts!.nulls),
      distinct: Number(facts!.distinct_values),
      min: shown(facts!.least),
      max: shown(facts!.most),
    }
    if (isOrdered(type)) profile.histogram = await histogramOf(duck, rows, column, type)
    else {
      const top = await duck.rows(
        `SELECT ${column}::VARCHAR AS value, count(*) AS n ${rows} GROUP BY 1 ORDER BY n DESC, value LIMIT ${TOP}`,
      )
      profile.top = top.map(({ value, n }) => ({ value: shown(value), rows: Number(n) }))
    }
    profiles.push(profile)
  }
  return profiles
}

async function histogramOf(duck: Duck, rows: string, column: string, type: string): Promise<number[]> {
  const value = /^(DATE|TIMESTAMP)/.test(type) ? `epoch(${column})` : `${column}::DOUBLE`
  const found = await duck.rows(
    `SELECT least(${BUCKETS - 1}, floor(${BUCKETS} * (v - low) / nullif(high - low, 0)))::INTEGER AS bucket, count(*) AS n
     FROM (SELECT ${value} AS v, min(${value}) OVER () AS low, max(${value}) OVER () AS high ${rows})
     WHERE isfinite(v) GROUP BY 1`,
  )
  const buckets = Array.from({ length: BUCKETS }, () => 0)
  for (const { bucket, n } of found) buckets[Number(bucket ?? 0)] = Number(n)
  return buckets
}

/** Files of a model's rows, below the staging root, that a run has kept: one, or those of its buckets in their order. */
function keptFiles(root: string, run: string, table: string): string[] {
  const whole = `${run}/transformed/${table}.parquet`
  if (existsSync(join(root, whole))) return [whole]
  const folder = `${run}/buckets/${table}`
  if (!existsSync(join(root, folder))) return []
  const numbers = readdirSync(join(root, folder)).map(name => Number.parseInt(name, 10))
  return numbers.toSorted((a, b) => a - b).map(number => `${folder}/${number}.parquet`)
}

/** Compares a model with what the last run that kept it made of it, over what was read then. */
async function diffOf({ context, outline }: StagedJob, table: string, mask: Mask): Promise<TableDiff> {
  const { duck, root, spec } = context
  const run = stagedRuns(root, spec.job).find(
    each => keptFiles(root, `${spec.job}/${each}`, table).length > 0,
  )
  if (run === undefined)
    throw new EngineError('CONFIG_INVALID', `${table}: no run in staging has kept its rows`, {
      hint: 'A run keeps models that are loaded, checked, or read more than once.',
    })
  const base = `${spec.job}/${run}`
  const findings = `${base}/quarantine/${table}.parquet`
  const parts = await Promise.all(keptFiles(root, base, table).map(file => partOf(root, file)))
  const all = allRows(root, { parts })
  const good = existsSync(join(root, findings))
    ? ` WHERE file_row_number NOT IN (${rejectedRows(root, findings)})`
    : ''
  const before = `FROM (SELECT * EXCLUDE (file_row_number) FROM ${all}${good})`
  const after = `FROM ${quoteName(table)}`
  const names = async (rows: string) => (await described(duck, rows)).map(({ name }) => name)
  const [was, is] = [await names(before), await names(after)]
  const both = is.filter(name => was.includes(name))
  const texts = both.map(name => `${quoteName(name)}::VARCHAR AS ${quoteName(name)}`).join(', ')
  await duck.run(
    `CREATE OR REPLACE TEMP TABLE _nf_gone AS SELECT ${texts} ${before} EXCEPT ALL SELECT ${texts} ${after}`,
  )
  await duck.run(
    `CREATE OR REPLACE TEMP TABLE _nf_come AS SELECT ${texts} ${after} EXCEPT ALL SELECT ${texts} ${before}`,
  )
  const count = async (rows: string) => Number((await duck.rows(`SELECT count(*) AS n ${rows}`))[0]!.n)
  const keys = [...outline.loads.filter(({ from }) => from === table), ...outline.extracts].map(
    ({ key }) => key,
  )
  const key = keys.find(each => each.length > 0 && each.every(name => both.includes(name))) ?? []
  const on = key.map(name => `g.${quoteName(name)} IS NOT DISTINCT FROM c.${quoteName(name)}`).join(' AND ')
  const pairs = key.length > 0 ? `FROM _nf_gone AS g JOIN _nf_come AS c ON ${on}` : undefined
  const changed = pairs ? await count(pairs) : 0
  const only = (one: string, other: string, alias: string) =>
    `FROM ${one} AS ${alias}${key.length > 0 ? ` ANTI JOIN ${other} AS ${alias === 'g' ? 'c' : 'g'} ON ${on}` : ''}`
  const sensitive = mask.columnsOf(table)
  const shown = (row: Record<string, unknown>, prefix: string): Texts =>
    mask.record(
      sensitive,
      Object.fromEntries(both.map(name => [name, row[`${prefix}${name}`] as string | null])),
    ) as Texts
  const columns = (alias: string) =>
    both.map(name => `${alias}.${quoteName(name)} AS ${quoteName(`${alias}.${name}`)}`).join(', ')
  const samples: TableDiff['samples'] = []
  const take = async (rows: string, list: string, sides: ('before' | 'after')[]) => {
    for (const row of await duck.rows(`SELECT ${list} ${rows} ORDER BY ALL LIMIT ${SAMPLES}`))
      samples.push({
        ...(sides.includes('before') && { before: shown(row, 'g.') }),
        ...(sides.includes('after') && { after: shown(row, 'c.') }),
      })
  }
  if (pairs) await take(pairs, `${columns('g')}, ${columns('c')}`, ['before', 'after'])
  await take(only('_nf_gone', '_nf_come', 'g'), columns('g'), ['before'])
  await take(only('_nf_come', '_nf_gone', 'c'), columns('c'), ['after'])
  const total = await count(after)
  const come = await count('FROM _nf_come')
  return {
    run,
    addedColumns: is.filter(name => !was.includes(name)),
    removedColumns: was.filter(name => !is.includes(name)),
    changed,
    added: await count(only('_nf_come', '_nf_gone', 'c')),
    removed: await count(only('_nf_gone', '_nf_come', 'g')),
    unchanged: total - come,
    samples,
  }
}
