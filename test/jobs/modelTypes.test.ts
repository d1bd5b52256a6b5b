import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import type { EngineError } from '../../engine/errors.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { stagedType } from '../../engine/types/duckType.ts'
import { validateJob } from '../../src/runs/validateJob.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { type SmallJob, smallJob } from './small.ts'

const postgres = await freshPostgres()
const mariadb = await freshMariadb()

/** Values of types that Parquet has not, or gives back as others. */
const SCALARS: Record<string, string> = {
  hugeint: '(9007199254740993 + id)::HUGEINT',
  least: '-99999999999999999999999999999999999999::HUGEINT',
  uhugeint: '(9007199254740993 + id)::UHUGEINT',
  bignum: '123456789012345678901234567890123456789012345678901234567890::BIGNUM',
  enumerated: "(CASE id WHEN 1 THEN 'low' WHEN 2 THEN 'mid' ELSE 'high' END)::ENUM('low', 'mid', 'high')",
  uuid: "('00000000-0000-4000-8000-00000000000' || id)::UUID",
  json: `('{"a": 1.00, "b": [' || id || ']}')::JSON`,
  timetz: "'12:00:00.5+02:30'::TIMETZ",
  duration: "INTERVAL '1 month 2 days 3 microseconds' * id",
  bits: "'0101'::BIT",
  nanoseconds: "'2020-01-01 00:00:00.123456789'::TIMESTAMP_NS",
  seconds: "'2020-01-01 00:00:01'::TIMESTAMP_S",
  millis: "'2020-01-01 00:00:01.123'::TIMESTAMP_MS",
}
const NESTED: Record<string, string> = {
  list: '[id, NULL, id + 1]',
  structure: "{'a b': id, 'e': 'x'::ENUM('y', 'x'), 'h': 5::HUGEINT}",
  map: "map {'k': INTERVAL '1 month 3 microseconds'}",
  lists: "[[{'t': '12:00:00+02'::TIMETZ}], []]",
}
const COLUMNS = { ...SCALARS, ...NESTED }
// DuckDB's CASE knows no arrays of a fixed size.
const PAIR = 'if(id = 4, NULL, [id, id + 1])::INTEGER[2] AS pair'
const select = (columns: Record<string, string>) =>
  `SELECT id, ${Object.entries(columns)
    .map(([name, value]) => `if(id = 4, NULL, ${value}) AS "${name}"`)
    .join(',\n  ')} FROM src`

const YAML = `connections: { in: "file:in", wh: "duckdb:wh.duckdb", pg: "${postgres.url}", my: "${mariadb.url}", lk: "lake:lake" }
extract: { src: { from: in, files: src.csv, take: all, schema: { id: INTEGER } } }
resources: { memory: 300MB, threads: 1 }
`
let jobs = 0
async function jobWith(files: Record<string, string>, loads: string): Promise<SmallJob> {
  const job = await smallJob({ after }, `model_types_${++jobs}`, { 'job.yaml': `${YAML}load:\n${loads}` })
  const all = { 'in/src.csv': 'id\n1\n2\n3\n4\n', ...files }
  for (const [file, text] of Object.entries(all)) {
    mkdirSync(join(job.folder, file, '..'), { recursive: true })
    writeFileSync(join(job.folder, file), text)
  }
  return job
}

async function rowsOf(job: SmallJob, sql: string) {
  const duck = await Duck.open({ path: join(job.folder, 'wh.duckdb'), threads: 1 })
  try {
    return await duck.rows(sql)
  } finally {
    duck.close()
  }
}

