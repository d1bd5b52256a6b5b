/** Tables that fail leave the others to load: on_error, in every target. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { commandLine } from '../commandLine.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'

const root = mkdtempSync(join(tmpdir(), 'nightfreight-on-error-'))
after(() => rmSync(root, { recursive: true }))

const [postgres, mariadb] = [await freshPostgres(), await freshMariadb()]

async function rowsOf(file: string, sql: string, before = ''): Promise<unknown[][]> {
  const duck = await Duck.open({ path: file })
  try {
    if (before) await duck.run(before)
    return (await duck.rows(sql)).map(row => Object.values(row))
  } finally {
    duck.close()
  }
}

interface Place {
  url: string
  rows(sql: string): Promise<unknown[][]>
  /** Whether a table may refuse rows. */
  refuses?: (sql: string) => Promise<unknown>
}

const lake = join(root, 'lake')
const PLACES: Record<string, Place> = {
  postgres: {
    url: postgres.url,
    rows: async sql => (await postgres.query(sql)).map(row => Object.values(row)),
    refuses: sql => postgres.query(sql),
  },
  mariadb: {
    url: mariadb.url,
    rows: async sql => (await mariadb.query(sql)).map(row => Object.values(row)),
    refuses: sql => mariadb.query(sql),
  },
  lake: {
    url: `lake:${lake}`,
    rows: async sql => {
      const table = /FROM (\w+)/.exec(sql)![1]!
      return rowsOf(':memory:', sql, readFileSync(join(lake, table, '_current.sql'), 'utf8'))
    },
  },
}

for (const [kind, { url, rows, refuses }] of Object.entries(PLACES))
  test(`${kind}: what fails is said and left out, the others are loaded, and the next night has all`, async () => {
    const source = await freshPostgres()
    const home = join(root, kind)
    const folder = join(root, `${kind}-job`)
    mkdirSync(folder)
    writeFileSync(
      join(folder, 'job.yaml'),
      `job: on_error_${kind}
connections: { shop: "${source.url}", dw: "${url}" }
extract:
  "*": { from: shop }
  log: { from: shop, incremental: { column: id, find_deletes: true }, on_error: continue }
load: { "*": { to: dw, from: "*", mode: merge, deletes: hard, guard: { max_delete_share: 1 } } }
`,
    )
    const tables = ['whole', 'drifts', 'refused', 'log']
    for (const table of tables)
      await source.query(
        `CREATE TABLE ${table} (id int PRIMARY KEY, v int, extra int); INSERT INTO ${table} SELECT n, n, n FROM generate_series(1, 3) n`,
      )
    const night = () => commandLine(home, ['run', folder])
    const values = (table: string) => rows(`SELECT id, v FROM ${table} ORDER BY id`)
    const first = await night()
    assert.equal(first.code, 0, first.err)

    for (const table of tables)
      await source.query(`UPDATE ${table} SET v = 20 WHERE id = 2; INSERT INTO ${table} VALUES (4, 4, 4)`)
    await source.query('ALTER TABLE drifts DROP COLUMN extra')
    await source.query('DELETE FROM refused WHERE id = 1')
    await refuses?.('ALTER TABLE refused ADD CONSTRAINT small CHECK (v < 10)')
    const second = await night()
    assert.equal(second.code, 2, second.output)
    assert.match(second.err, /SCHEMA_DRIFT: .*shop\.drifts: column extra .*is gone/)
    const loaded = [
      [1, 1],
      [2, 20],
      [3, 3],
      [4, 4],
    ]
    const before = [
      [1, 1],
      [2, 2],
      [3, 3],
    ]
    assert.deepEqual(await values('whole'), loaded)
    assert.deepEqual(await values('drifts'), before)
    // Read since the last row: id 2 is older, and 4 is new.
    const logged = [...before, [4, 4]]
    assert.deepEqual(await values('log'), logged)
    if (refuses) assert.match(second.err, /refused/)
    assert.deepEqual(await values('refused'), refuses ? before : loaded.slice(1))

    await source.query('ALTER TABLE drifts ADD COLUMN extra int')
    await source.query('INSERT INTO log VALUES (5, 5, 5)')
    await refuses?.('ALTER TABLE refused DROP CONSTRAINT small')
    const third = await night()
    assert.equal(third.code, 0, third.err)
    assert.deepEqual(await values('whole'), loaded)
    assert.deepEqual(await values('drifts'), loaded)
    assert.deepEqual(await values('refused'), loaded.slice(1))
    assert.deepEqual(await values('log'), [...logged, [5, 5]])
    const verified = await commandLine(home, ['verify', folder])
    assert.equal(verified.code, 0, verified.output)
  })

