/** Loads into tables of MariaDB that refer to themselves, or to each other: no order of rows or tables helps them. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { StagedLoad } from '../../engine/contracts/load.ts'
import { commitOf } from './loading.ts'
import { fresh, load, read, signal, stage, target, values } from './mysqlLoading.ts'

const STAFF = `CREATE TABLE t (id int PRIMARY KEY, code varchar(9) UNIQUE, boss int, name varchar(9),
  FOREIGN KEY (boss) REFERENCES t (id))`

/** Loads several tables in one commit; each with its counts. */
async function together(loadId: string, ...parts: [spec: Partial<StagedLoad>, sql: string][]) {
  const loads: StagedLoad[] = []
  for (const [spec, sql] of parts) loads.push(await stage(loadId, { key: ['id'], ...spec }, sql))
  return (await target.commit(commitOf(loadId, ...loads), signal)).counts
}

describe('values that others may refer to change', () => {
  for (const [what, spec] of [
    ['all columns decide', {}],
    ['what refers is ignored', { ignore: ['boss'] }],
    ['what refers alone decides', { compare: ['boss'] }],
  ] satisfies [string, Partial<StagedLoad>][])
    test(`a row takes all of what is staged for it, where ${what}`, async () => {
      await fresh(
        STAFF,
        "INSERT INTO t VALUES (1, 'A', NULL, 'a'), (2, 'B', 1, 'b'), (3, 'C', 1, 'c'), (4, 'D', 1, 'd')",
      )
      const rows = ["(1, 'A', NULL, 'a')", "(2, 'B', 3, 'x')", "(3, 'C9', 2, 'x')", "(4, 'D', 1, 'd')"]
      assert.equal(await load('L1', spec, values('id, code, boss, name', ...rows)), '0 2 0 2')
      assert.deepEqual(await read('SELECT * FROM t'), ['1 A NULL a', '2 B 3 x', '3 C9 2 x', '4 D 1 d'])
    })

  for (const rule of ['', 'ON UPDATE CASCADE'])
    test(`what is referred to changes with what refers, in one table; ${rule || 'NO ACTION'}`, async () => {
      await fresh(
        `CREATE TABLE t (id int PRIMARY KEY, code varchar(9) UNIQUE, boss varchar(9), FOREIGN KEY (boss) REFERENCES t (code) ${rule})`,
        "INSERT INTO t VALUES (1, 'A', NULL), (2, 'B', 'A'), (3, 'C', 'B')",
      )
      const rows = ["(1, 'A2', NULL)", "(2, 'B2', 'A2')", "(3, 'C', 'B2')", "(4, 'A', 'C')"]
      assert.equal(await load('L1', {}, values('id, code, boss', ...rows)), '1 3 0 0')
      assert.deepEqual(await read('SELECT * FROM t'), ['1 A2 NULL', '2 B2 A2', '3 C B2', '4 A C'])
    })

  test('what is referred to changes with what refers, in tables that refer to each other', async () => {
    await fresh(
      'CREATE TABLE d (id int PRIMARY KEY, code varchar(9) UNIQUE, head int)',
      'CREATE TABLE e (id int PRIMARY KEY, dept varchar(9), FOREIGN KEY (dept) REFERENCES d (code))',
      'ALTER TABLE d ADD FOREIGN KEY (head) REFERENCES e (id)',
      "INSERT INTO d VALUES (1, 'A', NULL)",
      "INSERT INTO e VALUES (1, 'A')",
      'UPDATE d SET head = 1',
    )
    const counts = await together(
      'L1',
      [{ table: 'd', mode: 'replace', whole: true }, values('id, code, head', "(1, 'A2', 1)")],
      [{ table: 'e', mode: 'replace', whole: true }, values('id, dept', "(1, 'A2')")],
    )
    assert.deepEqual(
      counts.map(({ updated }) => updated),
      [1, 1],
    )
    assert.deepEqual([await read('SELECT * FROM d'), await read('SELECT * FROM e')], [['1 A2 1'], ['1 A2']])
  })

  for (const rule of ['', 'ON UPDATE CASCADE'])
    test(`a column refers, and is referred to from outside; ${rule || 'NO ACTION'}`, async () => {
      await fresh(
        "CREATE TABLE codes (code varchar(9) PRIMARY KEY); INSERT INTO codes VALUES ('X')",
        `CREATE TABLE t (id int PRIMARY KEY, code varchar(9) UNIQUE, boss int, FOREIGN KEY (boss) REFERENCES t (id),
          FOREIGN KEY (code) REFERENCES codes (code)); INSERT INTO t VALUES (1, 'X', NULL)`,
        `CREATE TABLE c (ref varchar(9), FOREIGN KEY (ref) REFERENCES t (code) ${rule}); INSERT INTO c VALUES ('X')`,
      )
      const loaded = together(
        'L1',
        [{ table: 't' }, values('id, code, boss', "(1, 'Y', 1)")],
        [{ table: 'codes', key: ['code'] }, values('code', "('X')", "('Y')")],
      )
      if (rule) {
        const told = (await loaded).flatMap(({ cascades = [] }) => cascades)
        assert.match(told.join(), /1 row of \S*c that referred to its changed values was given other values/)
      } else await assert.rejects(loaded, { code: 'CONSTRAINT_VIOLATED', message: /`c`/ })
      const [code, boss] = rule ? ['Y', '1'] : ['X', 'NULL']
      assert.deepEqual(await read('SELECT code, boss FROM t'), [`${code} ${boss}`])
      assert.deepEqual(await read('SELECT ref FROM c'), [code])
    })

  test('a column that refers is unique: rows come between others, and go from between them', async () => {
    await fresh(
      `CREATE TABLE t (id int PRIMARY KEY, next int UNIQUE, FOREIGN KEY (next) REFERENCES t (id));
        INSERT INTO t VALUES (3, NULL), (2, 3), (1, 2)`,
    )
    const spec: Partial<StagedLoad> = { mode: 'replace', whole: true }
    assert.equal(await load('L1', spec, values('id, next', '(1, 9)', '(9, 3)', '(3, NULL)')), '1 1 1 1')
    assert.deepEqual(await read('SELECT * FROM t ORDER BY id'), ['1 9', '3 NULL', '9 3'])
  })

  test('a row goes whose own key refers, and keeps it until it is found', async () => {
    await fresh(
      `CREATE TABLE t (node int, parent int, name varchar(9), KEY (node), UNIQUE (node, parent), FOREIGN KEY (parent) REFERENCES t (node));
        INSERT INTO t VALUES (1, 1, 'root'), (2, 1, 'gone'), (3, 1, 'stays')`,
    )
    const gone = {
      rows: "SELECT 0::INT AS node, 0::INT AS parent, '' AS name WHERE FALSE",
      keys: 'SELECT 2::INT AS node, 1::INT AS parent',
    }
    assert.equal(
      await load('L1', { key: ['node', 'parent'], deletes: 'hard', whole: false }, gone),
      '0 0 1 0',
    )
    assert.deepEqual(await read('SELECT * FROM t ORDER BY node'), ['1 1 root', '3 1 stays'])
  })

  test('random edits of a tree give what was staged', async () => {
    const person = fc.record({
      id: fc.integer({ min: 1, max: 5 }),
      grown: fc.nat(2),
      boss: fc.option(fc.nat(4)),
    })
    const people = fc.uniqueArray(person, { selector: ({ id }) => id, minLength: 1 })
    const nights = fc.array(people, { minLength: 2, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(nights, fc.boolean(), fc.boolean(), async (nights, byCode, checked) => {
        const type = byCode ? 'varchar(9)' : 'int'
        await fresh(
          `CREATE TABLE t (id int PRIMARY KEY, code varchar(9) UNIQUE, boss ${type} ${checked ? 'CHECK (boss IS NOT NULL)' : ''},
            FOREIGN KEY (boss) REFERENCES t (${byCode ? 'code' : 'id'}))`,
        )
        for (const [at, night] of nights.entries()) {
          const codes = night.map(({ id, grown }) => `c${id}.${grown}`)
          const names = byCode ? codes : night.map(({ id }) => id)
          const bossOf = (boss: number | null) =>
            boss === null && !checked ? null : names[(boss ?? 0) % names.length]!
          const rows = night.map(({ id, boss }, at) => [id, codes[at], bossOf(boss)])
          const staged = rows.map(
            ([id, code, boss]) => `(${id}, '${code}', ${boss === null ? 'NULL' : `'${boss}'`})`,
          )
          const sql = `SELECT id, code, boss::${byCode ? 'VARCHAR' : 'INT'} AS boss FROM (${values('id, code, boss', ...staged)})`
          await load(`L${at}`, { mode: 'replace', whole: true }, sql)
          assert.deepEqual(
            await read('SELECT * FROM t ORDER BY id'),
            rows
              .toSorted(([a], [b]) => Number(a) - Number(b))
              .map(row => row.map(value => value ?? 'NULL').join(' ')),
          )
        }
      }),
      { numRuns: 10 },
    )
  })
})

test('a CHECK holds of rows that change what they refer by with what is referred to, and only once they have', async () => {
  await fresh(
    `CREATE TABLE t (id int PRIMARY KEY, code varchar(9) UNIQUE, up int, FOREIGN KEY (up) REFERENCES t (id),
      CONSTRAINT leaf CHECK ((code LIKE 'root%') = (up IS NULL)))`,
    "INSERT INTO t VALUES (1, 'root1', NULL), (2, 'leaf2', 1)",
  )
  const rows = ["(1, 'leaf1', 2)", "(2, 'root2', NULL)"]
  assert.equal(await load('L1', {}, values('id, code, up', ...rows)), '0 2 0 0')
  assert.deepEqual(await read('SELECT * FROM t'), ['1 leaf1 2', '2 root2 NULL'])
  await assert.rejects(load('L2', {}, values('id, code, up', "(1, 'root3', 2)")), /leaf/)
})

test('rows go whose table has a CHECK on what they refer by', async () => {
  await fresh(
    `CREATE TABLE t (id int PRIMARY KEY, kind varchar(9), up int, FOREIGN KEY (up) REFERENCES t (id),
      CONSTRAINT has_parent CHECK (kind = 'root' OR up IS NOT NULL))`,
    "INSERT INTO t VALUES (1, 'root', NULL), (2, 'leaf', 1), (3, 'root', NULL), (4, 'leaf', 3), (5, 'leaf', 1)",
  )
  const rows = ["(1, 'root', NULL)", "(2, 'leaf', 1)"]
  assert.equal(await load('L1', { mode: 'replace', whole: true }, values('id, kind, up', ...rows)), '0 0 3 2')
  await assert.rejects(load('L2', {}, values('id, kind, up', "(2, 'leaf', NULL::INT)")), /has_parent/)
})

test('a row that goes from its partition is still found there once it is parted from the rows that it refers to', async () => {
  await fresh(
    `CREATE TABLE t (id int PRIMARY KEY, tenant int, parent int, UNIQUE (tenant, id),
      FOREIGN KEY (tenant, parent) REFERENCES t (tenant, id))`,
    'INSERT INTO t VALUES (1, 1, NULL), (2, 1, 1), (3, 1, 2), (4, 2, NULL), (5, 2, 4)',
  )
  const rows = { rows: values('id, tenant, parent', '(1, 1, NULL)'), keys: 'SELECT 1 AS tenant' }
  assert.equal(await load('L1', { mode: 'partition', partitionBy: ['tenant'] }, rows), '0 0 2 1')
  assert.deepEqual(await read('SELECT * FROM t'), ['1 1 NULL', '4 2 NULL', '5 2 4'])
})
