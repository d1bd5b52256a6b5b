import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { REJECTED } from '../../engine/batch/builder.ts'
import type { LaneModule, Sink } from '../../engine/contracts/source.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import type { Column, InexactPolicy } from '../../engine/types/logical.ts'
import { local } from '../../src/connectors/local/index.ts'
import { folderOf } from '../../src/connectors/local/store.ts'
import { dropOptions } from '../../src/drops/options.ts'
import type { Reject } from '../../src/formats/rowSpool.ts'

const top = mkdtempSync(join(tmpdir(), 'nf-local-'))
const outside = join(top, 'outside.csv')
writeFileSync(outside, 'id\n1\n')
after(() => rmSync(top, { recursive: true }))
let folders = 0

interface Asked {
  schema: Record<string, string>
  extract?: object
  policies?: Record<string, InexactPolicy>
  link?: boolean
}

/** Writes files into a folder, reads them through the connector, and gives back the staged rows with their types. */
async function read(files: Record<string, string | Buffer>, { schema, extract, policies = {}, link }: Asked) {
  const folder = join(top, String(++folders))
  mkdirSync(folder)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  if (link) symlinkSync(outside, join(folder, 'link.csv'))
  const source = local.source!(local.config.parse({ url: pathToFileURL(folder).href }), {
    name: 'drops',
    baseDir: '/',
  })
  const { signal } = new AbortController()
  await source.probe(signal)
  const parsed = dropOptions.parse({ files: '*.csv*', schema, ...extract })
  const spec = { name: 'corrections', from: 'drops', key: [], columns: {}, options: parsed }
  const columns: Column[] = (await source.describe(spec, signal)).columns.map(column => ({
    ...column,
    policy: policies[column.name],
  }))
  columns.push({ name: REJECTED, type: { kind: 'text' }, nullable: true, native: 'text' })
  const plan = {
    extract: 'corrections',
    where: 'drops.corrections',
    columns,
    key: [],
    options: parsed,
    limits: { rows: 1000, bytes: 1e6 },
  }
  const snapshot = await source.open(3, signal, [plan])
  assert.deepEqual([snapshot.lanes, snapshot.note], [3, undefined])
  const lane = await ((await import(snapshot.lane.module)) as LaneModule).openLane(
    snapshot.lane.payload,
    new AbortController().signal,
  )
  const duck = await Duck.open({})
  const rows: unknown[][] = []
  const rejected: Reject[] = []
  let types: unknown[] = []
  try {
    for (const [index, range] of (await snapshot.ranges(plan)).entries()) {
      const stem = join(top, `${folders}-${index}`)
      const paths: string[] = []
      const rejectable = new Set<string>()
      const sink: Sink = {
        write: () => assert.fail(),
        file: (fill, exact) => {
          const path = `${stem}-${paths.length}.parquet`
          paths.push(path)
          if (!exact) rejectable.add(path)
          return fill(path)
        },
        note: () => assert.fail(),
      }
      assert.equal(await lane.read(plan, range, 1, sink, new AbortController().signal), undefined)
      for (const path of paths) {
        const good = rejectable.has(path)
          ? `(SELECT * EXCLUDE ${REJECTED} FROM ${quote(path)} WHERE ${REJECTED} IS NULL)`
          : quote(path)
        types = (await duck.rows(`DESCRIBE FROM ${good}`)).map(row => row.column_type)
        rows.push(
          ...(await duck.rows(`SELECT COLUMNS(*)::VARCHAR FROM ${good}`)).map(row => Object.values(row)),
        )
        if (!rejectable.has(path)) continue
        const bad = await duck.rows(
          `SELECT ${REJECTED} AS r FROM ${quote(path)} WHERE ${REJECTED} IS NOT NULL`,
        )
        rejected.push(...bad.flatMap(row => JSON.parse(String(row.r)) as Reject[]))
      }
    }
    return { rows, types, rejected }
  } finally {
    duck.close()
    await lane.close()
  }
}

