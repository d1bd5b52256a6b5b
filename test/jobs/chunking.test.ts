/** What `chunking` and `resources` of a job say is what a run does: seen in the chunks that it read. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadJob } from '../../src/config/load.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const ROWS = 60_000
const database = await freshPostgres()
await database.query(
  `CREATE TABLE items AS SELECT i AS id, repeat('x', 200) AS text FROM generate_series(1, ${ROWS}) AS i;
   ALTER TABLE items ADD PRIMARY KEY (id); ANALYZE items`,
)
let jobs = 0

/** Chunks of a night under these settings. */
async function night(t: Parameters<typeof smallJob>[0], settings: string) {
  const job = await smallJob(t, `chunked_${++jobs}`, { 'job.yaml': '' })
  job.yaml(`connections: { db: "${database.url}", warehouse: "duckdb:${job.home}/w.duckdb" }
extract: { items: { from: db, table: items, key: id } }
load: { items: { to: warehouse, from: items, key: id, verify: off } }
${settings}`)
  const result = await job.run()
  assert.equal(result.status, 'SUCCESS', String(result.error))
  const [history] = await job.metadata.database.all<{ chunks: number; rows: number }>(
    'SELECT chunks, chunk_rows AS rows FROM sync_history',
  )
  assert.equal(history!.rows, ROWS)
  return history!.chunks
}

test('chunks adapt to the rows, or do not; a threshold of memory makes them smaller', async t => {
  const resources = 'resources: { memory_gb: 0.4, cpu_cores: 1 }'
  const adapted = await night(
    t,
    `${resources}\nchunking: { default_chunk_size: 1000, max_chunk_size: 50000, adaptive_sizing: true }`,
  )
  const fixed = await night(t, `${resources}\nchunking: { default_chunk_size: 1000, adaptive_sizing: false }`)
  const spare = await night(
    t,
    `${resources}\nchunking: { default_chunk_size: 1000, max_chunk_size: 50000, memory_threshold_mb: 1 }`,
  )
  const bounded = await night(
    t,
    `${resources}\nchunking: { default_chunk_size: 1000, max_chunk_size: 3000, adaptive_sizing: true }`,
  )
  assert.ok(bounded >= ROWS / 3000 && bounded < fixed, `${bounded} chunks`)
  // Key ranges of several chunks end with a smaller one.
  assert.ok(fixed >= ROWS / 1000 && fixed < (ROWS / 1000) * 1.2, `${fixed} chunks`)
  assert.ok(adapted <= 20, `${adapted} chunks`)
  assert.ok(spare > adapted && spare < fixed, `${spare} chunks, not between ${adapted} and ${fixed}`)
})

test('resources have two spellings, and not both at once; what has no meaning is refused', async t => {
  const job = await smallJob(t, 'spelled', { 'job.yaml': '' })
  const given = (text: string) => {
    job.yaml(`connections: { db: "${database.url}", warehouse: "duckdb:w.duckdb" }
extract: { items: { from: db, table: items, key: id } }
load: { items: { to: warehouse, from: items, key: id } }
${text}`)
    return loadJob(job.folder, {})
  }
  const spec = await given('resources: { cpu_cores: 16, memory_gb: 64, temp_storage_gb: 500 }')
  assert.deepEqual(spec.resources, { threads: 16, memory: 64e9, tempDisk: 500e9 })
  const block = await given(
    'chunking: { default_chunk_size: 10000, max_chunk_size: 50000, adaptive_sizing: true, memory_threshold_mb: 1000 }',
  )
  assert.deepEqual(block.chunking, { defaultChunkSize: 10_000, maxChunkSize: 50_000, memoryThreshold: 1e9 })
  await assert.rejects(
    given('resources: { memory: 1GB, memory_gb: 1 }'),
    /expected either memory or memory_gb/,
  )
  await assert.rejects(given('resources: { memory_gb: 0.1 }'), /expected at least \d+MB/)
  await assert.rejects(
    given('chunking: { default_chunk_size: 10, max_chunk_size: 20, adaptive_sizing: false }'),
    /expected adaptive_sizing: true/,
  )
  await assert.rejects(
    given('chunking: { default_chunk_size: 10, max_chunk_size: 5 }'),
    /expected at least default/,
  )
})
