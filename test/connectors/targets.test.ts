import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type { Target } from '../../engine/contracts/target.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { DuckdbTarget } from '../../src/connectors/duckdb/target.ts'
import { PostgresTarget } from '../../src/connectors/postgres/target.ts'
import { freshPostgres } from '../servers.ts'
import { commitOf, loading, rows, signal } from './loading.ts'

const { load: loadWith, stage, path, rowsOfQuery } = loading()
const postgres = await freshPostgres()

async function load(...args: Parameters<typeof loadWith>) {
  const { inserted, updated, unchanged, older } = await loadWith(...args)
  return { inserted, updated, unchanged, ...(older > 0 && { older }) }
}

interface Kind {
  name: string
  open(): Promise<Target>
  read(target: Target, sql: string): Promise<Record<string, unknown>[]>
}

const kinds: Kind[] = [
  {
    name: 'postgres',
    open: async () => {
      await postgres.query(
        'DROP SCHEMA IF EXISTS nightfreight CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public',
      )
      return new PostgresTarget({ name: 'w', url: postgres.url })
    },
    read: (_, sql) => postgres.query(sql),
  },
  {
    name: 'duckdb',
    open: async () => new DuckdbTarget(path('db'), 'w'),
    read: async (target, sql) => {
      // Another handle on the same file: closed first, since the target opens it again on demand.
      await target.close()
      const path = (target as unknown as { path: string }).path
      const reader = await Duck.open({ path })
      try {
        return await reader.rows(sql)
      } finally {
        reader.close()
      }
    },
  },
]

