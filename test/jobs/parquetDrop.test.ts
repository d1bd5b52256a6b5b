import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { freshPostgres } from '../servers.ts'
import { type SmallJob, smallJob } from './small.ts'

const target = await freshPostgres()

async function put(job: SmallJob, name: string, sql: string): Promise<void> {
  mkdirSync(join(job.folder, 'in'), { recursive: true })
  const duck = await Duck.open({ threads: 1 })
  await duck.run(
    `COPY (${sql}) TO ${quote(join(job.folder, 'in', name))} (FORMAT parquet, WRITE_BLOOM_FILTER false)`,
  )
  duck.close()
}

const rows = (from: number, to: number, value: string) =>
  `SELECT r AS id, ${value} AS v, r::DECIMAL(9,2) AS d FROM range(${from}, ${to}) AS t(r)`

const yaml = (table: string, options = '') => `
connections: { drop: "file:in", to: "${target.url}" }
extract: { ${table}: { from: drop, files: "*.parquet", key: id${options} } }
load: { ${table}: { to: to, from: ${table}, key: id } }
`

const loaded = (table: string) =>
  target.query<{ n: number; ids: string; last: string }>(
    `SELECT count(*)::int AS n, sum(id)::text AS ids, max(v) AS last FROM ${table}`,
  )

/** Files of a folder of a run, below its name. */
const staged = ({ home }: SmallJob, folder: string) =>
  readdirSync(join(home, 'staging'), { recursive: true, encoding: 'utf8' }).filter(
    file => file.includes(`/${folder}/`) && file.endsWith('.parquet'),
  )

test('rows of Parquet files are loaded from the bytes that came, without a second copy', async () => {
  const job = await smallJob({ after }, 'parquet_whole', { 'job.yaml': yaml('whole', ', take: all') })
  await put(job, 'a.parquet', rows(0, 5000, "'a' || r % 9"))
  const { error, outcome } = await job.run()
  assert.equal(error, undefined, String(error))
  assert.deepEqual(await loaded('whole'), [{ n: 5000, ids: '12497500', last: 'a8' }])
  assert.equal(outcome.verifications[0]!.equal, 5000)
  const [part] = staged(job, 'raw')
  assert.ok(
    readFileSync(join(job.home, 'staging', part!)).equals(readFileSync(join(job.folder, 'in/a.parquet'))),
  )
  assert.deepEqual(
    [...staged(job, 'transformed'), ...staged(job, 'upserts')],
    [],
    'they are loaded as they lie',
  )
  // The same bytes again, and then others.
  assert.deepEqual((await job.run()).outcome.changes[0]!.counts.inserts, 0)
  await put(job, 'a.parquet', rows(1, 5001, "'b' || r % 9"))
  const { outcome: third } = await job.run()
  const { inserts, updates, deletes } = third.changes[0]!.counts
  assert.deepEqual([inserts, updates, deletes], [1, 4999, 0])
  assert.deepEqual(await loaded('whole'), [{ n: 5001, ids: '12502500', last: 'b8' }])
})

test('beside them, what is rejected is told, and a key that two rows have is found', async () => {
  const more =
    ', on_bad_file: quarantine, on_duplicate: quarantine, columns: { d: quarantine }, schema: { id: BIGINT, v: VARCHAR, d: "DECIMAL(9,2)" }'
  const job = await smallJob({ after }, 'parquet_mixed', { 'job.yaml': yaml('mixed', more) })
  await put(job, 'a.parquet', rows(0, 100, "'a'"))
  writeFileSync(join(job.folder, 'in/b.parquet'), 'no such file')
  await put(job, 'c.parquet', rows(95, 200, "'c'"))
  // Another type, of which two values are none of the schema's.
  await put(
    job,
    'd.parquet',
    `SELECT r AS id, 'd' AS v, if(r < 202, r + 0.001, r)::DOUBLE AS d FROM range(200, 300) AS t(r)`,
  )
  const first = await job.run()
  assert.equal(first.error, undefined, String(first.error))
  assert.deepEqual(first.outcome.accounts.extracts[0], {
    ...first.outcome.accounts.extracts[0]!,
    read: 306,
    rejected: 8,
  })
  assert.equal((await loaded('mixed'))[0]!.n, 298)
  // A night on which all are as they should be, upon one with others.
  await put(job, 'e.parquet', rows(150, 400, "'e'"))
  const second = await job.run()
  assert.equal(second.error, undefined, String(second.error))
  const [found] = await loaded('mixed')
  assert.deepEqual([found!.n, found!.last], [400, 'e'])
  assert.deepEqual((await job.run()).outcome.loaded[0]?.inserted ?? 0, 0)
})

test('of a file that two extracts read, each says and keeps what itself found', async () => {
  const job = await smallJob({ after }, 'two_readers', {
    'job.yaml': `
connections: { drop: "file:in", to: "duckdb:to.duckdb" }
extract:
  strict: { from: drop, files: "*.csv", key: id, schema: { id: BIGINT, v: BIGINT }, on_bad_file: quarantine }
  part: { from: drop, files: "*.csv", key: id, schema: { id: BIGINT } }
load: { strict: { to: to, from: strict, key: id }, part: { to: to, from: part, key: id } }
quality: { max_error_rate: 1 }
`,
    'in/a.csv': 'id,v\n1,2\n',
    'in/b.csv': 'id,w\n2,3\n',
  })
  const { output } = await job.cli('run', job.folder)
  assert.match(output, /drop\.strict: b\.csv is bad and left where it is/)
  assert.doesNotMatch(output, /drop\.part: b\.csv is bad/)
  assert.match(output, /to\.part +2 +2 /)
  assert.doesNotMatch(output, /drop\.strict: .* columns that are not read/)
})

test('a column of schema: that a file has not is NULL where drift: says so; else the file is refused', async () => {
  const yaml = (drift: string) => `
connections: { drop: "file:in", to: "duckdb:to.duckdb" }
extract: { t: { from: drop, files: "*", take: all, key: id, schema: { id: BIGINT, v: VARCHAR }${drift} } }
load: { t: { to: to, from: t, key: id } }
`
  const job = await smallJob({ after }, 'lacking', { 'job.yaml': yaml(''), 'in/a.csv': 'id,v\n1,x\n' })
  assert.equal((await job.run()).error, undefined)
  await put(job, 'b.parquet', 'SELECT 2 AS id')
  writeFileSync(join(job.folder, 'in', 'c.csv'), 'id\n3\n')
  const { error } = await job.run()
  assert.match(String((error as { hint?: string }).hint), /drift: \{ dropped: ignore \}/)
  job.yaml(yaml(', drift: { dropped: ignore }'))
  const third = await job.run()
  assert.equal(third.error, undefined, String(third.error))
  assert.equal(third.outcome.loaded[0]!.inserted, 2)
})
