import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { lakeKind } from '../connectors/everyMode.ts'
import { loadInto } from '../connectors/lakeNight.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { type SmallJob, smallJob } from './small.ts'

const { url, query } = await freshPostgres()
const mariadb = await freshMariadb()

/** One of every logical type; its values at the edges of what each can hold, and NULL in every column. */
const TYPES = `
  SELECT id, -- a comment
    CASE id % 8 WHEN 1 THEN true WHEN 2 THEN false END AS bool,
    CASE id % 8 WHEN 1 THEN -32768 WHEN 2 THEN 32767 END::SMALLINT AS small,
    CASE id % 8 WHEN 1 THEN -9223372036854775808 WHEN 2 THEN 9223372036854775807 END::BIGINT AS big,
    CASE id % 8 WHEN 1 THEN 18446744073709551615 WHEN 2 THEN 0 END::UBIGINT AS ubig,
    CASE id % 8 WHEN 1 THEN 0.1 WHEN 2 THEN -3.4e38 WHEN 4 THEN 'nan'::FLOAT END::FLOAT AS single,
    CASE id % 8 WHEN 1 THEN 0.1 WHEN 2 THEN '-0.0'::DOUBLE WHEN 4 THEN 5e-324 WHEN 5 THEN 'infinity'::DOUBLE WHEN 6 THEN 'nan'::DOUBLE END::DOUBLE AS dbl,
    CASE id % 3 WHEN 1 THEN '0.0' WHEN 2 THEN '-0.0' ELSE '1.5' END::DOUBLE AS zero,
    CASE id % 8 WHEN 1 THEN -0.05 WHEN 2 THEN 99999999.99 WHEN 4 THEN 1.5 END::DECIMAL(10,2) AS price,
    CASE id % 8 WHEN 1 THEN 12345678901234567890123456789012345678 END::DECIMAL(38,0) AS wide,
    CASE id % 8 WHEN 1 THEN -0.05 WHEN 2 THEN 0 WHEN 4 THEN 0.99 END::DECIMAL(2,2) AS part,
    CASE id % 8 WHEN 1 THEN '' WHEN 2 THEN 'a|b' WHEN 4 THEN '~|' WHEN 5 THEN 'Ünï 🦆 e' || chr(769) WHEN 6 THEN repeat('x', 300) WHEN 7 THEN '  b ' END AS txt,
    CASE id % 8 WHEN 1 THEN '\\x00\\xFF|'::BLOB WHEN 2 THEN ''::BLOB END AS bin,
    CASE id % 8 WHEN 1 THEN DATE '0001-01-01' WHEN 2 THEN DATE '9999-12-31' WHEN 4 THEN DATE '1969-12-31' END AS day,
    CASE id % 8 WHEN 1 THEN TIME '00:00:00' WHEN 2 THEN TIME '23:59:59.999999' END AS clock,
    CASE id % 8 WHEN 1 THEN TIMESTAMP '0001-01-01 00:00:00.000001' WHEN 2 THEN TIMESTAMP '9999-12-31 23:59:59.999999' END AS wall,
    CASE id % 8 WHEN 1 THEN TIMESTAMPTZ '1969-12-31 23:59:59.999999+00' WHEN 2 THEN TIMESTAMPTZ '2026-03-29 01:00:00+02' END AS moment
  FROM ids`

const codeOf = ({ error }: { error?: unknown }) => (error as EngineError | undefined)?.code

function yaml(to: string, table: string, load = '') {
  return `connections: { here: "${url}", to: "${to}" }
extract: { ids: { from: here, table: ${table}, key: id } }
load: { ${table}_loaded: { to: to, from: out, key: id${load} } }
resources: { memory: 400MB, threads: 1 }
`
}

/** Values by column that differ from those of row 1, by a little where there is a little. */
const ALTERED: Record<string, string> = {
  bool: 'NOT bool',
  small: 'small + 1',
  big: 'big + 1',
  ubig: 'ubig - 1',
  single: `'NaN'`,
  dbl: '0.1000000000000000194',
  zero: '5e-324',
  price: 'price + 0.01',
  wide: 'wide - 1',
  part: 'part + 0.01',
  txt: `'a'`,
  bin: `'\\x00'`,
  day: `DATE '2026-01-01'`,
  clock: `TIME '00:00:00.000001'`,
  wall: `wall + INTERVAL '1 microsecond'`,
  moment: `moment + INTERVAL '1 microsecond'`,
}

