import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type SmallJob, smallJob } from '../jobs/small.ts'
import type { Hooks } from '../servers.ts'

/** A job of 1,000 rows, of which ten have no name and go to the quarantine. */
export async function seenJob(hooks: Hooks, name: string, more = ''): Promise<SmallJob> {
  const job = await smallJob(hooks, name, {
    'clean.sql': 'SELECT id, name, amount FROM people',
    'job.yaml': '',
  })
  writeRows(job, 1000)
  seenYaml(job, more)
  mkdirSync(join(job.folder, 'checks', 'clean'), { recursive: true })
  writeFileSync(
    join(job.folder, 'checks', 'clean', 'name_missing.sql'),
    `SELECT id, 'no name' AS reason FROM clean WHERE coalesce(name, '') = ''`,
  )
  return job
}

/** Writes the job's file anew, with other settings. */
export function seenYaml(job: SmallJob, more: string): void {
  job.yaml(`connections: { drop: "file://${job.home}", warehouse: "duckdb:${join(job.home, 'warehouse.duckdb')}" }
extract: { people: { from: drop, files: "people*.csv", key: id, schema: { id: BIGINT, name: VARCHAR, amount: BIGINT } } }
load: { people: { to: warehouse, from: clean, key: id } }
resources: { memory: 300MB, threads: 1 }
${more}`)
}

/** Writes another file of rows from `first` on; every hundredth has no name. */
export function writeRows({ home }: SmallJob, rows: number, first = 0): void {
  const lines = Array.from({ length: rows }, (_, n) => {
    const id = first + n
    return `${id},${id % 100 === 7 ? '' : `name ${id}`},${id}\n`
  })
  writeFileSync(join(home, `people_${first}.csv`), `id,name,amount\n${lines.join('')}`)
}

/** Samples of Prometheus' text, by name and labels as they are written. */
export function samples(text: string): Map<string, number> {
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map(line => {
      const cut = line.lastIndexOf(' ')
      return [line.slice(0, cut), Number(line.slice(cut + 1))]
    }),
  )
}
