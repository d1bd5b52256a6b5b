import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { taskName } from '../../engine/contracts/taskName.ts'
import { EngineError } from '../../engine/errors.ts'
import type { Mask } from '../../engine/mask.ts'
import { quarantineOf } from '../../engine/quality/quarantine.ts'
import { type Duck, quoteName } from '../../engine/sql/duckdb.ts'
import { inFile } from '../../engine/sql/locate.ts'
import { stripped } from '../../engine/sql/text.ts'
import { allRows, rejectedRows } from '../../engine/staging/dataSet.ts'
import { partOf } from '../../engine/staging/store.ts'
import { isNumeric } from '../../engine/types/duckType.ts'
import { openMask } from '../runs/mask.ts'
import {
  countFound,
  openModels,
  openStagedJob,
  type RowsFound,
  requireTable,
  type StagedJob,
  stagedRuns,
} from './staged.ts'
import { described, diffTables, keysOf, type TableDiff, type Texts } from './tableDiff.ts'

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
  /** Rows of the table, or of those of which the condition is true, that checks reject or warn of. */
  found?: RowsFound
  profile?: ColumnProfile[]
  diff?: TableDiff & Beside
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

/** Buckets of a histogram, and most frequent values. */
const BUCKETS = 10
const TOP = 3

/** What a model is compared with. */
interface Beside {
  run: string
  isPlan: boolean
}

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
  const isPlain = model && !model.extract && !model.enrich && !job.found.has(table)
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
      ...(job.found.has(table) && { found: await countFound(job, table, where) }),
      ...(options.profile && { profile: await profileOf(duck, rows, columns, mask, sensitive) }),
      ...(options.diff && { diff: await diffOf(job, options, mask) }),
    }
  }
  const told = where === undefined ? act : () => inFile(source, act)
  return await (model && !model.extract ? job.within(model, told) : told())
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

/** Whether a run only planned, which may have been with the model as it is now. */
function isPlan(folder: string): boolean {
  const report = join(folder, 'report.json')
  return (
    existsSync(report) &&
    (JSON.parse(readFileSync(report, 'utf8')) as { status: string }).status === 'planned'
  )
}

/** Compares a model with what the last run that loaded made of it, or else the last plan, over what was read last. */
async function diffOf(
  job: StagedJob,
  { table, where, limit }: ShowOptions,
  mask: Mask,
): Promise<TableDiff & Beside> {
  const { root, spec } = job.context
  const runs = stagedRuns(root, spec.job).filter(
    each => keptFiles(root, `${spec.job}/${each}`, table).length > 0,
  )
  const loaded = runs.find(each => !isPlan(join(root, spec.job, each)))
  const run = loaded ?? runs[0]
  if (run === undefined)
    throw new EngineError('CONFIG_INVALID', `${table}: no run in staging has kept its rows`, {
      hint: 'A run keeps models that are loaded, checked, or read more than once.',
    })
  const base = `${spec.job}/${run}`
  const findings = `${base}/${quarantineOf(taskName('model', table))}.parquet`
  const parts = await Promise.all(keptFiles(root, base, table).map(file => partOf(root, file)))
  const all = allRows(root, { parts })
  const good = existsSync(join(root, findings))
    ? ` WHERE file_row_number NOT IN (${rejectedRows(root, findings)})`
    : ''
  const name = quoteName(table)
  const only = where === undefined ? '' : ` WHERE ${where}\n`
  const before = `FROM (SELECT * EXCLUDE (file_row_number) FROM ${all}${good}) AS ${name}${only}`
  await described(job.context.duck, before).catch(cause => {
    throw new EngineError(
      'CONFIG_INVALID',
      `--where cannot be asked of the rows that run ${run} made of ${table}`,
      {
        cause,
        hint: 'With --diff it names columns that both have.',
      },
    )
  })
  return {
    run,
    isPlan: loaded === undefined,
    ...(await diffTables(job.context.duck, before, `FROM ${name}${only}`, {
      shown: limit,
      keys: keysOf(job.outline, table),
      mask,
      sensitive: mask.columnsOf(table),
    })),
  }
}
