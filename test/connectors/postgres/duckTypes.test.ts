import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import {
  DuckDBBlobValue,
  DuckDBInstance,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  type DuckDBValue,
} from '@duckdb/node-api'
import { smallJob } from '../../jobs/small.ts'
import { freshPostgres } from '../../servers.ts'
import { SETUP } from './everyType.ts'

const ROWS = Number(process.env.SOAK_ROWS ?? 500)

const TEXT = String.raw`translate(substr(md5(random()::text), 1, random(0, 9)), '0123456', E'\\\n {}"'',é')`
const DAY = `date '2000-01-01' + random(-900000, 900000)`
const MOMENT = `(${DAY} + random(0::bigint, 86399999999) * interval '1 microsecond')`
const INTERVAL = `make_interval(random(-99, 99), random(-99, 99), 0, random(-99, 99), random(-99, 99), 0, (random() - 0.5) * 1e5)`
const PAIR = `row(${TEXT}, ${DAY}, random(-1e20, 1e20), 'x')::pair`
const list = (value: string) =>
  `CASE random(0, 5) WHEN 0 THEN '{}' WHEN 1 THEN NULL ELSE array[${value}, null, ${value}] END`

/** Types of Postgres that DuckDB has: theirs, ours, and a random value. */
const TYPES: [type: string, duck: string, random: string][] = [
  ['uuid', 'UUID', 'gen_random_uuid()'],
  ['jsonb', 'JSON', `jsonb_build_array(random(), ${TEXT}, 12345678901234567890.12)`],
  ['mood', "ENUM('sad', 'ok', 'it''s \"fine\", \\really', 'é€😀')", '(enum_range(null::mood))[random(1, 4)]'],
  [
    'feeling',
    "ENUM('sad', 'ok', 'it''s \"fine\", \\really', 'é€😀')",
    '(enum_range(null::mood))[random(1, 4)]',
  ],
  ['interval', 'INTERVAL', INTERVAL],
  [
    'timetz',
    'TIME WITH TIME ZONE',
    `((${MOMENT})::time::text || (array['+00', '-08', '+05:30', '+15:59:59'])[random(1, 4)])::timetz`,
  ],
  ['bit(7)', 'BIT', 'random(0, 127)::bit(7)'],
  ['boolean[]', 'BOOLEAN[]', list('random() < 0.5')],
  ['smallint[]', 'SMALLINT[]', list('random(-32768, 32767)')],
  ['bigint[]', 'BIGINT[]', list(`('x' || md5(random()::text))::bit(64)::bigint`)],
  ['real[]', 'FLOAT[]', list(`(array['NaN', '-0', '1e-45', '3.4028235e38', random()])[random(1, 5)]::real`)],
  [
    'double precision[]',
    'DOUBLE[]',
    list(`(array['-Infinity', '-0', '5e-324', random()])[random(1, 4)]::float8`),
  ],
  ['numeric(10,2)[]', 'DECIMAL(10,2)[]', list('random(-99999999.99, 99999999.99)')],
  ['numeric(38,10)[]', 'DECIMAL(38,10)[]', list('random(-1e27, 1e27) / 7')],
  ['numeric[]', 'VARCHAR[]', list(`random(-1e30, 1e30) * ('1e' || random(-60, 60))::numeric`)],
  ['text[]', 'VARCHAR[]', list(`(array['NULL', '', '[1]', ${TEXT}])[random(1, 4)]`)],
  ['char(5)[]', 'VARCHAR[]', list(`left(${TEXT}, random(0, 5))`)],
  ['bytea[]', 'BLOB[]', list(`substr(decode(md5(random()::text), 'hex'), random(1, 17))`)],
  ['date[]', 'DATE[]', list(DAY)],
  ['time[]', 'TIME[]', list(`(${MOMENT})::time`)],
  ['timestamp[]', 'TIMESTAMP[]', list(MOMENT)],
  ['timestamptz[]', 'TIMESTAMP WITH TIME ZONE[]', list(`(${MOMENT})::timestamptz`)],
  ['uuid[]', 'UUID[]', list('gen_random_uuid()')],
  ['jsonb[]', 'JSON[]', list(`jsonb_build_object(${TEXT}, ${TEXT})`)],
  ['interval[]', 'INTERVAL[]', list(INTERVAL)],
  [
    'mood[]',
    "ENUM('sad', 'ok', 'it''s \"fine\", \\really', 'é€😀')[]",
    list('(enum_range(null::mood))[random(1, 4)]'),
  ],
  [
    'feelings',
    "ENUM('sad', 'ok', 'it''s \"fine\", \\really', 'é€😀')[]",
    `array[(enum_range(null::mood))[random(1, 4)], null]`,
  ],
  ['integer[][]', 'INTEGER[][]', `array[[random(-9, 9), null], [3, 4]]`],
  ['text[][][]', 'VARCHAR[][][]', `array[[[${TEXT}], [${TEXT}]], [['NULL'], [null]]]`],
  [
    'pair',
    'STRUCT(a VARCHAR, b DATE, c VARCHAR, d VARCHAR)',
    `CASE random(0, 5) WHEN 0 THEN row(null, null, null, null)::pair WHEN 1 THEN NULL ELSE ${PAIR} END`,
  ],
  ['pair[]', 'STRUCT(a VARCHAR, b DATE, c VARCHAR, d VARCHAR)[]', list(PAIR)],
  [
    'outer_pair',
    'STRUCT(p STRUCT(a VARCHAR, b DATE, c VARCHAR, d VARCHAR), "The ""x""" VARCHAR[], n INTEGER[])',
    `row(${PAIR}, array[${TEXT}, null], '{}')::outer_pair`,
  ],
]

