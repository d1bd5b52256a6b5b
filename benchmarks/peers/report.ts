import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { table } from '../measure.ts'
import type { Measured } from './measure.ts'
import type { Measurement, Standing } from './race.ts'
import type { Kept } from './types.ts'

/** What a report is of. */
export interface Report {
  machine: string
  results: Measurement[]
}

/** What an earlier call measured on the same machine, which a call of other workloads leaves as it is. */
export function earlierResults(folder: string, machine: string): Measurement[] {
  const file = join(folder, 'peers.json')
  if (!existsSync(file)) return []
  const earlier = JSON.parse(readFileSync(file, 'utf8')) as Report
  return earlier.machine === machine ? earlier.results : []
}

export const middle = (figures: number[]) => figures.toSorted((a, b) => a - b)[figures.length >> 1]!
export const median = (runs: Measured[], of: keyof Measured) => middle(runs.map(run => run[of]))

/** Writes `peers.json`, `peers.md` and a chart a workload. */
export function writeReport(folder: string, report: Report): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'peers.json'), `${JSON.stringify(report, null, 2)}\n`)
  writeFileSync(join(folder, 'peers.md'), markdown(report))
  for (const result of report.results) writeFileSync(join(folder, `${result.name}.svg`), chart(result))
}

function markdown({ machine, results }: Report): string {
  const head = `# Beside its peers

Measured on ${machine}; servers and clients share the machine. Medians of runs in turns; a run counts once a checksum of all
values has found its result right. Whole processes, from the start to the end, nightfreight with its verification. Memory is what all
processes of a tool held together, at most. The rows are those of TPC-H's lineitem, of 16 columns, made by tpchgen-cli.

\`npm run bench:peers -- --scale 0.5 --runs 3\` makes this page; \`--only\` one workload of it anew.
`
  return `${head}\n${results.map(section).join('\n')}`
}

/** Writes `types.md`: how many types each tool keeps, and what becomes of those that some tool does not. */
export function writeTypes(folder: string, machine: string, versions: string[], kept: Kept[]): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'types.md'), typesOf(machine, versions, kept))
}

function typesOf(machine: string, versions: string[], kept: Kept[]): string {
  const families = [...Map.groupBy(kept, ({ family }) => family)].map(([family, types]) => {
    const tools = Object.keys(types[0]!.outcomes)
    const count = (tool: string, is: string) =>
      String(types.filter(({ outcomes }) => outcomes[tool]!.startsWith(is)).length)
    const counts = tools.map(tool => [
      tool,
      count(tool, 'exact'),
      count(tool, 'refused'),
      count(tool, 'wrong'),
    ])
    const cell = (text: string) =>
      text
        .replaceAll(/[\p{Cc}\s]+/gu, ' ')
        .replaceAll('|', '\\|')
        .slice(0, 90)
    const rows = types
      .filter(({ outcomes }) => Object.values(outcomes).some(text => text !== 'exact'))
      .map(({ type, outcomes }) => [`\`${type}\``, ...tools.map(tool => cell(outcomes[tool]!))])
    return `## ${{ postgres: 'Postgres', mariadb: 'MariaDB' }[family]} to Postgres: ${types.length} types

${table(['', 'exact', 'refused', 'wrong, and it ended well'], counts)}

${table(['type', ...tools], rows)}
`
  })
  return `# Types, kept by tool

Measured ${today()} on ${machine}. ${versions.join(', ')}.
Each type in a table of its own, with 200 random values, NULLs, and the values at its edges, into an empty Postgres. A type is kept
exactly where each value that the target holds, put into a text by it and read as that type by the source's server, has the
source's own text. Types that all tools keep are not listed. \`npm run bench:peers -- --only types\` makes this page.

${families.join('\n')}`
}

export const today = () => new Date().toISOString().slice(0, 10)

function section(result: Measurement): string {
  const { date, versions } = result
  const reference = result.standings.find(({ tool }) => tool === result.reference)
  const base = reference && reference.runs.length > 0 ? median(reference.runs, 'seconds') : undefined
  const rows = sorted(result.standings).map(({ tool, runs, wrong, note }) => {
    const name = note ? `${tool} (${note})` : tool
    if (wrong || runs.length === 0) return [name, wrong?.replaceAll(/\s+/g, ' ') ?? 'not run', '', '', '', '']
    const seconds = median(runs, 'seconds')
    return [
      name,
      seconds.toFixed(2),
      base === undefined ? '' : (seconds / base).toFixed(2),
      median(runs, 'clientCpu').toFixed(2),
      median(runs, 'serverCpu').toFixed(2),
      `${(median(runs, 'peak') / 1e9).toFixed(2)} GB`,
    ]
  })
  const head = ['', 'seconds', `of ${result.reference}`, 'client CPU s', 'server CPU s', 'peak memory']
  const more = [...(result.about ? [result.about] : []), ...result.standings.flatMap(phasesOf)]
  const measured = `${result.rows.toLocaleString('en')} rows, medians of ${result.rounds}, ${date}: ${versions.join(', ')}.`
  return `## ${result.title}\n\n![](${result.name}.svg)\n\n${table(head, rows)}\n\n${measured}\n${more.map(text => `\n${text}\n`).join('')}`
}

/** What a tool says of the parts of its runs, as a sentence. */
function phasesOf({ tool, phases = [] }: Standing): string[] {
  const names = Object.keys(phases[0] ?? {})
  const parts = names.map(name => `${name} ${middle(phases.map(each => each[name]!)).toFixed(2)} s`)
  return parts.length === 0 ? [] : [`Of ${tool}, by its own account: ${parts.join(', ')}.`]
}

/** The fastest first, those that are wrong last. */
const sorted = (standings: Standing[]) => standings.toSorted((a, b) => secondsOf(a) - secondsOf(b))

const secondsOf = ({ runs, wrong }: Standing) =>
  wrong || runs.length === 0 ? Number.POSITIVE_INFINITY : median(runs, 'seconds')

const WIDTH = 760
const LEFT = 170
const LINE = 30

/** Bars of seconds, as an SVG that is readable on white and on black. */
export function chart({ title, standings, reference, rows }: Measurement): string {
  const list = sorted(standings)
  const most = Math.max(...list.map(secondsOf).filter(Number.isFinite), 0.001)
  const scale = (WIDTH - LEFT - 110) / most
  const height = 56 + list.length * LINE
  const bars = list.map((standing, index) => {
    const y = 44 + index * LINE
    const seconds = secondsOf(standing)
    const right = Number.isFinite(seconds)
    const fill =
      standing.tool === 'nightfreight' ? '#d97706' : standing.tool === reference ? '#9ca3af' : '#60a5fa'
    const label = `<text x="${LEFT - 10}" y="${y + 15}" text-anchor="end">${escaped(standing.tool)}</text>`
    if (!right)
      return `${label}<text x="${LEFT}" y="${y + 15}" class="small">${escaped((standing.wrong ?? 'not run').slice(0, 70))}</text>`
    return `${label}<rect x="${LEFT}" y="${y}" width="${Math.max(1, seconds * scale).toFixed(1)}" height="20" rx="2" fill="${fill}"/><text x="${(LEFT + seconds * scale + 8).toFixed(1)}" y="${y + 15}">${seconds.toFixed(1)} s</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>${escaped(title)}</title>
<style>text { font: 14px sans-serif; fill: #6b7280 } .head { font-weight: bold } .small { font-size: 11px }</style>
<text x="10" y="22" class="head">${escaped(title)}: ${rows.toLocaleString('en')} rows, seconds</text>
${bars.join('\n')}
</svg>
`
}

const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;').replaceAll(/\s+/g, ' ')
