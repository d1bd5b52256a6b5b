import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { ids, kinds, mariadb, query, url } from './alterable.ts'
import { smallJob } from './small.ts'

const codeOf = ({ error }: { error?: unknown }) => (error as EngineError | undefined)?.code

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

test('mysql: a label that a collation or a number stands for is not what was loaded, and nothing is published', async () => {
  const table = 'mysql_labels'
  await ids(table, 2)
  await mariadb.query(
    `CREATE TABLE ${table}_loaded (id int PRIMARY KEY, v SET('Red','Green','1') COLLATE utf8mb4_general_ci, w ENUM('Yes','No') COLLATE utf8mb4_general_ci)`,
  )
  for (const [v, w] of [
    ['red', 'Yes'],
    ['Green,Red', 'Yes'],
    ['3', 'Yes'],
    ['Red', 'yes'],
    ['Red', '1'],
  ]) {
    const job = await kinds[2]!.job(table, `SELECT id, '${v}' AS v, '${w}' AS w FROM ids`)
    const { error } = await job.run()
    assert.equal((error as EngineError | undefined)?.code, 'VERIFY_FAILED', `${v} ${w}: ${error}`)
  }
  const job = await kinds[2]!.job(table, `SELECT id, 'Red,Green' AS v, 'No' AS w FROM ids`)
  const { outcome, error } = await job.run()
  assert.equal(error, undefined, String(error))
  assert.deepEqual(outcome.verifications[0]!.notes, [])
})

test('mysql: other types, character sets and keys', async () => {
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
    [],
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
