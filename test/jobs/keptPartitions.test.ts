import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { summaryText } from '../../src/cli/summary.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const db = await freshPostgres()
await db.query('CREATE SCHEMA s; CREATE SCHEMA t')

for (const [name, more] of [
  ['at_once', ''],
  ['in_batches', ', batch_rows: 2048'],
] as const)
  test(`${name}: rows whose partition is past keep go after the load is verified, and are told`, async () => {
    await db.query(`CREATE TABLE s.${name} (id int PRIMARY KEY, day date);
      INSERT INTO s.${name} SELECT i, CASE WHEN i > 3 THEN current_date ELSE date '2020-05-05' END FROM generate_series(1, 5000) AS i;
      CREATE TABLE t.${name} (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)`)
    const job = await smallJob({ after }, `kept_${name}`, {
      'job.yaml': `connections: { db: "${db.url}" }
extract: { ${name}: { from: db, table: s.${name}, key: id } }
load: { t.${name}: { to: db, from: ${name}, key: [id, day], deletes: hard, partitions: { every: month, keep: 3 }${more} } }
resources: { memory: 300MB, threads: 1 }
`,
    })
    const held = async () =>
      (await db.query<{ n: string }>(`SELECT count(*)::text AS n FROM t.${name}`))[0]!.n
    const first = await job.run()
    assert.equal(first.error, undefined, String(first.error))
    assert.equal(await held(), '4997')
    assert.match(
      summaryText(first),
      new RegExp(
        `db\\.t\\.${name}: 3 rows were dropped with partitions older than keep: 3: t\\.${name}_2020_05`,
      ),
    )
    assert.equal(first.outcome.loaded[0]!.rows, 4997)
    await db.query(`INSERT INTO s.${name} VALUES (9000, current_date)`)
    const second = await job.run()
    assert.equal(second.error, undefined, String(second.error))
    assert.equal(await held(), '4998')
    // The next night knows how many rows there are.
    assert.doesNotMatch(summaryText(second), /rows are there|rows, and/)
  })

for (const verify of ['changes', 'all'])
  test(`verify: ${verify}: the table is as it was left, though its rows past keep have gone again: nothing is loaded anew`, async () => {
    await db.query(`CREATE TABLE s.old_${verify} (id int PRIMARY KEY, day date, v int);
    INSERT INTO s.old_${verify} SELECT i, CASE WHEN i > 3 THEN current_date ELSE date '2020-05-05' END, 0 FROM generate_series(1, 50) AS i;
    CREATE TABLE t.old_${verify} (id int, day date, v int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)`)
    const job = await smallJob({ after }, `kept_old_${verify}`, {
      'job.yaml': `connections: { db: "${db.url}" }
extract: { old: { from: db, table: s.old_${verify}, key: id } }
load: { t.old_${verify}: { to: db, from: old, key: [id, day], verify: ${verify}, partitions: { every: month, keep: 2 } } }
resources: { memory: 300MB, threads: 1 }
`,
    })
    for (const change of [
      '',
      `UPDATE s.old_${verify} SET v = 1 WHERE id IN (1, 2, 4)`,
      `UPDATE s.old_${verify} SET v = 2 WHERE id = 4`,
    ]) {
      if (change) await db.query(change)
      const { error, outcome } = await job.run()
      assert.equal(error, undefined, String(error))
      assert.equal(outcome.loaded[0]!.reason, undefined)
      assert.equal((await job.verify()).loads[0]!.wrong.rows, 0)
    }
    // An old copy of the table is still told.
    await db.query(`UPDATE t.old_${verify} SET v = 1 WHERE id = 4`)
    assert.match(
      (await job.run()).outcome.loaded[0]!.reason!,
      /1 of the 1 row written last is another, as in an old copy/,
    )
  })
