import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { freshPostgres } from '../servers.ts'
import { notesInto, type SmallJob, smallJob } from './small.ts'

/** Enough that staged parts are on their way before all are read. */
const ROWS = 160_000

const source = await freshPostgres()
const target = await freshPostgres()
await source.query(
  `CREATE TABLE plain AS SELECT i AS id, repeat(md5(i::text), 8) AS v, 1 AS made FROM generate_series(1, ${ROWS}) AS i; ALTER TABLE plain ADD PRIMARY KEY (id);
   CREATE TABLE twice AS SELECT id, v, 1 AS n FROM plain; INSERT INTO twice SELECT id, 'newer', 2 FROM plain WHERE id <= 3; ANALYZE`,
)

const yaml = (table: string, more = '') => `
connections: { from: "${source.url}", to: "${target.url}" }
extract: { ${table}: { from: from, table: ${table}, key: id${more} } }
load: { ${table}: { to: to, from: ${table}, key: id } }
resources: { memory: 600MB, threads: 2 }
retries: { limit: 0 }
`

/** The tables of ours in the target: as they are while a run is at work, and after it. */
const staging = () =>
  target.query<{ name: string }>(
    "SELECT relname AS name FROM pg_class WHERE relname LIKE 'stg\\_%' AND relkind = 'r'",
  )
const count = async (table: string) =>
  (await target.query<{ n: string; sum: string }>(`SELECT count(*) AS n, sum(id) AS sum FROM ${table}`))[0]!
const SUM = String((ROWS * (ROWS + 1)) / 2)

/** Calls `act` when a task has ended, and before anything else is done. */
const when = (task: string, act: () => unknown) => ({
  ...notesInto([]),
  finished: (name: string) => void (name === task && act()),
})

/** The first part of a table among what a run has staged. */
function partOf({ home }: SmallJob, table: string): string {
  const files = readdirSync(join(home, 'staging'), { recursive: true, encoding: 'utf8' })
  return join(
    home,
    'staging',
    files.find(file => file.includes(`raw/${table}/`) && file.endsWith('.parquet'))!,
  )
}

test('rows are on their way to the target while their table is being read, and are loaded once', async () => {
  const job = await smallJob({ after }, 'ahead_plain', { 'job.yaml': yaml('plain') })
  let begun: Promise<unknown[]> | undefined
  const { error, outcome } = await job.run({
    // The load has yet to begin.
    progress: when('diff.plain', () => {
      begun = staging()
    }),
  })
  assert.equal(error, undefined, String(error))
  assert.equal((await begun)?.length, 2, 'its rows and its keys')
  assert.deepEqual(await count('plain'), { n: String(ROWS), sum: SUM })
  assert.equal(outcome.verifications[0]!.equal, ROWS)
  assert.equal(outcome.loaded[0]!.inserted, ROWS)
  assert.deepEqual(await staging(), [])
})

test('a table that keeps more than its rows becomes that as they lie: when they were written, and when they went', async () => {
  const stamped = yaml('plain').replace(
    'plain: { to: to, from: plain, key: id }',
    'stamped: { to: to, from: plain, key: id, deletes: soft, stamp: written, insert_only: [made] }',
  )
  const job = await smallJob({ after }, 'ahead_stamped', { 'job.yaml': stamped })
  let begun: Promise<unknown[]> | undefined
  const first = await job.run({
    progress: when('diff.stamped', () => {
      begun = staging()
    }),
  })
  assert.equal(first.error, undefined, String(first.error))
  assert.equal((await begun)?.length, 2, 'its rows and its keys')
  // In a table just made, all of them were inserted.
  assert.deepEqual(first.outcome.verifications[0]!.notes, [])
  const [{ stamp } = {}] = await target.query<{ stamp: string }>(
    "SELECT committed_at AS stamp FROM nightfreight.loads WHERE job = 'ahead_stamped'",
  )
  const times = () =>
    target.query(
      'SELECT count(*) AS n, written = $1 AS first, deleted_at IS NULL AS here FROM stamped GROUP BY 2, 3 ORDER BY 2, 3',
      [stamp],
    )
  assert.deepEqual(await times(), [{ n: String(ROWS), first: true, here: true }])
  assert.deepEqual(
    await target.query(
      "SELECT 1 FROM stamped WHERE xmin = (SELECT xmin FROM nightfreight.loads WHERE job = 'ahead_stamped')",
    ),
    [],
    'no row is written a second time',
  )
  assert.deepEqual(
    await target.query(
      "SELECT column_name AS name, data_type AS type, is_nullable AS nullable, column_default AS fallback FROM information_schema.columns WHERE table_name = 'stamped' ORDER BY ordinal_position OFFSET 3",
    ),
    ['written', 'deleted_at'].map(name => ({
      ...{ name, type: 'timestamp with time zone', nullable: 'YES', fallback: null },
    })),
  )
  await source.query("UPDATE plain SET v = 'other' WHERE id = 5; DELETE FROM plain WHERE id = 6")
  const second = await job.run()
  assert.equal(second.error, undefined, String(second.error))
  assert.match(second.outcome.verifications[0]!.notes[0]!, /^column made is not compared/)
  assert.deepEqual(await times(), [
    { n: '1', first: false, here: false },
    { n: '1', first: false, here: true },
    { n: String(ROWS - 2), first: true, here: true },
  ])
  await source.query("INSERT INTO plain VALUES (6, 'back', 1)")
})

