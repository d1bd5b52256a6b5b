/** As if no statement over all rows of a load fitted into memory: range by range, everything comes out the same. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { mock, test } from 'node:test'
import fc from 'fast-check'
import type { StagedLoad } from '../../engine/contracts/load.ts'
import { EngineError } from '../../engine/errors.ts'
import { Duck, quote, quoteName } from '../../engine/sql/duckdb.ts'
import { type Column, typeFromName } from '../../engine/types/logical.ts'
import { byKeyRanges, within } from '../../src/connectors/lake/keyRanges.ts'
import { withMemory } from '../../src/connectors/lake/memory.ts'
import { checkFiles, duck, folder, fresh, load, newestOf, rowsOf, values } from './lakeLoading.ts'

const { run, rows } = Duck.prototype
let exceeded = 0
/** Of a range that has an end, not of all rows. */
const isRange = (sql: string) => /[<>]=? CAST\((concat\()?'/.test(sql)
function exceed(): never {
  exceeded++
  throw new EngineError('MEMORY_EXCEEDED', 'Out of Memory Error: as if')
}
mock.method(Duck.prototype, 'run', async function (this: Duck, sql: string) {
  await run.call(this, sql)
  if (!/^CREATE OR REPLACE TABLE rewritten \(.* ORDER BY /s.test(sql) || isRange(sql)) return
  const [found] = await rows.call(this, 'SELECT count(*) AS n FROM rewritten')
  if (found!.n !== 0) exceed()
})
mock.method(Duck.prototype, 'rows', async function (this: Duck, sql: string) {
  const found = await rows.call(this, sql)
  if (/^SELECT _nf_file AS file, _nf_act AS act/.test(sql) && !isRange(sql) && found.length > 0) exceed()
  return found
})

await import('./lake.test.ts')

test('ranges hold each row once, in the order of the key, whatever its types', async () => {
  const types = {
    BIGINT: fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.bigInt(0n, 9n)).map(String),
    VARCHAR: fc.oneof(
      fc.string({ maxLength: 4, unit: 'grapheme' }),
      fc.constantFrom('', "it's", '\\x00', 'NULL', 'a\0', '\0\0b'),
    ),
    DOUBLE: fc.double({ noNaN: true }).map(String),
    'DECIMAL(18,3)': fc.integer().map(value => `${value}e-3`),
    DATE: fc.constantFrom('0001-01-01 (BC)', '1970-01-01', '9999-12-31', '2026-02-01'),
    'TIMESTAMP WITH TIME ZONE': fc.constantFrom(
      '1969-12-31 23:59:59.999999+00',
      '2026-02-01 00:00:00+00',
      '2026-02-01 00:00:00.000001+00',
    ),
    BLOB: fc.constantFrom('', 'a', '\\x00\\x27', '\\xFF'),
    BOOLEAN: fc.constantFrom('true', 'false'),
  }
  const name = fc.constantFrom(...(Object.keys(types) as (keyof typeof types)[]))
  const rows = fc.tuple(name, name).chain(([one, other]) =>
    fc.record({
      names: fc.constant([one, other] as string[]),
      rows: fc.array(fc.tuple(fc.option(types[one]), fc.option(types[other])), { maxLength: 60 }),
    }),
  )
  await fc.assert(
    fc.asyncProperty(rows, fc.integer({ min: 1, max: 2 }), async ({ names, rows }, width) => {
      const columns = names.map(
        (native, at): Column => ({
          name: `k${1 - at}`,
          type: typeFromName(native)!,
          nullable: false,
          native,
        }),
      )
      const list = rows.map(
        row =>
          `(${row.map((text, at) => `CAST(${text === null ? 'NULL' : quote(text)} AS ${names[at]})`).join(', ')})`,
      )
      const none = `SELECT ${columns.map(({ name, native }) => `NULL::${native} AS "${name}"`).join(', ')} LIMIT 0`
      const sql =
        rows.length > 0 ? values(columns.map(({ name }) => quoteName(name)).join(', '), ...list) : none
      const keyed = columns.slice(0, width)
      const order = keyed.map(({ name }) => quoteName(name)).join(', ')
      const read = (from: string) => duck.rows(`SELECT ${order} FROM (${from}) ORDER BY ${order}`)
      let attempts = 0
      const ranges = await byKeyRanges(duck, keyed, sql, async (range, index) => {
        if (index === 0) attempts++
        if (attempts === 1 || (attempts === 2 && index === 1))
          throw new EngineError('MEMORY_EXCEEDED', 'too much')
        return read(within(sql, keyed, range))
      }).catch(error => {
        assert.equal(error.code, 'MEMORY_EXCEEDED', error)
        return undefined
      })
      const sorted = (rows: object[]) => rows.map(row => JSON.stringify(row)).sort()
      const all = await read(sql)
      // Rows without a key may lie anywhere.
      const keyedOnly = (rows: object[]) => rows.filter(row => !Object.values(row).includes(null))
      if (ranges) {
        assert.deepEqual(sorted(ranges.flat()), sorted(all))
        assert.deepEqual(keyedOnly(ranges.flat()), keyedOnly(all))
      } else {
        const distinct = new Set(keyedOnly(all).map(row => JSON.stringify(row))).size
        assert.ok(distinct < 8 || distinct < rows.length, 'there are smaller ranges')
      }
    }),
    { numRuns: 60 },
  )
})

/** Rows of 120 texts, in no order, that all differ by night. */
const wide = (night: number) => {
  const columns = Array.from(
    { length: 120 },
    (_, at) => `md5(concat(i, ${at}, ${at % 9 && night})) AS c${at}`,
  )
  return `SELECT i AS id, ${columns.join(', ')} FROM range(${night * 500}, ${30_000 + night * 1000}) AS r(i) ORDER BY hash(i)`
}
test('rows that together do not fit into the memory a lake takes are changed, and lie in order', async () => {
  assert.ok(exceeded > 50, `${exceeded} statements were too much`)
  mock.restoreAll()
  const { root, target } = fresh(64_000_000)
  for (const night of [0, 1]) {
    const sql = wide(night)
    const path = join(folder, `wide-${night}.parquet`)
    await duck.copyParquet(sql, path, 'ROW_GROUP_SIZE 2048')
    const spec: Partial<StagedLoad> = { deletes: 'hard', whole: true }
    const keySql = `SELECT id FROM (${sql})`
    const counts = await load(target, { loadId: `wide ${night}`, sql, paths: [path], keySql, spec })
    const { inserted, updated, deleted } = counts
    assert.deepEqual([inserted, updated, deleted], night === 0 ? [30_000, 0, 0] : [1000, 29_500, 500])
  }
  await checkFiles(root)
  const { files } = await newestOf(root)
  const bounds = files.flatMap(({ min, max }) => [Number(min.id), Number(max.id)])
  assert.deepEqual(
    bounds,
    bounds.toSorted((a, b) => a - b),
  )
  const sum = 'sum(hash(COLUMNS(*)::VARCHAR))'
  assert.deepEqual(await rowsOf(root, sum), [
    Object.values((await duck.rows(`SELECT ${sum} FROM (${wide(1)})`))[0]!).join(' '),
  ])
})

test('what takes more memory than a lake does is tried with what the job may have', async () => {
  const tried: number[] = []
  const act = async (memory: number) => {
    tried.push(memory)
    if (memory < 2 ** 31) throw new EngineError('MEMORY_EXCEEDED', 'too much')
    return 'done'
  }
  assert.equal(await withMemory(2 ** 31, act), 'done')
  assert.deepEqual(tried, [2 ** 29, 2 ** 31])
  await assert.rejects(withMemory(2 ** 20, act), { code: 'MEMORY_EXCEEDED' })
  await assert.rejects(withMemory(2 ** 30, act), { code: 'MEMORY_EXCEEDED' })
  assert.deepEqual(tried.slice(2), [2 ** 29, 2 ** 29, 2 ** 30])
})
