import { createReadStream, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createDatabase as createPostgres } from '../../src/demo/servers/postgres.ts'
import * as tools from './contenders.ts'
import { intoPostgres } from './copies.ts'
import { fillPostgres } from './data.ts'
import { fresh, type Ground } from './ground.ts'
import type { Race } from './race.ts'

const FILES = 10_000
const ROWS = 20

/** Ten thousand CSV files of twenty rows of lineitem each (below scale 1 fewer in proportion) into one table with its key. */
export async function smallFiles(ground: Ground): Promise<Race> {
  const count = Math.max(10, Math.round(FILES * Math.min(1, ground.files.scale)))
  const [folder, all] = [join(ground.dir, 'small', 'lineitem'), join(ground.dir, 'small.csv')]
  fresh(folder)
  writeFileSync(all, await split(ground.files.csv, folder, count))
  const twin = await createPostgres(ground.postgres, 'files_twin')
  await fillPostgres(twin, { ...ground.files, csv: all })
  return intoPostgres(
    ground,
    {
      name: 'files',
      title: `${count.toLocaleString('en')} CSV files of ${ROWS} rows to Postgres, with the key`,
      source: folder,
      twin,
      reference: 'awk and psql',
    },
    [tools.filesByHand, tools.nightfreight, tools.sling, tools.dlt, tools.duckdb],
  )
}

/** Writes the first rows of a CSV file to files of their own, each with the header; gives all of them as one. */
async function split(csv: string, folder: string, count: number): Promise<string> {
  const input = createReadStream(csv)
  const rows: string[] = []
  let header = ''
  for await (const line of createInterface({ input })) {
    if (header === '') header = line
    else rows.push(line)
    if (rows.length === count * ROWS) break
  }
  input.destroy()
  const text = (lines: string[]) => `${header}\n${lines.join('\n')}\n`
  for (let file = 0; file < count; file++)
    writeFileSync(
      join(folder, `${String(file).padStart(5, '0')}.csv`),
      text(rows.slice(file * ROWS, (file + 1) * ROWS)),
    )
  return text(rows)
}