interface Kind {
  name: string
  /** {@link TYPES} and {@link ALTERED} as the target can hold and write them. */
  types: string
  altered: Record<string, string>
  /** A job that loads `model` of the table's ids. */
  job(table: string, model: string, load?: string): Promise<SmallJob>
  /** Runs SQL in the target. */
  alter(job: SmallJob, sql: string): Promise<unknown>
}

const kinds: Kind[] = [
  {
    name: 'postgres',
    types: TYPES,
    altered: ALTERED,
    job: (table, model, load) =>
      smallJob({ after }, table, { 'job.yaml': yaml(url, table, load), 'out.sql': model }),
    alter: (_, sql) => query(sql),
  },
  {
    name: 'duckdb',
    types: TYPES,
    altered: ALTERED,
    job: (table, model, load) =>
      smallJob({ after }, table, {
        'job.yaml': yaml('duckdb:warehouse.duckdb', table, load),
        'out.sql': model,
      }),
    async alter({ folder }, sql) {
      const duck = await Duck.open({ path: join(folder, 'warehouse.duckdb') })
      try {
        await duck.run(sql)
      } finally {
        duck.close()
      }
    },
  },
  {
    name: 'mysql',
    // No NaN and no infinity; instead the ends of what a double can hold, and powers of two and their neighbours.
    types: TYPES.replace(`WHEN 4 THEN 'nan'::FLOAT`, `WHEN 4 THEN 1.17549435e-38`)
      .replace(`'infinity'::DOUBLE`, '1.7976931348623157e308')
      .replace(`'nan'::DOUBLE`, '2.2250738585072014e-308')
      .replace(
        'END::DOUBLE AS dbl',
        'WHEN 7 THEN 2.0 ** (id - 60) * (1 - (id % 3 - 1) / 9007199254740992.0::DOUBLE) END::DOUBLE AS dbl',
      ),
    altered: {
      ...ALTERED,
      single: '0.10000001',
      bin: '0x00ff',
      wall: 'wall + INTERVAL 1 MICROSECOND',
      moment: 'moment + INTERVAL 1 MICROSECOND',
    },
    job: (table, model, load) =>
      smallJob({ after }, table, { 'job.yaml': yaml(mariadb.url, table, load), 'out.sql': model }),
    alter: (_, sql) => mariadb.query(sql),
  },
]

kinds.push({
  name: 'lake',
  types: TYPES,
  altered: ALTERED,
  job: (table, model, load) =>
    smallJob({ after }, table, { 'job.yaml': yaml('lake:lake', table, load), 'out.sql': model }),
  // Another job rewrites the table: a changed file would be found by its checksum.
  async alter({ folder }, sql) {
    const table = /\w+_loaded/.exec(sql)?.[0]
    if (!table) return
    const target = lakeKind.open(join(folder, 'lake'))
    const key = (await target.describe(table, new AbortController().signal))!.key
    const duck = await Duck.open({ path: join(folder, 'altered.duckdb') })
    try {
      await duck.run(readFileSync(join(folder, 'lake', table, '_current.sql'), 'utf8'))
      await duck.run(`CREATE OR REPLACE TABLE altered AS FROM ${table}; ${sql.replaceAll(table, 'altered')}`)
      await loadInto(duck, folder, target, {
        loadId: String(Math.random()),
        spec: { table, mode: 'replace', key, whole: true },
        sql: 'FROM altered',
      })
    } finally {
      duck.close()
      await target.close()
    }
  },
})

const ids = (table: string, rows: number) =>
  query(`CREATE TABLE ${table} AS SELECT i AS id FROM generate_series(1, ${rows}) AS i`)