for (const { name, open, read } of kinds)
  describe(name, () => {
    let target: Target
    const fresh = async () => {
      target = await open()
      return target
    }
    after(() => target.close())

    test('newer decides: what is older is left alone, what is as old is compared, NULL is oldest', async () => {
      await fresh()
      const spec = { newer: 'seen', insertOnly: ['born'], stamp: 'loaded_at' }
      const sql = (...values: string[]) => `${rows(...values)} AS v(id, name, seen, born)`
      const first = sql("(1, 'a', 5, 1)", "(2, 'b', 5, 1)", "(3, 'c', 5, 1)", "(4, 'd', NULL, 1)")
      assert.deepEqual(await load(target, 'L1', spec, first), { inserted: 4, updated: 0, unchanged: 0 })
      const second = sql(
        "(1, 'A', 6, 2)",
        "(2, 'B', 5, 2)",
        "(3, 'C', 4, 2)",
        "(4, 'D', 9, 2)",
        "(5, 'e', NULL, 2)",
      )
      assert.deepEqual(await load(target, 'L2', spec, second), {
        inserted: 1,
        updated: 3,
        unchanged: 0,
        older: 1,
      })
      const third = sql("(1, 'x', NULL, 3)")
      assert.deepEqual(await load(target, 'L3', spec, third), {
        inserted: 0,
        updated: 0,
        unchanged: 0,
        older: 1,
      })
      const found = await read(target, 'SELECT id, name, born FROM t WHERE loaded_at IS NOT NULL ORDER BY id')
      assert.deepEqual(
        found.map(row => Object.values(row).join(' ')),
        ['1 A 1', '2 B 1', '3 c 1', '4 D 1', '5 e 2'],
      )
      await target.close()
    })

    test('without newer a row is updated where it differs; composite keys, NULL values', async () => {
      await fresh()
      const spec = { key: ['a', 'b'] }
      const sql = (...values: string[]) => `${rows(...values)} AS v(a, b, x)`
      await load(target, 'L1', spec, sql("(1, 'p', NULL)", "(1, 'q', 2)", "(2, 'p', 3)"))
      const second = sql("(1, 'p', NULL)", "(1, 'q', NULL)", "(2, 'p', 3)", "(2, 'q', NULL)")
      assert.deepEqual(await load(target, 'L2', spec, second), { inserted: 1, updated: 1, unchanged: 2 })
      const [found] = await read(target, `SELECT count(*)::int AS n, count(x)::int AS x FROM t`)
      assert.deepEqual({ ...found }, { n: 4, x: 1 })
      await target.close()
    })

    test('a repeated load id does nothing; its sync point came with it', async () => {
      await fresh()
      assert.deepEqual(await target.syncPoints('j', signal), [])
      assert.equal(await target.committed('L1', signal), undefined)
      const planned = await stage(target, 'L1', {}, `${rows('(1, 1)')} AS v(id, x)`)
      const first = await target.commit(commitOf('L1', planned), signal)
      const again = await target.commit(commitOf('L1', planned), signal)
      assert.deepEqual(again, { counts: first.counts, repeated: true })
      assert.deepEqual(await target.committed('L1', signal), again)
      assert.deepEqual(await target.syncPoints('j', signal), [
        { extract: 'members', value: 'at L1', run: 'L1' },
      ])
      await target.close()
    })

    test('loads of a job that are older than runs are kept are forgotten by its next one', async () => {
      await fresh()
      const loadOf = (job: string, run: number) => `${job}/20260${run}01T020000000-abcdef/w`
      const commit = async (loadId: string) => {
        const planned = await stage(target, loadId, {}, `${rows('(1, 1)')} AS v(id, x)`)
        await target.commit({ ...commitOf(loadId, planned), job: loadId.split('/')[0]! }, signal)
      }
      const [old, recent, last] = [1, 2, 3].map(run => loadOf('j', run)) as [string, string, string]
      const other = loadOf('i', 1)
      for (const loadId of [other, old, recent]) await commit(loadId)
      const days = `CASE WHEN load_id = '${recent}' THEN 89 ELSE 91 END`
      await read(target, `UPDATE nightfreight.loads SET committed_at = now() - ${days} * INTERVAL '1 day'`)
      await commit(last)
      const known = (loadId: string) => target.committed(loadId, signal)
      assert.equal(await known(old), undefined)
      for (const loadId of [other, recent, last]) assert.equal((await known(loadId))?.repeated, true)
      await target.close()
    })

    test('a failure leaves the target untouched', async () => {
      await fresh()
      await load(target, 'L1', {}, `${rows('(1, 1)')} AS v(id, x)`)
      const good = await stage(target, 'L2', {}, `${rows('(1, 2)', '(2, 2)')} AS v(id, x)`)
      const bad = await stage(target, 'L2', { table: 'u' }, `${rows('(1, 2)', '(NULL, 2)')} AS v(id, x)`)
      await assert.rejects(target.commit(commitOf('L2', good, bad), signal), { code: 'CONSTRAINT_VIOLATED' })
      await target.abandon('L2')
      assert.equal(await target.committed('L2', signal), undefined)
      assert.equal((await target.syncPoints('j', signal))[0]!.run, 'L1')
      assert.equal(await target.describe('u', signal), undefined)
      assert.deepEqual({ ...(await read(target, 'SELECT id, x FROM t'))[0] }, { id: 1, x: 1 })
      await target.close()
    })

    test('a column the table lacks is refused before a row is staged, with the statement that adds it', async () => {
      await fresh()
      await load(target, 'L1', {}, `${rows('(1, 1)')} AS v(id, x)`)
      const lacking = `${rows('(1, 1, 2)')} AS v(id, x, y)`
      let statement = ''
      await assert.rejects(
        stage(target, 'L2', { stamp: 'at' }, lacking),
        (error: Error & { code: string; hint: string }) => {
          assert.equal(error.code, 'TARGET_INCOMPATIBLE')
          assert.match(error.message, /w\.t: has no column y/)
          statement = /^(ALTER TABLE (?:"main"\.)?"t" ADD COLUMN "y" INTEGER);/i.exec(error.hint)![1]!
          return true
        },
      )
      await target.abandon('L2')
      await read(target, statement)
      assert.deepEqual(await load(target, 'L3', {}, lacking), { inserted: 0, updated: 1, unchanged: 0 })
      await target.close()
    })

    test('a deleted row is marked with the time of the commit, once, and unmarked when it is back', async () => {
      await fresh()
      const spec = { deletes: 'soft' as const, deletedAt: 'gone', stamp: 'at' }
      const sql = (...values: string[]) => `${rows(...values)} AS v(id, x)`
      await load(target, 'L1', spec, sql('(1, 1)', '(2, 2)', '(3, 3)'))
      const none = 'SELECT 1 AS id, 1 AS x LIMIT 0'
      assert.equal((await loadWith(target, 'L2', spec, none, 'SELECT 2 AS id')).deleted, 1)
      const times = `SELECT id, x, CAST(gone AS text) AS gone, gone = "at" AS stamped FROM t ORDER BY id`
      const [, marked] = await read(target, times)
      assert.equal(marked!.stamped, true)
      assert.equal((await loadWith(target, 'L3', spec, none, 'SELECT 2 AS id')).deleted, 0)
      assert.equal((await read(target, times))[1]!.gone, marked!.gone)
      assert.deepEqual(await load(target, 'L4', spec, sql('(2, 2)')), {
        inserted: 0,
        updated: 1,
        unchanged: 0,
      })
      assert.equal((await read(target, times))[1]!.gone, null)
      await target.close()
    })

    test('a late version is put between, ends where it is followed, and never becomes the current one', async () => {
      await fresh()
      const spec = { mode: 'scd2' as const, newer: 'seen', deletes: 'hard' as const }
      const sql = (x: number, day: number) => `SELECT 1 AS id, ${x} AS x, DATE '2026-01-01' + ${day} AS seen`
      await load(target, 'L1', spec, sql(1, 1))
      await load(target, 'L2', spec, sql(5, 5))
      assert.deepEqual(await load(target, 'L3', spec, sql(3, 3)), { inserted: 1, updated: 0, unchanged: 0 })
      assert.deepEqual(await load(target, 'L4', spec, sql(0, 0)), { inserted: 1, updated: 0, unchanged: 0 })
      assert.deepEqual(await load(target, 'L5', spec, sql(3, 3)), { inserted: 0, updated: 0, unchanged: 1 })
      const gone = await loadWith(target, 'L6', spec, `${sql(1, 1)} LIMIT 0`, 'SELECT 1 AS id')
      assert.equal(gone.deleted, 1)
      const found = await read(
        target,
        `SELECT x || ' ' || valid_from || ' ' || valid_to || ' ' || CAST(is_current AS text) AS line FROM t ORDER BY x`,
      )
      assert.deepEqual(
        found.map(({ line }) => line),
        [
          '0 2026-01-01 2026-01-02 false',
          '1 2026-01-02 2026-01-04 false',
          '3 2026-01-04 2026-01-06 false',
          '5 2026-01-06 2026-01-31 false',
        ],
      )
      assert.deepEqual((await target.describe('t', signal))?.key, ['id', 'valid_from'])
      await target.close()
    })

    test('what a mode keeps in a table must be there, and of its type', async () => {
      await fresh()
      await load(target, 'L1', {}, `${rows('(1, 1)')} AS v(id, x)`)
      const sql = `${rows('(1, 1)')} AS v(id, x)`
      const soft = { deletes: 'soft' as const, deletedAt: 'gone' }
      await assert.rejects(stage(target, 'L2', soft, sql), {
        code: 'TARGET_INCOMPATIBLE',
        message: /w\.t: has no column gone/,
      })
      await assert.rejects(stage(target, 'L2', { mode: 'scd2' }, sql), {
        message: /w\.t: has no column valid_from/,
      })
      await target.abandon('L2')
      await target.close()
    })
  })

