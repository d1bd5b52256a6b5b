import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { smallJob } from './small.ts'

const ROWS = 300_000
const WIDE = Array.from(
  { length: 16 },
  (_, n) => `'the text of column ${n}, of row ' || i % ${1000 + n} AS c${n}`,
)

test('findings of most rows of a wide table, more than fit into memory, are all kept, in order', async t => {
  const job = await smallJob(t, 'many_findings', {
    'job.yaml': `connections: { files: "file:.", out: "duckdb:out.duckdb" }
extract: { one: { from: files, files: one.csv } }
load: { wide: { from: wide, to: out, key: id } }
quality: { max_error_rate: 1 }
resources: { memory: 500MB, threads: 2 }
`,
    'one.csv': 'n\n1\n',
    'wide.sql': `SELECT i AS id, ${WIDE.join(', ')} FROM one, range(${ROWS}) AS t(i)`,
    'checks/wide/even.sql': `SELECT id, 'warn' AS severity, 'row ' || id || ' is even' AS reason FROM wide WHERE id % 2 = 0`,
    'checks/wide/third.sql': `SELECT id, 'warn' AS severity, 'row ' || id || ' is a third' AS reason FROM wide WHERE id % 3 = 0`,
    'checks/wide/bad.sql': `SELECT id, 'row ' || id || ' is bad' AS reason FROM wide WHERE id % 20 = 0`,
  })
  const { error, outcome } = await job.run()
  assert.equal(error, undefined)
  const wide = outcome.tables.find(({ name }) => name === 'wide')!
  assert.deepEqual(
    { marked: wide.marked, rejected: wide.rejected, loaded: outcome.loaded[0]!.inserted },
    { marked: (ROWS * 2) / 3, rejected: ROWS / 20, loaded: ROWS - ROWS / 20 },
  )
  const records = await job.metadata.errors.list({ limit: 100_000 })
  assert.equal(records.length, 10_000)
  assert.deepEqual(new Set(records.map(({ row_key }) => Number(row_key) % 20)), new Set([0]))
  assert.equal(Math.max(...records.map(({ row_key }) => Number(row_key))), 9_999 * 20)
  const duck = await Duck.open({})
  t.after(() => duck.close())
  const file = join(job.home, 'staging', wide.findings!)
  const [found] = await duck.rows(`WITH found AS (FROM read_parquet('${file}', file_row_number = true))
    SELECT count(*) AS findings, count(DISTINCT (row, check_name)) AS different, count(*) FILTER (json_extract_string(record, '$.id')::BIGINT <> row) AS wrong,
      (SELECT count(*) FROM (SELECT (row, check_name) < lag((row, check_name)) OVER (ORDER BY file_row_number) AS back FROM found) WHERE back) AS back
    FROM found`)
  const findings = ROWS / 2 + ROWS / 3 + ROWS / 20
  assert.deepEqual(found, { findings, different: findings, wrong: 0, back: 0 })
})
