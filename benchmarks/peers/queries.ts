import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { write } from '../analyst/projects.ts'
import { dbtCommand, dbtFiles } from '../dbt.ts'
import { type Contender, MAIN } from './contenders.ts'
import { type Files, makeTable, type Sums, sumsOfDuck } from './data.ts'
import { fresh, type Ground } from './ground.ts'
import type { Race } from './race.ts'
import { install, versionOf } from './tools.ts'
import { QUERIES, TABLES } from './tpch.ts'

const HERE = import.meta.dirname
const NAMES = Object.keys(QUERIES)
const MEMORY = '4GB'
/** The scales of DuckDB's published answers. Its own generator writes other addresses and comments, which q13 counts by. */
const ANSWERED = [0.01, 0.1, 1]
const FREE_TEXT = /_(address|comment)$/
const BY_FREE_TEXT = 'q13'

/** The 22 queries of TPC-H as models over its eight tables in Parquet, into tables of a DuckDB file. */
export async function queries({ dir, files }: Ground): Promise<Race> {
  for (const table of TABLES) makeTable(files, 'parquet', table)
  const home = (name: string) => join(dir, 'homes', `queries-${name}`)
  const contenders = [
    bare(home('duckdb'), files.folder),
    nightfreight(home('nightfreight'), files.folder),
    dbt(home('dbt'), files.folder),
  ]
  const expected = await answers(join(dir, 'answers.duckdb'), files)
  return {
    name: 'queries',
    title: 'The 22 queries of TPC-H as models, Parquet to a DuckDB file',
    about: `DuckDB alone reads the files where they lie and writes tables. Nightfreight stages the eight tables first, as from any source, and
compares, loads and reads back the 22 results. ${
      ANSWERED.includes(files.scale)
        ? `The results are equal to those that DuckDB publishes, but for addresses, comments and ${BY_FREE_TEXT}, which counts by comments: its generator writes others.`
        : `At scales ${ANSWERED.join(', ')} the results are compared with those that DuckDB publishes, too.`
    }`,
    reference: bare('', '').tool,
    servers: [],
    contenders,
    expected: async () => expected,
    result: async contender => sumsOfDuck(fileOf(contender), NAMES),
  }
}

const fileOf = (contender: Contender) => join(contender.env.HOME_OF_TOOL!, 'warehouse.duckdb')

function bare(home: string, data: string): Contender {
  return {
    tool: versionOf('duckdb'),
    note: 'one process, CREATE TABLE AS of each: the reference',
    command: `"${join(install('duckdb'), 'python')}" "${join(HERE, 'queries_duckdb.py')}" "${data}" "${home}" "${home}/warehouse.duckdb"`,
    env: { HOME_OF_TOOL: home, MEMORY },
    prepare: async () => project(home, {}),
  }
}

function dbt(home: string, data: string): Contender {
  const name = 'tpch'
  return {
    tool: versionOf('dbt'),
    note: 'with dbt-duckdb; checks and compares nothing',
    command: `cd "${home}" && ${dbtCommand(install('dbt'))} run --profiles-dir .`,
    env: { HOME_OF_TOOL: home },
    prepare: async () => {
      fresh(home)
      write(home, dbtFiles({ name, data, sources: TABLES, models: QUERIES }))
    },
  }
}

function nightfreight(home: string, data: string): Contender {
  const env = { NODE: process.execPath, MAIN, HOME_OF_TOOL: home, NIGHTFREIGHT_HOME: join(home, '.home') }
  return {
    tool: 'nightfreight',
    command: `cd "${home}" && "$NODE" "$MAIN" run .`,
    env,
    prepare: async () =>
      project(home, {
        'job.yaml': `job: tpch
connections: { data: "file:${data}", warehouse: "duckdb:warehouse.duckdb" }
resources: { memory: ${MEMORY}, threads: 2 }
defaults:
  extract: { from: data, take: all }
  load: { to: warehouse, mode: replace }
extract:
${TABLES.map(name => `  ${name}: { files: ${name}.parquet }`).join('\n')}
load:
${NAMES.map(name => `  ${name}: { from: ${name} }`).join('\n')}`,
      }),
    phases: async () => phases(env),
  }
}

