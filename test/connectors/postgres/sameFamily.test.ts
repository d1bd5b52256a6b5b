import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck } from '../../../engine/sql/duckdb.ts'
import { smallJob } from '../../jobs/small.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../../servers.ts'

const rows = ({ query }: FreshDatabase) =>
  query<{ id: number; text: string }>('SELECT id, kinds::text AS text FROM kinds ORDER BY id')

test('constants, collations and NOT NULL go along; a type that the target does not know becomes text', async () => {
  const [source, target] = [await freshPostgres(), await freshPostgres()]
  await source.query(`CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE kinds (id int PRIMARY KEY, v varchar(5) COLLATE "C" NOT NULL DEFAULT 'x', n numeric DEFAULT 1.50, m mood,
      at timestamptz DEFAULT now(), s serial, b int GENERATED ALWAYS AS (id * 2) STORED);
    INSERT INTO kinds (id, v, m) VALUES (1, 'a', 'ok')`)
  const job = await smallJob({ after }, 'same_defaults', {
    'job.yaml': `connections: { s: "${source.url}", w: "${target.url}" }
extract: { kinds: { from: s, table: kinds } }
load: { kinds: { to: w, from: kinds, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  assert.equal((await job.run()).error, undefined)
  assert.deepEqual(await rows(target), await rows(source))
  const made = await target.query(
    `SELECT column_name AS name, is_nullable AS nullable, column_default AS fallback, collation_name AS collation, udt_name AS type
       FROM information_schema.columns WHERE table_name = 'kinds' ORDER BY ordinal_position`,
  )
  const plain = { nullable: 'YES', fallback: null, collation: null }
  assert.deepEqual(made, [
    { ...plain, name: 'id', nullable: 'NO', type: 'int4' },
    { name: 'v', nullable: 'NO', fallback: "'x'::character varying", collation: 'C', type: 'varchar' },
    { ...plain, name: 'n', fallback: '1.50', type: 'numeric' },
    { ...plain, name: 'm', type: 'text' },
    { ...plain, name: 'at', type: 'timestamptz' },
    { ...plain, name: 's', nullable: 'NO', type: 'int4' },
    { ...plain, name: 'b', type: 'int4' },
  ])
  await source.query(`ALTER TABLE kinds ADD COLUMN u uuid, ADD COLUMN o mood, ADD COLUMN l numeric(50,2)[] NOT NULL DEFAULT '{1.50}';
    UPDATE kinds SET o = 'sad', u = gen_random_uuid()`)
  assert.equal((await job.run()).error, undefined)
  assert.deepEqual(await rows(target), await rows(source))
  const [added] = await target.query(
    `SELECT string_agg(format_type(atttypid, atttypmod), ' ' ORDER BY attnum) AS types FROM pg_attribute WHERE attrelid = 'kinds'::regclass AND attname IN ('u', 'o', 'l')`,
  )
  assert.deepEqual(added, { types: 'uuid text numeric(50,2)[]' })
})

test('uuid, jsonb and NOT NULL go along to DuckDB, and from MariaDB to Postgres', async () => {
  const [source, legacy, target] = [await freshPostgres(), await freshMariadb(), await freshPostgres()]
  await source.query(`CREATE TABLE kinds (id uuid PRIMARY KEY, j jsonb NOT NULL, k json, n int);
    INSERT INTO kinds SELECT gen_random_uuid(), jsonb_build_array(n, random(), 'é"'), '"\\ud800"', n FROM generate_series(1, 50) AS n`)
  await legacy.query(
    `CREATE TABLE ids (id uuid PRIMARY KEY, n int NOT NULL); INSERT INTO ids SELECT uuid(), seq FROM seq_1_to_50`,
  )
  const job = await smallJob({ after }, 'across', {
    'job.yaml': `connections: { s: "${source.url}", l: "${legacy.url}", w: "${target.url}", d: "duckdb:w.duckdb" }
extract:
  kinds: { from: s, table: kinds }
  ids: { from: l, table: ids }
load:
  kinds: { to: d, from: kinds, key: id, deletes: hard, verify: all, guard: { max_delete_share: 1 } }
  ids: { to: w, from: ids, key: id, verify: all }
resources: { memory: 300MB, threads: 1 }
`,
  })
  for (const night of [1, 2]) {
    const { error, outcome } = await job.run()
    assert.equal(error, undefined)
    for (const { wrong, notes } of outcome.verifications)
      assert.deepEqual({ wrong, notes }, { wrong: { rows: 0, ranges: 0 }, notes: [] })
    const rows = 'SELECT id::text AS id, n FROM ids ORDER BY id'
    assert.deepEqual(await target.query(rows), await legacy.query(rows.replace('::text', '')))
    const duck = await Duck.open({ path: join(job.folder, 'w.duckdb') })
    const types = await duck.rows('DESCRIBE kinds')
    assert.deepEqual(
      types.map(column => [column.column_type, column.null]),
      [
        ['UUID', 'NO'],
        ['JSON', 'NO'],
        ['VARCHAR', 'YES'],
        ['INTEGER', 'YES'],
      ],
    )
    const held = await duck.rows('SELECT id::VARCHAR AS id, j::VARCHAR AS j, k, n FROM kinds ORDER BY id')
    duck.close()
    assert.deepEqual(
      held,
      await source.query('SELECT id, j::text AS j, k::text AS k, n FROM kinds ORDER BY id'),
    )
    if (night === 1)
      await source.query(`UPDATE kinds SET j = '{"a": 1.50}' WHERE n < 10; DELETE FROM kinds WHERE n > 40`)
  }
  const [made] = await target.query(
    `SELECT string_agg(udt_name || is_nullable, ',' ORDER BY ordinal_position) AS types FROM information_schema.columns WHERE table_name = 'ids'`,
  )
  assert.deepEqual(made, { types: 'uuidNO,int4NO' })
})