// Written by other means than those that read it.
function braces(value: DuckDBValue): string {
  const quoted = (text: string) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
  const part = (item: DuckDBValue, none: string) =>
    item === null ? none : item instanceof DuckDBListValue ? braces(item) : quoted(braces(item))
  if (value instanceof DuckDBListValue) return `{${value.items.map(item => part(item, 'NULL')).join(',')}}`
  if (value instanceof DuckDBStructValue)
    return `(${Object.values(value.entries)
      .map(field => (field === null ? '' : quoted(braces(field))))
      .join(',')})`
  assert.ok(!(value instanceof DuckDBMapValue))
  if (value instanceof DuckDBBlobValue) return `\\x${Buffer.from(value.bytes).toString('hex')}`
  if (Object.is(value, -0)) return '-0'
  return String(value)
    .replace(/^(\S+) \(BC\)(.*)$/, '$1$2 BC')
    .replace(/^0000(-.*)$/, '0001$1 BC')
}

test('a table goes from Postgres to DuckDB with the types that DuckDB has, and back by its values', async () => {
  const source = await freshPostgres()
  const columns = TYPES.map(([type], index) => `c${index} ${type}`)
  await source.query(`${SETUP}; CREATE TYPE outer_pair AS (p pair, "The ""x""" text[], n int[]);
    CREATE TABLE kinds (id int PRIMARY KEY, ${columns.join(', ')});
    INSERT INTO kinds SELECT n, ${TYPES.map(([, , random]) => random).join(', ')} FROM generate_series(1, ${ROWS}) AS n;
    INSERT INTO kinds (id) VALUES (0)`)
  const job = await smallJob({ after }, 'duck_types', {
    'job.yaml': `connections: { s: "${source.url}", w: "duckdb:w.duckdb" }
extract: { kinds: { from: s, table: kinds } }
load:
  kinds: { to: w, from: kinds, key: id, mode: replace, verify: all }
  modelled: { to: w, from: modelled, key: id, mode: replace, verify: all }
resources: { memory: 400MB, threads: 1 }
`,
    'modelled.sql': 'SELECT * FROM kinds',
  })
  const night = async () => {
    const { error, outcome } = await job.run()
    assert.equal(error, undefined)
    for (const { wrong, notes } of outcome.verifications)
      assert.deepEqual({ wrong, notes }, { wrong: { rows: 0, ranges: 0 }, notes: [] })
    const instance = await DuckDBInstance.create(join(job.folder, 'w.duckdb'))
    const connection = await instance.connect()
    try {
      for (const table of ['kinds', 'modelled']) {
        const described = await connection.runAndReadAll(`DESCRIBE ${table}`)
        assert.deepEqual(
          described
            .getRows()
            .slice(1)
            .map(row => row[1]),
          TYPES.map(([, duck]) => duck),
        )
        const held = (await connection.runAndReadAll(`FROM ${table} ORDER BY id`)).getRows()
        assert.equal(held.length, ROWS + 1)
        for (const [index, [type]] of TYPES.entries()) {
          const texts = held.map(row => [row[0], row[index + 1] === null ? null : braces(row[index + 1]!)])
          const wrong = await source.query(
            `SELECT k.id, k.c${index}::text AS sent, t->>1 AS held FROM json_array_elements($1::json) AS t JOIN kinds k ON k.id = (t->>0)::int
              WHERE (t->>1)::${type}::text IS DISTINCT FROM k.c${index}::text LIMIT 3`,
            [JSON.stringify(texts)],
          )
          assert.deepEqual(wrong, [], `${table} ${type}`)
        }
      }
    } finally {
      connection.closeSync()
      instance.closeSync()
    }
    return outcome.loaded
  }
  await night()
  for (const [index, [, , random]] of TYPES.entries())
    await source.query(`UPDATE kinds SET c${index} = ${random} WHERE id = ${index + 1}`)
  const loaded = await night()
  for (const { updated, inserted } of loaded) {
    assert.equal(inserted, 0)
    assert.ok(updated > TYPES.length * 0.7 && updated <= TYPES.length, `${updated} updated`)
  }
})

test('a value that DuckDB has not is refused, with its column and row, and as text it goes along', async () => {
  const source = await freshPostgres()
  await source.query('CREATE TABLE odd (id int PRIMARY KEY, c int[], i interval, d date[])')
  const yaml = (columns: string) => `connections: { s: "${source.url}", w: "duckdb:w.duckdb" }
extract: { odd: { from: s, table: odd${columns} } }
load: { odd: { to: w, from: odd, key: id, mode: replace } }
resources: { memory: 300MB, threads: 1 }
`
  for (const [column, literal, type] of [
    ['c', '{{1,2},{3,4}}', 'INTEGER[]'],
    ['c', '[2:3]={1,2}', 'INTEGER[]'],
    ['i', 'infinity', 'INTERVAL'],
    ['d', '{-infinity}', 'DATE[]'],
  ] as const) {
    await source.query(`TRUNCATE odd; INSERT INTO odd (id, ${column}) VALUES (1, NULL), (7, '${literal}')`)
    const job = await smallJob({ after }, 'odd', { 'job.yaml': yaml('') })
    const { error } = await job.run()
    assert.equal((error as Error).message, `w.odd.${column}: ${literal} is no ${type}, where id = 7`)
    assert.match((error as { hint: string }).hint, new RegExp(`columns: \\{ ${column}: text \\}`))
    const other = await smallJob({ after }, 'odd_text', {
      'job.yaml': yaml(`, columns: { ${column}: text }`),
    })
    assert.equal((await other.run()).error, undefined)
  }
})