const EXACT: Record<string, string[]> = {
  BOOLEAN: ['true', 'false'],
  TINYINT: ['-128', '127'],
  SMALLINT: ['-32768', '32767'],
  INTEGER: ['-2147483648', '2147483647'],
  BIGINT: ['-9223372036854775808', '9223372036854775807', '-1', '4294967296'],
  UTINYINT: ['255'],
  USMALLINT: ['65535'],
  UINTEGER: ['4294967295'],
  UBIGINT: ['0', '18446744073709551615', '9007199254740993'],
  FLOAT: ['1.5', '-0.1', '3.4028235e+38', 'NaN', 'Infinity'],
  DOUBLE: ['0.1', '1.7976931348623157e+308', '5e-324', '-Infinity'],
  'DECIMAL(38,0)': ['99999999999999999999999999999999999999', '-99999999999999999999999999999999999999', '0'],
  'DECIMAL(38,37)': ['9.9999999999999999999999999999999999999', '-0.0000000000000000000000000000000000001'],
  'DECIMAL(10,2)': ['0.00', '-0.01', '12345678.90', '99999999.99', '10000.00'],
  'DECIMAL(18,3)': ['999999999999999.999', '-1.001', '9007199254740.993'],
  'DECIMAL(19,5)': ['90071992547409.92001', '-0.00010'],
  'DECIMAL(4,4)': ['0.0001', '-0.9999'],
  VARCHAR: ['', 'é🙂', `${'long '.repeat(20)}.`],
  DATE: ['1970-01-01', '0001-01-01', '9999-12-31', '1999-12-31', 'infinity', '-infinity'],
  TIME: ['00:00:00', '23:59:59.999999'],
  TIMESTAMP: [
    '1970-01-01 00:00:00',
    '1899-12-31 23:59:59.999999',
    '9999-12-31 00:00:00.000001',
    'infinity',
    '-infinity',
  ],
  'TIMESTAMP WITH TIME ZONE': ['2000-01-01 00:00:00+00', '1969-12-31 23:59:59.999999+00'],
}

