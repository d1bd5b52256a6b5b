import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { summaryText } from '../../src/cli/summary.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const postgres = await freshPostgres()
const mariadb = await freshMariadb()

const LOADS = {
  merged: 'key: id, deletes: hard',
  replaced: 'key: id, mode: replace',
  exchanged: 'mode: replace',
}

for (const [family, target] of Object.entries({ postgres, mariadb }))
  for (const [name, parent] of Object.entries(LOADS))
    test(`${family}, ${name}: rows that follow deleted ones by a foreign key are counted, and what a data set has is not lost to one`, async () => {
      const of = (table: string) => `${name}_${table}`
      const follow = (action: string) =>
        `p int, FOREIGN KEY (p) REFERENCES ${of('p')} (id) ON DELETE ${action}`
      await target.query(`CREATE TABLE ${of('p')} (id int PRIMARY KEY, v text);
        CREATE TABLE ${of('c')} (id int PRIMARY KEY, ${follow('CASCADE')});
        CREATE TABLE ${of('n')} (id int PRIMARY KEY, ${follow('SET NULL')});
        CREATE TABLE ${of('audit')} (id int PRIMARY KEY, ${follow('CASCADE')})`)
      await postgres.query(`CREATE SCHEMA ${family}_${name}; SET search_path = ${family}_${name};
        CREATE TABLE p (id int PRIMARY KEY, v text); INSERT INTO p SELECT i, 'v' FROM generate_series(1, 6) AS i;
        CREATE TABLE c (id int PRIMARY KEY, p int); INSERT INTO c SELECT i, 1 + i % 6 FROM generate_series(1, 12) AS i;
        CREATE TABLE n (id int PRIMARY KEY, p int); INSERT INTO n SELECT i, 1 + i % 6 FROM generate_series(1, 12) AS i;
        RESET search_path`)
      const change = (sql: string) =>
        postgres.query(`SET search_path = ${family}_${name}; ${sql}; RESET search_path`)
      const load = (table: string, how: string) =>
        `${of(table)}: { to: wh, from: ${table}, ${how}, guard: { max_delete_share: 1 } }`
      const job = await smallJob({ after }, `cascade_${family}_${name}`, {
        'job.yaml': `connections: { shop: "${postgres.url}", wh: "${target.url}" }
extract: { ${['p', 'c', 'n'].map(table => `${table}: { from: shop, table: ${family}_${name}.${table}, key: id }`).join(', ')} }
load: { ${[load('p', parent), load('c', 'key: id, deletes: hard'), load('n', 'key: id, deletes: hard')].join(', ')} }
resources: { memory: 300MB, threads: 1 }
`,
      })
      const rows = async (database: FreshDatabase, table: string) =>
        (await database.query<{ id: number; p: number }>(`SELECT id, p FROM ${table} ORDER BY id`)).map(
          row => [row.id, row.p],
        )
      const equal = async () => {
        for (const table of ['c', 'n'])
          assert.deepEqual(await rows(target, of(table)), await rows(postgres, `${family}_${name}.${table}`))
      }
      assert.equal((await job.run()).error, undefined)
      await target.query(`INSERT INTO ${of('audit')} VALUES (1, 3), (2, 4)`)

      // What referred to it is gone, too, refers to another, or to none.
      await change(`DELETE FROM p WHERE id = 3; UPDATE c SET p = 1 WHERE id = 2; DELETE FROM c WHERE p = 3;
        UPDATE n SET p = NULL WHERE p = 3`)
      const second = await job.run()
      assert.equal(second.error, undefined)
      await equal()
      assert.match(
        summaryText(second),
        /_p: 1 row of \S*audit that referred to its deleted rows was deleted, by \S+ \(ON DELETE CASCADE\)/,
      )
      assert.deepEqual(await rows(target, of('audit')), [[2, 4]])
      const [, c, n] = second.outcome.loaded
      assert.deepEqual([c!.inserted, c!.updated, c!.deleted], [0, 1, 1])
      assert.deepEqual([n!.inserted, n!.updated + n!.unchanged, n!.deleted], [0, 2, 0])
      // The table is as the run left it, by its own account.
      const third = await job.run()
      assert.deepEqual(
        third.outcome.loaded.map(({ staged, reason }) => [staged, reason]),
        third.outcome.loaded.map(() => [0, undefined]),
      )

      // What refers to it is still there.
      for (const [table, done, mend] of [
        ['c', 'would delete them', 'DELETE FROM c WHERE p = 5'],
        ['n', 'would change their p', 'UPDATE n SET p = 6 WHERE p = 5'],
      ] as const) {
        const before = [await rows(target, of('c')), await rows(target, of('n'))]
        if (table === 'c') await change('DELETE FROM p WHERE id = 5')
        const { error } = await job.run()
        assert.equal((error as { code?: string } | undefined)?.code, 'CONSTRAINT_VIOLATED', String(error))
        assert.match(
          String(error),
          new RegExp(`wh\\.${of(table)}: 2 rows still refer \\(p\\) to rows .* ${done} by `),
        )
        assert.deepEqual([await rows(target, of('c')), await rows(target, of('n'))], before)
        await change(mend)
      }
      const last = await job.run()
      assert.equal(last.error, undefined)
      await equal()
    })

test('postgres: rows of a tree that stay do not go with those that they are under', async () => {
  const [own, staged] = ['tree', 'given_tree']
  await postgres.query(`CREATE TABLE ${own} (id int PRIMARY KEY, up int REFERENCES ${own} ON DELETE CASCADE DEFERRABLE);
    CREATE TABLE ${staged} (id int PRIMARY KEY, up int); INSERT INTO ${staged} VALUES (1, NULL), (2, 1), (3, 2), (4, 1)`)
  const job = await smallJob({ after }, 'tree', {
    'job.yaml': `connections: { shop: "${postgres.url}" }
extract: { t: { from: shop, table: ${staged}, key: id } }
load: { ${own}: { to: shop, from: t, key: id, deletes: hard, guard: { max_delete_share: 1 } } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  const ids = async () =>
    (await postgres.query<{ id: number }>(`SELECT id FROM ${own} ORDER BY id`)).map(({ id }) => id)
  assert.equal((await job.run()).error, undefined)
  await postgres.query(`DELETE FROM ${staged} WHERE id = 2`)
  const refused = await job.run()
  assert.match(String(refused.error), /tree: 1 row still refers \(up\) to rows that \S+tree has no more/)
  assert.deepEqual(await ids(), [1, 2, 3, 4])
  await postgres.query(`DELETE FROM ${staged} WHERE id = 3`)
  assert.equal((await job.run()).error, undefined)
  assert.deepEqual(await ids(), [1, 4])
})
