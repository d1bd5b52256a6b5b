import assert from 'node:assert/strict'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { Duck } from '../../engine/sql/duckdb.ts'
import { checksumOf } from '../../engine/staging/checksum.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const { url, query } = await freshPostgres()

const yaml = (
  table: string,
  extract: string,
  checks = '',
) => `connections: { in: "file:in", db: "${url}", wh: "duckdb:wh.duckdb" }
extract:
  orders: { from: db, table: ${table}, key: id${extract} }
  customers: { from: in, files: customers.csv, take: all, key: id, schema: { id: BIGINT, name: VARCHAR } }
load:
  lines: { to: wh, from: lines, key: id, deletes: hard, guard: { max_delete_share: 1, allow_empty: true } }
  sums: { to: wh, from: sums, mode: replace, key: customer, guard: { max_delete_share: 1, allow_empty: true } }
  both: { to: wh, from: both, mode: replace }
${checks}quality: { max_error_rate: 1 }
resources: { threads: 1 }
`
const MODELS = {
  'in/customers.csv': `id,name\n${Array.from({ length: 12 }, (_, id) => `${id},c${id}`).join('\n')}\n`,
  'lines.sql':
    '-- @materialised incremental by orders.id\nSELECT id, customer, amount * 2 AS twice FROM orders WHERE amount IS DISTINCT FROM 3',
  'sums.sql':
    '-- @materialised incremental by orders.customer\nSELECT customer, count(*) AS n, sum(amount) AS amount, max(id) AS last FROM orders GROUP BY customer',
  'both.sql':
    '-- @materialised incremental by customers.id, sums.customer\nSELECT c.id, c.name, s.n, s.amount FROM customers AS c LEFT JOIN sums AS s ON s.customer = c.id',
}

const madeOf = ({ error, outcome }: RunResult) => {
  assert.equal(error, undefined)
  const models = outcome.tables.filter(
    ({ parts, name }) => parts && name !== 'orders' && name !== 'customers',
  )
  return Object.fromEntries(
    models.map(({ name, taken, updated, computed }) => [name, taken ? 'taken' : (updated?.keys ?? computed)]),
  )
}

let number = 0
async function jobOf(extract: string, checks?: string) {
  const table = `orders_${++number}`
  await query(
    `CREATE TABLE ${table} (id int PRIMARY KEY, customer int, amount int, at timestamp NOT NULL DEFAULT clock_timestamp())`,
  )
  await query(`INSERT INTO ${table} SELECT i, i % 10, i FROM generate_series(1, 60) AS i`)
  const job = await smallJob({ after }, `incremental_${number}`, {
    'job.yaml': yaml(table, extract, checks),
    ...MODELS,
  })
  const run = (options = {}) => job.run({ verifyIncremental: true, ...options })
  return { ...job, table, run, made: async () => madeOf(await run()) }
}

const INCREMENTAL = ', incremental: { column: at, find_deletes: true }'

test('only what changed is computed, and it is what the whole would be', async () => {
  const job = await jobOf(INCREMENTAL)
  await job.run()
  // What was read again by the lag is no change.
  assert.deepEqual(await job.made(), { lines: 'taken', sums: 'taken', both: 'taken' })
  await query(`UPDATE ${job.table} SET customer = 4, at = clock_timestamp() WHERE id = 7`)
  const { run } = await job.run()
  const told = await job.cli('status', run)
  assert.equal(told.code, 0)
  await query(`UPDATE ${job.table} SET amount = 70, at = clock_timestamp() WHERE id = 8`)
  await query(`DELETE FROM ${job.table} WHERE id = 9`)
  const text = await job.cli('run', job.folder, '--verify-incremental')
  assert.match(text.out, /updated {3}lines: [23] changed keys, other rows taken from run /)
  assert.match(text.out, /updated {3}sums: [23] changed keys/)
  writeFileSync(join(job.folder, 'in/customers.csv'), MODELS['in/customers.csv'].replace('c5', 'five'))
  const made = await job.made()
  assert.deepEqual([made.lines, made.sums, made.both], ['taken', 'taken', 1])
  writeFileSync(join(job.folder, 'sums.sql'), MODELS['sums.sql'].replace('max(id)', 'min(id)'))
  assert.deepEqual(await job.made(), {
    lines: 'taken',
    sums: 'its SQL changed',
    both: 'rows of sums changed, of most keys',
  })
  await query(`UPDATE ${job.table} SET amount = amount + 1, at = clock_timestamp()`)
  assert.deepEqual((await job.made()).lines, 'rows of orders changed, of most keys')
})

