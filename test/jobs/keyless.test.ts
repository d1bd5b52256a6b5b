import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { TARGETS } from './hands.ts'
import { TARGETS as OPENED } from './openTargets.ts'
import { smallJob } from './small.ts'

// Tables without a key: rows that are equal in all columns are one another's, and there are as many of each as were read.

for (const [kind, open] of Object.entries(TARGETS))
  test(`${kind}: a table without a key is compared before it is published, and by verify; an unchanged one is left alone`, async t => {
    const folder = mkdtempSync(join(tmpdir(), 'nightfreight-keyless-'))
    t.after(async () => rmSync(folder, { recursive: true }))
    const hands = await open(t, folder)
    const job = await smallJob(t, `keyless_${kind}`, {
      'job.yaml': `connections: { s: "file:in", w: "${hands.url}" }
extract: { t: { from: s, files: t.csv, take: all, schema: { id: BIGINT, v: VARCHAR, x: DOUBLE } } }
load: { t: { to: w, from: t, mode: replace, guard: { max_delete_share: 1, allow_empty: true } } }
resources: { memory: 300MB, threads: 1 }
`,
    })
    mkdirSync(join(job.folder, 'in'))
    const night = async (...rows: string[]) => {
      writeFileSync(join(job.folder, 'in/t.csv'), ['id,v,x', ...rows, ''].join('\n'))
      const { error, outcome } = await job.run()
      assert.equal(error, undefined)
      const there = (await hands.rows()).map(({ id, v }) => `${id},${v}`).sort()
      assert.deepEqual(there, rows.map(row => row.split(',').slice(0, 2).join(',')).sort())
      const [{ wrong, scope, rows: compared }] = outcome.verifications as [(typeof outcome.verifications)[0]]
      assert.equal(wrong.rows, 0)
      return { loaded: outcome.loaded[0]!, compared, scope, account: outcome.accounts.loads[0]! }
    }
    const first = await night('1,a,0.5', '1,a,0.5', '2,b,', '2,b,-0.0')
    assert.deepEqual([first.loaded.inserted, first.compared, first.scope], [4, 4, 'all'])
    // In another order.
    const same = await night('2,b,-0.0', '1,a,0.5', '2,b,', '1,a,0.5')
    assert.deepEqual([same.loaded.inserted, same.loaded.deleted, same.account.unchanged], [0, 0, 4])
    assert.equal((await job.verify()).loads[0]!.wrong.rows, 0)
    // As many rows, and other ones: one more of these, one less of those.
    const moved = await night('1,a,0.5', '2,b,', '2,b,', '2,b,-0.0')
    assert.ok(moved.loaded.inserted > 0)
    assert.equal((await job.verify()).loads[0]!.wrong.rows, 0)
    assert.equal((await night()).loaded.rows, 0)
    assert.equal((await night('3,c,1')).loaded.inserted, 1)
    await hands.alter?.()
    if (!hands.alter) return
    const { wrong, differing } = (await job.verify()).loads[0]!
    assert.equal(wrong.rows, 1)
    assert.deepEqual(differing[0]!.samples, ['1 staged row not there', '1 row there and not staged'])
    const repaired = await job.run({ fullRefresh: ['t'] })
    assert.equal(repaired.error, undefined)
    assert.equal((await job.verify()).loads[0]!.wrong.rows, 0)
  })

for (const [kind, type, one, other] of [
  ['postgres', 'char(3)', '3', '3'],
  ['postgres', 'interval', '1 day', '24:00:00'],
  ['mariadb', 'varchar(9)', 'a', 'a'],
  ['duckdb', 'varchar', '3', '3'],
] as const)
  for (const verify of ['changes', 'off'])
    test(`${kind}, ${type}, verify: ${verify}: rows without a key of ours that have the table's own key twice are refused by it`, async t => {
      const job = await smallJob(t, `own_key_${kind}`, {})
      const { url, query } = await OPENED[kind](t, job.home)
      await query(`CREATE TABLE t (k ${type} PRIMARY KEY, v varchar(9))`)
      await query(`INSERT INTO t VALUES ('${one}', 'was')`)
      mkdirSync(join(job.folder, 'in'))
      writeFileSync(join(job.folder, 'in/t.csv'), `k,v\n${one},b\n${other},c\n`)
      job.yaml(`connections: { s: "file:in", w: "${url}" }
extract: { given: { from: s, files: t.csv, take: all, schema: { k: VARCHAR, v: VARCHAR } } }
load: { t: { to: w, from: given, mode: replace, verify: ${verify} } }
resources: { memory: 300MB, threads: 1 }
`)
      const { error } = await job.run()
      const { code, hint } = (error ?? {}) as { code?: string; hint?: string }
      assert.equal(code, 'CONSTRAINT_VIOLATED', String(error))
      assert.ok(
        String(error).endsWith(`w.t: k '${one}' stands in 2 rows, and k is the table's own key`),
        String(error),
      )
      assert.match(hint!, /Nothing was loaded\. .*\bgiven\b.*key: \[k\]/)
      assert.deepEqual(
        (await query('SELECT v FROM t')).map(({ v }) => v),
        ['was'],
      )
    })

test('verify compares what can be compared, names what cannot, and its exit code says so', async t => {
  const yaml = (load: string) => `connections: { s: "file:in", w: "duckdb:w.duckdb" }
extract: { t: { from: s, files: t.csv, take: all, schema: { id: BIGINT, v: VARCHAR } } }
load: { a: { to: w, from: t, mode: replace }, b: { to: w, from: t, mode: replace, key: id }${load} }
resources: { memory: 300MB, threads: 1 }
`
  const job = await smallJob(t, 'verify_some', { 'job.yaml': yaml(''), 'in/t.csv': 'id,v\n1,a\n2,b\n' })
  assert.equal((await job.run()).error, undefined)
  assert.equal((await job.cli('verify', job.folder)).code, 0)
  job.yaml(
    yaml(', c: { to: w, from: t, mode: replace }').replace(
      'a: { to: w, from: t, mode',
      'a: { to: w, from: t, key: id, mode',
    ),
  )
  const { code, out } = await job.cli('verify', job.folder)
  assert.equal(code, 2, out)
  assert.match(out, /equal +w\.b: 2 rows equal/)
  assert.match(out, /NOT COMPARED +w\.a: the load's key is id, and was none in run \S+\n +Run the job/)
  assert.match(out, /NOT COMPARED +w\.c: what run \S+ loaded is no longer staged/)
})
