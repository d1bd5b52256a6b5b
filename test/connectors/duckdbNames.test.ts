import assert from 'node:assert/strict'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type EngineError, systemError } from '../../engine/errors.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { DuckdbTarget } from '../../src/connectors/duckdb/target.ts'
import { smallJob } from '../jobs/small.ts'

// Tables of a DuckDB file have a schema and a name, in letters of either case, and dots in them where they are quoted.

const jobInto = (name: string, ...tables: string[]) => jobIntoFile(name, 'w', ...tables)

const jobIntoFile = async (name: string, file: string, ...tables: string[]) => {
  const job = await smallJob({ after }, name, { 'in/t.csv': 'id,v\n1,a\n2,b\n' })
  const write = (...tables: string[]) =>
    job.yaml(`connections: { s: "file:in", w: "duckdb:${file}.duckdb" }
extract: { t: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT, v: VARCHAR } } }
load:
${tables.map(table => `  ${JSON.stringify(table)}: { to: w, from: t, key: id, mode: replace, guard: { max_delete_share: 1 } }`).join('\n')}
resources: { memory: 300MB, threads: 1 }
`)
  write(...tables)
  const rows = async (sql: string) => {
    const duck = await Duck.open({ path: join(job.folder, `${file}.duckdb`) })
    try {
      return (await duck.rows(sql)).map(row => Object.values(row).map(String).join(' '))
    } finally {
      duck.close()
    }
  }
  return { job, write, rows }
}

test('a table has one name, in letters of whatever case', async () => {
  const { job, write, rows } = await jobInto('duck_case', 'Sales.Dim')
  assert.equal((await job.run()).error, undefined)
  write('sales.DIM')
  writeFileSync(join(job.folder, 'in/t.csv'), 'id,v\n1,a\n3,c\n')
  const { error, outcome } = await job.run()
  assert.equal(error, undefined)
  assert.deepEqual(await rows('SELECT id, v FROM sales.dim ORDER BY id'), ['1 a', '3 c'])
  assert.deepEqual(await rows('SELECT name, rows FROM nightfreight.tables'), ['sales.dim 2'])
  assert.equal(outcome.loaded[0]!.created, undefined)
})

test('two loads into names that are one are refused', async () => {
  const { job } = await jobInto('duck_twins', 'Dim', 'dim')
  assert.match(String((await job.run()).error), /load\.dim: is the same table as Dim for w/)
})

test('a part that is quoted may have a dot; a third part is refused', async () => {
  const { job, rows } = await jobInto('duck_dots', '"a.b"."c.d"', '"e.f"')
  for (const _ of [1, 2]) {
    const { error, outcome } = await job.run()
    assert.equal(error, undefined)
    assert.deepEqual(
      outcome.accounts.loads.map(({ loaded, unchanged }) => loaded + unchanged),
      [2, 2],
    )
  }
  assert.deepEqual(await rows('SELECT id FROM "a.b"."c.d" ORDER BY id'), ['1', '2'])
  assert.deepEqual(await rows('SELECT id FROM main."e.f" ORDER BY id'), ['1', '2'])
  const other = await jobInto('duck_parts', 'a.b.c')
  const error = (await other.job.run()).error as Error & { hint: string }
  assert.match(
    error.message,
    /load\.a\.b\.c: a table of DuckDB has a schema and a name, and this has 3 parts/,
  )
  assert.equal(error.hint, `Quote a part that has a dot: load: { 'a."b.c"': … }.`)
})

test('a file that is open is not opened by another connection of the process, by whatever path', async () => {
  const { job } = await jobInto('duck_twice', 'one')
  const file = join(job.folder, 'w.duckdb')
  const beside = join(job.folder, 'beside')
  symlinkSync(job.folder, beside)
  const [first, second] = [new DuckdbTarget(file, 'w'), new DuckdbTarget(join(beside, 'w.duckdb'), 'x')]
  await first.probe()
  await assert.rejects(second.probe(), (error: EngineError) => {
    assert.equal(error.code, 'CONNECTION_FAILED')
    assert.match(error.message, /^x: .*w\.duckdb cannot be opened: it is open in this process$/)
    return true
  })
  await first.close()
  await second.probe()
  await second.close()
})

test('a place where no DuckDB file can be is told at once: no wait makes one of it', async () => {
  const { job } = await jobInto('duck_places', 'one')
  writeFileSync(join(job.folder, 'text.duckdb'), 'no database\n')
  for (const [path, code, says] of [
    [job.folder, 'CONFIG_INVALID', /Is a directory/],
    [join(job.folder, 'text.duckdb'), 'CONFIG_INVALID', /not a valid DuckDB database file/],
    [join(job.folder, 'text.duckdb/w.duckdb'), 'CONFIG_INVALID', /text.duckdb: it is a file, not a folder/],
    // Kernels let nobody make a file there, not even root.
    ['/sys/w.duckdb', 'PERMISSION_DENIED', /Permission denied/],
    ['/sys/none/w.duckdb', 'PERMISSION_DENIED', /sys.none/],
    ['/proc/w.duckdb', 'CONFIG_INVALID', /No such file/],
    ['/proc/none/w.duckdb', 'CONFIG_INVALID', /lets no folder be made there/],
  ] as const)
    await assert.rejects(new DuckdbTarget(path, 'w').probe(), (thrown: unknown) => {
      const error = systemError(thrown) as EngineError
      assert.match(error.message, says, path)
      assert.deepEqual([error.code, error.retryable], [code, false], `${path}: ${error.message}`)
      assert.ok(error.hint, path)
      return true
    })
})

test('a file may be named like what is in it: a schema, a table, a column, what DuckDB or we call our own', async () => {
  for (const file of ['raw', 'memory']) {
    const tables = [`${file}.t`, `${file}.${file}`, `other.${file}`]
    const { job, rows } = await jobIntoFile(`duck_file_${file}`, file, ...tables)
    assert.equal((await job.run()).error, undefined, file)
    writeFileSync(join(job.folder, 'in/t.csv'), 'id,v\n1,a\n3,c\n')
    const { error, outcome } = await job.run()
    assert.equal(error, undefined, file)
    assert.deepEqual(
      outcome.loaded.map(({ inserted, deleted }) => [inserted, deleted]),
      tables.map(() => [1, 1]),
      file,
    )
    assert.equal(
      (await job.verify()).loads.every(({ wrong }) => wrong.rows === 0),
      true,
    )
    const [catalog] = await rows('SELECT current_catalog()')
    assert.deepEqual(await rows(`SELECT id, v FROM "${catalog}"."${file}"."${file}" ORDER BY id`), [
      '1 a',
      '3 c',
    ])
  }
})

test('a schema that is named like a catalog of DuckDB is refused', async () => {
  for (const schema of ['temp', 'System']) {
    const { job } = await jobInto(`duck_${schema}`, `${schema}.t`)
    const { error } = await job.run()
    assert.match(String(error), /DuckDB has a catalog \w+ of its own/)
    assert.equal((error as EngineError).code, 'CONFIG_INVALID')
  }
})

test('a column is told from a generated one whose name ends as its own does', async () => {
  const { job, rows } = await jobInto('duck_ends', 'ends')
  await rows(
    'CREATE TABLE ends (id BIGINT DEFAULT 0, v VARCHAR, paid BIGINT GENERATED ALWAYS AS (length(v)))',
  )
  assert.equal((await job.run()).error, undefined)
  assert.deepEqual(await rows('SELECT * FROM ends ORDER BY id'), ['1 a 1', '2 b 1'])
})