test('a table has no rights that are given on tables where it was staged', async () => {
  await target.query(
    'CREATE SCHEMA IF NOT EXISTS nightfreight; ALTER DEFAULT PRIVILEGES IN SCHEMA nightfreight GRANT SELECT ON TABLES TO PUBLIC',
  )
  const job = await smallJob({ after }, 'ahead_rights', {
    'job.yaml': yaml('plain').replace('plain: { to: to', 'private: { to: to'),
  })
  assert.equal((await job.run()).error, undefined)
  await target.query('ALTER DEFAULT PRIVILEGES IN SCHEMA nightfreight REVOKE SELECT ON TABLES FROM PUBLIC')
  assert.deepEqual(await target.query("SELECT relacl AS rights FROM pg_class WHERE relname = 'private'"), [
    { rights: null },
  ])
})

test('what turns out to be too much is not loaded: rows that give way to another of their key', async () => {
  const job = await smallJob({ after }, 'ahead_twice', {
    'job.yaml': yaml('twice', ', on_duplicate: quarantine'),
  })
  const { error, outcome } = await job.run()
  assert.equal(error, undefined, String(error))
  assert.deepEqual(await count('twice'), { n: String(ROWS), sum: SUM })
  assert.equal(outcome.verifications[0]!.equal, ROWS)
  assert.deepEqual(await staging(), [])
})

test('a run that ends before its load leaves nothing in the target', async () => {
  await source.query(
    'CREATE TABLE checked AS SELECT * FROM plain; ALTER TABLE checked ADD PRIMARY KEY (id); ANALYZE checked',
  )
  const job = await smallJob({ after }, 'ahead_checked', { 'job.yaml': yaml('checked') })
  const { error } = await job.run({ until: 'diff.checked' })
  assert.equal(error, undefined, String(error))
  assert.deepEqual(await staging(), [])
  assert.equal((await target.query(`SELECT to_regclass('checked') AS oid`))[0]!.oid, null)
})

test('staging that is altered after it was written is loaded by nobody', async () => {
  await source.query(
    'CREATE TABLE altered AS SELECT * FROM plain; ALTER TABLE altered ADD PRIMARY KEY (id); ANALYZE altered',
  )
  const job = await smallJob({ after }, 'ahead_altered', { 'job.yaml': yaml('altered') })
  const { error } = await job.run({
    progress: when('diff.altered', () => {
      const file = partOf(job, 'altered')
      const bytes = readFileSync(file)
      bytes[bytes.length >> 1]! ^= 1
      writeFileSync(file, bytes)
    }),
  })
  assert.equal((error as EngineError | undefined)?.code, 'STAGING_CORRUPT', String(error))
  assert.equal((await target.query(`SELECT to_regclass('altered') AS oid`))[0]!.oid, null)
  assert.deepEqual(await staging(), [])
  const next = await job.run()
  assert.equal(next.error, undefined, String(next.error))
  assert.deepEqual(await count('altered'), { n: String(ROWS), sum: SUM })
})