test('a value that cannot be read, a table that is gone, a log that is left out go on from where they were', async () => {
  const source = await freshPostgres()
  const file = join(root, 'read.duckdb')
  const folder = join(root, 'read-job')
  mkdirSync(folder)
  const job = (onError: string) =>
    writeFileSync(
      join(folder, 'job.yaml'),
      `job: read_errors
connections: { shop: "${source.url}", dw: "duckdb:${file}" }
defaults: { extract: { from: shop, key: id, on_error: continue }, load: { to: dw, mode: merge } }
extract: { days: {}, log: { incremental: { column: id } }, other: {}, gone: {} }
load: { "*": { from: "*" }, all_ids: { from: all_ids, key: id, on_error: ${onError} } }
`,
    )
  job('fail')
  writeFileSync(join(folder, 'all_ids.sql'), 'SELECT id FROM days UNION SELECT id FROM other\n')
  await source.query(`CREATE TABLE days (id int PRIMARY KEY, day date); INSERT INTO days VALUES (1, '2026-01-01');
    CREATE TABLE log (id int PRIMARY KEY, d date); INSERT INTO log VALUES (1, '2026-01-01');
    CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (7); CREATE TABLE gone (id int PRIMARY KEY)`)
  const night = () => commandLine(join(root, 'read'), ['run', folder])
  const first = await night()
  assert.equal(first.code, 0, first.err)

  await source.query(`UPDATE days SET day = 'infinity'; INSERT INTO log VALUES (2, 'infinity'); INSERT INTO other VALUES (8);
    DROP TABLE gone`)
  const alone = await night()
  // A model is loaded with all that it is made of, or nothing is.
  assert.notEqual(alone.code, 0)
  assert.match(alone.err, /days/)
  assert.match(alone.err, /shop\.gone: there is no such table/)
  assert.deepEqual(await rowsOf(file, 'SELECT id FROM other'), [[7]])

  job('continue')
  const without = await night()
  assert.notEqual(without.code, 0)
  assert.deepEqual(await rowsOf(file, 'SELECT id FROM other ORDER BY id'), [[7], [8]])
  assert.deepEqual(await rowsOf(file, 'SELECT id FROM all_ids ORDER BY id'), [[1], [7]])
  assert.deepEqual(await rowsOf(file, 'SELECT id FROM log'), [[1]])

  await source.query(`UPDATE days SET day = '2026-02-02'; UPDATE log SET d = '2026-02-02' WHERE id = 2;
    CREATE TABLE gone (id int PRIMARY KEY)`)
  const whole = await night()
  assert.equal(whole.code, 0, whole.err)
  assert.deepEqual(await rowsOf(file, 'SELECT id FROM all_ids ORDER BY id'), [[1], [7], [8]])
  assert.deepEqual(await rowsOf(file, 'SELECT id, d::VARCHAR FROM log ORDER BY id'), [
    [1, '2026-01-01'],
    [2, '2026-02-02'],
  ])
  assert.deepEqual(await rowsOf(file, 'SELECT day::VARCHAR FROM days'), [['2026-02-02']])
})
