import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { type SmallJob, smallJob } from './small.ts'

const source = await freshPostgres()
await source.query(
  'CREATE SCHEMA s; CREATE TABLE s.rv (id int PRIMARY KEY, rev int, v text); CREATE TABLE s.big (id int PRIMARY KEY, rev numeric)',
)

const yaml = (to: string, table: string, from = 'rv') => `connections: { from: "${source.url}", to: "${to}" }
extract: { rv: { from: from, table: s.rv, key: id } }
load: { ${table}: { to: to, from: ${from}, key: id, newer: rev } }
resources: { memory: 300MB, threads: 1 }
`

/** The line that the refusal of a load says to type. */
async function refused(job: SmallJob, message: RegExp): Promise<string> {
  const { error } = await job.run()
  const { code, hint } = error as Error & { code?: string; hint?: string }
  assert.equal(code, 'TARGET_INCOMPATIBLE', String(error))
  assert.match(String(error), message)
  return hint!
}

/** Loads revision 9, then 10: with a number for the revision, the second is newer. */
async function becomesNewer(job: SmallJob, value: () => Promise<unknown>) {
  await source.query(`DELETE FROM s.rv; INSERT INTO s.rv VALUES (1, 9, 'old')`)
  const { error } = await job.run()
  assert.equal(error, undefined, String(error))
  await source.query(`UPDATE s.rv SET rev = 10, v = 'new'`)
  assert.equal((await job.run()).error, undefined)
  assert.equal(await value(), 'new')
}

const FITS = /rev: is .*, by which newer: rev would take 10 to be older than 9/

test('postgres: newer by a number needs a column of numbers, and the refusal says how it gets there', async () => {
  await source.query('CREATE SCHEMA t; CREATE TABLE t.rv (id int PRIMARY KEY, rev varchar(20), v text)')
  const job = await smallJob({ after }, 'newer_postgres', { 'job.yaml': yaml(source.url, 't.rv') })
  await source.query(await refused(job, FITS))
  await becomesNewer(job, async () => (await source.query<{ v: string }>('SELECT v FROM t.rv'))[0]!.v)
})

test('mariadb: newer by a number needs a column of numbers, and the refusal says how it gets there', async () => {
  const mariadb = await freshMariadb({ after })
  await mariadb.query('CREATE TABLE rv (id int PRIMARY KEY, rev varchar(20), v text)')
  const job = await smallJob({ after }, 'newer_mariadb', { 'job.yaml': yaml(mariadb.url, 'rv') })
  await mariadb.query(await refused(job, FITS))
  await becomesNewer(job, async () => (await mariadb.query<{ v: string }>('SELECT v FROM rv'))[0]!.v)
})

test('duckdb: newer by a number needs a column of numbers, and the refusal says how it gets there', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'nightfreight-newer-')), 'wh.duckdb')
  const here = async <T>(act: (duck: Duck) => Promise<T>) => {
    const duck = await Duck.open({ path: file })
    try {
      return await act(duck)
    } finally {
      duck.close()
    }
  }
  await here(duck => duck.run('CREATE TABLE rv (id INTEGER PRIMARY KEY, rev VARCHAR, v VARCHAR)'))
  const job = await smallJob({ after }, 'newer_duckdb', { 'job.yaml': yaml(`duckdb:${file}`, 'rv') })
  const hint = await refused(job, FITS)
  await here(duck => duck.run(hint))
  await becomesNewer(job, () => here(async duck => (await duck.rows('SELECT v FROM rv'))[0]!.v))
})

test('lake: newer by a number needs a column of numbers, and the refusal says how it gets there', async () => {
  const lake = join(mkdtempSync(join(tmpdir(), 'nightfreight-newer-')), 'lake')
  await source.query(`DELETE FROM s.rv; INSERT INTO s.rv VALUES (1, 9, 'old')`)
  const job = await smallJob({ after }, 'newer_lake', {
    'job.yaml': yaml(`lake:${lake}`, 'rv', 'written'),
    'written.sql': 'SELECT * REPLACE (rev::VARCHAR AS rev) FROM rv',
  })
  assert.equal((await job.run()).error, undefined)
  job.yaml(yaml(`lake:${lake}`, 'rv'))
  assert.equal(await refused(job, FITS), 'Write the table anew once, with mode replace and schema: evolve.')
  const anew = yaml(`lake:${lake}`, 'rv')
  job.yaml(anew.replace('newer: rev', 'mode: replace, schema: evolve'))
  assert.equal((await job.run()).error, undefined)
  job.yaml(anew)
  await source.query(`UPDATE s.rv SET rev = 10, v = 'new'`)
  const { error, outcome } = await job.run()
  assert.equal(error, undefined, String(error))
  assert.equal(outcome.loaded[0]!.updated, 1)
})

test('newer by a number that is staged as text is refused, with what to write', async () => {
  const job = await smallJob({ after }, 'newer_wide', {
    'job.yaml': `connections: { from: "${source.url}", to: "${source.url}" }
extract: { big: { from: from, table: s.big, key: id } }
load: { big_out: { to: to, from: big, key: id, newer: rev } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  const { error } = await job.run()
  const { code, message, hint } = error as Error & { code?: string; hint?: string }
  assert.equal(code, 'TYPE_UNSUPPORTED', String(error))
  assert.match(message, /load\.big_out: column rev of big has type numeric, whose text orders no rows/)
  assert.match(hint!, /SELECT \* REPLACE \(CAST\("rev" AS DECIMAL\(38, 6\)\) AS "rev"\) FROM big/)
})
