import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { PLAIN_FORMAT, PlainFile } from '../../engine/parquet/decode.ts'
import { encodeParquet } from '../../engine/parquet/encode.ts'
import { literalPattern, quote } from '../../engine/sql/duckdb.ts'
import { checkFiles, counted, duck, folder, fresh, globOf, load, newestOf, rowsOf } from './lakeLoading.ts'

let files = 0

/** The rows of queries as lanes stage them for a target that keeps them; `level` undefined: as for any other. */
async function partsOf(level: number | undefined, ...queries: string[]): Promise<string[]> {
  const paths: string[] = []
  for (const sql of queries) {
    const [plain, path] = [join(folder, `kept-${files++}.parquet`), join(folder, `kept-${files++}.parquet`)]
    await duck.copy(sql, plain, PLAIN_FORMAT)
    const file = new PlainFile(plain)
    writeFileSync(path, encodeParquet(file.read(0)!, level))
    file.close()
    paths.push(path)
  }
  return paths
}

const rows = (from: number, to: number, order = 'id') =>
  `SELECT i::BIGINT AS id, (i % 7)::INTEGER AS x, 'text ' || i % 5 AS t FROM range(${from}, ${to}) r(i) ORDER BY ${order}`

/** Who wrote the data files, and how many row groups each has. */
async function writersOf(root: ReturnType<typeof fresh>['root']) {
  const glob = quote(`${literalPattern(await root.mirror())}/t/**/*.parquet`)
  const found = await duck.rows(
    `SELECT split_part(created_by, ' ', 1) AS writer, num_row_groups AS n FROM parquet_file_metadata(${glob}) ORDER BY file_name`,
  )
  return found.map(({ writer, n }) => `${writer} ${n}`)
}

const all = (to: number) => Array.from({ length: to }, (_, i) => `${i} ${i % 7} text ${i % 5}`).sort()

test('parts that are compressed as it asks are its files, row group by row group; later nights go on from there', async () => {
  const { root, target } = fresh(1e6)
  const level = target.keepsParts!.level
  // As a heap gives them: not in the order of their key.
  const paths = await partsOf(level, rows(0, 2000, 'hash(id)'), rows(2000, 3000), rows(3000, 3001))
  const whole = `${rows(0, 3001)}`
  assert.equal((await load(target, { loadId: 'L1', sql: whole, paths })).inserted, 3001)
  assert.deepEqual(await writersOf(root), ['nightfreight 3'])
  await checkFiles(root)
  assert.deepEqual(await globOf(root), all(3001))
  assert.deepEqual(await rowsOf(root), all(3001))
  assert.deepEqual(await counted(target, 'L2', rows(2990, 3010)), [9, 0, 0, 11])
  await checkFiles(root)
  assert.deepEqual(await rowsOf(root), all(3010))
})

test('files have about the size wanted, as long as no more than two can hold a key', async () => {
  const { root, target } = fresh(8_000)
  const level = target.keepsParts!.level
  const ranges = Array.from({ length: 12 }, (_, index) => rows(index * 1000, index * 1000 + 1000))
  const paths = await partsOf(level, ...ranges)
  await load(target, { loadId: 'L1', sql: rows(0, 12_000), paths })
  const { files } = await newestOf(root)
  assert.ok(files.length > 2 && files.length < 12, `${files.length}`)
  assert.ok((await writersOf(root)).every(text => text.startsWith('nightfreight')))
  await checkFiles(root)
  assert.deepEqual(await rowsOf(root), all(12_000))

  const scattered = fresh(2_000)
  const every = Array.from(
    { length: 12 },
    (_, index) => `SELECT * FROM (${rows(0, 12_000)}) WHERE id % 12 = ${index} ORDER BY id`,
  )
  await load(scattered.target, { loadId: 'L1', sql: rows(0, 12_000), paths: await partsOf(level, ...every) })
  assert.ok((await writersOf(scattered.root)).every(text => text.startsWith('DuckDB')))
  await checkFiles(scattered.root)
  assert.deepEqual(await rowsOf(scattered.root), all(12_000))
})

test('parts of another kind, or of other columns, are written anew', async () => {
  const cases = {
    'not compressed': { level: undefined, sql: rows(0, 100), spec: {} },
    'with a stamp': { level: 1, sql: rows(0, 100), spec: { stamp: 'at' } },
    'in partitions': { level: 1, sql: rows(0, 100), spec: { partitionBy: ['x'] } },
  }
  for (const [name, { level, sql, spec }] of Object.entries(cases)) {
    const { root, target } = fresh(1e6)
    await load(target, { loadId: 'L1', sql, spec, paths: await partsOf(level, sql) })
    assert.ok(
      (await writersOf(root)).every(text => text.startsWith('DuckDB')),
      name,
    )
    assert.deepEqual(await rowsOf(root, 'id, x, t'), all(100), name)
  }
})

test('a key that is there twice, or is not there, is refused wherever its rows lie', async () => {
  const refused = async (message: RegExp, sql: string, spec: { key?: string[] }, ...parts: string[]) => {
    const { target } = fresh(1e6)
    const paths = await partsOf(1, ...parts)
    await assert.rejects(load(target, { loadId: 'L1', sql, spec, paths }), {
      code: 'CONSTRAINT_VIOLATED',
      message,
    })
  }
  const key = ['x', 'id']
  await refused(/id = 49: 2 rows have this key/, rows(0, 60), {}, rows(0, 50), rows(49, 60))
  await refused(/id = 7: 2 rows have this key/, rows(0, 60), {}, rows(0, 50), rows(7, 8))
  await refused(/x = 2, id = 9: 2 rows/, rows(0, 60), { key }, rows(0, 60, 'x, id'), rows(9, 10))
  const last = 'SELECT 60::BIGINT AS id, 6::INTEGER AS x, NULL::VARCHAR AS t'
  const twice = `${last} UNION ALL ${last}`
  await refused(/x = 6, id = 60: 2 rows/, rows(0, 60), { key }, rows(0, 60, 'x, id'), twice)
  const absent = `SELECT 61::BIGINT AS id, NULL::INTEGER AS x, NULL::VARCHAR AS t`
  await refused(
    /x = NULL, id = 61: a key may not be NULL/,
    rows(0, 60),
    { key },
    rows(0, 60, 'x, id'),
    absent,
  )
  const { root, target } = fresh(1e6)
  const paths = await partsOf(1, rows(0, 60, 'x, id'))
  await load(target, { loadId: 'L1', sql: rows(0, 60), spec: { key }, paths })
  assert.deepEqual(await rowsOf(root), all(60))
})