/** A folder with a file a query, and more. */
function project(home: string, more: Record<string, string>): void {
  fresh(home)
  write(home, {
    ...more,
    ...Object.fromEntries(Object.entries(QUERIES).map(([name, text]) => [`${name}.sql`, text])),
  })
}

/** Seconds from the first task of a kind to the end of its last, of the newest run. */
function phases(env: Record<string, string>): Record<string, number> {
  const text = execFileSync(process.execPath, [MAIN, 'status', '--json'], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  })
  const { tasks } = JSON.parse(text) as { tasks: { task: string; started_at: string; ended_at: string }[] }
  const seconds = (kind: RegExp) => {
    const of = tasks.filter(({ task }) => kind.test(task))
    const ends = of.map(({ ended_at }) => Date.parse(ended_at))
    return (Math.max(...ends) - Math.min(...of.map(({ started_at }) => Date.parse(started_at)))) / 1000
  }
  return {
    reading: seconds(/^(plan|extract|types)/),
    'the 22 models': seconds(/^model/),
    'comparing, loading and reading back': seconds(/^(diff|load)/),
  }
}

/** What is to come of each query, by this process; where DuckDB publishes an answer, the two are equal or it throws. */
async function answers(path: string, files: Files): Promise<Sums> {
  const duck = await Duck.open({ path, threads: 2 })
  try {
    for (const table of TABLES)
      await duck.run(`CREATE TEMP VIEW ${table} AS FROM ${quote(join(files.folder, `${table}.parquet`))}`)
    for (const [name, text] of Object.entries(QUERIES)) await duck.run(`CREATE TABLE ${name} AS ${text}`)
    const published = ANSWERED.includes(files.scale) ? publishedAnswers()[String(files.scale)]! : {}
    for (const [name, answer] of Object.entries(published)) {
      if (name === BY_FREE_TEXT) continue
      const [head, ...lines] = answer
        .replace(/\n$/, '')
        .split('\n')
        .map(line => line.split('|'))
      const comparable = (_: string, index: number) => !FREE_TEXT.test(head![index]!)
      const rows = await duck.rows(`SELECT COLUMNS(*)::VARCHAR FROM ${name} ORDER BY rowid`)
      const own = rows.map(row => Object.values(row).map(value => String(value ?? '')))
      const difference = differenceOf(
        own.map(row => row.filter(comparable)),
        lines.map(line => line.filter(comparable)),
      )
      if (difference) throw new Error(`${name} is not what DuckDB publishes: ${difference}`)
    }
  } finally {
    duck.close()
  }
  return sumsOfDuck(path, NAMES)
}

/** By scale and query, lines of values parted by a bar, the first with the columns' names. */
function publishedAnswers(): Record<string, Record<string, string>> {
  const text = execFileSync(join(install('duckdb'), 'python'), [join(HERE, 'answers_duckdb.py')], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  return JSON.parse(text) as Record<string, Record<string, string>>
}

/** Numbers may differ by a billionth: sums of floating-point numbers depend on the order. */
function differenceOf(found: string[][], wanted: string[][]): string | undefined {
  if (found.length !== wanted.length) return `${found.length} rows instead of ${wanted.length}`
  const same = (a: string, b: string) =>
    a === b || (a !== '' && b !== '' && Math.abs(Number(a) - Number(b)) <= 1e-9 * Math.abs(Number(b)))
  for (const [index, row] of wanted.entries()) {
    const own = found[index]!
    if (own.length !== row.length || row.some((value, place) => !same(own[place]!, value)))
      return `row ${index + 1} is ${own.join('|')} instead of ${row.join('|')}`
  }
  return undefined
}