for (const kind of kinds)
  describe(kind.name, () => {
    test('values of every type are equal; each altered one is found by range and key', async () => {
      const table = `types_${kind.name}`
      await ids(table, 128)
      const job = await kind.job(table, kind.types)
      const first = await job.run()
      assert.equal(first.error, undefined, String(first.error))
      assert.deepEqual(
        first.outcome.verifications.map(({ rows, equal, notes }) => ({ rows, equal, notes })),
        [{ rows: 128, equal: 128, notes: [] }],
      )
      assert.deepEqual((await job.verify()).loads[0]!.differing, [])
      await kind.alter(job, `CREATE TABLE kept AS SELECT * FROM ${table}_loaded`)
      // Row 1, 9, 17 … has a value in every column: each column is altered in one of them.
      const columns = Object.entries(kind.altered).map(([column, value], index) => ({
        column,
        value,
        id: index * 8 + 1,
      }))
      for (let from = 0; from < columns.length; from += 5) {
        const batch = columns.slice(from, from + 5)
        for (const { column, value, id } of batch)
          await kind.alter(job, `UPDATE ${table}_loaded SET ${column} = ${value} WHERE id = ${id}`)
        const [verification] = (await job.verify()).loads
        const named = batch.map(({ id }) => [`id = ${id} differs`])
        assert.deepEqual(
          verification!.differing.map(({ samples }) => samples),
          named,
        )
        assert.match(verification!.differing[0]!.range, /^id \d+ to \d+$/)
        await kind.alter(job, `DELETE FROM ${table}_loaded`)
        await kind.alter(job, `INSERT INTO ${table}_loaded SELECT * FROM kept`)
      }
      // NULL is not the empty text, and minus zero is not zero (which DuckDB would not write over it).
      await kind.alter(job, `UPDATE ${table}_loaded SET txt = NULL WHERE id = 1`)
      await kind.alter(job, `UPDATE ${table}_loaded SET dbl = 1 WHERE id = 2`)
      await kind.alter(job, `UPDATE ${table}_loaded SET dbl = 0 WHERE id = 2`)
      const samples = (await job.verify()).loads[0]!.differing.flatMap(range => range.samples)
      assert.deepEqual(samples, [
        'id = 1 differs',
        ...(/mysql|duckdb/.test(kind.name) ? [] : ['id = 2 differs']),
      ])
      await kind.alter(job, 'DROP TABLE kept')
    })

    test('missing and strange rows; what a load leaves alone is not compared', async () => {
      const table = `gaps_${kind.name}`
      await ids(table, 200)
      const model = `SELECT id, 'a' AS a, 'made' AS made FROM ids`
      const job = await kind.job(table, model, ', insert_only: made, stamp: at, verify: all')
      const first = await job.run()
      assert.equal(first.error, undefined, String(first.error))
      assert.match(first.outcome.verifications[0]!.notes[0]!, /^column made is not compared/)
      await kind.alter(job, `UPDATE ${table}_loaded SET made = 'x'`)
      await kind.alter(job, `DELETE FROM ${table}_loaded WHERE id = 150`)
      await kind.alter(job, `INSERT INTO ${table}_loaded (id, a) VALUES (1000, 'a')`)
      const verified = await job.cli('verify', job.folder)
      assert.equal(verified.code, 3, verified.err)
      assert.match(verified.out, /DIFFERS .*: 1 of 64 ranges differ/)
      assert.match(verified.out, /id 150 to 152: 1 row: id = 150 is missing/)
      const json = JSON.parse((await job.cli('verify', job.folder, '--json')).out.trim()) as {
        equal: boolean
        loads: { others: number; rows: number }[]
      }
      assert.deepEqual([json.equal, json.loads[0]!.others, json.loads[0]!.rows], [false, 1, 200])
      await kind.alter(job, `INSERT INTO ${table}_loaded (id, a) VALUES (150, 'a')`)
      const equal = await job.cli('verify', job.folder)
      assert.equal(equal.code, 0, equal.out)
      assert.match(equal.out, /equal .*: 200 rows equal in 64 ranges \(1 in the target only\)/)
    })
  })

