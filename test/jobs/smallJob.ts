import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ProgressListener } from '../../engine/runtime/context.ts'
import { createLog } from '../../src/cli/log.ts'
import { collectGarbage } from '../../src/runs/gc.ts'
import { runJob } from '../../src/runs/runJob.ts'
import { type Place, standing } from '../metadata/stores.ts'
import type { FreshDatabase } from '../servers.ts'

const DAY = 24 * 3600 * 1000
let jobs = 0

/** A job of one incremental table, its nights a day apart. */
export async function smallJob(database: FreshDatabase, location: Place) {
  const name = `kept_${++jobs}`
  const folder = join(location.home, 'queries')
  const clock = standing()
  const log = createLog({ folder: location.home })
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'out.sql'), 'SELECT * FROM items')
  writeFileSync(
    join(folder, 'job.yaml'),
    `job: ${name}
connections: { db: "${database.url}" }
extract: { items: { from: db, table: ${name}, key: id, incremental: { column: seen } } }
load: { ${name}_loaded: { to: db, from: out, key: id, newer: seen } }
resources: { memory: 300MB, threads: 1 }
`,
  )
  await database.query(`CREATE TABLE ${name} (id int NOT NULL PRIMARY KEY, n int, seen int NOT NULL)`)
  const metadata = await location.open(clock)
  return {
    name,
    metadata,
    staged: join(location.home, 'staging', name),
    async night(
      id: number,
      {
        signal = new AbortController().signal,
        fresh,
        progress,
      }: { signal?: AbortSignal; fresh?: boolean; progress?: Partial<ProgressListener> } = {},
    ) {
      clock.move(DAY)
      await database.query(`INSERT INTO ${name} VALUES (${id}, ${id}, ${id})`)
      const result = await runJob({
        folder,
        env: {},
        home: location.home,
        metadata,
        clock,
        progress: { started() {}, advanced() {}, finished() {}, note() {}, ...progress },
        signal,
        fresh,
        log,
        secrets: [],
      })
      return { ...result, read: result.outcome.extracted[0]?.rows }
    },
    gc: (keepDays: number, dryRun = false, filesOf?: string) =>
      collectGarbage({
        ...{ metadata, home: location.home, clock, log, keepDays, dryRun },
        ...(filesOf !== undefined && { filesOf }),
      }),
    loaded: async () =>
      (
        await database.query<{ ids: string }>(
          `SELECT string_agg(id::text, ',' ORDER BY id) AS ids FROM ${name}_loaded`,
        )
      )[0]!.ids,
  }
}
