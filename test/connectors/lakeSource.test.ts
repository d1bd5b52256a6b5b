import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { ExtractSpec, Range, Read } from '../../engine/contracts/source.ts'
import type { Target } from '../../engine/contracts/target.ts'
import type { EngineError } from '../../engine/errors.ts'
import { openLane } from '../../engine/extract/laneHandle.ts'
import { Workers } from '../../engine/pool/pool.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { createLog } from '../../src/cli/log.ts'
import { lake } from '../../src/connectors/lake/index.ts'
import { LakeSource } from '../../src/connectors/lake/source.ts'
import { LakeTarget } from '../../src/connectors/lake/target.ts'
import { openMetadata } from '../../src/metadata/open.ts'
import { runJob } from '../../src/runs/runJob.ts'
import { loadInto } from './lakeNight.ts'
import { newShelf, onS3 } from './lakePlaces.ts'

const signal = new AbortController().signal
const folder = mkdtempSync(join(tmpdir(), 'nightfreight-lake-source-'))
let duck: Duck
let workers: Workers
let lakes = 0
before(async () => {
  duck = await Duck.open({ threads: 1 })
  workers = new Workers(2)
})
after(async () => {
  await workers.close()
  duck.close()
  rmSync(folder, { recursive: true, force: true })
})

function fresh() {
  const root = newShelf(folder)
  const target: Target = new LakeTarget(root.store(), 'w', { compression: 'gzip', target: 1e6 })
  return { root, target, source: new LakeSource(root.place, 'lake') }
}

const extractOf = (options: object): ExtractSpec => ({
  name: 'x',
  from: 'lake',
  key: [],
  columns: {},
  options: { table: 't', ...options },
})

/** A table's rows as an extract stages them. */
async function extracted(source: LakeSource, options: object = {}, since?: Read['since']): Promise<string[]> {
  const { columns } = await source.describe(extractOf(options))
  const snapshot = await source.open(2)
  const limits = { rows: 1000, bytes: 1e6 }
  const read: Read = {
    extract: 'x',
    where: 'lake.t',
    columns,
    key: [],
    options: { table: 't', ...options },
    limits,
    ...(since && { since }),
  }
  const staging = join(folder, `staging-${lakes++}`)
  mkdirSync(staging)
  const lane = await openLane(workers, snapshot.lane, staging, new AbortController().signal)
  const files: string[] = []
  // Ranges cut in two, and read file by file.
  const ranges = (await snapshot.ranges(read)).map(
    async range => (await snapshot.split(read, range)) ?? [range],
  )
  for (const [index, start] of (await Promise.all(ranges)).flat().entries())
    for (let range: Range | undefined = start, step = 0; range; step++) {
      const request = { read, range, limit: 1, folder: 'raw', stem: `part-${index}-${step}` }
      const { parts, rest } = await lane.read(request, () => {}, new AbortController().signal)
      files.push(...parts.map(({ file }) => join(staging, file)))
      range = rest
    }
  await lane.close()
  if (files.length === 0) return []
  const list = files.map(quote).join(', ')
  const rows = await duck.rows(`SELECT COLUMNS(*)::VARCHAR FROM read_parquet([${list}]) ORDER BY ALL`)
  return rows.map(row => Object.values(row).join(' '))
}