test('a trigger that silently alters a row is found by range and key; the run fails and says so', async () => {
  const table = 'trigger_proof'
  await query(
    `CREATE TABLE ${table} AS SELECT i AS id, 'row ' || i AS label, 1 AS age FROM generate_series(1, 5000) AS i`,
  )
  const job = await smallJob({ after }, table, {
    'job.yaml': `connections: { here: "${url}" }
extract: { ids: { from: here, table: ${table}, key: id } }
load: { ${table}_loaded: { to: here, from: ids, key: id, newer: age } }
resources: { memory: 400MB, threads: 1 }
`,
  })
  const first = await job.run()
  assert.equal(first.error, undefined, String(first.error))
  assert.equal(first.outcome.verifications[0]!.equal, 5000)
  await query(`CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN NEW.label := replace(NEW.label, 'new 77', 'new 78'); RETURN NEW; END $$;
    CREATE TRIGGER meddle BEFORE INSERT OR UPDATE ON ${table}_loaded FOR EACH ROW EXECUTE FUNCTION meddle();
    UPDATE ${table} SET label = 'new ' || id, age = 2 WHERE id BETWEEN 70 AND 79;
    UPDATE ${table} SET label = 'same age' WHERE id = 1;
    UPDATE ${table} SET label = 'older there', age = 2 WHERE id = 2;
    UPDATE ${table}_loaded SET age = 9 WHERE id = 2`)
  const second = await job.run()
  const error = second.error as EngineError
  assert.equal(error.code, 'VERIFY_FAILED', String(error))
  assert.match(
    error.message,
    /: 1 of 12 changed rows differ, in 1 of 12 ranges: id 77 to 77 \(id = 77 differs\)/,
  )
  assert.match(error.message, /1 newer in the target/)
  assert.match(error.hint!, /^Nothing was loaded/)
  assert.equal(second.status, 'FAILED')
  assert.match(
    readFileSync(second.report, 'utf8'),
    /<h2>Verification<\/h2>[\s\S]*1 differ[\s\S]*id = 77 differs/,
  )
  const [row] = await query<{ label: string }>(`SELECT label FROM ${table}_loaded WHERE id = 77`)
  assert.equal(row!.label, 'row 77', 'nothing that differs is published')
  assert.deepEqual(
    await query(`SELECT relname FROM pg_class WHERE relname LIKE 'stg_%'`),
    [],
    'nothing is left in the target',
  )
  await query(`DROP TRIGGER meddle ON ${table}_loaded`)
  const third = await job.run()
  assert.equal(codeOf(third), undefined)
  const [mended] = await query<{ label: string }>(`SELECT label FROM ${table}_loaded WHERE id = 77`)
  assert.equal(mended!.label, 'new 77')
})

test('mysql: a trigger that silently alters a row is found by range and key', async () => {
  const table = 'mysql_trigger'
  await query(
    `CREATE TABLE ${table} AS SELECT i AS id, 'row ' || i AS label, 1 AS age FROM generate_series(1, 500) AS i`,
  )
  const job = await kinds[2]!.job(table, 'SELECT * FROM ids', ', newer: age')
  const first = await job.run()
  assert.equal(first.error, undefined, String(first.error))
  assert.equal(first.outcome.verifications[0]!.equal, 500)
  await mariadb.query(`CREATE TRIGGER meddle BEFORE UPDATE ON ${table}_loaded FOR EACH ROW
    SET NEW.label = replace(NEW.label, 'new 77', 'new 78')`)
  await query(`UPDATE ${table} SET label = 'new ' || id, age = 2 WHERE id BETWEEN 70 AND 79;
    UPDATE ${table} SET label = 'older there', age = 2 WHERE id = 2`)
  await mariadb.query(`UPDATE ${table}_loaded SET age = 9 WHERE id = 2`)
  const second = await job.run()
  const error = second.error as EngineError
  assert.equal(error.code, 'VERIFY_FAILED', String(error))
  assert.match(
    error.message,
    /: 1 of 11 changed rows differ, in 1 of 11 ranges: id 77 to 77 \(id = 77 differs\)/,
  )
  assert.match(error.message, /1 newer in the target/)
  assert.deepEqual(await mariadb.query(`SHOW TABLES LIKE 'nightfreight\\_stg%'`), [])
})

test('mysql: other types, character sets and keys; what has a notation of its own is named', async () => {
  const table = 'mysql_kept'
  await ids(table, 4)
  await mariadb.query(`CREATE TABLE ${table}_loaded (id varchar(20) COLLATE utf8mb4_general_ci PRIMARY KEY,
    latin varchar(20) CHARACTER SET latin1, price decimal(20,6), whole decimal(10,0), number double, day datetime,
    moment timestamp(6) NULL, flag int, js json, kind enum('a','b'), tags set('a','b'))`)
  const model = `SELECT chr(96 + id::INTEGER) || 'É' AS id, 'é' || id AS latin, -1.50::DECIMAL(5,2) AS price, id::INTEGER AS whole,
    -id::INTEGER AS number, DATE '2026-02-01' AS day, TIMESTAMPTZ '2026-02-01 12:00:00.5+02' AS moment, id = 1 AS flag,
    '{"b": 1, "a":2}' AS js, 'a' AS kind, 'a,b' AS tags FROM ids`
  const job = await kinds[2]!.job(table, model)
  const { outcome, error } = await job.run()
  assert.equal(error, undefined, String(error))
  assert.equal(outcome.verifications[0]!.equal, 4)
  assert.deepEqual(
    outcome.verifications[0]!.notes.filter(note => !note.includes('column js ')),
    [`column tags is not compared: set('a','b') has a notation of its own`],
  )
  const samples = async (...changes: string[]) => {
    for (const change of changes) await mariadb.query(`UPDATE ${table}_loaded SET ${change}`)
    return (await job.verify()).loads[0]!.differing.flatMap(range => range.samples)
  }
  assert.deepEqual(
    await samples(`price = -1.500001 WHERE id = 'aÉ'`, `day = day + INTERVAL 1 SECOND WHERE id = 'bÉ'`),
    ['id = aÉ differs', 'id = bÉ differs'],
  )
  assert.deepEqual(
    await samples(
      'price = -1.5',
      `day = '2026-02-01'`,
      `id = 'dé' WHERE id = 'dÉ'`,
      `flag = 2 WHERE id = 'aÉ'`,
      `latin = 'É3' WHERE id = 'cÉ'`,
    ),
    ['id = aÉ differs', 'id = cÉ differs', 'id = dÉ is missing'],
    'keys by their bytes',
  )
})

