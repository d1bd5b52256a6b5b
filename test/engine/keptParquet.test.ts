import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { PLAIN_FORMAT, PlainFile } from '../../engine/parquet/decode.ts'
import { encodeParquet } from '../../engine/parquet/encode.ts'
import { joinKept, openKept } from '../../engine/parquet/kept.ts'
import { readParquet, rowsOf } from '../../engine/parquet/read.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { valuesOf } from './parquetValues.ts'

let folder: string
let duck: Duck
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nightfreight-kept-'))
  duck = await Duck.open({ threads: 1 })
})
after(() => {
  duck.close()
  rmSync(folder, { recursive: true })
})

/** Per type, a value of a number; columns have it once of each number, and once of few. */
const TYPES: Record<string, (n: string) => string> = {
  b: n => `${n} % 3 = 0`,
  i8: n => `(${n} % 256 - 128)::TINYINT`,
  i16: n => `(${n} * 77 % 65536 - 32768)::SMALLINT`,
  i32: n => `(${n} * 7919 - 2147483648)::INTEGER`,
  i64: n => `(${n} * 1e15 - 5e18)::BIGINT`,
  near: n => `(4294967290 + ${n} * 3 - 30)::BIGINT`,
  u32: n => `(4294967295 - ${n} * 7919)::UINTEGER`,
  u64: n => `(18446744073709551615 - ${n})::UBIGINT`,
  f32: n => `(${n} / 7)::FLOAT`,
  f64: n => `CASE ${n} % 3 WHEN 0 THEN 0 WHEN 1 THEN -0.0 ELSE 'nan'::DOUBLE END::DOUBLE`,
  d4: n => `(${n} % 90 - 50)::DECIMAL(4,2)`,
  d18: n => `(${n} * 1e10 - 5e12)::DECIMAL(18,3)`,
  d38: n => `(${n} * 1e30 - 5e31)::DECIMAL(38,5)`,
  text: n => `CASE ${n} % 4 WHEN 0 THEN '' WHEN 1 THEN 'ß' || ${n} ELSE 'long ' || ${n} END`,
  longer: n => `repeat('ü', (${n} % 70)::INT)`,
  bytes: n => `'\\x00\\xFF'::BLOB || (${n})::VARCHAR::BLOB`,
  day: n => `DATE '2000-01-01' + (${n} % 20000)::INT - 50`,
  clock: n => `TIME '00:00:00' + INTERVAL (${n} % 80000) SECOND`,
  stamp: n => `TIMESTAMP '1969-12-31 23:59:00' + INTERVAL (${n}) SECOND`,
  instant: n => `TIMESTAMPTZ '1969-12-31 23:59:00+00' + INTERVAL (${n}) SECOND`,
}
const columns = Object.entries(TYPES).flatMap(([name, value]) => [
  { name: `each_${name}`, value: value('i') },
  { name: `few_${name}`, value: value('(hash(i) % 37)::BIGINT') },
])

/** Rows as lanes stage them for a target that keeps them, and as DuckDB writes them. */
async function staged(name: string, sql: string, level: number): Promise<{ plain: string; kept: string }> {
  const [plain, kept] = [join(folder, `${name}.plain`), join(folder, `${name}.kept`)]
  await duck.copy(sql, plain, PLAIN_FORMAT, 'ROW_GROUP_SIZE 200000')
  const file = new PlainFile(plain)
  writeFileSync(kept, encodeParquet(file.read(0)!, level))
  file.close()
  return { plain, kept }
}

const isSame = async (one: string, other: string) => {
  const [a, b] = [one, other].map(path => `SELECT COLUMNS(*)::VARCHAR FROM read_parquet(${quote(path)})`)
  const [found] = await duck.rows(
    `SELECT (SELECT count(*) FROM (${a} EXCEPT ALL ${b})) + (SELECT count(*) FROM (${b} EXCEPT ALL ${a})) AS n`,
  )
  return Number(found!.n) === 0
}

