import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const source = await freshPostgres()
const mariadb = await freshMariadb()
const warehouse = await freshPostgres()

/** Names that SQL of ours, or DuckDB itself, might take for something else. */
const NAMES = [
  ...[
    'row',
    'rows',
    'night',
    'gone',
    'here',
    'unseen',
    'was',
    'record',
    'reason',
    'severity',
    'check_name',
    'model',
  ],
  ...[
    'category',
    'run',
    'value',
    'file',
    'filename',
    'key',
    'count',
    'line',
    'bucket',
    'h1',
    'h2',
    'changed',
    'base',
  ],
  ...[
    '_row',
    '_was',
    '_kind',
    '_bucket',
    '_part',
    '_number',
    '_file',
    '_rejected',
    '_hash_a',
    '_hash_b',
    '_was_part',
  ],
  ...[
    's',
    't',
    'k',
    'n',
    'l',
    'm',
    'f',
    'c',
    'b',
    'r',
    'v',
    'own',
    'found',
    'losers',
    'place',
    'low',
    'high',
  ],
]
const LETTERS = 'abcdefghijklmnopqrstuvwxyz'.split('').filter(letter => !NAMES.includes(letter))
const WORDS = [
  'select',
  'from',
  'where',
  'order',
  'group',
  'table',
  'lambda',
  'null',
  'true',
  'end',
  'default',
  'user',
]
/** Names that every object of JavaScript answers to. */
const OBJECTS = ['constructor', 'toString', 'valueOf', 'hasOwnProperty']
NAMES.push(...LETTERS, ...WORDS, ...OBJECTS)
const quoted = (name: string) => `"${name}"`

for (const { kind, target } of [
  { kind: 'postgres', target: warehouse.url },
  { kind: 'mariadb', target: mariadb.url },
  { kind: 'duckdb', target: 'duckdb:names.duckdb' },
  { kind: 'lake', target: 'lake:names_lake' },
])
  test(`${kind}: no column's name is in the way`, async () => {
    const table = `names_${kind}`
    await source.query(
      `CREATE TABLE ${table} (id int, kind varchar(20), part varchar(20), seen int, ${NAMES.map(name => `${quoted(name)} varchar(20)`).join(', ')}, PRIMARY KEY (id, kind))`,
    )
    const insert = (from: number, to: number, seen: number) =>
      source.query(
        `INSERT INTO ${table} SELECT i, 'delete', 'p' || i % 3, ${seen}, ${NAMES.map(name => `'${name} ' || i`).join(', ')} FROM generate_series(${from}, ${to}) AS i`,
      )
    await insert(1, 100, 1)
    const load = (name: string, from: string, more: string) => `  ${name}: { to: w, from: ${from}, ${more} }`
    const job = await smallJob({ after }, table, {
      'job.yaml': `connections: { s: "${source.url}", w: "${target}" }
extract:
  some: { from: s, table: ${table}, incremental: { column: seen, find_deletes: true } }
  whole: { from: s, table: ${table} }
load:
${[
  load('merged', 'whole', 'key: [id, kind], deletes: hard'),
  load('newer', 'some', 'key: [id, kind], newer: seen, deletes: hard'),
  load('parts', 'doubled', 'key: [id, kind], mode: partition, partition_by: [part, row]'),
  load('history', 'doubled', 'key: [id, kind], mode: scd2, deletes: soft'),
].join('\n')}
resources: { memory: 400MB, threads: 1 }
`,
      // Each row twice: one of two gives way.
      'doubled.sql': 'SELECT * FROM whole UNION ALL SELECT * FROM whole',
    })
    const night = async (inserted: number, updated: number, deleted: number) => {
      const { error, outcome } = await job.run()
      assert.equal(error, undefined)
      for (const { table: name, ...counts } of outcome.loaded.slice(0, 3))
        assert.deepEqual(
          [name, counts.inserted, counts.updated, counts.deleted],
          [name, inserted, updated, deleted],
        )
      for (const { wrong } of outcome.verifications) assert.equal(wrong.rows, 0)
    }
    await night(100, 0, 0)
    await source.query(
      `DELETE FROM ${table} WHERE id <= 5; UPDATE ${table} SET "row" = 'x', seen = 2 WHERE id = 50`,
    )
    await insert(101, 110, 2)
    const planned = await job.run({ goal: 'plan' })
    assert.equal(planned.error, undefined)
    for (const { samples } of planned.outcome.previews)
      assert.deepEqual([samples.inserts.length, samples.updates.length, samples.deletes.length], [5, 1, 5])
    await night(10, 1, 5)
    await night(0, 0, 0)
    for (const { wrong } of (await job.verify()).loads) assert.equal(wrong.rows, 0)
  })

