import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { StagedLoad } from '../../engine/contracts/load.ts'
import { quote } from '../../engine/sql/duckdb.ts'
import { commitOf } from './loading.ts'
import { database, fresh, load, read, signal, stage, target, values } from './mysqlLoading.ts'

describe('mysql target tables made by others', () => {
  test('replace leaves indexes, counter, comments, triggers, grants and foreign keys as they were', async () => {
    await fresh(
      `CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, email varchar(50) COMMENT 'unique', UNIQUE KEY (email)) COMMENT 'people'`,
      'CREATE TABLE child (id int PRIMARY KEY, t_id int, FOREIGN KEY (t_id) REFERENCES t (id) ON DELETE CASCADE)',
      "INSERT INTO t VALUES (0, 'a'), (7, 'b'), (8, 'c')",
      'UPDATE t SET id = 0 WHERE id = 1',
      'INSERT INTO child VALUES (1, 7), (2, 8)',
      'CREATE TABLE log (n int)',
      'CREATE TRIGGER noted AFTER INSERT ON t FOR EACH ROW INSERT INTO log VALUES (new.id)',
    )
    const before = await read('SHOW CREATE TABLE t')
    const spec = { mode: 'replace' as const, whole: true }
    // 0 stays 0, the unique value of a row that goes is free for a new one, and equal rows are not written.
    const rows = values('id, email', "(0, 'a')", "(7, 'b')", "(3, 'c')")
    assert.equal(await load('L1', spec, rows), '1 0 1 2')
    assert.deepEqual(await read('SELECT id, email FROM t ORDER BY id'), ['0 a', '3 c', '7 b'])
    assert.deepEqual(await read('SELECT id FROM child'), ['1'])
    assert.deepEqual(await read('SELECT n FROM log'), ['3'])
    assert.deepEqual(await read('SHOW CREATE TABLE t'), before)
  })

  test('replace without a key exchanges all rows', async () => {
    await fresh()
    const spec = { mode: 'replace' as const, key: [], whole: true }
    assert.equal(await load('L1', spec, values('a', '(1)', '(1)', '(NULL)')), '3 0 0 0')
    assert.equal(await load('L2', spec, values('a', '(2)', '(2)', '(3)')), '3 0 3 0')
    assert.deepEqual(await read('SELECT a FROM t ORDER BY a'), ['2', '2', '3'])
  })

  test('keys that are longer than our index holds are found', async () => {
    for (const [type, value] of [
      ['varchar(1000) CHARACTER SET latin1', "repeat('x', 900) || n"],
      ['varbinary(2000)', "encode(repeat('x', 1900) || n)"],
    ]) {
      await fresh(`CREATE TABLE t (a ${type}, b varchar(700) CHARACTER SET ascii, v int, PRIMARY KEY (a, b))`)
      const key = (...rows: string[]) => `SELECT ${value} AS a, 'y' AS b FROM (${values('n, v', ...rows)})`
      const rows = (...all: string[]) => key(...all).replace(' FROM', ', v FROM')
      const spec: Partial<StagedLoad> = { mode: 'replace', key: [], whole: true }
      assert.equal(await load('L1', spec, rows('(1, 1)', '(2, 2)')), '2 0 0 0')
      assert.equal(await load('L2', spec, rows('(1, 3)', '(2, 2)')), '0 1 0 1')
      const merge: Partial<StagedLoad> = { key: ['a', 'b'], deletes: 'hard' }
      assert.equal(await load('L3', merge, { rows: rows('(1, 4)'), keys: key('(2, 0)') }), '0 1 1 0')
      assert.deepEqual(await read('SELECT v FROM t'), ['4'])
    }
  })

  test('other character sets and collations, char, binary, enum, json, uuid, timestamp take exact values', async () => {
    await fresh(`CREATE TABLE t (id varchar(20) CHARACTER SET latin1 COLLATE latin1_german1_ci PRIMARY KEY, c char(3), b binary(2),
      e enum('ok', 'bad'), j json, u uuid, z timestamp(6) NULL, l varchar(20) CHARACTER SET latin1, n decimal(12,4), y year DEFAULT 2020)`)
    const sql = (z: string, l = 'é', c = 'ab', b = '0001') =>
      `SELECT 'ä' AS id, ${quote(c)} AS c, unhex('${b}') AS b, 'ok' AS e, '{"a": 1}' AS j, '00000000-0000-0000-0000-000000000001' AS u,
        TIMESTAMPTZ '${z}' AS z, '${l}' AS l, 1.25::DECIMAL(10,2) AS n`
    const at = '2026-03-29 01:30:00.000001+00'
    assert.equal(await load('L1', {}, sql(at)), '1 0 0 0')
    assert.equal(await load('L2', {}, sql(at)), '0 0 0 1')
    assert.equal(await load('L3', {}, sql(at, 'É')), '0 1 0 0')
    assert.deepEqual(await read('SELECT HEX(id), c, HEX(b), HEX(l), n FROM t'), ['E4 ab 0001 C9 1.2500'])
    await database.query("SET time_zone = '+00:00'")
    assert.deepEqual(await read('SELECT CAST(z AS CHAR) FROM t'), ['2026-03-29 01:30:00.000001'])
    await assert.rejects(load('L4', {}, sql('2050-01-01 00:00:00+00')), { code: 'DATA_INVALID' })
    await assert.rejects(load('L5', {}, sql(at, '🙂')), { code: 'DATA_INVALID' })
    await assert.rejects(load('L6', {}, sql(at, 'é', 'a ')), {
      code: 'DATA_INVALID',
      message: /w\.t\.c: "a " ends with a space/,
    })
    await assert.rejects(load('L7', {}, sql(at, 'é', 'a', '00')), {
      code: 'DATA_INVALID',
      message: /exactly 2/,
    })
    assert.deepEqual(await read('SELECT HEX(l) FROM t'), ['C9'])
  })

  test('what a table cannot take exactly is refused before a row is staged, with the statement that helps', async () => {
    const refused: [string, string][] = [
      ['decimal(10,1)', '1.25::DECIMAL(10,2)'],
      ['int', '1.25::DECIMAL(10,2)'],
      ['float', '1.5::DOUBLE'],
      ['double(10,2)', '1.5::DOUBLE'],
      ['double', '5::BIGINT'],
      ['timestamp(6)', "TIMESTAMP '2020-01-01 00:00:00'"],
      ['datetime(3)', "TIMESTAMP '2020-01-01 00:00:00'"],
      ['decimal(5,1)', "'1.25'"],
      ['int AS (id + 1)', '2'],
    ]
    await fresh()
    for (const [native, value] of refused) {
      await database.query(`DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, x ${native})`)
      await assert.rejects(
        stage('L1', {}, `SELECT 1 AS id, ${value} AS x`),
        { code: 'TARGET_INCOMPATIBLE', message: /^w\.t\.x: / },
        native,
      )
    }
    let helped = 0
    const helps = async (definition: string, message: RegExp) => {
      await database.query(`DROP TABLE IF EXISTS t; CREATE TABLE t ${definition}`)
      const sql = `SELECT 1 AS id, 1.25::DECIMAL(10,2) AS x`
      let statement = ''
      await assert.rejects(stage('L1', {}, sql), (error: Error & { code: string; hint: string }) => {
        assert.equal(error.code, 'TARGET_INCOMPATIBLE')
        assert.match(error.message, message)
        statement = /ALTER TABLE [^;]+/.exec(error.hint)![0]
        return true
      })
      await database.query(statement)
      assert.equal(await load(`helped ${++helped}`, {}, sql), '1 0 0 0')
    }
    await helps('(id int PRIMARY KEY)', /w\.t: has no column x/)
    await helps('(id int PRIMARY KEY, x decimal(4,1))', /DECIMAL\(10,2\) does not fit decimal\(4,1\)/)
    await helps('(id int, x decimal(10,2))', /no unique index on id/)
    await helps('(id int PRIMARY KEY, x decimal(10,2)) ENGINE = MyISAM', /MyISAM/)
  })

  const violations: [string, string, string, string?][] = [
    ['a value out of range', 'id int PRIMARY KEY, x tinyint', '(2, 300)', 'DATA_INVALID'],
    ['a text too long', 'id int PRIMARY KEY, x varchar(2)', "(2, 'abc')", 'DATA_INVALID'],
    ['spaces too long', 'id int PRIMARY KEY, x varchar(2)', "(2, 'ab ')", 'DATA_INVALID'],
    ['an unknown enum value', "id int PRIMARY KEY, x enum('a')", "(2, 'b')", 'DATA_INVALID'],
    ['a key twice', 'id int PRIMARY KEY, x int', '(2, 1), (2, 2)'],
    ['NULL', 'id int PRIMARY KEY, x int NOT NULL', '(2, NULL)'],
    ['another unique index', 'id int PRIMARY KEY, x int UNIQUE', '(2, 1)'],
    ['a CHECK', 'id int PRIMARY KEY, x int CHECK (x < 5)', '(2, 9)'],
    ['a foreign key', 'id int PRIMARY KEY, x int, FOREIGN KEY (x) REFERENCES parent (id)', '(2, 2)'],
    [
      'a partition that is not there',
      'id int PRIMARY KEY, x int) PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (2)',
      '(2, 1)',
    ],
    ['not JSON', 'id int PRIMARY KEY, x json', "(2, '{')"],
  ]
  test('a row that the table refuses takes the whole commit back', async () => {
    for (const [what, definition, row, code = 'CONSTRAINT_VIOLATED'] of violations) {
      await fresh('CREATE TABLE parent (id int PRIMARY KEY)', 'INSERT INTO parent VALUES (1)')
      await database.query(
        `CREATE TABLE t (${definition}); INSERT INTO t VALUES (1, ${/enum|json/.test(definition) ? 'NULL' : '1'})`,
      )
      const good = await stage('L1', { table: 'made' }, values('id', '(1)'))
      const bad = await stage('L1', {}, values('id, x', row))
      await assert.rejects(
        target.commit(commitOf('L1', good, bad), signal),
        { code, message: /^w\.t: / },
        what,
      )
      await target.abandon('L1')
      assert.equal(await target.committed('L1', signal), undefined, what)
      assert.deepEqual(await target.syncPoints('j', signal), [], what)
      assert.deepEqual(await read('SELECT id FROM t'), ['1'], what)
      assert.deepEqual(
        await read(
          `SELECT table_name FROM information_schema.tables WHERE table_schema = '${database.name}'
             AND table_name NOT RLIKE '^nightfreight_(loads|sync_points|tables|made)$' ORDER BY 1`,
        ),
        ['parent', 't'],
        what,
      )
    }
  })
})

