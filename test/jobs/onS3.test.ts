import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { readArchived } from '../../src/archive/manifest.ts'
import { openFiles, tableSql } from '../../src/connectors/lake/files.ts'
import { columnsOf, Log } from '../../src/connectors/lake/log.ts'
import { BucketStore } from '../../src/stores/bucket.ts'
import { S3Client } from '../../src/stores/s3/client.ts'
import { s3Access, s3Config } from '../../src/stores/s3/settings.ts'
import { startS3 } from '../s3.ts'
import { freshPostgres } from '../servers.ts'
import { type SmallJob, smallJob } from './small.ts'

const ROOT = join(import.meta.dirname, '../..')
const server = await startS3()
after(() => server.stop())
for (const bucket of ['staging', 'lake', 'archive', 'drop']) await server.bucket(bucket)
const { url, query } = await freshPostgres()
let duck: Duck
before(async () => {
  duck = await Duck.open({ threads: 1 })
})
after(() => duck.close())

const access = (location: string) =>
  s3Access(
    s3Config.parse({
      url: `s3://${location}`,
      endpoint: server.endpoint,
      access_key: 'test',
      secret_key: 'test',
    }),
    'test',
  )
const storeOf = (location: string) => new BucketStore(access(location))
const drop = new S3Client(access('drop'))
after(() => drop.close())

const yaml = (name: string, { lake = name, archive = 'archive/raw', more = '' } = {}) => `
connections:
  db: "${url}"
  drop: { url: "s3://drop/${name}", endpoint: "${server.endpoint}", access_key: test, secret_key: test }
  lake: { url: "lake:s3://lake/${lake}", endpoint: "${server.endpoint}", access_key: test, secret_key: test }
extract:
  members: { from: db, table: ${name}_members, key: id }
  payments: { from: db, table: ${name}_payments, key: id, incremental: { column: seen } }
  notes: { from: drop, files: "*.csv", schema: { id: BIGINT, note: VARCHAR }, key: [id], after: move, to: done }
load:
  ${name}_dim: { to: lake, from: dim, key: id, mode: replace, guard: { max_delete_share: 1 } }
  ${name}_fact: { to: lake, from: fact, key: id, mode: replace, guard: { max_delete_share: 1 } }
  ${lake}_copy: { to: db, from: members, key: id, mode: replace, guard: { max_delete_share: 1 } }
archive: { to: "s3://${archive}", retention: 90d, endpoint: "${server.endpoint}", access_key: test, secret_key: test${more} }
resources: { memory: 300MB, threads: 1 }
retries: { limit: 0 }
quality: { max_error_rate: 0.5 }
`

/** A job whose staging, lake and archive are in buckets, and the nights of its sources. */
async function nightly(name: string, more: Parameters<typeof yaml>[1] = {}) {
  await query(`CREATE TABLE ${name}_members (id int PRIMARY KEY, name text, joined date);
    CREATE TABLE ${name}_payments (id int PRIMARY KEY, member int, amount numeric(38,10), seen timestamptz)`)
  const job = await smallJob({ after }, name, {
    'job.yaml': yaml(name, more),
    'dim.sql':
      "SELECT m.*, n.note, getvariable('run_at')::TIMESTAMPTZ AS at FROM members m LEFT JOIN notes n USING (id)",
    'fact.sql': 'SELECT p.*, count(*) OVER ()::INTEGER AS n FROM payments p',
  })
  mkdirSync(join(job.folder, 'checks/dim'), { recursive: true })
  writeFileSync(
    join(job.folder, 'checks/dim/named.sql'),
    "SELECT id, 'no name' AS reason FROM dim WHERE name = ''",
  )
  const env = {
    STAGING_URL: `s3://test:test@staging/${name}?endpoint=${server.endpoint}`,
  }
  const change = async (night: number) => {
    await query(`DELETE FROM ${name}_members WHERE id % 7 = ${night};
      INSERT INTO ${name}_members SELECT i, CASE WHEN i % 50 = 3 THEN '' ELSE 'é🙂' || i END, date '2020-01-01' + i
        FROM generate_series(${night * 100}, ${night * 100 + 80}) AS i;
      UPDATE ${name}_members SET name = name || '${night}' WHERE id % 5 = 0;
      INSERT INTO ${name}_payments SELECT i, i, i / 3.0, '2026-01-0${night} 10:00:00.123456Z'
        FROM generate_series(${night * 100}, ${night * 100 + 40}) AS i`)
    const lines = Array.from({ length: 10 }, (_, i) => `${night * 100 + i},"note ${night}\n${i}"`)
    await drop.put(`${name}/${night}.csv`, Buffer.from(`id,note\n${lines.join('\n')}\n`))
  }
  const night = async (number: number, options: Partial<Parameters<SmallJob['run']>[0]> = {}) => {
    await change(number)
    const result = await job.run({ env, runAt: new Date(`2026-01-0${number}T12:00:00Z`), ...options })
    assert.equal(result.error, undefined)
    return result
  }
  return { job, env, night, change }
}

