import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from '../../engine/errors.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../servers.ts'
import { notesInto, smallJob } from './small.ts'

// What others see of a table, and do to it, while it is loaded.

const ROWS = 5000
const source = await freshPostgres()
const targets: Record<string, FreshDatabase> = {
  postgres: await freshPostgres(),
  mysql: await freshMariadb(),
}

const yaml = (url: string, table: string) => `
connections: { from: "${source.url}", to: "${url}" }
extract: { ${table}: { from: from, table: ${table}, key: id } }
load: { ${table}: { to: to, from: ${table}, key: id, mode: replace, guard: { max_delete_share: 1 } } }
resources: { memory: 400MB, threads: 1 }
retries: { limit: 0 }
`

async function filled(table: string): Promise<void> {
  await source.query(
    `CREATE TABLE ${table} AS SELECT i AS id, i AS n, 'row ' || i AS v FROM generate_series(1, ${ROWS}) AS i;
     ALTER TABLE ${table} ADD PRIMARY KEY (id); ANALYZE ${table}`,
  )
}

for (const [kind, target] of Object.entries(targets)) {
  test(`${kind}: whoever reads a table while it is loaded sees what one night left, whole, and no gap`, async () => {
    const table = `read_${kind}`
    await filled(table)
    const job = await smallJob({ after }, table, { 'job.yaml': yaml(target.url, table) })
    const reading = new AbortController()
    const seen: string[] = []
    const look = async () => {
      while (!reading.signal.aborted) {
        const now = await target
          .query<{ n: unknown; sum: unknown }>(`SELECT count(*) AS n, sum(n) AS sum FROM ${table}`)
          .then(
            ([row]) => `${row!.n} ${row!.sum}`,
            error => (/exist/.test(String(error)) ? 'none' : Promise.reject(error)),
          )
        if (seen.at(-1) !== now) seen.push(now)
        await delay(2)
      }
    }
    const looked = look()
    const states: string[] = []
    try {
      for (const change of [
        'SELECT 1',
        `UPDATE ${table} SET n = n + 1 WHERE id % 3 = 0; DELETE FROM ${table} WHERE id % 7 = 0; INSERT INTO ${table} VALUES (0, 5, 'new')`,
        `UPDATE ${table} SET n = n + 10`,
      ]) {
        await source.query(change)
        // The last night finds the table otherwise than it left it, and loads all of it.
        if (states.length === 2) {
          await target.query(`DELETE FROM ${table} WHERE id = 5`)
          const [row] = await source.query<{ n: string; sum: string }>(
            `SELECT count(*) AS n, sum(n - 10) AS sum FROM ${table} WHERE id <> 5`,
          )
          states.push(`${row!.n} ${row!.sum}`)
        }
        const { error } = await job.run()
        assert.equal(error, undefined, String(error))
        const [row] = await source.query<{ n: string; sum: string }>(
          `SELECT count(*) AS n, sum(n) AS sum FROM ${table}`,
        )
        states.push(`${row!.n} ${row!.sum}`)
        await delay(50)
      }
    } finally {
      reading.abort()
    }
    await looked
    assert.deepEqual(seen, ['none', ...states])
  })

  for (const [what, alter] of [
    ['loses a column', 'DROP COLUMN v'],
    ['gets a column', 'ADD COLUMN more int'],
    ['has a column widened', kind === 'mysql' ? 'MODIFY COLUMN n bigint' : 'ALTER COLUMN n TYPE bigint'],
  ] as const)
    test(`${kind}: a table that ${what} while it is loaded holds one night or the other, and the next night all`, async () => {
      const table = `alter_${kind}_${what.replaceAll(' ', '_')}`
      await filled(table)
      const job = await smallJob({ after }, table, { 'job.yaml': yaml(target.url, table) })
      assert.equal((await job.run()).error, undefined)
      await source.query(`UPDATE ${table} SET n = n + 1, v = v || '!'`)
      let altered: Promise<unknown> | undefined
      const { error } = await job.run({
        progress: {
          ...notesInto([]),
          // All is staged, and is to be merged.
          finished: task => {
            if (task === `load.${table}`) altered = target.query(`ALTER TABLE ${table} ${alter}`)
          },
        },
      })
      await altered
      const sum = async ({ query }: FreshDatabase, columns: string) => {
        const [row] = await query<Record<string, unknown>>(
          `SELECT count(*) AS n, ${columns} AS sums FROM ${table}`,
        )
        return `${row!.n} ${row!.sums}`
      }
      const [now, before] = [await sum(source, 'sum(n)'), `${ROWS} ${(ROWS * (ROWS + 1)) / 2}`]
      if (error)
        assert.ok(error instanceof EngineError && error.exitCode !== 1, String((error as Error).stack))
      assert.equal(await sum(target, 'sum(n)'), error ? before : now, String(error))
      await source.query(`UPDATE ${table} SET n = n + 1 WHERE id = 1`)
      const next = await job.run()
      assert.equal(next.error, undefined, String(next.error))
      const all = 'sum(n) + 1000000 * sum(length(v))'
      assert.equal(
        await sum(target, all),
        await sum(source, all),
        'a column that is there again has its values',
      )
    })
}
