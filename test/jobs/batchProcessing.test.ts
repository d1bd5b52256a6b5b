/** `batch_processing` of a job: the keys that it may have, as one block; each does what it does at the top. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { loadJob } from '../../src/config/load.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const BLOCK = `# Batch processing configuration
batch_processing:
  # Resource allocation
  resources:
    cpu_cores: 16
    memory_gb: 64
    temp_storage_gb: 500

  # Parallelism settings
  parallelism:
    max_parallel_extracts: 4
    max_parallel_transforms: 8
    max_parallel_loads: 2

  # Database connections
  connection_pools:
    source_db:
      min_connections: 2
      max_connections: 20
      connection_timeout: 30

    target_db:
      min_connections: 5
      max_connections: 50
      connection_timeout: 60

  # Chunk processing
  chunking:
    default_chunk_size: 10000
    max_chunk_size: 50000
    adaptive_sizing: true
    memory_threshold_mb: 1000

  # Compression
  compression:
    staging_files: gzip
    archive_files: bzip2
    network_transfer: lz4
`
const TABLES = `archive: { to: kept }
connections: { source_db: "postgres://u@h/d", target_db: "mysql://u@h/d" }
extract: { items: { from: source_db, table: items, key: id } }
load: { items: { to: target_db, from: items, key: id } }
`

test('the block says what its keys say at the top', async t => {
  const job = await smallJob(t, 'block', { 'job.yaml': '' })
  const given = (text: string) => {
    job.yaml(text)
    return loadJob(job.folder, {})
  }
  const spec = await given(TABLES + BLOCK)
  assert.deepEqual(spec.resources, { threads: 16, memory: 64e9, tempDisk: 500e9 })
  assert.deepEqual(spec.parallelism, {
    maxParallelExtracts: 4,
    maxParallelTransforms: 8,
    maxParallelLoads: 2,
  })
  assert.deepEqual(spec.connectionPools, {
    source_db: { min: 2, max: 20 },
    target_db: { min: 5, max: 50 },
  })
  assert.equal(spec.connections.source_db!.context.timeouts!.connect, 30_000)
  assert.equal(spec.connections.target_db!.context.timeouts!.connect, 60_000)
  assert.deepEqual(spec.chunking, { defaultChunkSize: 10_000, maxChunkSize: 50_000, memoryThreshold: 1e9 })
  assert.equal(spec.stagingCodec, 'gzip')
  assert.equal(spec.archive!.compression, 'bzip2')
  assert.equal(spec.networkCodec, 'lz4')
  // What has no meaning is refused where it stands, and nothing else is.
  await assert.rejects(
    given(TABLES.replace('archive: { to: kept }', 'vars: {}') + BLOCK),
    /archive_files: the job keeps no archive: add archive/,
  )
  await assert.rejects(
    given(TABLES.replace('kept }', 'kept, compression: zstd }') + BLOCK),
    /archive_files: archive\.compression says the same/,
  )
  await assert.rejects(given(TABLES + BLOCK.replace('bzip2', 'lz4')), /job\.yaml:42:20: .*bzip2.*lz4/)
  await assert.rejects(
    given(`${TABLES}${BLOCK}resources: { threads: 2 }\n`),
    /job\.yaml:9:3: batch_processing\.resources: resources is also at the top of the file: write it once/,
  )
  await assert.rejects(
    given(TABLES + BLOCK.replace('cpu_cores: 16', 'cpu_cores: none')),
    /job\.yaml:10:16: .*none/,
  )
  await assert.rejects(given(`${TABLES}batch_processing: { schedul: 1 }\n`), /job\.yaml:6:.*schedul/)
  await assert.rejects(given(`${TABLES}batch_processing: 1\n`), /job\.yaml:6:.*expected a mapping/)
})

test('max_parallel_extracts is how many connections are read at a time', async t => {
  for (const limit of [2, 4]) {
    // Nobody is answered before as many ask, and one more had the time to.
    const asking: ServerResponse[] = []
    let most = 0
    const server = createServer(({ url }, response) => {
      if (url === '/health') return response.end()
      most = Math.max(most, asking.push(response))
      if (asking.length !== limit) return
      setTimeout(() => {
        for (const each of asking.splice(0)) each.end('[{"id":1}]')
      }, 200)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const { port } = server.address() as AddressInfo
    const names = ['a', 'b', 'c', 'd']
    const job = await smallJob(t, `extracts_${limit}`, { 'job.yaml': '' })
    job.yaml(`connections:
  warehouse: "duckdb:${job.home}/w.duckdb"
${names.map(name => `  ${name}: { url: "http://127.0.0.1:${port}" }`).join('\n')}
extract:
${names.map(name => `  ${name}: { from: ${name}, path: /${name}, key: id, schema: { id: BIGINT } }`).join('\n')}
load: { a: { to: warehouse, from: a, key: id } }
batch_processing: { parallelism: { max_parallel_extracts: ${limit} }, resources: { cpu_cores: 1, memory_gb: 0.4 } }`)
    const result = await job.run()
    assert.equal(result.status, 'SUCCESS', String(result.error))
    assert.equal(most, limit)
  }
})

test('max_parallel_loads is how many targets are loaded at a time', async t => {
  const { url, query } = await freshPostgres(t)
  await query('CREATE TABLE items (id INT PRIMARY KEY, n INT NOT NULL); INSERT INTO items VALUES (1, 1)')
  const names = ['a', 'b', 'c', 'd']
  const job = await smallJob(t, 'loads', { 'job.yaml': '' })
  const night = (limit: number, started: string[]) => {
    job.yaml(`connections: { source: "${url}", ${names.map(name => `${name}: "${url}"`)} }
extract: { items: { from: source, table: items, key: id } }
load: { ${names.map(name => `loaded_${name}: { to: ${name}, from: items, key: id }`)} }
batch_processing: { parallelism: { max_parallel_loads: ${limit} }, resources: { cpu_cores: 1 } }`)
    const progress = {
      started: (task: string) => void started.push(task),
      advanced() {},
      finished() {},
      note() {},
    }
    return job.run({ progress, acceptChanges: true })
  }
  assert.equal((await night(1, [])).status, 'SUCCESS')
  for (const limit of [1, 3]) {
    await query('UPDATE items SET n = n + 1')
    await query('BEGIN')
    await query(`LOCK TABLE ${names.map(name => `loaded_${name}`)} IN SHARE MODE`)
    const started: string[] = []
    const running = night(limit, started)
    const waiting = async () =>
      (await query("SELECT pid FROM pg_locks WHERE NOT granted AND relation::regclass::text LIKE 'loaded%'"))
        .length
    let ended = false
    void running.finally(() => {
      ended = true
    })
    const loads = () => started.filter(task => task.startsWith('load.')).length
    while ((await waiting()) < limit || loads() < limit) {
      if (ended) assert.fail(String((await running).error))
      await delay(50)
    }
    assert.equal(loads(), limit)
    await query('ROLLBACK')
    const { status, error } = await running
    assert.equal(status, 'SUCCESS', String(error))
  }
})

test('what archive_files says is how the archive is packed; temp_storage_gb must be free', async t => {
  const { url, query } = await freshPostgres(t)
  await query('CREATE TABLE items (id INT PRIMARY KEY); INSERT INTO items VALUES (1)')
  const job = await smallJob(t, 'packed', { 'job.yaml': '' })
  const given = (block: string) => {
    job.yaml(`connections: { db: "${url}", warehouse: "duckdb:${job.home}/w.duckdb" }
archive: { to: kept }
extract: { items: { from: db, table: items, key: id } }
load: { items: { to: warehouse, from: items, key: id } }
batch_processing: { ${block} }`)
    return job.run({ acceptChanges: true })
  }
  const { status, error } = await given('compression: { archive_files: bzip2 }')
  assert.equal(status, 'SUCCESS', String(error))
  const kept = readdirSync(join(job.folder, 'kept'), { recursive: true, withFileTypes: true })
  const files = kept.filter(entry => entry.isFile() && entry.name.includes('.parquet'))
  assert.ok(files.length > 0)
  for (const { parentPath, name } of files)
    assert.equal(readFileSync(join(parentPath, name)).toString('latin1', 0, 3), 'BZh', name)
  const refused = await given('resources: { temp_storage_gb: 900000 }')
  assert.equal(refused.status, 'FAILED')
  assert.match(String(refused.error), /temp_disk asks for 900000000 MB/)
})

test('max_parallel_transforms is how many threads SQL has', async t => {
  const database = await freshPostgres(t)
  await database.query('CREATE TABLE items (id INT PRIMARY KEY); INSERT INTO items VALUES (1)')
  /** Threads of this process at the most while a night runs. */
  const threadsOf = async (transforms: number) => {
    const job = await smallJob(t, `transforms_${transforms}`, {
      'job.yaml': `connections: { db: "${database.url}" }
extract: { items: { from: db, table: items, key: id } }
load: { loaded_${transforms}: { to: db, from: items, key: id } }
batch_processing: { parallelism: { max_parallel_transforms: ${transforms} }, resources: { threads: 1 } }`,
    })
    let most = 0
    const look = () => {
      most = Math.max(most, readdirSync('/proc/self/task').length)
    }
    const result = await job.run({ progress: { started: look, advanced: look, finished: look, note() {} } })
    assert.equal(result.status, 'SUCCESS', String(result.error))
    return most
  }
  await threadsOf(2)
  const [few, many] = [await threadsOf(1), await threadsOf(41)]
  assert.ok(Math.abs(many - few - 40) <= 5, `${few} threads, then ${many}`)
})
