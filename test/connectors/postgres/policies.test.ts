import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EngineError } from '../../../engine/errors.ts'
import type { InexactPolicy } from '../../../engine/types/logical.ts'
import { freshPostgres, type Hooks } from '../../servers.ts'
import { extractOf, readRows } from './reading.ts'

// One column a type: a value its logical type holds, and those it does not.
const VALUES: Record<string, { good: string; bad: string[] }> = {
  date: { good: '0044-03-15 BC', bad: ['infinity', '-infinity'] },
  timestamp: {
    good: '4714-11-24 00:00:00 BC',
    bad: ['infinity', '-infinity', '294276-12-31 23:59:59.5', '294247-01-10 04:00:54.775807'],
  },
  timestamptz: {
    good: '4714-11-24 00:00:00+00 BC',
    bad: ['infinity', '-infinity', '294276-12-31 23:59:59.5+00', '294247-01-10 04:00:54.775807+00'],
  },
  'numeric(5,2)': { good: '-999.99', bad: ['NaN'] },
}

const CASES = Object.entries(VALUES).flatMap(([type, { good, bad }]) =>
  bad.map(value => ({ type, good, value })),
)

// A column a case; a good row, a bad one, and one of NULLs.
async function read(t: Hooks, policy: InexactPolicy): Promise<(string | null)[][]> {
  const db = await freshPostgres(t)
  const row = (values: string[]) => `(${values.map(value => `'${value}'`).join(', ')})`
  await db.query(`CREATE TABLE p (${CASES.map(({ type }, at) => `v${at} ${type}`).join(', ')});
    INSERT INTO p VALUES ${row(CASES.map(({ good }) => good))}, ${row(CASES.map(({ value }) => value))};
    INSERT INTO p DEFAULT VALUES`)
  const policies = Object.fromEntries(CASES.map((_, at) => [`v${at}`, policy]))
  return (await readRows(db.url, extractOf('p', policies))).rows
}

const GOOD = CASES.map(({ good }) => good)
const BAD = CASES.map(({ value }) => value)
const NULLS = CASES.map(() => null)

test('fail: the value is named, with its column and what may be done', async t => {
  const db = await freshPostgres(t)
  for (const { type, value } of CASES) {
    await db.query(`DROP TABLE IF EXISTS p; CREATE TABLE p (v ${type}); INSERT INTO p VALUES ('${value}')`)
    await assert.rejects(readRows(db.url, extractOf('p')), (error: EngineError) => {
      assert.equal(error.code, 'VALUE_INEXACT')
      assert.ok(error.message.startsWith(`pg.p.v: "${value}" is`), error.message)
      assert.match(error.hint!, /null, quarantine or text/)
      return true
    })
  }
  await assert.rejects(readRows(db.url, extractOf('p', { v: 'fail' })), { code: 'VALUE_INEXACT' })
})

test('null: such values become NULL, others stay', async t => {
  assert.deepEqual(await read(t, 'null'), [GOOD, NULLS, NULLS])
})

test('quarantine: the row carries the values as the server writes them, and the reasons', async t => {
  const [good, bad, nulls] = await read(t, 'quarantine')
  assert.deepEqual(
    [good, nulls],
    [
      [...GOOD, null],
      [...NULLS, null],
    ],
  )
  assert.deepEqual(bad!.slice(0, -1), NULLS)
  const entries = JSON.parse(bad!.at(-1)!) as Record<string, string>[]
  assert.deepEqual(
    entries.map(({ column, value }) => [column, value]),
    CASES.map(({ value }, at) => [`v${at}`, value]),
  )
  for (const { reason } of entries) assert.match(reason!, /^is /)
})

test("text: every value is the server's own text, dates before Christ too", async t => {
  assert.deepEqual(await read(t, 'text'), [GOOD, BAD, NULLS])
  const db = await freshPostgres(t)
  await db.query(`CREATE TABLE q (b bool, i inet, r real, x bytea, u uuid);
    INSERT INTO q VALUES (true, '10.0.0.1', 0.1, 'a', '00000000-0000-0000-0000-000000000001');
    INSERT INTO q DEFAULT VALUES`)
  const policies = { b: 'text', i: 'text', r: 'text', x: 'text', u: 'text' } as const
  assert.deepEqual((await readRows(db.url, extractOf('q', policies))).rows, [
    ['t', '10.0.0.1', '0.1', '\\x61', '00000000-0000-0000-0000-000000000001'],
    [null, null, null, null, null],
  ])
})