test('what a model gives is the same as a view and as a file, with one reader or two, with checks or none', async () => {
  const seen = [...Object.keys(COLUMNS), 'pair'].map(
    name => `typeof("${name}") || ' ' || coalesce("${name}"::VARCHAR, 'NULL') AS "${name}"`,
  )
  const text = `SELECT id, ${seen.join(', ')}, max(enumerated) OVER () AS best, sum(hugeint) OVER () AS total FROM b`
  const job = await jobWith(
    {
      'b.sql': select(COLUMNS).replace('SELECT id', `SELECT id, ${PAIR}`),
      'm.sql': text
        .replace('best', 'best')
        .replace('max(enumerated) OVER ()', 'max(enumerated) OVER ()::VARCHAR'),
    },
    '  m: { to: wh, from: m, key: id }\n',
  )
  const night = async () => {
    const { error } = await job.run()
    assert.equal(error, undefined)
    return rowsOf(job, 'FROM m ORDER BY id')
  }
  const asView = await night()
  assert.equal(asView[0]!.best, 'high')
  assert.match(String(asView[0]!.duration), /^INTERVAL 1 month 2 days 00:00:00\.000003$/)
  mkdirSync(join(job.folder, 'checks/b'), { recursive: true })
  writeFileSync(
    join(job.folder, 'checks/b/x.sql'),
    "SELECT enumerated, hugeint, 'warn' AS severity, 'x' AS reason FROM b WHERE id = 2",
  )
  assert.deepEqual(await night(), asView)
  rmSync(join(job.folder, 'checks'), { recursive: true })
  writeFileSync(join(job.folder, 'other.sql'), 'SELECT * FROM b')
  assert.deepEqual(await night(), asView)
})