/** The rows of both tables as a lake has them; also whose commit it is. */
async function contents(name: string, lake = name, version?: number): Promise<string[]> {
  const store = storeOf(`lake/${lake}`)
  const log = new Log(store)
  const commit = version === undefined ? (await log.newest())! : await log.commit(version)
  const rows: string[] = []
  for (const table of ['dim', 'fact']) {
    const manifest = (await log.manifest(commit, `${name}_${table}`))!
    const paths = await openFiles(store, `${name}_${table}`, manifest.files)
    const found = await duck.rows(
      `SELECT COLUMNS(*)::VARCHAR FROM (SELECT * EXCLUDE (_nf_file) FROM (${tableSql(columnsOf(manifest), paths)})) ORDER BY ALL`,
    )
    rows.push(...found.map(row => `${table} ${Object.values(row).join('|')}`))
  }
  await store.clear()
  return rows
}

/** A table that was loaded from an extract's parts as they lay. */
const copied = async (lake: string) =>
  (await query<{ row: string }>(`SELECT t::text AS row FROM ${lake}_copy AS t ORDER BY id`)).map(
    ({ row }) => row,
  )

const newest = async (lake: string) => (await new Log(storeOf(`lake/${lake}`)).newest())!.version

/** A copy of the job with a lake of its own. */
async function copyOf(job: SmallJob, name: string, as: string, more: Parameters<typeof yaml>[1] = {}) {
  const folder = join(job.home, as)
  cpSync(job.folder, folder, { recursive: true })
  writeFileSync(join(folder, 'job.yaml'), `job: ${as}\n${yaml(name, { ...more, lake: as })}`)
  return folder
}

for (const [compression, more] of [
  ['zstd', ', level: 9'],
  ['bzip2', ', compression: bzip2'],
] as const)
  test(`staging, lake and archive (${compression}) on S3: a past night is rebuilt exactly, anywhere`, async () => {
    const name = `whole_${compression}`
    const { job, env, night } = await nightly(name, { more })
    const runs: string[] = []
    const wanted: string[][] = []
    const copies: string[][] = []
    for (const number of [1, 2, 3]) {
      const { run, archive, status, outcome } = await night(number)
      assert.equal(status, 'COMPLETED_WITH_ERRORS')
      assert.equal(archive?.failed, undefined)
      assert.equal(
        outcome.extracted.find(({ extract }) => extract === 'payments')!.rows,
        number === 1 ? 41 : 82,
      )
      runs.push(run)
      wanted.push(await contents(name))
      copies.push(await copied(name))
    }
    assert.notDeepEqual(wanted[1], wanted[2])

    // Beside the present: another job, another lake, a machine that has nothing, sources that are gone.
    await query(
      `ALTER TABLE ${name}_members RENAME TO ${name}_away; ALTER TABLE ${name}_payments RENAME TO ${name}_gone`,
    )
    for (const [index, run] of runs.entries()) {
      if (compression === 'bzip2' && index !== 1) continue
      const as = `${name}_then_${index}`
      const folder = await copyOf(job, name, as, { more })
      const restored = await job.run({
        folder,
        env,
        home: join(job.home, `machine-${index}`),
        restore: { run, of: name },
      })
      assert.equal(restored.error, undefined)
      assert.deepEqual(await contents(name, as), wanted[index])
      assert.deepEqual(await copied(as), copies[index])
    }
    await query(
      `ALTER TABLE ${name}_away RENAME TO ${name}_members; ALTER TABLE ${name}_gone RENAME TO ${name}_payments`,
    )

    // In its own job: that night again, and from it on to the present.
    const back = await job.run({ env, restore: { run: runs[1]! } })
    assert.equal(back.error, undefined)
    assert.deepEqual(await contents(name), wanted[1])
    const { outcome } = await night(4)
    assert.equal(
      outcome.extracted.find(({ extract }) => extract === 'payments')!.rows,
      123,
      'all since night two',
    )
    const facts = (await contents(name)).filter(row => row.startsWith('fact'))
    assert.equal(facts.length, 4 * 41)
  })

test('an archived file that is damaged or gone is refused by name, and nothing is loaded', async () => {
  const { job, env, night } = await nightly('damaged')
  const { run } = await night(1)
  const store = storeOf('archive/raw')
  const archived = (await readArchived(store, 'damaged', run))!
  const { path } = archived.extracts[0]!.nights[0]!.parts[0]!
  const client = new S3Client(access('archive/raw'))
  after(() => client.close())
  const { bytes } = (await client.get(path))!
  const commits = await newest('damaged')
  const refused = async (message: RegExp) => {
    const { error } = await job.run({ env, restore: { run } })
    assert.equal((error as EngineError).code, 'STAGING_CORRUPT')
    assert.match((error as Error).message, message)
    assert.equal(await newest('damaged'), commits)
  }
  const flipped = Buffer.from(bytes)
  flipped[bytes.length >> 1]! ^= 1
  await client.put(path, flipped)
  await refused(
    /^s3:\/\/archive\/raw\/damaged\/.*part-.*\.parquet is not what was written: its checksum differs/,
  )
  await client.put(path, bytes.subarray(1))
  await refused(/has \d+ bytes instead of/)
  await client.remove(path)
  await refused(/is missing: 81 rows/)
  await client.put(path, bytes)
  const manifest = (await client.get(`damaged/${run}/archive.json`))!.bytes.toString()
  await client.put(`damaged/${run}/archive.json`, Buffer.from(manifest.replace('"rows": 81', '"rows": 80')))
  await assert.rejects(job.run({ env, restore: { run } }), {
    code: 'STAGING_CORRUPT',
    message: /archive\.json: is not/,
  })
  await client.put(`damaged/${run}/archive.json`, Buffer.from(manifest))
  await assert.rejects(job.run({ env, restore: { run: 'nobody' } }), {
    code: 'NOT_STAGED',
    message: /has no run nobody/,
  })
  const { error } = await job.run({ env, restore: { run } })
  assert.equal(error, undefined)
})

