/**
 * An analyst's project of thirty models in Nightfreight, dbt-duckdb and SQLMesh, side by side:
 * `npm run bench:analyst -- [--orders 200] [--runs 3]`, orders in thousands. Writes results/analyst.md.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Duck } from '../engine/sql/duckdb.ts'
import { CHANGED, MARTS, MODELS, SOURCES } from './analyst/models.ts'
import { dbt, nightfreight, type Project, sqlmesh } from './analyst/projects.ts'
import { machine, table } from './measure.ts'
import { sumsOfDuck } from './peers/data.ts'
import { type Measured, measured } from './peers/measure.ts'
import { install, versionOf } from './peers/tools.ts'

const ROOT = join(import.meta.dirname, '..')
const { values } = parseArgs({
  options: {
    orders: { type: 'string', default: '200' },
    runs: { type: 'string', default: '3' },
    out: { type: 'string', default: join(import.meta.dirname, 'results') },
  },
})
const orders = Number(values.orders)
const runs = Number(values.runs)

const STEPS = ['build', 'show', 'rebuild', 'test'] as const
type Step = (typeof STEPS)[number]

const place = mkdtempSync(join(tmpdir(), 'nightfreight-analyst-'))
try {
  const data = join(place, 'data')
  mkdirSync(data)
  const maker = await Duck.open({ threads: 2 })
  for (const [name, sql] of Object.entries(SOURCES))
    await maker.copyParquet(sql(orders), join(data, `${name}.parquet`), 'COMPRESSION snappy')
  maker.close()

  const own = `${process.execPath} ${join(ROOT, 'src/main.ts')}`
  const made = () => [
    nightfreight(mkdtempSync(join(place, 'ours-')), data, own),
    dbt(mkdtempSync(join(place, 'dbt-')), data, install('dbt')),
    sqlmesh(mkdtempSync(join(place, 'mesh-')), data, install('sqlmesh')),
  ]
  const figures = new Map<string, Record<Step, Measured[]>>()
  const lines = new Map<string, number>()
  for (let run = 0; run < runs; run++) {
    const projects = made()
    for (const project of projects) {
      lines.set(project.tool, project.lines)
      const own = figures.get(project.tool) ?? { build: [], show: [], rebuild: [], test: [] }
      figures.set(project.tool, own)
      const step = async (name: Step) => {
        const env = { NIGHTFREIGHT_HOME: join(project.folder, '.home'), METADATA_URL: '' }
        own[name].push(await measured(`cd ${project.folder} && ${project[name]}`, env, []))
        console.error(`${project.tool} ${name}: ${own[name].at(-1)!.seconds.toFixed(2)} s`)
      }
      await step('build')
      await step('test')
      project.change(true)
      await step('show')
      await step('rebuild')
    }
    await compare(projects)
  }
  const median = (list: number[]) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]!
  const cell = (tool: string, step: Step) => {
    const all = figures.get(tool)![step]
    return `${median(all.map(each => each.seconds)).toFixed(2)} (${median(all.map(each => each.clientCpu)).toFixed(2)})`
  }
  const names = [...figures.keys()]
  const row = (what: string, of: (tool: string) => string | number) => [what, ...names.map(of)]
  const text = `# An analyst's project: Nightfreight, dbt-duckdb, SQLMesh

Made by \`npm run bench:analyst -- --orders ${orders} --runs ${runs}\` on ${new Date().toISOString().slice(0, 10)}: ${machine()}.
${versionOf('dbt')} with dbt-duckdb, ${versionOf('sqlmesh')}, each in an environment of its own. The same ${Object.keys(MODELS).length} models over ${Object.keys(SOURCES).length}
Parquet files (${orders},000 orders), two checks on each of ${Object.keys(MARTS).length} marts, one test. Medians of ${runs} runs in turns; seconds, in parentheses those of
all processors. After the change every mart was compared: the three hold the same rows.

${table(
  ['', ...names],
  [
    row('lines that a person writes', tool => lines.get(tool)!),
    row('first build with its checks', tool => cell(tool, 'build')),
    row(`edit of a model → its rows`, tool => cell(tool, 'show')),
    row('the change → what it concerns is made anew', tool => cell(tool, 'rebuild')),
    row('tests', tool => cell(tool, 'test')),
    row('largest peak memory, MB', tool =>
      Math.round(Math.max(...STEPS.flatMap(step => figures.get(tool)![step].map(each => each.peak))) / 1e6),
    ),
  ],
)}

After the change, each makes that model and what reads it anew. Nightfreight also reads the sources, runs every check again, compares the marts
that it made with what it loaded last, loads the rows that differ and reads them back.
`
  mkdirSync(values.out, { recursive: true })
  writeFileSync(join(values.out, 'analyst.md'), text)
  console.log(text)
} finally {
  rmSync(place, { recursive: true, force: true })
}

/** Throws where the tools' marts do not hold the same rows. */
async function compare(projects: Project[]): Promise<void> {
  const sums = new Map<string, string[]>()
  for (const { result } of projects) {
    const found = await sumsOfDuck(result.file, Object.keys(MARTS).map(result.name))
    for (const mart of Object.keys(MARTS)) {
      const { rows, sum } = found[result.name(mart)]!
      sums.set(mart, [...(sums.get(mart) ?? []), `${rows} rows, ${sum}`])
    }
  }
  for (const [mart, found] of sums)
    if (new Set(found).size > 1)
      throw new Error(`${mart} differs after the change of ${CHANGED}: ${found.join('; ')}`)
}
