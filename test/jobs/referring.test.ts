/** What refers, by foreign keys, to rows that a load deletes: nothing is lost by it, and no good load is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { summaryText } from '../../src/cli/summary.ts'
import { FAMILIES, linked } from './linked.ts'

const HARD = 'key: id, deletes: hard'
const P = 'CREATE TABLE p (id int PRIMARY KEY);'
const child = (name: string, action: string, to = 'p') =>
  `CREATE TABLE ${name} (id int PRIMARY KEY, ${to} int, FOREIGN KEY (${to}) REFERENCES ${to} (id) ${action});`
const GIVEN = `CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1), (3), (5);
  CREATE TABLE c (id int PRIMARY KEY, p int); INSERT INTO c VALUES (1, 1), (2, 3), (6, 5);
  CREATE TABLE d (id int PRIMARY KEY, c int); INSERT INTO d VALUES (7, 2), (8, 1);`

for (const family of FAMILIES) {
  for (const action of ['', 'ON DELETE RESTRICT', 'ON DELETE CASCADE', 'ON DELETE SET NULL'])
    test(`${family}, ${action || 'no action'}: a row is under another before the one that it was under is gone`, async t => {
      const { run, rows, source, target } = await linked(t, family, {
        made: `${P} ${child('c', action)} ${child('d', action, 'c')} ALTER TABLE c ADD note text`,
        given: GIVEN,
        loads: [`p: ${HARD}`, `c: ${HARD}`, `d: ${HARD}`],
      })
      await run()
      await target(`UPDATE c SET note = 'of our own'`)
      await source('UPDATE c SET p = 1 WHERE id = 2; DELETE FROM p WHERE id = 3; DELETE FROM d WHERE id = 8')
      const { outcome } = await run()
      assert.deepEqual(
        outcome.loaded.map(({ inserted, updated, deleted, cascades }) => [
          inserted,
          updated,
          deleted,
          cascades,
        ]),
        [
          [0, 0, 1, undefined],
          [0, 1, 0, undefined],
          [0, 0, 1, undefined],
        ],
      )
      assert.deepEqual(await rows('p'), [[1], [5]])
      assert.deepEqual(await rows('c'), [
        [1, 1, 'of our own'],
        [2, 1, 'of our own'],
        [6, 5, 'of our own'],
      ])
      assert.deepEqual(await rows('d'), [[7, 2]])
      const next = await run()
      assert.deepEqual(
        next.outcome.loaded.map(({ staged, reason }) => [staged, reason]),
        [0, 0, 0].map(() => [0, undefined]),
      )
    })

  test(`${family}: rows are not lost to a cascade where tables are committed one by one`, async t => {
    const { job, rows, source } = await linked(t, family, {
      made: P + child('c', 'ON DELETE CASCADE') + child('n', 'ON DELETE SET NULL'),
      given: `${GIVEN} CREATE TABLE n (id int PRIMARY KEY, p int); INSERT INTO n VALUES (1, 3), (2, 5)`,
      loads: [`p: ${HARD}`, `c: ${HARD}`, `n: ${HARD}`],
      options: ', on_error: continue',
    })
    await job.run()
    await source('DELETE FROM p WHERE id = 5; DELETE FROM c WHERE id = 6; INSERT INTO c VALUES (9, 1)')
    const partly = await job.run()
    assert.deepEqual(await rows('n'), [
      [1, 3],
      [2, 5],
    ])
    assert.match(summaryText(partly), /not loaded: \S*p\n/)
    assert.deepEqual(await rows('c'), [
      [1, 1],
      [2, 3],
      [9, 1],
    ])
    await source('DELETE FROM n WHERE id = 2')
    assert.equal((await job.run()).error, undefined)
    assert.deepEqual(await rows('p'), [[1], [3]])
  })

  test(`${family}: what a cascade would take through a table that the job does not load is refused, or told`, async t => {
    const { run, rows, source, target } = await linked(t, family, {
      made:
        P +
        child('c', 'ON DELETE CASCADE') +
        child('d', 'ON DELETE SET NULL', 'c') +
        child('e', 'ON DELETE CASCADE', 'c'),
      given: GIVEN,
      loads: [`p: ${HARD}`],
    })
    await run()
    await target('INSERT INTO c VALUES (2, 3); INSERT INTO d VALUES (7, 2); INSERT INTO e VALUES (4, 2)')
    await source('DELETE FROM p WHERE id = 3')
    const told = summaryText(await run())
    assert.match(told, /1 row of \S*\bc that referred to its deleted rows was deleted/)
    assert.match(told, /1 row of \S*\bd that referred to its deleted rows was given other values in c/)
    assert.match(told, /1 row of \S*\be that referred to its deleted rows was deleted/)
    assert.deepEqual([await rows('c'), await rows('d'), await rows('e')], [[], [[7, null]], []])
    // Where none goes, nothing is told.
    await source('INSERT INTO p VALUES (9)')
    assert.doesNotMatch(summaryText(await run()), /referred/)
  })

  test(`${family}: rows that the job loads do not go with those of a table between that it does not load`, async t => {
    const { job, run, rows, source, target } = await linked(t, family, {
      made: P + child('c', 'ON DELETE CASCADE') + child('d', 'ON DELETE SET NULL', 'c'),
      given: GIVEN,
      loads: [`p: ${HARD}`, `d: ${HARD}`],
    })
    await target('INSERT INTO p VALUES (1), (3); INSERT INTO c VALUES (1, 1), (2, 3)')
    await run()
    await source('DELETE FROM p WHERE id = 3')
    const { error } = await job.run()
    assert.match(
      String(error),
      /\bd: 1 row still refers \(c\) to rows that \S*\bc has no more, .* would change their c/,
    )
    assert.deepEqual(await rows('d'), [
      [7, 2],
      [8, 1],
    ])
    await source('UPDATE d SET c = 1')
    await run()
    assert.deepEqual(
      [await rows('c'), await rows('d')],
      [
        [[1, 1]],
        [
          [7, 1],
          [8, 1],
        ],
      ],
    )
  })

  test(`${family}: rows that the job loads do not go with those far below in a tree that it does not load`, async t => {
    const { job, run, rows, source, target } = await linked(t, family, {
      made: `${P} CREATE TABLE e (id int PRIMARY KEY, p int, up int, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE,
          FOREIGN KEY (up) REFERENCES e (id) ON DELETE CASCADE);
        ${child('d', 'ON DELETE CASCADE', 'e')}`,
      given: `CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1), (3);
        CREATE TABLE d (id int PRIMARY KEY, e int); INSERT INTO d VALUES (1, 4), (2, 9)`,
      loads: [`p: ${HARD}`, `d: ${HARD}`],
    })
    await target(`INSERT INTO p VALUES (1), (3);
      INSERT INTO e VALUES (1, 3, NULL), (2, NULL, 1), (3, NULL, 2), (4, NULL, 3), (9, 1, NULL)`)
    await run()
    await source('DELETE FROM p WHERE id = 3')
    const { error } = await job.run()
    assert.match(String(error), /\bd: 1 row still refers \(e\) to rows that \S*\be has no more/)
    assert.equal((await rows('e')).length, 5)
    await source('DELETE FROM d WHERE id = 1')
    const told = summaryText(await run())
    assert.match(told, /4 rows of \S*\be that referred to its deleted rows were deleted/)
    assert.deepEqual(await rows('e'), [[9, 1, null]])
    assert.deepEqual(await rows('d'), [[2, 9]])
  })

  test(`${family}: a source that came half empty is told as that, not as rows that refer`, async t => {
    const { job, run, rows, source } = await linked(t, family, {
      made: P + child('c', 'ON DELETE CASCADE'),
      given: GIVEN,
      loads: ['p: key: id, mode: replace, guard: { max_delete_share: 0.1 }', 'c: key: id'],
    })
    await run()
    await source('DELETE FROM p WHERE id > 1')
    const { error } = await job.run({ fullRefresh: ['p'] })
    assert.match(String(error), /would be deleted/)
    assert.equal((await rows('p')).length, 3)
  })

  test(`${family}: a row that refers by two keys, and a table without a key and without a change`, async t => {
    const { job, run, rows, source } = await linked(t, family, {
      made: `${P} CREATE TABLE two (id int PRIMARY KEY, a int, b int, FOREIGN KEY (a) REFERENCES p (id) ON DELETE CASCADE,
          FOREIGN KEY (b) REFERENCES p (id) ON DELETE CASCADE);
        CREATE TABLE n (p int, FOREIGN KEY (p) REFERENCES p (id) ON DELETE SET NULL)`,
      given: `${GIVEN} CREATE TABLE two (id int PRIMARY KEY, a int, b int); INSERT INTO two VALUES (1, 3, 5);
        CREATE TABLE n (p int); INSERT INTO n VALUES (1), (5), (5)`,
      loads: [`p: ${HARD}`, `two: ${HARD}`, 'n: mode: replace'],
    })
    await run()
    await source('UPDATE two SET a = 1, b = 1; DELETE FROM p WHERE id IN (3, 5)')
    const { error } = await job.run()
    assert.match(String(error), /\bn: 2 rows still refer \(p\)/)
    assert.deepEqual(await rows('n'), [[1], [5], [5]])
    await source('UPDATE n SET p = 1')
    const { outcome } = await run()
    assert.deepEqual([outcome.loaded[1]!.inserted, outcome.loaded[1]!.updated], [0, 1])
    assert.deepEqual([await rows('two'), await rows('n')], [[[1, 1, 1]], [[1], [1], [1]]])
  })
}

for (const family of FAMILIES)
  for (const action of ['ON DELETE CASCADE', 'ON DELETE RESTRICT'])
    test(`${family}, ${action}: what refers to a row that stays, stays where only the table has a key`, async t => {
      const { run, rows, source, target } = await linked(t, family, {
        made: `CREATE TABLE p (id int PRIMARY KEY, v int); ${child('note', action)}`,
        given: 'CREATE TABLE p (id int, v int); INSERT INTO p VALUES (1, 1), (2, 2), (3, 3)',
        loads: ['p: mode: replace'],
      })
      await run()
      await target('INSERT INTO note VALUES (1, 1), (2, 2)')
      await source('UPDATE p SET v = 5 WHERE id = 1; DELETE FROM p WHERE id = 3; INSERT INTO p VALUES (4, 4)')
      const told = await run()
      assert.doesNotMatch(summaryText(told), /referred/)
      assert.deepEqual(
        told.outcome.loaded.map(({ inserted, updated, deleted }) => [inserted, updated, deleted]),
        [[1, 1, 1]],
      )
      assert.deepEqual(await rows('p'), [
        [1, 5],
        [2, 2],
        [4, 4],
      ])
      assert.deepEqual(await rows('note'), [
        [1, 1],
        [2, 2],
      ])
    })

for (const deferrable of ['', 'DEFERRABLE'])
  test(`postgres: a branch moves before what it was under is gone ${deferrable}`, async t => {
    const { run, rows, source } = await linked(t, 'postgres', {
      made: `CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE ${deferrable})`,
      given:
        'CREATE TABLE tree (id int PRIMARY KEY, up int); INSERT INTO tree VALUES (1, NULL), (2, 1), (4, 2), (5, 4)',
      loads: [`tree: ${HARD}`],
    })
    await run()
    await source('UPDATE tree SET up = 1 WHERE id = 4; DELETE FROM tree WHERE id = 2')
    const { outcome } = await run()
    assert.deepEqual(
      outcome.loaded.map(({ inserted, updated, deleted }) => [inserted, updated, deleted]),
      [[0, 1, 1]],
    )
    assert.deepEqual(await rows('tree'), [
      [1, null],
      [4, 1],
      [5, 4],
    ])
  })

test('postgres: a deferrable cascade, and the foreign key of a partition', async t => {
  const { job, run, rows, source } = await linked(t, 'postgres', {
    made: `${P} CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE DEFERRABLE);
      CREATE TABLE n (id int PRIMARY KEY, p int) PARTITION BY RANGE (id);
      CREATE TABLE n_all PARTITION OF n DEFAULT;
      ALTER TABLE n_all ADD FOREIGN KEY (p) REFERENCES p ON DELETE SET NULL;`,
    given: `${GIVEN} CREATE TABLE n (id int PRIMARY KEY, p int); INSERT INTO n VALUES (1, 1), (2, 5)`,
    loads: [`p: ${HARD}`, `c: ${HARD}`, `n: ${HARD}`],
  })
  await run()
  await source('DELETE FROM p WHERE id = 3; DELETE FROM c WHERE p = 3')
  await run()
  assert.deepEqual(await rows('c'), [
    [1, 1],
    [6, 5],
  ])
  await source('DELETE FROM p WHERE id = 5; DELETE FROM c WHERE p = 5')
  assert.match(String((await job.run()).error), /\bn: 1 row still refers \(p\) .* would change their p/)
  await source('UPDATE n SET p = 1')
  await run()
})

test('postgres: rows that we may not count are told where a row goes, and keep no load', async t => {
  const role = `counts_nothing_${process.pid}`
  const { run, source } = await linked(t, 'postgres', {
    made: `CREATE ROLE ${role} LOGIN PASSWORD 'p'; GRANT CREATE ON SCHEMA public TO ${role}; SET ROLE ${role}; ${P} RESET ROLE;
      CREATE TABLE secured (p int REFERENCES p ON DELETE CASCADE); ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
      GRANT SELECT ON secured TO ${role};
      CREATE SCHEMA audit; CREATE TABLE audit.log (p int REFERENCES p ON DELETE CASCADE); GRANT SELECT ON audit.log TO ${role}`,
    given: GIVEN,
    loads: [`p: ${HARD}`],
    role,
  })
  assert.doesNotMatch(summaryText(await run()), /referred/)
  await source('INSERT INTO p VALUES (9)')
  assert.doesNotMatch(summaryText(await run()), /referred/)
  await source('DELETE FROM p WHERE id = 3')
  const told = summaryText(await run())
  assert.match(
    told,
    /rows that we may not count of audit\.log that referred to its deleted rows were deleted/,
  )
  assert.match(told, /rows that we may not count of secured that referred to its deleted rows were deleted/)
})

test('postgres: what is deleted late goes children first, by keys that are checked at the end, too', async t => {
  const key = 'ON DELETE CASCADE DEFERRABLE'
  const { run, rows, source } = await linked(t, 'postgres', {
    made: P + child('c', key) + child('d', key, 'c'),
    given: GIVEN,
    loads: [`c: ${HARD}`, `d: ${HARD}`, `p: ${HARD}`],
  })
  await run()
  await source('DELETE FROM p WHERE id = 3; DELETE FROM c WHERE id = 2; DELETE FROM d WHERE id = 7')
  const { outcome } = await run()
  assert.deepEqual(
    outcome.loaded.map(({ deleted }) => deleted),
    [1, 1, 1],
  )
  assert.deepEqual([await rows('p'), await rows('d')], [[[1], [5]], [[8, 1]]])
})