describe('an extract of a lake', () => {
  test('every type comes back exactly, partition columns too', async () => {
    const { target, source } = fresh()
    const types: Record<string, string[]> = {
      BOOLEAN: ['true', 'false'],
      TINYINT: ['-128'],
      UBIGINT: ['18446744073709551615'],
      FLOAT: ['-0.1', 'nan', 'inf'],
      DOUBLE: ['5e-324', '0.1'],
      'DECIMAL(38,37)': ['-0.0000000000000000000000000000000000001'],
      'DECIMAL(10,2)': ['-0.01'],
      VARCHAR: ['', 'é🙂'],
      BLOB: ['\\x00\\xFFa'],
      DATE: ['0001-01-01', 'infinity'],
      TIME: ['23:59:59.999999'],
      TIMESTAMP: ['1899-12-31 23:59:59.999999', '-infinity'],
      'TIMESTAMP WITH TIME ZONE': ['1969-12-31 23:59:59.999999+00'],
    }
    const columns = Object.entries(types).map(([type, list], column) => {
      const values = [0, 1, 2].map(row => (row < list.length ? quote(list[row]!) : 'NULL'))
      return `list_value(${values.join(', ')})[i + 1]::${type} AS c${column}`
    })
    const sql = `SELECT i AS id, ${columns.join(', ')} FROM range(3) r(i)`
    const expected = [0, 1, 2].map(row =>
      [row, ...Object.values(types).map(list => list[row] ?? '')].join(' '),
    )
    const names = Object.keys(types).flatMap((type, column) =>
      ['FLOAT', 'DOUBLE', 'BLOB'].includes(type) ? [] : [`c${column}`],
    )
    for (const [table, partitionBy] of Object.entries({ t: [], parts: names })) {
      await loadInto(duck, folder, target, { loadId: table, spec: { table, partitionBy }, sql })
      assert.deepEqual(await extracted(source, { table }), expected)
      // The same again changes nothing: no value is another one for having been written.
      const again = { loadId: `${table} again`, spec: { table, partitionBy }, sql }
      assert.equal((await loadInto(duck, folder, target, again)).counts[0]!.unchanged, 3)
    }
  })

  test('reads an earlier version, by number or by time, and only what is new', async () => {
    const { target, source } = fresh()
    const load = (loadId: string, sql: string) => loadInto(duck, folder, target, { loadId, sql })
    await load('L1', "SELECT 1 AS id, TIMESTAMP '2026-01-01' AS seen")
    const between = new Date().toISOString()
    await load('L2', "SELECT 2 AS id, TIMESTAMP '2026-01-02' AS seen")
    const one = ['1 2026-01-01 00:00:00']
    const both = [...one, '2 2026-01-02 00:00:00']
    assert.deepEqual(await extracted(source), both)
    assert.deepEqual(await extracted(source, { version: 1 }), one)
    assert.deepEqual(await extracted(source, { as_of: between }), one)
    const since = { column: 'seen', value: '2026-01-01 12:00:00' }
    assert.deepEqual(await extracted(source, {}, since), both.slice(1))
    await assert.rejects(source.describe(extractOf({ version: 3 })), {
      code: 'CONFIG_INVALID',
      message: /newest is 2/,
    })
    await assert.rejects(source.describe(extractOf({ as_of: '2020-01-01T00:00:00Z' })), {
      code: 'CONFIG_INVALID',
      message: /nothing was loaded before 2020/,
    })
    await assert.rejects(source.describe(extractOf({ table: 'tt' })), {
      code: 'TABLE_MISSING',
      hint: 'Its tables: t.',
    })
  })

  test('keeps the version it began with, and notices other columns than were planned', async () => {
    const { target, source } = fresh()
    const load = (loadId: string, sql: string) => loadInto(duck, folder, target, { loadId, sql })
    await load('L1', 'SELECT 1 AS id, 1::SMALLINT AS x')
    const { columns } = await source.describe(extractOf({}))
    const read = {
      extract: 'x',
      where: 'lake.t',
      columns,
      key: [],
      options: { table: 't' },
      limits: { rows: 1, bytes: 1 },
    }
    const snapshot = await source.open(1)
    await load('L2', 'SELECT 2 AS id, 2::INTEGER AS x')
    assert.equal((await snapshot.ranges(read))[0]!.rows, 1)
    await assert.rejects((await source.open(1)).ranges(read), {
      code: 'SCHEMA_DRIFT',
      message: /lake\.t\.x: is INTEGER/,
    })
  })

  test('a folder that is none, or holds no lake, is told apart', async () => {
    const { source, root } = fresh()
    if ('folder' in root.place) {
      await assert.rejects(source.probe(), { code: 'CONNECTION_FAILED' })
      mkdirSync(root.place.folder)
    }
    await assert.rejects(source.probe(), { code: 'TABLE_MISSING', message: /nothing was ever loaded/ })
  })
})

test('a URL is absolute or relative to the job, and nothing between', () => {
  const parse = (url: string) => lake.config.safeParse({ url }).success
  assert.deepEqual(
    ['lake:///data/lake', 'lake:lake', 'lake:../lake', 'lake://host/lake', 'lake:'].map(parse),
    [true, true, true, false, false],
  )
  assert.deepEqual(
    ['lake:s3://bucket', 'lake:s3://bucket/a/b', 'lake:s3://k:s@bucket', 'lake:s3:bucket'].map(parse),
    [true, true, false, false],
  )
})

