import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { readTable } from './mysqlRead.ts'
import { extractOf, readRows } from './postgres/reading.ts'

const COLUMNS = 1500

// The types take turns; the last column has a value in every other row.
const definition = Array.from(
  { length: COLUMNS },
  (_, index) => `c${index} ${['int', 'varchar(9)', 'smallint'][index % 3]}`,
)
const filled = Array.from({ length: COLUMNS }, (_, index) =>
  index === COLUMNS - 1 ? 'NULLIF(n, 2)' : String(index),
)

test('postgres: a table of 1,500 columns is read whole', async t => {
  const db = await freshPostgres(t)
  await db.query(`CREATE TABLE wide (id int PRIMARY KEY, ${definition.join(', ')});
    INSERT INTO wide SELECT n, ${filled.join(', ')} FROM generate_series(1, 3) AS n`)
  const { rows } = await readRows(db.url, extractOf('wide'))
  assert.deepEqual(rows, wanted)
})

test('mariadb: a table of 1,500 columns is read whole', async t => {
  const db = await freshMariadb(t)
  await db.query(`CREATE TABLE wide (id int PRIMARY KEY, ${definition.join(', ')}) ENGINE = Aria`)
  await db.query(`INSERT INTO wide SELECT seq, ${filled.join(', ').replace('(n,', '(seq,')} FROM seq_1_to_3`)
  const { rows } = await readTable(db.url, 'wide')
  assert.deepEqual(rows, wanted)
})

const wanted = ['1', '2', '3'].map(id => [
  id,
  ...Array.from({ length: COLUMNS - 1 }, (_, index) => String(index)),
  id === '2' ? null : id,
])