test('rows that are not those of the whole stop the run, with their key', async () => {
  const job = await jobOf('')
  const { run } = await job.run()
  const file = join('staging', `incremental_${number}`, run, 'transformed/sums.parquet')
  const duck = await Duck.open({ threads: 1 })
  const path = join(job.home, file)
  await duck.copyParquet(
    `SELECT * REPLACE (if(customer = 3, 999, amount)::HUGEINT::DECIMAL(38,0) AS amount) FROM '${path}'`,
    `${path}.new`,
    'COMPRESSION snappy',
  )
  duck.close()
  renameSync(`${path}.new`, path)
  const bytes = readFileSync(path)
  const { database } = job.metadata
  const [{ output }] = (await database.all<{ output: string }>(
    `SELECT output FROM tasks WHERE run = :run AND task = 'model.sums'`,
    { run },
  )) as [{ output: string }]
  const made = JSON.parse(output)
  Object.assign(made.parts[0], { bytes: bytes.length, checksum: checksumOf(bytes) })
  await database.run(`UPDATE tasks SET output = :output WHERE run = :run AND task = 'model.sums'`, {
    run,
    output: JSON.stringify(made),
  })
  await query(`UPDATE ${job.table} SET amount = 70 WHERE id = 8`)
  const failed = await job.run()
  assert.match(
    String(failed.error),
    /sums\.sql: 2 rows of sums differ from those of its query over all rows, such as of customer = 3/,
  )
  assert.equal((failed.error as { code?: string }).code, 'VERIFY_FAILED')
})

const event = fc.oneof(
  fc.record({
    kind: fc.constant('update' as const),
    id: fc.integer({ min: 1, max: 66 }),
    customer: fc.option(fc.integer({ min: 0, max: 12 })),
    amount: fc.option(fc.integer({ min: 0, max: 5 })),
  }),
  fc.record({ kind: fc.constant('delete' as const), id: fc.integer({ min: 1, max: 66 }) }),
  fc.record({
    kind: fc.constant('insert' as const),
    id: fc.integer({ min: 61, max: 66 }),
    customer: fc.option(fc.integer({ min: 0, max: 12 })),
  }),
)

test('night after night, whatever changes', async () => {
  const nights = fc.array(fc.array(event, { maxLength: 4 }), { minLength: 3, maxLength: 3 })
  let updates = 0
  const property = fc.asyncProperty(
    nights,
    fc.constantFrom('', INCREMENTAL),
    fc.boolean(),
    async (all, extract, checked) => {
      const checks = checked
        ? 'checks: { orders: { amount: { between: [1, null] } }, sums: { n: { between: [0, 7] } } }\n'
        : ''
      const job = await jobOf(extract, checks)
      for (const events of [[], ...all]) {
        for (const each of events)
          if (each.kind === 'delete') await query(`DELETE FROM ${job.table} WHERE id = ${each.id}`)
          else if (each.kind === 'insert')
            await query(
              `INSERT INTO ${job.table} VALUES (${each.id}, ${each.customer}, 1) ON CONFLICT DO NOTHING`,
            )
          else
            await query(
              `UPDATE ${job.table} SET customer = ${each.customer}, amount = ${each.amount}, at = clock_timestamp() WHERE id = ${each.id}`,
            )
        updates += Object.values(await job.made()).filter(made => typeof made === 'number').length
      }
    },
  )
  await fc.assert(property, { numRuns: 2, endOnFailure: true })
  assert.ok(updates > 1, `${updates} models were updated`)
})

test('a column that the source drops is NULL in the rows of every key, and what comes again in all of them', async () => {
  await query(`CREATE TABLE noted (id int PRIMARY KEY, customer int, at timestamp NOT NULL DEFAULT clock_timestamp(), note text);
    INSERT INTO noted SELECT i, i, clock_timestamp(), 'n' || i FROM generate_series(1, 20) AS i`)
  const job = await smallJob({ after }, 'noted', {
    'job.yaml': `connections: { db: "${url}", wh: "duckdb:wh.duckdb" }
extract: { orders: { from: db, table: noted, key: id, incremental: { column: at }, drift: { dropped: ignore } } }
load: { notes: { to: wh, from: notes, key: customer } }
resources: { threads: 1 }
`,
    'notes.sql':
      '-- @materialised incremental by orders.customer\nSELECT customer, max(note) AS note FROM orders GROUP BY customer',
  })
  const made = async () => madeOf(await job.run({ verifyIncremental: true }))
  await made()
  await query('ALTER TABLE noted DROP COLUMN note; INSERT INTO noted VALUES (21, 1, clock_timestamp())')
  assert.deepEqual(await made(), { notes: 'rows of orders changed, of most keys' })
  await query('INSERT INTO noted VALUES (22, 1, clock_timestamp())')
  assert.deepEqual(await made(), { notes: 1 })
  await query(
    "ALTER TABLE noted ADD COLUMN note text; INSERT INTO noted VALUES (23, 2, clock_timestamp(), 'new')",
  )
  await made()
})
