import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { graphOf } from '../../engine/sql/graph.ts'
import type { SqlSources } from '../../engine/sql/model.ts'
import { smallJob } from './small.ts'

const YAML = `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract: { src: { from: in, files: src.csv, take: all, schema: { id: INTEGER } } }
load: { m: { to: wh, from: m, key: id } }
resources: { memory: 300MB, threads: 1 }
`

async function jobWith(name: string, sql: string, file = 'm.sql') {
  const job = await smallJob({ after }, name, { 'job.yaml': YAML, 'm.sql': 'SELECT * FROM src' })
  for (const [path, text] of [
    ['in/src.csv', 'id\n1\n'],
    [file, sql],
  ] as const) {
    mkdirSync(join(job.folder, path, '..'), { recursive: true })
    writeFileSync(join(job.folder, path), text)
  }
  return job
}

/** What an analyst's SQL must not do: see or change what is not the job's. */
const FORBIDDEN = [
  "SELECT * FROM '/etc/passwd'",
  "SELECT * FROM 'in/src.csv'",
  "SELECT * FROM read_csv('/etc/passwd')",
  "SELECT * FROM read_text('/etc/passwd')",
  "SELECT * FROM read_blob('/etc/passwd')",
  "SELECT * FROM read_parquet('/tmp/**/*.parquet')",
  "SELECT * FROM parquet_scan('x')",
  "SELECT * FROM read_json('x')",
  "SELECT * FROM glob('/**')",
  "SELECT * FROM sniff_csv('x')",
  "SELECT * FROM parquet_metadata('x')",
  "SELECT 1 AS id WHERE 1 IN (SELECT count(*) FROM read_text('/etc/passwd'))",
  "WITH x AS (FROM read_text('/etc/passwd')) SELECT id FROM src, x",
  "SELECT * FROM query('SELECT 1')",
  "SELECT * FROM query_table('src')",
  "SELECT * FROM json_execute_serialized_sql('{}')",
  'SELECT * FROM duckdb_settings()',
  'SELECT * FROM duckdb_tables()',
  'SELECT * FROM duckdb_secrets()',
  'SELECT * FROM duckdb_views',
  'SELECT * FROM information_schema.tables',
  'SELECT * FROM pg_catalog.pg_class',
  "SELECT * FROM pragma_table_info('src')",
  'SELECT * FROM (SHOW ALL TABLES)',
  "SELECT getenv('HOME') AS id",
  "SELECT current_setting('temp_directory') AS id",
  "SELECT coalesce(getvariable('run_at')::VARCHAR, getenv('HOME')) AS id",
  "SELECT write_log('x') AS id",
  "COPY src TO '/tmp/x.csv'",
  "COPY (SELECT 1) TO '/tmp/x.csv'",
  "ATTACH '/tmp/x.duckdb'",
  'INSTALL httpfs',
  'LOAD httpfs',
  "EXPORT DATABASE '/tmp/x'",
  'PRAGMA database_list',
  "SET temp_directory = '/tmp'",
  'SET VARIABLE run_at = 1',
  'CREATE TABLE x AS SELECT 1',
  'INSERT INTO src VALUES (1)',
  'DROP VIEW src',
  'CALL pragma_version()',
  "SELECT 1 AS id; COPY src TO '/tmp/x.csv'",
]

test("no model, check or macro sees or changes anything but the job's own tables", async () => {
  const duck = await Duck.open({ threads: 1 })
  after(() => duck.close())
  const model = { name: 'm', file: 'm.sql', sql: 'SELECT * FROM src' }
  const job = { extracts: [{ name: 'src' }], models: [model], checks: [], macros: [], loads: [] }
  const refused = (file: string, sources: Partial<SqlSources>) =>
    assert.rejects(graphOf(duck, { ...job, ...sources }), (error: EngineError) => {
      assert.equal(error.code, 'MODEL_INVALID')
      assert.ok(
        [`${file}: `, `${file}:1: `].some(where => error.message.startsWith(where)),
        error.message,
      )
      return true
    })
  for (const sql of FORBIDDEN) {
    await refused('n.sql', { models: [model, { name: 'n', file: 'n.sql', sql }] })
    await refused('checks/x.sql', { checks: [{ name: 'x', file: 'checks/x.sql', sql }] })
    await refused('checks/m/x.sql', { checks: [{ name: 'x', file: 'checks/m/x.sql', sql, model: 'm' }] })
    const macros = [sql]
    if (sql.startsWith('SELECT') && !sql.includes(';'))
      macros.push(`CREATE MACRO t() AS TABLE ${sql}`, `CREATE MACRO s() AS (${sql})`)
    for (const text of macros)
      await refused('../macros/x.sql', { macros: [{ file: '../macros/x.sql', sql: text }] })
  }
})

test("DuckDB itself reaches no other job's files in a run", async t => {
  const job = await jobWith('room_own', 'SELECT * FROM src')
  const root = join(job.home, 'staging')
  for (const name of ['room_own', 'room_other', 'room_own2']) {
    mkdirSync(join(root, name), { recursive: true })
    writeFileSync(join(root, name, 'x.csv'), 'id\n1\n')
  }
  const open = Duck.open.bind(Duck)
  let own: Duck | undefined
  t.mock.method(Duck, 'open', async (options: Parameters<typeof Duck.open>[0]) => {
    const duck = await open(options)
    // Of the run itself: others read no files.
    if (options?.folders?.length) own = duck
    return duck
  })
  const read = (path: string) => own!.rows(`FROM read_csv(${quote(join(root, path))})`)
  const tried: Promise<unknown>[] = []
  const started = (task: string) => {
    if (task !== 'model.m') return
    tried.push(read('room_own/x.csv'))
    for (const path of ['room_other/x.csv', 'room_own2/x.csv', '*/x.csv', '../job/in/src.csv'])
      tried.push(assert.rejects(read(path), /Permission Error/, path))
    tried.push(
      assert.rejects(own!.run(`COPY (SELECT 1) TO ${quote(join(root, 'y.csv'))}`), /Permission Error/),
    )
    tried.push(assert.rejects(own!.run('SET enable_external_access = true')))
  }
  const { error } = await job.run({ progress: { started, advanced() {}, note() {}, finished() {} } })
  await Promise.all(tried)
  assert.equal(error, undefined)
  assert.equal(tried.length, 7)
})
