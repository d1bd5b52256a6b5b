/** What refers, by foreign keys, to values that a load changes: nothing is changed by it that the data set has otherwise. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { summaryText } from '../../src/cli/summary.ts'
import { FAMILIES, linked } from './linked.ts'

const MERGED = 'key: id, deletes: hard'
const P = 'CREATE TABLE p (id int PRIMARY KEY, code varchar(10) UNIQUE);'
const child = (name: string, action: string, to = 'p') =>
  `CREATE TABLE ${name} (id int PRIMARY KEY, code varchar(10) UNIQUE, FOREIGN KEY (code) REFERENCES ${to} (code) ${action});`
const GIVEN = `CREATE TABLE p (id int PRIMARY KEY, code text); INSERT INTO p VALUES (1, 'x'), (2, 'z');
  CREATE TABLE c (id int PRIMARY KEY, code text); INSERT INTO c VALUES (1, 'x'), (2, 'z');`
/** A value goes over to another row. */
const PASSED_ON = `UPDATE p SET code = 'y' WHERE id = 1; INSERT INTO p VALUES (3, 'x')`

for (const family of FAMILIES) {
  for (const [action, how] of [
    ['CASCADE', MERGED],
    ['CASCADE', 'mode: replace, key: id'],
    ['CASCADE', 'mode: replace'],
    ['SET NULL', MERGED],
  ])
    test(`${family}, ${how}: a row of the job that ON UPDATE ${action} would change is not changed`, async t => {
      const { job, rows, run, source } = await linked(t, family, {
        made: P + child('c', `ON UPDATE ${action}`),
        given: GIVEN,
        loads: [`p: ${how}`, `c: ${MERGED}`],
      })
      await run()
      await source(PASSED_ON)
      const { error } = await job.run()
      assert.match(
        String(error),
        new RegExp(
          `wh\\.c: 1 row refers \\(code\\) to values of wh\\.p that change, and the server would change its code by \\S+ \\(ON UPDATE ${action}\\)`,
        ),
      )
      assert.match((error as { hint?: string }).hint!, /^Nothing was loaded\. Drop \S+/)
      assert.deepEqual(
        [await rows('p'), await rows('c')],
        [
          [
            [1, 'x'],
            [2, 'z'],
          ],
          [
            [1, 'x'],
            [2, 'z'],
          ],
        ],
      )
    })

  test(`${family}: a row that the load itself gives the new value is loaded, though ON UPDATE CASCADE gives it, too`, async t => {
    const { rows, run, source } = await linked(t, family, {
      made: P + child('c', 'ON UPDATE CASCADE'),
      given: GIVEN,
      loads: [`p: ${MERGED}`, `c: ${MERGED}`],
    })
    await run()
    await source(`UPDATE p SET code = 'y' WHERE id = 1; UPDATE c SET code = 'y' WHERE id = 1`)
    assert.doesNotMatch(summaryText(await run()), /referred/)
    assert.deepEqual(await rows('c'), [
      [1, 'y'],
      [2, 'z'],
    ])
    const next = await run()
    assert.deepEqual(
      next.outcome.loaded.map(({ staged, reason }) => [staged, reason]),
      [0, 0].map(() => [0, undefined]),
    )
  })

  test(`${family}: a row that another commit may give the new value is not changed`, async t => {
    const { job, rows, run, source } = await linked(t, family, {
      made: P + child('c', 'ON UPDATE CASCADE'),
      given: GIVEN,
      loads: [`p: ${MERGED}, batch_rows: 1`, `c: ${MERGED}, batch_rows: 1`],
    })
    await run()
    await source(PASSED_ON)
    const { error } = await job.run()
    assert.match(String(error), /1 row refers \(code\) to values of wh\.p that change/)
    assert.match((error as { hint?: string }).hint!, /in one commit/)
    assert.deepEqual(await rows('c'), [
      [1, 'x'],
      [2, 'z'],
    ])
  })

  test(`${family}: rows of tables that the job does not load are counted where ON UPDATE changes them`, async t => {
    const { rows, run, source, target } = await linked(t, family, {
      made:
        P +
        child('c', 'ON UPDATE CASCADE') +
        child('d', 'ON UPDATE SET NULL', 'c') +
        child('n', 'ON UPDATE SET NULL'),
      given: `CREATE TABLE p (id int PRIMARY KEY, code text); INSERT INTO p VALUES (1, 'x'), (2, 'z')`,
      loads: [`p: ${MERGED}`],
    })
    await run()
    const others = ['c', 'd', 'n']
    for (const table of others) await target(`INSERT INTO ${table} VALUES (1, 'x'), (2, 'z')`)
    await source(`UPDATE p SET code = 'y' WHERE id = 1`)
    const told = summaryText(await run())
    const changed = (table: string, action: string, values = 'its changed values') =>
      new RegExp(
        `1 row of \\S*\\b${table} that referred to ${values} was given other values in code, by \\S+ \\(ON UPDATE ${action}\\)`,
      )
    assert.match(told, changed('c', 'CASCADE'))
    assert.match(told, changed('d', 'SET NULL', 'changed values of \\S*\\bc'))
    assert.match(told, changed('n', 'SET NULL'))
    const code = async (table: string) => (await rows(table)).map(([, value]) => value)
    assert.deepEqual(await Promise.all(others.map(code)), [
      ['y', 'z'],
      [null, 'z'],
      [null, 'z'],
    ])
    // Where no value changes, nothing is told.
    await source(`INSERT INTO p VALUES (3, 'w')`)
    assert.doesNotMatch(summaryText(await run()), /referred/)
  })
}
