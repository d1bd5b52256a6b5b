import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { EngineError } from '../../engine/errors.ts'
import { freshPostgres } from '../servers.ts'
import { type SmallJob, smallJob } from './small.ts'

const { url, query } = await freshPostgres()
const ROWS = 10_000
const BATCH = 2048

async function inBatches(name: string, extract = '', deletes = 'hard'): Promise<SmallJob> {
  await query(`CREATE TABLE ${name} (id int PRIMARY KEY, n int NOT NULL, at int NOT NULL DEFAULT 1);
    INSERT INTO ${name} SELECT i, i FROM generate_series(1, ${ROWS}) AS i`)
  return smallJob({ after }, name, {
    'job.yaml': `connections: { a: "${url}" }
extract: { rows: { from: a, table: ${name}${extract} } }
load:
  ${name}_tenth: { to: a, from: tenth, key: id }
  ${name}_copy: { to: a, from: rows, key: id, deletes: ${deletes}, batch_rows: ${BATCH} }
resources: { memory: 300MB, threads: 2 }
retries: { limit: 0 }
`,
    'tenth.sql': 'SELECT id FROM rows WHERE id % 10 = 0',
  })
}

/** Rows that are in one of the two tables only. */
const differing = async (name: string, copy = `${name}_copy`) => {
  const [a, b] = [`SELECT * FROM ${name}`, `SELECT * FROM ${copy}`]
  const [found] = await query(
    `SELECT count(*) AS n FROM ((${a} EXCEPT ${b}) UNION ALL (${b} EXCEPT ${a})) AS d`,
  )
  return Number(found!.n)
}

/** The transactions of a run's commits, in order. */
const commits = async (run: string) =>
  (
    await query<{ id: string; xmin: string }>(
      `SELECT load_id AS id, xmin::text FROM nightfreight.loads WHERE run = '${run}' ORDER BY committed_at, load_id`,
    )
  ).map(({ id, xmin }) => [id.split('/').slice(2).join('/'), xmin])

const names = async (run: string) => (await commits(run)).map(([id]) => id)

test('a load with batch_rows takes a commit a batch, in the order of the job, and counts as one', async () => {
  const job = await inBatches('batched')
  const first = await job.run()
  assert.equal(first.error, undefined)
  const batches = Math.ceil(ROWS / BATCH)
  const ids = [...Array(batches + 2).keys()].map(index => `a/${index}`)
  assert.deepEqual(await names(first.run), [...ids, 'a'])
  assert.equal(await differing('batched'), 0)
  const largest = async () => {
    const [found] = await query(
      'SELECT max(n) AS n FROM (SELECT count(*) AS n FROM batched_copy GROUP BY xmin) AS x',
    )
    return Number(found!.n)
  }
  assert.equal(await largest(), BATCH)
  const [, copy] = first.outcome.loaded
  assert.deepEqual([copy!.inserted, copy!.updated, copy!.deleted], [ROWS, 0, 0])

  await query('UPDATE batched SET n = -n WHERE id <= 5000; DELETE FROM batched WHERE id > 9500')
  const second = await job.run()
  assert.equal(second.error, undefined)
  assert.equal(await differing('batched'), 0)
  const [, changed] = second.outcome.loaded
  assert.deepEqual([changed!.inserted, changed!.updated, changed!.deleted], [0, 5000, 500])
  assert.ok((await largest()) < 2 * BATCH, 'about')

  const third = await job.run()
  assert.deepEqual(await names(third.run), ['a'])
  for (const { wrong } of (await job.verify()).loads) assert.equal(wrong.rows, 0)
})

/** A run that fails in its second batch of rows. */
async function interrupted(job: SmallJob, name: string): Promise<string> {
  await query(`UPDATE ${name} SET n = -n, at = 2;
    CREATE FUNCTION ${name}_refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN IF EXISTS (SELECT FROM ${name}_copy WHERE n < 0) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'refused'; END IF; RETURN NULL; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON ${name}_copy EXECUTE FUNCTION ${name}_refuse()`)
  const failed = await job.run()
  assert.equal((failed.error as EngineError).code, 'CONSTRAINT_VIOLATED')
  const [written] = await query(`SELECT count(*) AS n FROM ${name}_copy WHERE n < 0`)
  assert.equal(Number(written!.n), BATCH)
  await query(`DROP FUNCTION ${name}_refuse CASCADE`)
  return failed.run
}

test('resumed, a load goes on with the batch that failed', async () => {
  const job = await inBatches('resumed')
  assert.equal((await job.run()).error, undefined)
  const run = await interrupted(job, 'resumed')
  const before = await commits(run)
  await assert.rejects(job.verify(), { code: 'NOT_STAGED', message: /\(in part\)/ })
  const resumed = await job.run({ resume: run })
  assert.equal(resumed.error, undefined)
  assert.deepEqual((await commits(run)).slice(0, before.length), before, 'none is done again')
  assert.deepEqual([resumed.outcome.loaded[1]!.inserted, resumed.outcome.loaded[1]!.updated], [0, ROWS])
  assert.equal(await differing('resumed'), 0)
})

for (const incremental of [false, true])
  test(`abandoned among its batches, a run leaves nothing that the next one does not see${incremental ? ' (incremental)' : ''}`, async () => {
    const name = incremental ? 'given_up_since' : 'given_up'
    const job = await inBatches(
      name,
      incremental ? ', incremental: { column: at }' : '',
      incremental ? 'keep' : 'hard',
    )
    assert.equal((await job.run()).error, undefined)
    const run = await interrupted(job, name)
    // What the last whole load has, and the interrupted one had not: no comparison with the former shows it.
    await query(`UPDATE ${name} SET n = -n, at = 1`)
    const next = await job.run({ fresh: true })
    assert.equal(next.error, undefined)
    assert.equal(await differing(name), 0)
    const late = await job.run({ resume: run }).catch((error: Error) => ({ error }))
    assert.ok(late.error instanceof EngineError)
    const settled = await job.run()
    assert.deepEqual(await names(settled.run), ['a'], 'nothing is left to load')
  })

test('of a mode that exchanges rows at once, batches are refused', async () => {
  const job = await inBatches('exchanged')
  job.yaml(`connections: { a: "${url}" }
extract: { rows: { from: a, table: exchanged } }
load: { exchanged_copy: { to: a, from: rows, mode: replace, batch_rows: 10 } }
`)
  await assert.rejects(job.run(), {
    code: 'CONFIG_INVALID',
    message: /load\.exchanged_copy\.batch_rows: mode replace exchanges its rows in one commit/,
  })
})
