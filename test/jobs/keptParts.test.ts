import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { freshPostgres } from '../servers.ts'
import { type SmallJob, smallJob } from './small.ts'

/** Enough that its lanes compress what a lake keeps. */
const ROWS = 160_000

const source = await freshPostgres()
await source.query(
  `CREATE TABLE wide AS SELECT i AS id, i % 7 AS few, repeat(md5(i::text), 8) AS v FROM generate_series(1, ${ROWS}) AS i; ALTER TABLE wide ADD PRIMARY KEY (id);
   UPDATE wide SET few = 9 WHERE id % 1000 = 0; CREATE TABLE small (id int PRIMARY KEY, few int, v text); INSERT INTO small VALUES (1, 1, 'one'); ANALYZE`,
)

const yaml = (table: string) => `
connections: { from: "${source.url}", to: "lake:../lake" }
extract: { ${table}: { from: from, table: ${table}, key: id } }
load: { ${table}: { to: to, from: ${table}, key: id } }
resources: { memory: 600MB, threads: 2 }
retries: { limit: 0 }
`

/** Who wrote the files of a table, and a sum over its rows. */
async function heldBy({ home }: SmallJob, table: string) {
  const duck = await Duck.open({ threads: 1 })
  try {
    const files = quote(join(home, 'lake', table, '**/*.parquet'))
    const writers = await duck.rows(
      `SELECT DISTINCT split_part(created_by, ' ', 1) AS writer FROM parquet_file_metadata(${files})`,
    )
    const [rows] = await duck.rows(
      `SELECT count(*) AS n, sum(id * few)::VARCHAR AS sum, sum(length(v))::VARCHAR AS length FROM ${files}`,
    )
    return { writers: writers.map(({ writer }) => writer), ...rows }
  } finally {
    duck.close()
  }
}

const expected = async () => {
  const [row] = await source.query<{ sum: string }>('SELECT sum(id::bigint * few)::text AS sum FROM wide')
  return { n: ROWS, sum: row!.sum, length: String(ROWS * 256) }
}

test('what a lake gets for the first time is what the lanes wrote, also of a run that ended before its load; the next night merges', async () => {
  const job = await smallJob({ after }, 'kept_wide', { 'job.yaml': yaml('wide') })
  const first = await job.run({ until: 'diff.wide' })
  assert.equal(first.error, undefined, String(first.error))
  const { error, outcome } = await job.run({ resume: first.run })
  assert.equal(error, undefined, String(error))
  assert.equal(outcome.verifications[0]!.equal, ROWS)
  assert.deepEqual(await heldBy(job, 'wide'), { writers: ['nightfreight'], ...(await expected()) })
  await source.query('UPDATE wide SET few = 8 WHERE id <= 3')
  const night = await job.run()
  assert.equal(night.error, undefined, String(night.error))
  assert.equal(night.outcome.loaded[0]!.updated, 3)
  assert.deepEqual(await heldBy(job, 'wide'), { writers: ['DuckDB'], ...(await expected()) })
})

test('small tables, and those that a model reads, are staged as for any target', async () => {
  const small = await smallJob({ after }, 'kept_small', { 'job.yaml': yaml('small') })
  assert.equal((await small.run()).error, undefined)
  assert.deepEqual((await heldBy(small, 'small')).writers, ['DuckDB'])
  const modelled = await smallJob({ after }, 'kept_model', {
    'job.yaml': yaml('wide').replace(
      ' key: id } }\nres',
      ' key: id }, counted: { to: to, from: counted, key: n } }\nres',
    ),
    'counted.sql': 'SELECT count(*) AS n FROM wide',
  })
  const { error } = await modelled.run()
  assert.equal(error, undefined, String(error))
  assert.deepEqual((await heldBy(modelled, 'wide')).writers, ['DuckDB'])
})