describe('keys that are one for the target', () => {
  const clashing = values('code, v', "('a', 1)", "('a ', 2)", "('A', 3)", "('é', 4)", "('e\u0301', 5)")

  test('a table that a load makes tells all of them apart', async () => {
    await fresh()
    const spec = { key: ['code'], deletes: 'hard' as const, whole: true }
    assert.equal(await load('L1', spec, clashing), '5 0 0 0')
    assert.equal(await load('L2', spec, values('code, v', "('a ', 2)", "('A', 9)")), '0 1 3 1')
    assert.deepEqual(await read("SELECT concat('[', code, ']'), v FROM t ORDER BY v"), ['[a ] 2', '[A] 9'])
  })

  for (const [collation, one, other] of [
    ['utf8mb4_bin', 'a', 'a '],
    ['utf8mb4_general_ci', 'A', 'a'],
  ] as const)
    test(`${collation}: refused with both keys, whether both are staged or one is there`, async () => {
      await fresh(`CREATE TABLE t (code varchar(20) COLLATE ${collation} PRIMARY KEY, v int)`)
      const spec = { key: ['code'] }
      const refusal = {
        code: 'CONSTRAINT_VIOLATED',
        message: new RegExp(
          `w\\.t: code '(${one}|${other})' and code '(${one}|${other})' are one key .* code \\(${collation}\\)`,
        ),
      }
      const rows = values('code, v', `('${one}', 1)`, `('${other}', 2)`)
      await assert.rejects(load('L1', spec, rows), refusal)
      assert.deepEqual(await read('SELECT * FROM t'), [])
      await load('L2', spec, values('code, v', `('${other}', 2)`))
      await assert.rejects(load('L3', spec, values('code, v', `('${one}', 1)`)), refusal)
    })
})