describe('postgres encodes', () => {
  for (const [type, values] of Object.entries(EXACT))
    test(`${type} exactly`, async () => {
      const target = await kinds[0]!.open()
      const list = [...values.map(quote), 'NULL'].map((value, row) => `(${row}, ${value})`)
      const sql = `SELECT id, CAST(x AS ${type}) AS x FROM (VALUES ${list.join(', ')}) AS v(id, x)`
      await load(target, 'L1', {}, sql)
      await postgres.query("SET TimeZone = 'UTC'")
      const found = await postgres.query<{ x: string | null }>('SELECT x::text AS x FROM t ORDER BY id')
      assert.deepEqual(
        found.map(({ x }) => x),
        [...values, null],
      )
      await target.close()
    })

  test('binary, random decimals over many batches, several row groups', async () => {
    const target = await kinds[0]!.open()
    const many = `SELECT i AS id, (hash(i) % 1000000000000000)::DECIMAL(38,0) * (hash(i + 7) % 10000000000000000)::DECIMAL(38,0) AS d, CAST(md5(i::VARCHAR) AS BLOB) AS b, repeat('x', (i % 90)::INT) AS s FROM range(200000) r(i)`
    const typed = `SELECT id, (CASE WHEN id % 2 = 0 THEN d ELSE -d END)::DECIMAL(38,0) AS d, b, s FROM (${many})`
    assert.equal((await load(target, 'L2', { table: 'lots' }, typed)).inserted, 200_000)
    const [theirs] = await postgres.query<Record<string, string>>(
      `SELECT sum(d)::text AS d, sum(d % 1000003)::text AS r, sum(length(b) + length(s))::text AS l, sum(id)::text AS id FROM lots`,
    )
    const [ours] = await rowsOfQuery(
      `SELECT sum(d)::VARCHAR AS d, sum(d % 1000003)::VARCHAR AS r, sum(octet_length(b) + length(s))::VARCHAR AS l, sum(id)::VARCHAR AS id FROM (${typed})`,
    )
    assert.deepEqual({ ...theirs }, { ...ours })
    await target.close()
  })

  test('a NUL byte is refused, and the staging table can be staged again', async () => {
    const target = await kinds[0]!.open()
    const bad = `SELECT 1 AS id, 'a' || chr(0) AS name`
    await assert.rejects(stage(target, 'L1', {}, bad), { code: 'DATA_INVALID', message: /w\.t\.name: row 1/ })
    assert.equal((await load(target, 'L1', {}, `SELECT 1 AS id, 'a' AS name`)).inserted, 1)
    const left = await postgres.query("SELECT 1 FROM pg_class WHERE relname LIKE 'stg%'")
    assert.equal(left.length, 0)
    await target.close()
  })
})