/** A second database of the server, with an encoding of its own. */
async function encoded(
  hooks: Hooks,
  encoding: string,
): Promise<{ url: string; run(sql: string): Promise<void> }> {
  const { default: pg } = await import('pg')
  const db = await freshPostgres(hooks)
  const name = `${db.name}_other`
  await db.query(`CREATE DATABASE ${name} ENCODING '${encoding}' LOCALE 'C' TEMPLATE template0`)
  const url = new URL(db.url)
  url.pathname = `/${name}`
  hooks.after(async () => {
    const client = new pg.Client({ connectionString: new URL('/postgres', url).href })
    await client.connect()
    await client.query(`DROP DATABASE ${name} WITH (FORCE)`)
    await client.end()
  })
  return {
    url: url.href,
    async run(sql) {
      const client = new pg.Client({ connectionString: url.href })
      await client.connect()
      await client.query(sql).finally(() => client.end())
    },
  }
}

const raw = (hex: string) => `convert_from('\\x${hex}', 'SQL_ASCII')`

test('text that is not UTF-8 goes to the quarantine with its bytes; the rest is read', async t => {
  const db = await encoded(t, 'SQL_ASCII')
  await db.run(`CREATE TABLE old (id int, v varchar(20), c char(3), j jsonb, a text[], u uuid, n numeric);
    INSERT INTO old VALUES (1, 'plain', 'abc', '{"a": 1}', '{x}', '00000000-0000-0000-0000-000000000001', 1.50),
      (2, 'é€😀', 'é', '{"a": "é"}', '{é}', NULL, 'NaN'),
      (3, ${raw('63616665e9')}, ${raw('e9')}, ('{"a": "' || ${raw('e9')} || '"}')::jsonb, array[${raw('e9')}], NULL, NULL)`)
  const { read, rows } = await readRows(db.url, extractOf('old'))
  const policies = Object.fromEntries(
    read.columns.map(({ name, policy, inexact }) => [name, [policy, inexact]]),
  )
  for (const name of ['v', 'c', 'j', 'a'])
    assert.deepEqual(policies[name], ['quarantine', 'bytes that are not UTF-8'], name)
  for (const name of ['id', 'u', 'n']) assert.deepEqual(policies[name], [undefined, undefined], name)
  assert.deepEqual(rows.slice(0, 2), [
    ['1', 'plain', 'abc', '{"a": 1}', '{x}', '00000000-0000-0000-0000-000000000001', '1.50', null],
    // A char(3) of that database has three bytes.
    ['2', 'é€😀', 'é ', '{"a": "é"}', '{é}', null, 'NaN', null],
  ])
  const [, , third] = rows
  assert.deepEqual(third!.slice(0, 7), ['3', null, null, null, null, null, null])
  const reason = 'is not UTF-8'
  assert.deepEqual(JSON.parse(third![7]!), [
    { column: 'v', value: '\\x63616665e9', reason },
    { column: 'c', value: '\\xe92020', reason },
    { column: 'j', value: '\\x7b2261223a2022e9227d', reason },
    { column: 'a', value: '\\x7be97d', reason },
  ])
})

test("the extract's own policy wins over that of the database's encoding", async t => {
  const db = await encoded(t, 'SQL_ASCII')
  await db.run(`CREATE TABLE old (v text); INSERT INTO old VALUES ('ok'), (${raw('ff')})`)
  const under = (policy: InexactPolicy) => readRows(db.url, extractOf('old', { v: policy }))
  assert.deepEqual((await under('null')).rows, [['ok'], [null]])
  const refused = (hint: RegExp) => (error: EngineError) =>
    error.code === 'VALUE_INEXACT' && /\\xff.* is not UTF-8/.test(error.message) && hint.test(error.hint!)
  await assert.rejects(under('fail'), refused(/to null, quarantine or text/))
  // No text can hold it.
  await assert.rejects(under('text'), refused(/to null or quarantine/))
})

test('a database in another encoding is read as UTF-8', async t => {
  const db = await encoded(t, 'LATIN1')
  await db.run(`CREATE TABLE old (v text, c char(3), j jsonb); INSERT INTO old VALUES ('café', 'é', '"é"')`)
  const { read, rows } = await readRows(db.url, extractOf('old'))
  assert.deepEqual(rows, [['café', 'é  ', '"é"']])
  assert.ok(read.columns.every(({ policy }) => policy === undefined))
})

test('characters that UTF-8 lacks are invalid data, and the table is named', async t => {
  const db = await encoded(t, 'WIN1252')
  await db.run('CREATE TABLE old (v text); INSERT INTO old VALUES (chr(129))')
  await assert.rejects(readRows(db.url, extractOf('old')), (error: EngineError) => {
    assert.equal(error.code, 'DATA_INVALID')
    assert.match(`${error.message} ${error.hint}`, /^pg\.old: .*0x81.*WIN1252.*UTF-8/)
    return true
  })
})