test('a kept file holds the values of a plain one, for each reader, and their bounds; so does one of several', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 3 }),
      fc.constantFrom('FALSE', 'i % 2 = 0', 'i < 20', 'i % 7 <> 0', 'TRUE', 'hash(i) % 5 = 0'),
      fc.constantFrom(1, 3, 19),
      async (sizes, absent, level) => {
        const parts: { plain: string; kept: string }[] = []
        let from = 0
        for (const [index, size] of sizes.entries()) {
          const list = columns.map(
            ({ name, value }) => `CASE WHEN ${absent} THEN NULL ELSE ${value} END AS ${name}`,
          )
          parts.push(
            await staged(
              String(index),
              `SELECT ${list.join(', ')} FROM range(${from}, ${from + size}) r(i)`,
              level,
            ),
          )
          from += size
        }
        for (const { plain, kept } of parts) {
          assert.ok(await isSame(plain, kept))
          const read: string[][] = [[], []]
          for (const [index, path] of [plain, kept].entries())
            await readParquet(path, async batch => void read[index]!.push(...valuesOf(batch)))
          assert.deepEqual(read[1], read[0])
          await checkBounds(kept)
        }
        const joined = join(folder, 'joined')
        const { bytes, crc32: sum } = await joinKept(
          parts.map(({ kept }) => openKept(kept)!),
          joined,
        )
        const content = readFileSync(joined)
        assert.deepEqual([bytes, sum], [content.length, crc32(content)])
        assert.equal(await rowsOf(joined), from)
        const all = join(folder, 'all')
        const list = parts.map(({ plain }) => quote(plain)).join(', ')
        await duck.run(`COPY (SELECT * FROM read_parquet([${list}])) TO ${quote(all)} (FORMAT parquet)`)
        assert.ok(await isSame(all, joined))
        await checkBounds(joined)
        rmSync(joined)
      },
    ),
    { numRuns: 10 },
  )
})

/** What a file's row groups say of their least and greatest values is so. */
async function checkBounds(path: string): Promise<void> {
  const stated = await duck.rows(
    `SELECT path_in_schema AS name, row_group_id AS g, row_group_num_rows AS n, stats_min_value AS low, stats_max_value AS high FROM parquet_metadata(${quote(path)}) ORDER BY g`,
  )
  let first = 0
  for (const [, group] of Map.groupBy(stated, ({ g }) => g)) {
    const told = group.filter(({ low }) => low !== null)
    const end = first + Number(group[0]!.n)
    const values = told.flatMap(({ name }) =>
      ['min', 'max'].map(side => `${side}(${name})::VARCHAR AS ${side}_${name}`),
    )
    const [found] = await duck.rows(
      `SELECT count(each_i32) AS n${values.map(value => `, ${value}`).join('')} FROM read_parquet(${quote(path)}, file_row_number = true)
       WHERE file_row_number >= ${first} AND file_row_number < ${end}`,
    )
    for (const { name, low, high } of told)
      assert.deepEqual([name, low, high], [name, found![`min_${name}`], found![`max_${name}`]])
    if (Number(found!.n) > 0) assert.ok(told.length >= 20, `${told.length} columns have bounds`)
    first = end
  }
}

test('values that repeat are written once: the file is much smaller; a search by any of them finds its rows', async () => {
  const sql = `SELECT i::BIGINT AS id, 'mode ' || hash(i) % 7 AS mode, DATE '2000-01-01' + (hash(i) % 2500)::INT AS day, md5(i::VARCHAR) AS hex FROM range(50000) r(i)`
  const { plain, kept } = await staged('many', sql, 1)
  const sizes = await duck.rows(
    `SELECT path_in_schema AS name, sum(total_compressed_size) AS n, any_value(encodings) AS encodings FROM parquet_metadata(${quote(kept)}) GROUP BY 1`,
  )
  const of = (name: string) => sizes.find(row => row.name === name)!
  assert.match(String(of('mode').encodings), /DICTIONARY/)
  assert.ok(Number(of('mode').n) < 50_000 / 2, String(of('mode').n))
  assert.match(String(of('day').encodings), /DICTIONARY/)
  assert.doesNotMatch(String(of('hex').encodings), /DICTIONARY/)
  for (const where of [
    "mode = 'mode 3'",
    "day = DATE '2001-05-05'",
    'id > 49990',
    "hex < '1'",
    "hex > 'f'",
  ]) {
    const [a, b] = await Promise.all(
      [plain, kept].map(path =>
        duck.rows(
          `SELECT count(*) AS n, sum(id)::VARCHAR AS s FROM read_parquet(${quote(path)}) WHERE ${where}`,
        ),
      ),
    )
    assert.deepEqual(b, a, where)
  }
})

test("another writer's file, and one that is not compressed, is not one to keep", async () => {
  const { plain } = await staged('other', 'SELECT 1 AS id', 1)
  const zstd = join(folder, 'zstd')
  await duck.run(`COPY (SELECT 1 AS id) TO ${quote(zstd)} (FORMAT parquet, COMPRESSION zstd)`)
  assert.equal(openKept(plain), undefined)
  assert.equal(openKept(zstd), undefined)
  const file = new PlainFile(plain)
  const own = join(folder, 'own')
  writeFileSync(own, encodeParquet(file.read(0)!))
  file.close()
  assert.equal(openKept(own), undefined)
})