test('every scalar reaches each target as its type or as its exact text', async () => {
  const load = (to: string) => `  ${to}_t: { to: ${to}, from: m, key: id, verify: all }\n`
  const job = await jobWith({ 'm.sql': select(SCALARS) }, ['wh', 'pg', 'my'].map(load).join(''))
  const { error, outcome } = await job.run()
  assert.equal(error, undefined)
  for (const { wrong } of outcome.verifications) assert.equal(wrong.rows, 0)
  const names = Object.keys(SCALARS)
  const duck = await Duck.open({ threads: 1 })
  const [expected] = await duck.rows(
    `SELECT COLUMNS(*)::VARCHAR FROM (${select(SCALARS).replace('FROM src', 'FROM (SELECT 2 AS id)')})`,
  )
  duck.close()
  const plain = (row: Record<string, unknown>) =>
    names.map(name =>
      String(row[name])
        .replace(/(\.\d*?)0+$/, '$1')
        .replace(/\.$/, ''),
    )
  const wanted = plain(expected!)
  const texts = (cast: (name: string) => string) => names.map(name => `${cast(name)} AS ${name}`).join(', ')
  assert.deepEqual(
    plain((await rowsOf(job, `SELECT COLUMNS(*)::VARCHAR FROM wh_t WHERE id = 2`))[0]!),
    wanted,
  )
  const [inPostgres] = await postgres.query(`SELECT ${texts(name => `${name}::text`)} FROM pg_t WHERE id = 2`)
  const theirs = (text: string) => text.replace(/^(\d+) months /, '$1 mons ')
  assert.deepEqual(plain(inPostgres as Record<string, unknown>), wanted.map(theirs))
  const made = await postgres.query<{ name: string; type: string }>(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = 'pg_t'::regclass AND attnum > 1 ORDER BY attnum`,
  )
  assert.deepEqual(Object.fromEntries(made.map(({ name, type }) => [name, type])), {
    hugeint: 'numeric(38,0)',
    least: 'numeric(38,0)',
    uhugeint: 'numeric(38,0)',
    bignum: 'text',
    enumerated: 'text',
    uuid: 'uuid',
    json: 'json',
    timetz: 'time with time zone',
    duration: 'interval',
    bits: 'bit varying',
    nanoseconds: 'text',
    seconds: 'timestamp without time zone',
    millis: 'timestamp without time zone',
  })
  const kept = await rowsOf(job, 'DESCRIBE wh_t')
  const seen = await rowsOf(job, `DESCRIBE ${select(SCALARS).replace('FROM src', 'FROM (SELECT 2 AS id)')}`)
  const typesOf = (rows: Record<string, unknown>[]) => rows.map(row => [row.column_name, row.column_type])
  assert.deepEqual(typesOf(kept), typesOf(seen))
  const [inMariadb] = await mariadb.query(
    `SELECT ${texts(name => `CAST(${name} AS CHAR)`)} FROM my_t WHERE id = 2`,
  )
  assert.deepEqual(plain(inMariadb as Record<string, unknown>), wanted)
})

test('lists, structs and maps are kept by targets that have them, and are arrays or JSON in others', async () => {
  const columns = {
    ...NESTED,
    texts: "['a,b', 'NULL', NULL, '', 'c\"\\d', '{}', chr(233)]",
    ids: "[('00000000-0000-4000-8000-00000000000' || id)::UUID]",
    blobs: "['\\xAB'::BLOB || 'CD'::BLOB, ''::BLOB]",
    empty: '[]::INTEGER[]',
    prices: '[1.50::DECIMAL(9,2), NULL]',
    floats: '[1.5::DOUBLE, 0.25]',
    days: "[DATE '0044-03-15 (BC)', DATE '2020-01-01']",
    moments: "[TIMESTAMP '0044-03-15 (BC) 00:00:00.5']",
    instants: "[TIMESTAMPTZ '2020-01-01 00:00:00.123456+00']",
  }
  const load = (to: string) => `  ${to}_n: { to: ${to}, from: m, key: id, mode: replace, verify: all }\n`
  const job = await jobWith({ 'm.sql': select(columns) }, ['wh', 'pg', 'my', 'lk'].map(load).join(''))
  const night = async () => {
    const { error, outcome } = await job.run()
    assert.equal(error, undefined)
    for (const { wrong } of outcome.verifications) assert.deepEqual(wrong, { rows: 0, ranges: 0 })
    return outcome.loaded.map(({ inserted, updated, deleted }) => [inserted, updated, deleted])
  }
  assert.deepEqual(await night(), Array(4).fill([4, 0, 0]))
  assert.deepEqual(await night(), Array(4).fill([0, 0, 0]))
  writeFileSync(
    join(job.folder, 'm.sql'),
    select({ ...columns, list: 'if(id = 2, [7], [id, NULL, id + 1])' }),
  )
  assert.deepEqual(await night(), Array(4).fill([0, 1, 0]))
  const one = select(columns).replace('FROM src', 'FROM (SELECT 3 AS id)')
  const names = Object.keys(columns)
  const texts = names.map(name => `"${name}"::VARCHAR AS "${name}"`).join(', ')
  const [expected] = await rowsOf(job, `SELECT ${texts} FROM (${one})`)
  assert.deepEqual((await rowsOf(job, `SELECT ${texts} FROM wh_n WHERE id = 3`))[0], expected)
  const described = await rowsOf(job, 'DESCRIBE wh_n')
  const wanted = await rowsOf(job, `DESCRIBE ${one}`)
  assert.deepEqual(
    described.map(row => row.column_type),
    wanted.map(row => row.column_type),
  )
  const jsons = names.map(name => `to_json("${name}")::VARCHAR AS "${name}"`).join(', ')
  const [json] = await rowsOf(job, `SELECT ${jsons} FROM (${one})`)
  const [inMariadb] = await mariadb.query(
    `SELECT ${names.map(name => `\`${name}\``).join(', ')} FROM my_n WHERE id = 3`,
  )
  assert.deepEqual(inMariadb, json)
  const [inPostgres] = await postgres.query(
    `SELECT ${names.map(name => `"${name}"::text`).join(', ')} FROM pg_n WHERE id = 3`,
  )
  assert.deepEqual(inPostgres, {
    ...json,
    list: '{3,NULL,4}',
    texts: '{"a,b","NULL",NULL,"","c\\"\\\\d","{}",é}',
    ids: '{00000000-0000-4000-8000-000000000003}',
    blobs: '{"\\\\xab4344","\\\\x"}',
    empty: '{}',
    prices: '{1.50,NULL}',
    floats: '{1.5,0.25}',
    days: '{"0044-03-15 BC",2020-01-01}',
    moments: '{"0044-03-15 00:00:00.5 BC"}',
    instants: '{"2020-01-01 00:00:00.123456+00"}',
  })
  const types = await postgres.query(
    `SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = 'pg_n'::regclass AND attnum > 1 ORDER BY attnum`,
  )
  const json3 = ['json', 'json', 'json']
  assert.deepEqual(
    types.map(({ type }) => type),
    [
      'integer[]',
      ...json3,
      'text[]',
      'uuid[]',
      'bytea[]',
      'integer[]',
      'numeric(9,2)[]',
      'double precision[]',
      'date[]',
      'timestamp without time zone[]',
      'timestamp with time zone[]',
    ],
  )
})

test('a number beyond 38 digits is an error that names column, value and row', async () => {
  const job = await jobWith(
    { 'm.sql': 'SELECT id, if(id = 3, 170141183460469231731687303715884105727, 1)::HUGEINT AS h FROM src' },
    '  m: { to: wh, from: m, key: id }\n',
  )
  const { error } = await job.run()
  assert.equal((error as EngineError).code, 'VALUE_INEXACT')
  assert.equal(
    (error as EngineError).message,
    "m.sql: column h (HUGEINT): '170141183460469231731687303715884105727' is beyond DECIMAL(38,0): id = 3",
  )
})

test('what cannot be loaded or kept is refused by validate, with what to write', async () => {
  for (const [sql, keys, says] of [
    [
      'SELECT id, [id] AS v FROM src',
      'key: v',
      'column v of m has type INTEGER[], by which no rows can be told apart or ordered',
    ],
    [
      "SELECT id, {'a': id} AS v FROM src",
      'key: id, newer: v',
      'column v of m has type STRUCT(a INTEGER), by which no rows can be told apart or ordered',
    ],
    [
      'SELECT id, union_value(k := id) AS v FROM src',
      'key: id',
      'column v has type UNION(k INTEGER), which cannot be kept exactly',
    ],
  ] as const) {
    const job = await jobWith({ 'm.sql': sql }, `  m: { to: wh, from: m, ${keys} }\n`)
    await assert.rejects(validateJob(job.folder, {}, job.home), (error: EngineError) => {
      assert.ok(error.message.includes(says), error.message)
      const write = /Write (.*) AS "v"/.exec(error.hint!)![1]!
      writeFileSync(
        join(job.folder, 'm.sql'),
        sql.replace(/id, (.*) AS v/, `id, ${write.replace('"v"', '$1')} AS v`),
      )
      return true
    })
    assert.equal((await job.run()).error, undefined)
  }
})

const leaf = fc.constantFrom(
  ...[
    'INTEGER',
    'HUGEINT',
    'VARCHAR',
    'DECIMAL(9,2)',
    "ENUM('a, b', 'c)')",
    'UUID',
    'TIME WITH TIME ZONE',
    'INTERVAL',
  ],
)
const { type } = fc.letrec<{ type: string }>(tie => ({
  type: fc.oneof(
    { depthSize: 'small' },
    leaf,
    tie('type').map(inner => `${inner}[]`),
    fc.tuple(tie('type'), tie('type')).map(([a, b]) => `STRUCT(a ${a}, "b, (c" ${b})`),
    tie('type').map(inner => `MAP(VARCHAR, ${inner})`),
  ),
}))

test('every nested type is staged by one that Parquet gives back', async () => {
  const duck = await Duck.open({ threads: 1 })
  after(() => duck.close())
  await fc.assert(
    fc.asyncProperty(type, async native => {
      const staged = stagedType(native)!
      const [row] = await duck.rows(
        `SELECT typeof(NULL::${native}) AS native, typeof(NULL::${native}::${staged}) AS staged, typeof(NULL::${native}::${staged}::${native}) AS back`,
      )
      assert.deepEqual(row, { native, staged, back: native })
      assert.equal(stagedType(staged), staged)
    }),
    { numRuns: 60 },
  )
})

test('a text has no collation, whether its model is computed where it is read or kept', async t => {
  const yaml = (checks: string) => `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract: { people: { from: in, files: people.csv, take: all, key: id, schema: { id: BIGINT, mail: VARCHAR } } }
load: { accounts: { to: wh, from: accounts, key: mail, mode: replace } }
${checks}resources: { memory: 300MB, threads: 1 }
`
  const models = {
    collated: 'SELECT id, mail COLLATE NOCASE AS mail FROM people',
    collatedByMacro: 'SELECT id, folded(mail) AS mail FROM people',
  }
  for (const [name, mails] of Object.entries(models)) {
    const job = await smallJob(t, name, {
      'job.yaml': yaml(''),
      'in/people.csv': 'id,mail\n1,Ada\n2,ADA\n3,bob\n',
      'mails.sql': mails,
      'accounts.sql': 'SELECT mail, count(*) AS people FROM mails GROUP BY mail',
      '../macros/fold.sql':
        'CREATE MACRO fold(x) AS x::VARCHAR COLLATE NOCASE; CREATE MACRO folded(x) AS fold(x);',
    })
    for (const checks of ['', 'checks: { mails: { id: not_null } }\n']) {
      job.yaml(yaml(checks))
      const { error, outcome } = await job.run()
      assert.equal(error, undefined)
      assert.equal(outcome.tables.find(each => each.name === 'accounts')!.rows, 3, `${name} ${checks}`)
    }
  }
})
