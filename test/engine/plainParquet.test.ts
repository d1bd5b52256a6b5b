import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { PlainFile } from '../../engine/parquet/decode.ts'
import { encodeParquet } from '../../engine/parquet/encode.ts'
import { readParquet, rowsOf } from '../../engine/parquet/read.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { valuesOf } from './parquetValues.ts'

let folder: string
let duck: Duck
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nightfreight-plain-'))
  duck = await Duck.open({ threads: 1 })
})
after(() => {
  duck.close()
  rmSync(folder, { recursive: true })
})

const TYPES: Record<string, string> = {
  b: 'i % 3 = 0',
  i8: '(i % 256 - 128)::TINYINT',
  i16: '(i * 77 % 65536 - 32768)::SMALLINT',
  i32: '(i * 7919 - 2147483648)::INTEGER',
  i64: '(i * 1e15 - 5e18)::BIGINT',
  u8: '(i % 256)::UTINYINT',
  u16: '(i * 77 % 65536)::USMALLINT',
  u32: '(i * 7919)::UINTEGER',
  u64: '(18446744073709551615 - i)::UBIGINT',
  f32: '(i / 7)::FLOAT',
  f64: '(i / -7)::DOUBLE',
  d4: '(i - 50)::DECIMAL(4,2)',
  d18: '(i * 1e10 - 5e12)::DECIMAL(18,3)',
  d38: '(i * 1e30 - 5e31)::DECIMAL(38,5)',
  text: "CASE i % 4 WHEN 0 THEN '' WHEN 1 THEN 'ß' ELSE repeat('long ', (i % 40)::INT) END",
  bytes: "'\\x00\\xFF'::BLOB || i::VARCHAR::BLOB",
  day: "DATE '2000-01-01' + i::INT - 50",
  clock: "TIME '00:00:00' + INTERVAL (i) SECOND",
  stamp: "TIMESTAMP '1969-12-31 23:59:00' + INTERVAL (i) SECOND",
  instant: "TIMESTAMPTZ '1969-12-31 23:59:00+00' + INTERVAL (i) SECOND",
}

async function read(path: string): Promise<string[]> {
  const found: string[] = []
  await readParquet(path, async batch => void found.push(...valuesOf(batch)))
  return found
}

test('a plain file reads as the same rows in any other encoding do, and so does its copy by our own encoder', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 70 }),
      fc.constantFrom('FALSE', 'i % 2 = 0', 'i < 20', 'i % 7 <> 0', 'TRUE', 'hash(i) % 5 = 0'),
      async (rows, absent) => {
        const list = Object.entries(TYPES).map(
          ([name, value]) => `CASE WHEN ${absent} THEN NULL ELSE ${value} END AS ${name}`,
        )
        const sql = `SELECT ${list.join(', ')} FROM range(${rows}) r(i)`
        const [plain, other, own] = ['plain', 'other', 'own'].map(name =>
          join(folder, `${name}.parquet`),
        ) as [string, string, string]
        await duck.run(
          `COPY (${sql}) TO ${quote(plain)} (FORMAT parquet, COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 0)`,
        )
        await duck.run(`COPY (${sql}) TO ${quote(other)} (FORMAT parquet, COMPRESSION snappy)`)
        const file = new PlainFile(plain)
        const batch = file.read(0)
        assert.ok(batch, 'DuckDB wrote another kind of file')
        assert.deepEqual(valuesOf(batch), await read(other))
        writeFileSync(own, encodeParquet(batch))
        file.close()
        assert.deepEqual(await read(own), await read(other))
      },
    ),
    { numRuns: 40 },
  )
})

test('row groups follow one another; a file in which only some are plain is read whole', async () => {
  const path = join(folder, 'groups.parquet')
  // The second group's texts repeat, so that they get a dictionary; the first one's do not.
  await duck.run(
    `COPY (SELECT i, CASE WHEN i < 2048 THEN md5(i::VARCHAR) ELSE 'again' END AS t FROM range(5000) r(i))
     TO ${quote(path)} (FORMAT parquet, COMPRESSION uncompressed, ROW_GROUP_SIZE 2048)`,
  )
  const file = new PlainFile(path)
  assert.deepEqual(
    [0, 1, 2].map(group => file.read(group)?.rows),
    [2048, undefined, undefined],
  )
  file.close()
  let rows = 0
  await readParquet(path, async batch => {
    rows += batch.rows
  })
  assert.equal(rows, 5000)
  assert.equal(await rowsOf(path), 5000)
})

test('a plain file with a byte missing anywhere is refused by name', async () => {
  const path = join(folder, 'cut.parquet')
  await duck.run(
    `COPY (SELECT i, i::VARCHAR AS t FROM range(50) r(i)) TO ${quote(path)} (FORMAT parquet, COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 0)`,
  )
  const bytes = readFileSync(path)
  for (let length = 0; length < bytes.length; length += 13) {
    writeFileSync(path, bytes.subarray(0, length))
    await assert.rejects(read(path), { code: 'STAGING_CORRUPT', message: /cut\.parquet/ })
  }
})

test('no damage of a footer ends the thread that reads the file: it is an error, or what could be read', async () => {
  const path = join(folder, 'whole.parquet')
  await duck.run(
    `COPY (SELECT r AS id, 'v' || r % 7 AS v, r::DECIMAL(9,2) AS d, r % 3 = 0 AS b, to_timestamp(r) AS at FROM range(3000) AS t(r))
     TO ${quote(path)} (FORMAT parquet, ROW_GROUP_SIZE 2048)`,
  )
  const whole = readFileSync(path)
  const from = whole.length - 8 - whole.readUInt32LE(whole.length - 8)
  const flip = fc.record({ at: fc.integer({ min: from, max: whole.length - 9 }), bit: fc.nat({ max: 7 }) })
  const paths = fc
    .sample(fc.array(flip, { minLength: 1, maxLength: 2 }), { numRuns: 300, seed: 7 })
    .map((flips, number) => {
      const damaged = Buffer.from(whole)
      for (const { at, bit } of flips) damaged[at]! ^= 1 << bit
      const one = join(folder, `damaged-${number}.parquet`)
      writeFileSync(one, damaged)
      return one
    })
  // Here the test runner would hear of panics, too.
  const thread = new Worker(new URL('./readAll.ts', import.meta.url), { workerData: paths })
  const [codes] = (await once(thread, 'message')) as [(string | null)[]]
  assert.equal(codes.length, 300)
  const failed = codes.filter(code => code !== null)
  assert.ok(failed.length > 0)
  assert.deepEqual([...new Set(failed)], ['STAGING_CORRUPT'])
})