test('columns that the target keeps otherwise: compared where it can be told, and named where not', async () => {
  const table = 'kept_proof'
  await ids(table, 3)
  await query(
    `CREATE TABLE ${table}_loaded (id int PRIMARY KEY, padded char(5), price numeric, js jsonb, digits text)`,
  )
  const model = `SELECT id, 'ab ' AS padded, 1.50::DECIMAL(5,2) AS price, '{"b": 1, "a":2}' AS js, id AS digits FROM ids`
  const job = await kinds[0]!.job(table, model)
  const { outcome, error } = await job.run()
  assert.equal(error, undefined, String(error))
  assert.deepEqual(outcome.verifications[0]!.notes, [], 'what is jsonb equals its text by its own equality')
  assert.equal(outcome.verifications[0]!.equal, 3)
  await query(
    `UPDATE ${table}_loaded SET price = 1.501 WHERE id = 2; UPDATE ${table}_loaded SET padded = 'a' WHERE id = 3`,
  )
  const samples = (await job.verify()).loads[0]!.differing.flatMap(range => range.samples)
  assert.deepEqual(samples, ['id = 2 differs', 'id = 3 differs'])
})

test('verify: off compares nothing', async () => {
  const table = 'off_proof'
  await ids(table, 5)
  const job = await kinds[0]!.job(table, 'SELECT id FROM ids', ', verify: off')
  const { outcome, error } = await job.run()
  assert.equal(error, undefined)
  assert.deepEqual(outcome.verifications, [])
})

test('verify before anything was loaded says what to do', async () => {
  const table = 'none_proof'
  await ids(table, 5)
  const job = await kinds[0]!.job(table, 'SELECT id FROM ids')
  await assert.rejects(job.verify(), (error: EngineError) => {
    assert.deepEqual(
      [error.code, error.message],
      ['NOT_STAGED', `to.${table}_loaded: nothing was loaded yet`],
    )
    return true
  })
})

for (const kind of kinds)
  for (const [mode, settings] of Object.entries({
    hard: 'deletes: hard',
    soft: 'deletes: soft',
    replace: 'mode: replace',
    scd2: 'mode: scd2, deletes: hard, newer: age',
    partition: 'mode: partition, partition_by: age',
  })) {
    test(`${kind.name}, ${mode}: rows that go, come and change are proven`, async () => {
      const table = `modes_${kind.name}_${mode}`
      await query(
        `CREATE TABLE ${table} AS SELECT i AS id, 'a' AS label, 1 AS age FROM generate_series(1, 20) AS i`,
      )
      const cast = mode === 'scd2' ? `TIMESTAMP '2026-01-01' + INTERVAL (age) DAY AS age` : 'age'
      const guard = ', guard: { max_delete_share: 1 }'
      const job = await kind.job(table, `SELECT id, label, ${cast} FROM ids`, `, ${settings}${guard}`)
      const night = async (sql: string) => {
        await query(sql)
        const { outcome, error } = await job.run()
        assert.equal(error, undefined, `${error} ${(error as EngineError | undefined)?.hint}`)
        return outcome.verifications[0]!
      }
      await night('SELECT 1')
      await night(`DELETE FROM ${table} WHERE id = 3; UPDATE ${table} SET label = 'b', age = 2 WHERE id = 4`)
      await night(`INSERT INTO ${table} VALUES (3, 'back', 3), (21, 'new', 3)`)
      const [last] = (await job.verify()).loads
      assert.deepEqual([last!.equal, last!.wrong.rows], [21, 0])
    })
  }
