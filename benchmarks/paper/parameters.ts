import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What a row, a part and a step cost: seconds of one core. */
export interface Costs {
  /** Of the source's server, a row. */
  read: number
  /** Of the worker, a row: decoded and staged as Parquet. */
  stage: number
  /** Of the worker, a row: compared with what was loaded last. */
  compare: number
  /** Of target and worker together, a row that changed: staged, merged, verified. */
  merge: number
  /** Of target and worker together, a row of a first load: copied into the table's staging. */
  copy: number
  /** Of the store, a part or a task that is committed; one at a time. */
  commit: number
  /** Of the worker, the beginning of a step's process. */
  step: number
}

/** What no report has measured. */
export const ASSUMED = {
  /** Bytes of a row on the wire. */
  wire: 200,
  /** Bits a second, of each machine. */
  network: 10e9,
  /** Rows of a part. */
  part: 500_000,
  /** Cores of a worker, of a source's server and of a target's. */
  cores: 16,
  /** Tasks that Airflow's scheduler starts in a second. */
  starts: 5,
  /** Dollars that a core costs for an hour. */
  coreHour: 0.05,
}

const REPORT = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8')
const cells = (line: string) => line.split('|').map(each => each.trim())

/** A number of a committed report: in the row and the column of these names, of a table whose first heading is `head`. */
function measured(head: string, row: string, column: string): number {
  for (const table of REPORT.split('\n\n').filter(each => cells(each.split('\n')[0]!)[1] === head)) {
    const lines = table.trim().split('\n').map(cells)
    const at = lines[0]!.indexOf(column)
    const found = lines.find(line => line[1] === row)
    const value = at < 0 || !found ? Number.NaN : Number.parseFloat(found[at]!)
    if (!Number.isNaN(value)) return value
  }
  throw new Error(`benchmarks/README.md has no table ${head} with ${column} of ${row}`)
}

/** Costs by the reports in benchmarks/README.md: lineitem, from Postgres to Postgres. */
export function costs(): Costs {
  const extract = (column: string) => measured('Postgres, 3 M rows', 'stage 1', column) / 3e6
  // After the extraction both cores of that machine were busy.
  const after = (changed: string) =>
    2 * measured(`10 M rows, ${changed} % changed`, 'nightfreight run', 'after the extraction')
  return {
    read: extract('server CPU s'),
    stage: extract('client CPU s'),
    compare: after('0') / 10e6,
    merge: (after('10') - after('0')) / 1e6,
    copy: (2 * measured('Postgres, 3 M rows', 'staged 2', 'seconds')) / 3e6,
    commit: measured('store', 'Postgres', 'a task of a graph of 1,000') / 1000,
    step: 0.8,
  }
}
