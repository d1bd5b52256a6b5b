/** Tables of MariaDB that refer to themselves, or to each other: what others refer to is heeded there, too. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { summaryText } from '../../src/cli/summary.ts'
import { linked } from './linked.ts'

const EMP = 'emp: key: id, deletes: hard'
const GIVEN = `CREATE TABLE emp (id int PRIMARY KEY, boss int, mail text);
  INSERT INTO emp SELECT i, CASE WHEN i > 1 THEN 1 + i % 3 END, 'm' || i FROM generate_series(1, 12) AS i;
  UPDATE emp SET boss = 7 - id WHERE id IN (3, 4)`

/** Employees in a target, and tables of another database that refer to them; `grant`: what the loader may do with those. */
async function staff(
  t: TestContext,
  { grant, rule = '', referring = 'id' }: { grant?: string; rule?: string; referring?: 'id' | 'mail' },
  act: (
    hands: Awaited<ReturnType<typeof linked>> & { badges(): Promise<Record<string, unknown>[]> },
  ) => Promise<void>,
) {
  const hr = `hr_${process.pid}_${Math.random().toString(36).slice(2, 8)}`
  const hands = await linked(t, 'mariadb', {
    made: `CREATE TABLE emp (id int PRIMARY KEY, boss int, mail varchar(20) UNIQUE, FOREIGN KEY (boss) REFERENCES emp (id))`,
    given: GIVEN,
    loads: [EMP],
    role: `loads_emp_${hr}`,
  })
  await hands.run()
  const [{ name }] = (await hands.target('SELECT DATABASE() AS name')) as [{ name: string }]
  const type = referring === 'id' ? 'int' : 'varchar(20)'
  try {
    await hands.target(`CREATE DATABASE ${hr};
      CREATE TABLE ${hr}.badge (id int PRIMARY KEY, emp ${type}, FOREIGN KEY (emp) REFERENCES ${name}.emp (${referring}) ${rule});
      INSERT INTO ${hr}.badge VALUES (1, '${referring === 'id' ? 12 : 'm12'}')`)
    if (grant) await hands.target(`GRANT ${grant} ON ${hr}.* TO loads_emp_${hr}`)
    await act({ ...hands, badges: () => hands.target(`SELECT id, emp FROM ${hr}.badge`) })
  } finally {
    await hands.target(`DROP DATABASE IF EXISTS ${hr}; DROP USER loads_emp_${hr}`)
  }
}

test('mariadb: a row that a table which we cannot see refers to does not go, though its table refers to itself', t =>
  staff(t, {}, async ({ job, rows, badges, source }) => {
    await source('DELETE FROM emp WHERE id = 12')
    const { error } = await job.run()
    assert.equal((error as { code?: string } | undefined)?.code, 'CONSTRAINT_VIOLATED', String(error))
    assert.match(String(error), /badge/)
    assert.equal((await rows('emp')).length, 12)
    assert.deepEqual(await badges(), [{ id: 1, emp: 12 }])
  }))

test('mariadb: rows that follow deleted ones are told, though the table that these are of refers to itself', t =>
  staff(
    t,
    { grant: 'SELECT, REFERENCES', rule: 'ON DELETE CASCADE' },
    async ({ run, rows, badges, source }) => {
      await source('UPDATE emp SET boss = 1 WHERE boss = 12; DELETE FROM emp WHERE id = 12')
      assert.match(
        summaryText(await run()),
        /1 row of \S*badge that referred to its deleted rows was deleted, by \S+ \(ON DELETE CASCADE\)/,
      )
      assert.equal((await rows('emp')).length, 11)
      assert.deepEqual(await badges(), [])
    },
  ))

test('mariadb: rows that follow deleted ones are told where the server does not say how they follow', t =>
  staff(t, { grant: 'SELECT', rule: 'ON DELETE CASCADE' }, async ({ run, badges, source }) => {
    await source('DELETE FROM emp WHERE id = 12')
    assert.match(
      summaryText(await run()),
      /1 row of \S*badge that referred to its deleted rows was deleted or given other values in emp, by \S+ \(ON DELETE unknown\)/,
    )
    assert.deepEqual(await badges(), [])
  }))

test('mariadb: a value that a table which we cannot see refers to does not change, though its table refers to itself', t =>
  staff(t, { referring: 'mail' }, async ({ job, run, rows, badges, source }) => {
    // Beside it come a new row, one under it, and one of which another value changes.
    await source(`INSERT INTO emp VALUES (20, 21, 'm20'), (21, 1, 'm21'); UPDATE emp SET boss = 20, mail = 'n5' WHERE id = 5;
      UPDATE emp SET boss = 21 WHERE id = 6; UPDATE emp SET mail = 'n7' WHERE id = 7`)
    const { outcome } = await run()
    assert.deepEqual([outcome.loaded[0]!.inserted, outcome.loaded[0]!.updated], [2, 3])
    const found = new Map((await rows('emp')).map(([id, ...rest]) => [id, rest]))
    assert.deepEqual(
      [5, 6, 7, 20].map(id => found.get(id)),
      [
        [20, 'n5'],
        [21, 'm6'],
        [2, 'n7'],
        [21, 'm20'],
      ],
    )
    await source(`UPDATE emp SET mail = 'n12' WHERE id = 12`)
    const { error } = await job.run()
    assert.equal((error as { code?: string } | undefined)?.code, 'CONSTRAINT_VIOLATED', String(error))
    assert.deepEqual(await badges(), [{ id: 1, emp: 'm12' }])
  }))