test('one job loads the lake from files, another extracts from it', async () => {
  const home = join(folder, 'home')
  const clock = { now: () => new Date() }
  const metadata = await openMetadata(folder, clock, undefined)
  const night = async (job: string, yaml: string, models: Record<string, string>) => {
    const queries = join(folder, 'jobs', job)
    mkdirSync(queries, { recursive: true })
    writeFileSync(join(queries, 'job.yaml'), `job: ${job}\nresources: { memory: 300MB, threads: 1 }\n${yaml}`)
    for (const [name, sql] of Object.entries(models)) writeFileSync(join(queries, `${name}.sql`), sql)
    const { outcome, error } = await runJob({
      folder: queries,
      env: {},
      home,
      metadata,
      clock,
      progress: { started() {}, advanced() {}, finished() {}, note() {} },
      signal,
      log: createLog({ folder: home }),
      secrets: [],
    })
    assert.equal(error, undefined, `${(error as EngineError | undefined)?.message}`)
    return outcome.loaded.map(({ table, inserted, updated, deleted }) => [table, inserted, updated, deleted])
  }
  const lakeYaml = onS3
    ? `url: "lake:s3://lake/job-lake", endpoint: "${process.env.LAKE_S3}", access_key: test, secret_key: test`
    : 'url: "lake:../../job-lake"'
  const into = `
connections: { drop: "file:${folder}/drop", lake: { ${lakeYaml}, target_file_size: 64KB, compression: zstd, level: 5 } }
extract: { sales: { from: drop, files: "*.csv", take: all, schema: { id: INTEGER, day: DATE, amount: "DECIMAL(10,2)" } } }
load:
  mart.sales: { to: lake, from: sales_by_month, key: [month, id], partition_by: [month], deletes: hard, guard: { max_delete_share: 1 } }
  last_day: { to: lake, from: last_day, mode: replace, key: day, guard: { max_delete_share: 1 } }
`
  const models = {
    sales_by_month: "SELECT strftime(day, '%Y-%m') AS month, id, day, amount FROM sales",
    last_day: 'SELECT max(day) AS day, sum(amount) AS total FROM sales',
  }
  const out = `
connections: { lake: { ${lakeYaml} }, wh: "duckdb:../../out.duckdb" }
extract:
  sales: { from: lake, table: mart.sales }
  first: { from: lake, table: mart.sales, version: 1, key: [month, id] }
  totals: { from: lake, table: last_day }
load: { months: { to: wh, from: months, key: month } }
`
  const months = {
    months:
      'SELECT month, count(*)::INTEGER AS n, sum(amount)::DECIMAL(12,2) AS amount, (SELECT count(*) FROM first)::INTEGER AS before, (SELECT min(total) FROM totals)::DECIMAL(12,2) AS total FROM sales GROUP BY month',
  }
  const drop = (...lines: string[]) => {
    mkdirSync(join(folder, 'drop'), { recursive: true })
    writeFileSync(join(folder, 'drop/sales.csv'), ['id,day,amount', ...lines, ''].join('\n'))
  }
  const result = async () => {
    const reader = await Duck.open({ path: join(folder, 'out.duckdb') })
    const rows = await reader.rows('SELECT COLUMNS(*)::VARCHAR FROM months ORDER BY month')
    reader.close()
    return rows.map(row => Object.values(row).join(' '))
  }
  drop('1,2026-01-30,1.10', '2,2026-01-31,2.20', '3,2026-02-01,3.30')
  assert.deepEqual(await night('fill', into, models), [
    ['mart.sales', 3, 0, 0],
    ['last_day', 1, 0, 0],
  ])
  await night('drain', out, months)
  assert.deepEqual(await result(), ['2026-01 2 3.30 3 6.60', '2026-02 1 3.30 3 6.60'])
  drop('1,2026-01-30,1.15', '3,2026-02-01,3.30', '4,2026-02-02,4.40')
  assert.deepEqual(await night('fill', into, models), [
    ['mart.sales', 1, 1, 1],
    ['last_day', 1, 0, 1],
  ])
  await night('drain', out, months)
  assert.deepEqual(await result(), ['2026-01 1 1.15 3 8.85', '2026-02 2 7.70 3 8.85'])
  await metadata.close()
})