test('no column, extract, table or connection has what an object has under its name', async () => {
  const all = [...OBJECTS, '__proto__']
  const columns = (names: string[], quote: string) =>
    names.map(name => `${quote}${name}${quote} varchar(20)`).join(', ')
  const values = all.map((_, index) => `'v${index}'`)
  await source.query(
    `CREATE TABLE objects (id int PRIMARY KEY, ${columns(all, '"')}); INSERT INTO objects VALUES (1, ${values})`,
  )
  // The driver takes no __proto__.
  await mariadb.query(`CREATE TABLE objects (id int PRIMARY KEY, ${columns(OBJECTS, '`')})`)
  await mariadb.query(`INSERT INTO objects VALUES (1, ${values.slice(0, OBJECTS.length)})`)
  const kinds = ['postgres', 'mysql', 'query', 'csv', 'declared', 'json', 'parquet', 'constructor']
  const files = (format: string) => `from: in, files: "*.${format}", format: ${format}, take: all`
  const job = await smallJob({ after }, 'objects', {
    'job.yaml': `connections: { in: "file:in", p: "${source.url}", m: "${mariadb.url}", toString: "duckdb:o.duckdb", valueOf: "lake:o_lake" }
extract:
  postgres: { from: p, table: objects }
  mysql: { from: m, table: objects }
  query: { from: m, query: SELECT * FROM objects, key: id }
  csv: { ${files('csv')} }
  declared: { ${files('csv')}, schema: { id: INTEGER, constructor: VARCHAR, toString: VARCHAR, valueOf: VARCHAR, hasOwnProperty: VARCHAR } }
  json: { ${files('json')} }
  parquet: { ${files('parquet')} }
  constructor: { ${files('csv')} }
load:
${kinds.map((kind, index) => `  ${kind === 'csv' ? 'hasOwnProperty' : kind}: { to: ${index % 2 ? 'toString' : 'valueOf'}, from: ${kind}, key: id }`).join('\n')}
resources: { memory: 400MB, threads: 1 }
`,
  })
  const into = (name: string) => join(job.folder, 'in', name)
  mkdirSync(into(''))
  writeFileSync(into('a.csv'), `id,${all}\n1,v0,v1,v2,v3,v4\n`)
  writeFileSync(into('a.json'), `[{"id":1,${all.map((name, index) => `"${name}":"v${index}"`)}}]`)
  const duck = await Duck.open({ threads: 1 })
  await duck.run(
    `COPY (SELECT 1 AS id, ${all.map((name, index) => `'v${index}' AS "${name}"`)}) TO '${into('a.parquet')}'`,
  )
  duck.close()
  for (const inserted of [1, 0]) {
    const { error, outcome } = await job.run()
    assert.equal(error, undefined)
    for (const counts of outcome.loaded) assert.equal(counts.inserted, inserted, counts.table)
    for (const { extract, columns } of outcome.reads)
      assert.deepEqual(
        columns.map(({ name }) => name).filter(name => !name.startsWith('_')),
        ['id', ...OBJECTS],
        extract,
      )
    await job.run({ goal: 'plan' })
  }
})

test('names that rows are numbered by are refused', async () => {
  for (const [index, name] of ['_nf_row', 'file_row_number', 'File_Index'].entries()) {
    const table = `reserved_${index}`
    await source.query(`CREATE TABLE ${table} (id int PRIMARY KEY, ${quoted(name)} int)`)
    const yaml = (from: string) => `connections: { s: "${source.url}", w: "${warehouse.url}" }
extract: { rows: { from: s, table: ${from} } }
load: { ${table}: { to: w, from: out, key: id } }
resources: { memory: 300MB, threads: 1 }
`
    const job = await smallJob({ after }, table, { 'job.yaml': yaml(table), 'out.sql': 'SELECT * FROM rows' })
    const refused = async (code: string, where: string) => {
      const { error, outcome } = await job.run({ fresh: true })
      const [said] = (error as Error).message.split('\n')
      assert.deepEqual(
        [(error as EngineError).code, said],
        [code, `${where}: no column can be called ${name}`],
      )
      assert.deepEqual(outcome.extracted, [])
    }
    await refused('CONFIG_INVALID', 's.rows')
    await source.query(`ALTER TABLE ${table} RENAME ${quoted(name)} TO n`)
    writeFileSync(join(job.folder, 'out.sql'), `SELECT id, n AS ${quoted(name)} FROM rows`)
    await refused('MODEL_INVALID', 'out.sql:1')
  }
})

test('names that a target cannot have, and columns that a load keeps itself, are refused before a row is read', async () => {
  const files: Record<string, string> = {
    'long.sql': `SELECT id, id AS ${'c'.repeat(64)}, id AS "${'ü'.repeat(32)}" FROM rows`,
    'hidden.sql': 'SELECT id, id AS ctid FROM rows',
    'longer.sql': `SELECT id, id AS ${'c'.repeat(65)}, id AS "end ", id AS "🦆" FROM rows`,
  }
  const job = await smallJob({ after }, 'unnameable', {
    'job.yaml': `connections: { in: "file:in", p: "${warehouse.url}", m: "${mariadb.url}", d: "duckdb:u.duckdb" }
extract: { rows: { from: in, files: "*.csv", take: all, schema: { id: INTEGER } } }
load:
  long: { to: p, from: long, key: id }
  hidden: { to: p, from: hidden, key: id }
  ${'t'.repeat(64)}: { to: p, from: rows, key: id }
  longer: { to: m, from: longer, key: id }
  ctid: { to: p, from: rows, key: id }
  free: { to: d, from: longer, key: id }
  number: { to: d, from: rows, key: id, mode: scd2, newer: id }
  taken: { to: d, from: rows, key: id, stamp: ID }
  twice: { to: d, from: rows, key: id, mode: scd2, stamp: Valid_To }
resources: { memory: 300MB, threads: 1 }
`,
    ...files,
  })
  mkdirSync(join(job.folder, 'in'))
  writeFileSync(join(job.folder, 'in/x.csv'), 'id\n1\n')
  const { error, outcome } = await job.run()
  assert.equal((error as EngineError).code, 'MODEL_INVALID')
  assert.deepEqual(outcome.extracted, [])
  const said = (error as Error).message
  for (const fault of [
    `load.long: no column in p can be called ${'c'.repeat(64)}: it has 64 bytes, and Postgres takes 63`,
    `load.long: no column in p can be called ${'ü'.repeat(32)}: it has 64 bytes`,
    'load.hidden: no column in p can be called ctid: each table of Postgres has a system column of that name',
    `no table in p can be called ${'t'.repeat(64)}: it has 64 bytes`,
    `load.longer: no column in m can be called ${'c'.repeat(65)}: it has 65 characters`,
    'load.longer: no column in m can be called end : the server takes no name that ends with a space',
    'load.longer: no column in m can be called 🦆: the server takes no characters beyond U+FFFF',
    'load.number: id cannot say when a version begins: its type is int',
    'load.taken.ID: the load keeps it itself',
    'load.twice.Valid_To: the load keeps two columns of this name',
  ])
    assert.ok(said.includes(fault), `${fault}\nnot in\n${said}`)
  assert.equal(said.match(/^job\.yaml/gm)!.length, 10, said)
})

test('columns that differ in case only are refused before a row is read, with both names', async () => {
  await source.query('CREATE TABLE twins (id int PRIMARY KEY, "ID" int)')
  const job = await smallJob({ after }, 'twins', {
    'job.yaml': `connections: { s: "${source.url}", w: "${warehouse.url}" }
extract: { twins: { from: s, table: twins } }
load: { twins: { to: w, from: twins, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  const { error, outcome } = await job.run()
  assert.equal((error as EngineError).code, 'CONFIG_INVALID')
  assert.match((error as Error).message, /^s\.twins: columns id and ID differ in their letters' case only/)
  assert.deepEqual(outcome.extracted, [])
})

test("a path's name=value is no column: not of the home folder's, nor of a file's", async () => {
  const job = await smallJob({ after }, 'paths', {
    'job.yaml': `connections: { in: "file:in", d: "duckdb:paths.duckdb", l: "lake:paths_lake" }
extract:
  rows: { from: in, files: "id=999/*.csv", take: all, schema: { id: INTEGER, env: VARCHAR, f: VARCHAR } }
load:
  a: { to: d, from: m, key: id }
  b: { to: l, from: rows, key: id }
resources: { memory: 300MB, threads: 1 }
`,
    'm.sql': 'SELECT * FROM rows',
  })
  mkdirSync(join(job.folder, 'in/id=999'), { recursive: true })
  writeFileSync(join(job.folder, 'in/id=999/x.csv'), 'id,env,f\n1,real,x\n2,dev,y\n')
  const { error, outcome } = await job.run({ home: join(job.home, 'env=prod', '[a]') })
  assert.equal(error, undefined)
  for (const { wrong } of outcome.verifications) assert.equal(wrong.rows, 0)
  const duck = await Duck.open({ path: join(job.folder, 'paths.duckdb'), threads: 1 })
  assert.deepEqual(await duck.rows('SELECT id, env, f FROM a ORDER BY id'), [
    { id: 1, env: 'real', f: 'x' },
    { id: 2, env: 'dev', f: 'y' },
  ])
  duck.close()
})

for (const { kind, target } of [
  { kind: 'mariadb', target: mariadb.url },
  { kind: 'duckdb', target: 'duckdb:spelled.duckdb' },
  { kind: 'lake', target: 'lake:spelled_lake' },
])
  test(`${kind}: a table whose columns are spelled in other letters is loaded and verified`, async () => {
    const job = await smallJob({ after }, `spelled_${kind}`, {})
    mkdirSync(join(job.folder, 'in'))
    const night = async (names: [string, string, string], rows: string, deletes = 'hard') => {
      const [id, v, n] = names
      writeFileSync(join(job.folder, 'in/t.csv'), `${names.join(',')}\n${rows}`)
      job.yaml(`connections: { in: "file:in", w: "${target}" }
extract: { t: { from: in, files: t.csv, take: all, schema: { ${id}: BIGINT, ${v}: VARCHAR, ${n}: DOUBLE } } }
load: { spelled: { to: w, from: t, key: ${id}, deletes: ${deletes}, verify: all, guard: { max_delete_share: 1 } } }
resources: { memory: 300MB, threads: 1 }
`)
      const { error, outcome } = await job.run({ fresh: true })
      assert.equal(error, undefined)
      const [{ rows: verified, equal, wrong }] = outcome.verifications as [
        (typeof outcome.verifications)[number],
      ]
      assert.deepEqual([verified, equal, wrong.rows], [2, 2, 0])
    }
    await night(['ID', 'V', 'N'], '1,a,1.5\n2,b,\n')
    await night(['id', 'v', 'n'], '1,a,1.5\n3,c,0.1\n')
    await night(['Id', 'v', 'N'], '1,A,1.5\n3,c,-0.0\n')
    for (const { wrong } of (await job.verify()).loads) assert.equal(wrong.rows, 0)
  })