test('mariadb: a value that a table of another user follows is told, though its table refers to itself', t =>
  staff(
    t,
    { grant: 'SELECT, REFERENCES', referring: 'mail', rule: 'ON UPDATE CASCADE' },
    async ({ run, badges, source }) => {
      await source(`UPDATE emp SET mail = 'n12' WHERE id = 12`)
      assert.match(
        summaryText(await run()),
        /1 row of \S*badge that referred to its changed values was given other values in emp/,
      )
      assert.deepEqual(await badges(), [{ id: 1, emp: 'n12' }])
    },
  ))

for (const rule of ['', 'ON DELETE CASCADE', 'ON DELETE SET NULL'])
  test(`mariadb: of a tree, branches go that refer to each other, and others come or move; ${rule || 'NO ACTION'}`, async t => {
    const { run, rows, source } = await linked(t, 'mariadb', {
      made: `CREATE TABLE emp (id int PRIMARY KEY, boss int, mail text, FOREIGN KEY (boss) REFERENCES emp (id) ${rule})`,
      given: GIVEN,
      loads: [EMP],
    })
    await run()
    // 3 and 4 are each other's.
    await source(`UPDATE emp SET boss = 20 WHERE boss IN (3, 4) AND id NOT IN (3, 4); DELETE FROM emp WHERE id IN (3, 4);
      INSERT INTO emp VALUES (20, 21, 'm20'), (21, 20, 'm21')`)
    const { outcome } = await run()
    assert.deepEqual([outcome.loaded[0]!.inserted, outcome.loaded[0]!.deleted], [2, 2])
    assert.deepEqual(
      await rows('emp'),
      (await source('SELECT id, boss, mail FROM emp ORDER BY id')).map(row =>
        Object.values(row as Record<string, unknown>),
      ),
    )
    const next = await run()
    assert.equal(next.outcome.loaded[0]!.staged, 0)
    assert.equal(next.outcome.loaded[0]!.reason, undefined)
  })

test('mariadb: where a row always refers to one of its table, it is said how such rows could go', async t => {
  const { job, run, rows, source } = await linked(t, 'mariadb', {
    made: 'CREATE TABLE emp (id int PRIMARY KEY, boss int NOT NULL, mail text, FOREIGN KEY (boss) REFERENCES emp (id))',
    given: `${GIVEN}; UPDATE emp SET boss = 1 WHERE id = 1`,
    loads: [EMP],
  })
  await run()
  await source('DELETE FROM emp WHERE id = 12')
  await run()
  await source(
    'UPDATE emp SET boss = 1 WHERE boss IN (3, 4) AND id NOT IN (3, 4); DELETE FROM emp WHERE id IN (3, 4)',
  )
  const { error } = await job.run()
  assert.equal((error as { code?: string } | undefined)?.code, 'CONSTRAINT_VIOLATED', String(error))
  assert.match((error as { hint?: string }).hint!, /let boss of emp be NULL/)
  assert.equal((await rows('emp')).length, 11)
})

test('mariadb: of tables in a circle, rows go that refer to each other', async t => {
  const { run, rows, source } = await linked(t, 'mariadb', {
    made: `CREATE TABLE author (id int PRIMARY KEY, best int);
      CREATE TABLE book (id int PRIMARY KEY, author int NOT NULL, FOREIGN KEY (author) REFERENCES author (id));
      ALTER TABLE author ADD FOREIGN KEY (best) REFERENCES book (id);`,
    given: `CREATE TABLE author (id int PRIMARY KEY, best int); INSERT INTO author VALUES (1, 10), (2, 20);
      CREATE TABLE book (id int PRIMARY KEY, author int); INSERT INTO book VALUES (10, 1), (20, 2), (21, 2)`,
    loads: ['book: key: id, deletes: hard', 'author: key: id, deletes: hard'],
  })
  await run()
  await source(`DELETE FROM author WHERE id = 2; DELETE FROM book WHERE author = 2;
    INSERT INTO author VALUES (3, 30); INSERT INTO book VALUES (30, 3)`)
  await run()
  assert.deepEqual(
    [await rows('author'), await rows('book')],
    [
      [
        [1, 10],
        [3, 30],
      ],
      [
        [10, 1],
        [30, 3],
      ],
    ],
  )
})