test('columns come in the order and types of the schema, files in the order of their names', async () => {
  const { rows, types } = await read(
    {
      'b.csv': '\ufeffamount,more,at,id,name\r\n12.1,x,2026-01-31T23:55:00.123456+05:30,1,"say ""hi"""\r\n',
      'a[1]*.csv': 'id,name,at,amount,"more"\n2,"",2026-01-31 10:00Z,,x\n3,,,"",y\n',
      'c.csv.gz': gzipSync('id,name,at,amount\n4,ü,,0.50\n'),
    },
    { schema: { id: 'BIGINT', name: 'VARCHAR', amount: 'DECIMAL(12,2)', at: 'TIMESTAMPTZ' } },
  )
  assert.deepEqual(types, ['BIGINT', 'VARCHAR', 'DECIMAL(12,2)', 'TIMESTAMP WITH TIME ZONE'])
  assert.deepEqual(rows, [
    ['2', '', null, '2026-01-31 10:00:00+00'],
    ['3', null, null, null],
    ['1', 'say "hi"', '12.10', '2026-01-31 18:25:00.123456+00'],
    ['4', 'ü', '0.50', null],
  ])
})

test('no file, an empty file, another delimiter without a header', async () => {
  const schema = { id: 'BIGINT', day: 'DATE' }
  assert.deepEqual((await read({}, { schema })).rows, [])
  const { rows } = await read(
    { 'x.csv': '1;2026-01-31\n' },
    { schema, extract: { delimiter: ';', header: false } },
  )
  assert.deepEqual(rows, [['1', '2026-01-31']])
})

test('a bad line names file, line and value', async () => {
  for (const [type, value] of [
    ['BIGINT', '1.5'],
    ['DECIMAL(12,2)', '1.234'],
    ['DECIMAL(4,2)', '100'],
    ['TIMESTAMPTZ', '2026-01-31 10:00:00'],
    ['TIMESTAMP', '2026-01-31 10:00:00+02'],
    ['TIMESTAMP', '2026-01-31 10:00:00.1234567'],
    ['DATE', '2026-02-30'],
  ] as const)
    await assert.rejects(
      read({ 'x.csv': `note,v\n"two\nlines",\nn,${value}\n` }, { schema: { note: 'VARCHAR', v: type } }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'DECODE_FAILED')
        assert.ok(error.message.startsWith(`drops x.csv: line 4: v: "${value}" `), error.message)
        return true
      },
    )
  const ragged = await read({ 'x.csv': 'a,b\n1,2\n3,4,5\n"6\n6",7\n8\n' }, { schema: { a: 'VARCHAR' } })
  assert.deepEqual(ragged.rows, [['1'], ['6\n6']])
  assert.deepEqual(ragged.rejected, [
    { column: 'x.csv line 3', value: '3,4,5', reason: 'has 3 fields, not 2' },
    { column: 'x.csv line 6', value: '8', reason: 'has 1 field, not 2' },
  ])
  const bytes = Buffer.from('a\nok\n\xff\xfe\n', 'latin1')
  const text = await read({ 'x.csv': bytes }, { schema: { a: 'VARCHAR' } })
  assert.deepEqual(text.rows, [['ok']])
  assert.deepEqual(text.rejected, [{ column: 'x.csv line 3', value: 'ÿþ', reason: 'is not UTF-8' }])
  await assert.rejects(read({ 'x.csv': 'idd\n1\n' }, { schema: { id: 'BIGINT' } }), {
    code: 'COLUMN_MISSING',
    message: /no column id; did you mean "idd"\?/,
  })
})

test('policies: null, and quarantine with the reason', async () => {
  const { rows, rejected } = await read(
    { 'x.csv': 'a,b\n1,2026-02-30\nx,2026-02-28\n' },
    { schema: { a: 'BIGINT', b: 'DATE' }, policies: { a: 'null', b: 'quarantine' } },
  )
  assert.deepEqual(rows, [[null, '2026-02-28']])
  assert.deepEqual(rejected, [
    {
      column: 'b',
      value: '2026-02-30',
      reason: 'is not a value that DATE holds exactly (x.csv line 2)',
    },
  ])
})

test('a link out of the folder is refused, and so is a pattern', async () => {
  await assert.rejects(read({}, { schema: { id: 'BIGINT' }, link: true }), {
    code: 'PERMISSION_DENIED',
    message: /link\.csv leads out/,
  })
  await assert.rejects(read({}, { schema: { id: 'BIGINT' }, extract: { files: '../*.csv' } }), {
    code: 'PERMISSION_DENIED',
  })
})

test('folders', async () => {
  assert.equal(folderOf('data/in', '/jobs/a'), '/jobs/a/data/in')
  assert.equal(folderOf('file:data', '/jobs/a'), '/jobs/a/data')
  assert.equal(folderOf('file:///x/y%20z', '/jobs/a'), '/x/y z')
  const missing = local.source!({ url: '/no/such/folder' }, { name: 'drops', baseDir: '/' })
  await assert.rejects(missing.probe(new AbortController().signal), { code: 'CONNECTION_FAILED' })
})
