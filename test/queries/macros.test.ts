/** Macros that look at several rows; those of one value have tests in queries/macros/tests. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'

const folder = join(import.meta.dirname, '../../queries/macros')

let duck: Duck
before(async () => {
  duck = await Duck.open({ threads: 1, folders: [] })
  for (const file of ['dedupe.sql', 'history.sql']) await duck.run(readFileSync(join(folder, file), 'utf8'))
  await duck.run(`CREATE TABLE seen AS SELECT * FROM (VALUES
    (1, 1, NULL, 10), (2, 1, NULL, 20), (3, 1, 'open', 30), (4, 1, 'open', 40), (5, 1, NULL, 50),
    (6, 2, 'open', 10), (7, 2, 'paid', 10), (8, 3, 'open', NULL)) AS v(row_id, id, status, t)`)
})
after(() => duck.close())

const numbers = async (sql: string) => (await duck.rows(sql)).map(({ n }) => (n === null ? null : Number(n)))

test('newest_row leaves one row a key; a time that is not known is the oldest, and the tie decides', async () => {
  const kept = 'SELECT row_id AS n FROM seen QUALIFY newest_row(id, t, row_id) ORDER BY row_id'
  assert.deepEqual(await numbers(kept), [5, 7, 8])
})

test('is_change finds the first row of a key and each that has another value, NULL as well', async () => {
  const changes = 'SELECT row_id AS n FROM seen WHERE id = 1 QUALIFY is_change(status, id, t) ORDER BY row_id'
  assert.deepEqual(await numbers(changes), [1, 3, 5])
})

test('valid_until is the beginning of the next version; at each moment one holds', async () => {
  const versions = 'SELECT *, valid_until(id, t) AS until FROM seen WHERE id = 1'
  assert.deepEqual(await numbers(`SELECT until AS n FROM (${versions}) ORDER BY t`), [20, 30, 40, 50, null])
  for (const moment of [10, 15, 20, 50, 99])
    assert.deepEqual(
      await numbers(`SELECT count(*) AS n FROM (${versions}) WHERE valid_at(t, until, ${moment})`),
      [1],
    )
})