describe('postgres tables made by others', () => {
  test('json, uuid, enum and numeric take exact values; comparison needs no equality', async () => {
    const target = await kinds[0]!.open()
    await postgres.query(`CREATE TYPE mood AS ENUM ('ok', 'bad');
      CREATE TABLE t (id uuid PRIMARY KEY, j json, b jsonb, m mood, n numeric(12,4), c varchar(5))`)
    const id = '00000000-0000-0000-0000-000000000001'
    const sql = (n: string) =>
      `SELECT '${id}' AS id, '{"a": 1}' AS j, '{"a": 1}' AS b, 'ok' AS m, ${n}::DECIMAL(10,2) AS n, 'abc' AS c`
    assert.equal((await load(target, 'L1', {}, sql('1.25'))).inserted, 1)
    assert.deepEqual(await load(target, 'L2', {}, sql('1.25')), { inserted: 0, updated: 0, unchanged: 1 })
    assert.equal((await load(target, 'L3', {}, sql('1.26'))).updated, 1)
    await target.close()
  })

  test('nothing is cut, rounded or shifted silently', async () => {
    const target = await kinds[0]!.open()
    await postgres.query('CREATE TABLE t (id int PRIMARY KEY, x varchar(3))')
    await assert.rejects(load(target, 'L1', {}, `SELECT 1 AS id, 'abcd' AS x`), { code: 'DATA_INVALID' })
    const refused: [string, string][] = [
      ['numeric(10,1)', '1.25::DECIMAL(10,2)'],
      ['integer', '1.25::DECIMAL(10,2)'],
      ['real', '1.5::DOUBLE'],
      ['timestamptz', "TIMESTAMP '2020-01-01 00:00:00'"],
      ['timestamp(3)', "TIMESTAMP '2020-01-01 00:00:00'"],
      ['numeric(5,1)', "'1.25'"],
    ]
    for (const [native, value] of refused) {
      await postgres.query(`DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, x ${native})`)
      await assert.rejects(load(target, 'L1', {}, `SELECT 1 AS id, ${value} AS x`), {
        code: 'TARGET_INCOMPATIBLE',
      })
    }
    await target.close()
  })

  test('two targets set up the same database at once', async () => {
    await (await kinds[0]!.open()).close()
    const targets = [1, 2, 3].map(() => new PostgresTarget({ name: 'w', url: postgres.url }))
    await Promise.all(
      targets.map((target, i) =>
        stage(target, `L${i}`, { table: `t${i}` }, 'SELECT 1 AS id').catch(ignoreDropped),
      ),
    )
    for (const target of targets) await target.close()
  })
})

test('a DuckDB table takes what it holds exactly, and nothing else', async () => {
  const file = path('exact')
  const target = new DuckdbTarget(file, 'w')
  let loads = 0
  const into = async (native: string, value: string) => {
    await target.close()
    const writer = await Duck.open({ path: file })
    await writer.run(`CREATE OR REPLACE TABLE t (id INTEGER PRIMARY KEY, x ${native})`)
    writer.close()
    return load(target, `L${loads++}`, {}, `SELECT 1 AS id, ${value} AS x`)
  }
  const refused: [string, string][] = [
    ['DECIMAL(10,1)', '1.25::DECIMAL(10,2)'],
    ['INTEGER', '1.25::DECIMAL(10,2)'],
    ['FLOAT', '0.1::DOUBLE'],
    ['DOUBLE', '9007199254740993::BIGINT'],
    ['TIMESTAMPTZ', "TIMESTAMP '2020-01-01 00:00:00'"],
    ['DECIMAL(5,1)', "'1.25'"],
  ]
  for (const [native, value] of refused)
    await assert.rejects(into(native, value), { code: 'TARGET_INCOMPATIBLE' }, `${value} into ${native}`)
  const taken: [string, string][] = [
    ['DECIMAL(12,3)', '1.25::DECIMAL(10,2)'],
    ['DOUBLE', '0.1::FLOAT'],
    ['INTEGER', '7::BIGINT'],
    ['VARCHAR', '7::BIGINT'],
    ['UUID', "'00000000-0000-0000-0000-000000000001'"],
  ]
  for (const [native, value] of taken) assert.equal((await into(native, value)).inserted, 1, native)
  await assert.rejects(into('INTEGER', '3000000000::BIGINT'))
  await target.close()
})

// Loads of one job never run at once; staging each other's tables away is what a later run does.
function ignoreDropped(error: { code?: string }): void {
  assert.equal(error.code, 'TABLE_MISSING')
}