test('an archive that fails leaves the load, is told, and is made by the next run; gc keeps what it needs', async () => {
  const { job, env, night } = await nightly('late', { archive: 'not-there/raw' })
  const first = await night(1)
  assert.match(first.archive!.failed!, /not-there.*NoSuchBucket/)
  assert.equal(first.status, 'COMPLETED_WITH_ERRORS')
  const tasks = await job.metadata.tasks(first.run)
  assert.equal(tasks.find(({ task }) => task === 'archive')!.status, 'FAILED')
  await server.bucket('not-there')
  const second = await night(2)
  assert.equal(second.archive?.failed, undefined)
  const store = storeOf('not-there/raw')
  for (const { run } of [first, second]) assert.ok(await readArchived(store, 'late', run), run)
  assert.deepEqual(await job.metadata.unarchived('late'), [])
  const folder = await copyOf(job, 'late', 'late_then', { archive: 'not-there/raw' })
  const { error } = await job.run({
    folder,
    env,
    home: join(job.home, 'b'),
    restore: { run: first.run, of: 'late' },
  })
  assert.equal(error, undefined)
  assert.deepEqual(await contents('late', 'late_then'), await contents('late', 'late', 1))
})

test('killed while it sends to staging, lake or archive, and run again: all is there, once', async () => {
  const { job, env, night, change } = await nightly('killed')
  const first = await night(1)
  const at = '2026-01-02T12:00:00Z'
  await change(2)
  const moments = [
    /\/staging\/.*\/raw\//,
    /\/staging\/.*\/image\//,
    /\/lake\/.*\.parquet/,
    /\/lake\/.*\/commits\//,
    /\/archive\/.*\/raw\//,
    /archive\.json/,
  ]
  for (const moment of moments) {
    const child = spawn(process.execPath, ['src/main.ts', 'run', job.folder, '--at', at, '--json'], {
      cwd: ROOT,
      env: { ...process.env, ...env, NIGHTFREIGHT_HOME: job.home },
      stdio: 'ignore',
    })
    server.mischief = (method, path) => {
      if ((method === 'PUT' || method === 'POST') && moment.test(decodeURIComponent(path))) {
        child.kill('SIGKILL')
        return 'cut'
      }
      return undefined
    }
    const [, signal] = (await once(child, 'close')) as [number | null, string | null]
    server.mischief = undefined
    assert.equal(signal, 'SIGKILL', String(moment))
    // Another machine goes on each time.
    rmSync(join(job.home, 'staging'), { recursive: true })
  }
  const ended = await job.cliIn(env, 'run', job.folder, '--at', at)
  assert.equal(ended.code, 0, ended.err)
  assert.match(ended.out, /archived {2}s3:\/\/archive\/raw\/killed\//)
  const [second] = await job.metadata.runs(1, 'killed')
  assert.deepEqual((await job.metadata.runs(9, 'killed')).length, 2, 'one run, continued')
  assert.ok(second!.attempt >= 4)
  const facts = (await contents('killed')).filter(row => row.startsWith('fact'))
  assert.equal(facts.length, 82)
  assert.equal(await newest('killed'), 2)

  const archived = (await readArchived(storeOf('archive/raw'), 'killed', second!.run))!
  const parts = archived.extracts.flatMap(({ nights }) => nights.flatMap(night => night.parts))
  const payments = archived.extracts.find(({ read }) => read.extract === 'payments')!
  assert.deepEqual(
    payments.nights.map(({ run }) => run),
    [first.run, second!.run],
  )
  assert.equal(
    payments.nights.flatMap(({ parts }) => parts).reduce((sum, { part }) => sum + part.rows, 0),
    123,
  )
  assert.equal(new Set(parts.map(({ path }) => path)).size, parts.length)
  for (const bucket of ['staging', 'lake', 'archive']) {
    const client = new S3Client(access(bucket))
    assert.equal(await client.abortUploads('', new Date(Date.now() + 1e6)), 0, `uploads left in ${bucket}`)
    client.close()
  }
  const folder = await copyOf(job, 'killed', 'killed_then')
  const { error } = await job.run({
    folder,
    env,
    home: join(job.home, 'b'),
    restore: { run: second!.run, of: 'killed' },
  })
  assert.equal(error, undefined)
  assert.deepEqual(await contents('killed', 'killed_then'), await contents('killed'))
})
