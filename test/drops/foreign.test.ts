import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { dropOptions } from '../../src/drops/options.ts'
import { readerIn, testFolder } from './places.ts'
import { workbookOf } from './workbook.ts'

const read = readerIn(testFolder())
const schema = { id: 'BIGINT', x: 'VARCHAR' }

test('what is no text of its format is refused, whatever its encoding could make of it', async () => {
  const csv = 'id,x\n1,a\n'
  const foreign: [string | Buffer, RegExp, RegExp][] = [
    [gzipSync(csv), /is packed by gzip/, /compression: gzip/],
    [zstdCompressSync(csv), /is packed by zstd/, /compression: zstd/],
    [Buffer.from('\xfd7zXZ\0rest', 'latin1'), /is packed by xz/, /xz -d/],
    [Buffer.from('\x04\x22\x4d\x18rest', 'latin1'), /is packed by lz4/, /lz4 -d/],
    [Buffer.from('PAR1\x15\x04', 'latin1'), /format parquet/, /format: parquet/],
    [workbookOf([['id']]), /is packed by zip|format excel/, /./],
    [
      Buffer.from('\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', 'latin1'),
      /Excel 97 \(\.xls\), or one with a password/,
      /./,
    ],
    ['<!DOCTYPE html>\n<html></html>\n', /is a page of HTML/, /log-?in|login/],
    ['\n<?xml version="1.0"?>\n<a/>\n', /is XML/, /./],
    ['{"id":1}\n{"id":2}\n', /format ndjson/, /format: ndjson/],
    [Buffer.from('\ufeffid,x\n', 'utf16le'), /mark of utf-16/, /encoding: utf-16/],
  ]
  for (const [content, message, hint] of foreign)
    for (const encoding of ['utf-8', 'windows-1252', 'latin1'])
      await assert.rejects(
        read({ 'a.csv': content }, { encoding }),
        (error: { message: string; hint: string }) => {
          assert.match(error.message, message)
          assert.match(error.hint, hint)
          return true
        },
      )
  await assert.rejects(read({ 'a.csv': `\ufeff${csv}` }, { encoding: 'windows-1252' }), {
    message: /mark of utf-8, not of windows-1252/,
  })
  const texts = await read(
    { 'a.csv': '{"id":1}\n{"id":2}\n' },
    { header: false, delimiter: '\t', quote: '', schema: { x: 'VARCHAR' } },
  )
  assert.equal(texts.rows.length, 2)
})

test('a header within a file is no row, and no type is guessed from it', async () => {
  const file = 'id,day\n1,2026-01-01\n'
  const { types, rows, rejected } = await read({ 'a.csv': `${file}${file}` })
  assert.deepEqual(types, ['BIGINT', 'DATE'])
  assert.equal(rows.length, 2)
  assert.deepEqual(rejected, [
    {
      column: 'a.csv line 3',
      value: 'id,day',
      reason: 'is the header again: files may have been put together',
    },
  ])
  assert.equal((await read({ 'a.csv': 'name\nname\n' })).rows.length, 1, 'of one column it may be a value')
})

test('a byte order mark within a file, and control characters of fixed width, make rows bad', async () => {
  for (const [name, text] of Object.entries({
    'a.csv': '\ufeffid,x\n1,a\n\ufeff2,b\n3,c\n',
    'a.ndjson': '\ufeff{"id":1,"x":"a"}\n\ufeff{"id":2,"x":"b"}\n{"id":3,"x":"c"}\n',
  })) {
    const { rows, rejected } = await read({ [name]: text })
    assert.deepEqual(
      rows.map(([id]) => id),
      ['1', '3'],
    )
    assert.match(rejected[0]!.reason, /begins with a byte order mark/)
  }
  const fixed = await read(
    { 'a.txt': '1a\n2\x1f\n3\r4\n5"\n' },
    { format: 'fixed', header: false, widths: { id: 1, x: 1 } },
  )
  assert.deepEqual(fixed.rows, [
    ['1', 'a'],
    ['5', '"'],
  ])
  assert.deepEqual(
    fixed.rejected.map(({ reason }) => reason),
    ['holds a control character (US)', 'holds a control character (CR)'],
  )
})

test('an escape within quotes means a mark; before a letter, and \\N without quotes, nobody knows', async () => {
  const csv = String.raw`id,x
1,"a\"b\\c\,d"
2,"a\nb"
3,\N
4,N
5,C:\dir
6,""
7,
`
  const found = await read({ 'a.csv': csv }, { escape: '\\' })
  assert.deepEqual(found.rows, [
    ['1', 'a"b\\c,d'],
    ['4', 'N'],
    ['5', 'C:\\dir'],
    ['6', ''],
    ['7', null],
  ])
  assert.match(found.rejected[0]!.reason, /has \\n in quotes/)
  assert.match(found.rejected[1]!.reason, /null_values: \["\\\\N"\] takes it for NULL/)
  const nulls = await read({ 'a.csv': 'id,x\n1,\\N\n2,"N"\n' }, { escape: '\\', null_values: ['\\N'] })
  assert.deepEqual(nulls.rows, [
    ['1', null],
    ['2', 'N'],
  ])
})

test('quoted CSV with an escape gives back every text, wherever its bytes are cut', async () => {
  const text = fc.string({ unit: fc.constantFrom('a', '\\', ',', '\n', '"', 'é', '\x1f'), maxLength: 6 })
  const written = (value: string | null) =>
    value === null ? '' : `"${value.replace(/[\\"]/g, mark => `\\${mark}`)}"`
  await fc.assert(
    fc.asyncProperty(fc.array(fc.option(text), { minLength: 1, maxLength: 6 }), async values => {
      const csv = values.map((value, id) => `${id},${written(value)}\n`).join('')
      const { rows } = await read({ 'x.csv': csv }, { schema, escape: '\\', header: false })
      assert.deepEqual(
        rows.map(([, x]) => x),
        values,
      )
    }),
    { numRuns: 12 },
  )
})

test('what no column or text can hold is told of the file, with what to write', async () => {
  const utf16 = (text: string) => Buffer.from(text, 'utf16le')
  const rows = [['1', 'a']]
  assert.deepEqual(
    (await read({ 'a.csv': utf16('id,x\n1,a\n').swap16() }, { encoding: 'utf-16' })).rows,
    rows,
    'the higher byte first, without a mark',
  )
  assert.deepEqual((await read({ 'a.csv': utf16('id,x\n1,a\n') }, { encoding: 'utf-16' })).rows, rows)
  const tar = Buffer.alloc(1024)
  tar.write('a.csv')
  tar.write('ustar', 257)
  const many = Array.from({ length: 10_002 }, (_, index) => `{"id":1,"k${index}":1}`).join('\n')
  const cases: [string, string | Buffer, object, RegExp, RegExp][] = [
    ['a.csv', utf16('id,x\n1,a\n'), {}, /its header has a NUL byte/, /encoding: utf-16/],
    ['a.csv.gz', gzipSync(tar), {}, /is a tar archive/, /tar -xf FILE/],
    ['a.csv', Buffer.from('id,x\n1,\xe9\n', 'latin1'), {}, /line 2 is not UTF-8/, /encoding: windows-1252/],
    [
      'a.csv',
      Buffer.from('id,\xe9\n1,a\n', 'latin1'),
      {},
      /first row is not UTF-8/,
      /encoding: windows-1252/,
    ],
    ['a.csv', '# made by x\nid,x\n1,a\n', {}, /line 2 has 2 fields, not 1/, /write skip: 1/],
    ['a.csv', 'd\n31.01.2026\n', { schema: { d: 'DATE' } }, /"31\.01\.2026"/, /date_format/],
    ['a.ndjson', '{"a\\u0000b":1}', {}, /has a NUL character in a key/, /./],
    ['a.ndjson', many, {}, /more than 10000 different keys/, /schema: \{ id/],
    [
      'a.txt',
      '1  a\n2  b\n',
      { format: 'fixed', widths: { id: 3, x: 1 } },
      /line 1: names none of its columns/,
      /header: false/,
    ],
    [
      'a.csv',
      '1,2\n',
      { header: false, schema: { id: 'BIGINT', '2024': 'BIGINT' } },
      /a column called 2024 would come before/,
      /./,
    ],
  ]
  for (const [name, content, options, message, hint] of cases)
    await assert.rejects(read({ [name]: content }, options), (error: Error & { hint?: string }) => {
      assert.match(error.message, message)
      if (!/called 2024/.test(error.message)) assert.match(error.hint!, hint)
      return true
    })
  const fixed = { format: 'fixed', widths: { id: 3, x: 4 } }
  assert.deepEqual((await read({ 'a.txt': 'ID X   \n1  a\n' }, fixed)).rows, [['1', 'a']])
})

test('a number or a day that is another than its text says is no value of its type', async () => {
  const options = { schema: { id: 'BIGINT', v: 'DOUBLE' }, on_bad_file: 'quarantine' }
  for (const bad of ['1e400', '-1e400', '1e-400', '0.001e-330'])
    await assert.rejects(read({ 'a.csv': `id,v\n1,${bad}\n` }, options), {
      message: /is not a value that DOUBLE holds/,
    })
  const good = await read({ 'a.csv': 'id,v\n1,inf\n2,-Infinity\n3,0e5\n4,0.000\n5,5e-324\n' }, options)
  assert.equal(good.rows.length, 5)
  const days = { schema: { d: 'DATE' }, date_format: '%d.%m.%Y' }
  assert.deepEqual((await read({ 'a.csv': 'd\n1.2.2026\n01.02.0026\n' }, days)).rows, [
    ['2026-02-01'],
    ['0026-02-01'],
  ])
  await assert.rejects(read({ 'a.csv': 'd\n31.01.26\n' }, days), {
    message: /"31\.01\.26" is not a value that DATE holds/,
  })
  assert.throws(() => dropOptions.parse({ files: '*', date_format: '%Q' }), /stands for nothing/)
})

test('of a format what its type does not hold is refused, or told of offsets: time of day, nanoseconds, offset', async () => {
  const offset = { timestamp_format: '%Y-%m-%d %H:%M %z' }
  const csv = { 'a.csv': 'at\n2026-01-31 10:30 +0200\n' }
  for (const [options, what] of [
    [{ date_format: '%Y-%m-%d %H:%M %z', schema: { at: 'DATE' } }, /date_format: cannot have %z/],
    [{ date_format: '%Y-%m-%d %Z' }, /date_format: cannot have %z/],
  ] as const)
    await assert.rejects(read(csv, options), { code: 'CONFIG_INVALID', message: what })
  const zoned = await read(csv, { ...offset, schema: { at: 'TIMESTAMPTZ' } })
  assert.deepEqual(zoned.rows, [['2026-01-31 08:30:00+00']])
  assert.deepEqual(zoned.notes, [])
  const moment = await read(csv, { ...offset, schema: { at: 'TIMESTAMP' } })
  assert.deepEqual(moment.rows, [['2026-01-31 08:30:00']])
  assert.deepEqual(moment.notes, ['a.csv has moments with an offset, which are kept as UTC without it: at'])
  const bare = { timestamp_format: '%Y-%m-%d %H:%M %%z', schema: { at: 'TIMESTAMPTZ' } }
  const taken = await read({ 'a.csv': 'at\n2026-01-31 10:30 %z\n' }, bare)
  assert.deepEqual(taken.rows, [['2026-01-31 10:30:00+00']])
  assert.deepEqual(taken.notes, ['a.csv has moments without an offset, which are read as UTC: at'])
  const utc = { timestamp_format: '%Y-%m-%dT%H:%MZ', schema: { at: 'TIMESTAMPTZ' } }
  assert.deepEqual((await read({ 'a.csv': 'at\n2026-01-31T10:30Z\n' }, utc)).rows, [
    ['2026-01-31 10:30:00+00'],
  ])
  const days = { date_format: '%Y-%m-%d %H:%M', schema: { at: 'DATE' } }
  const zonedNanos = (at: string) => ({ timestamp_format: '%Y-%m-%d %H:%M:%S.%n %z', schema: { at } })
  const nanos = { timestamp_format: '%Y-%m-%d %H:%M:%S.%n', schema: { at: 'TIMESTAMP' } }
  const glued = { timestamp_format: '%Y%m%d%H%M%S%n%z', schema: { at: 'TIMESTAMPTZ' } }
  const spaced = { timestamp_format: 'ID %Y%m%d %H%M%S %n %z', schema: { at: 'TIMESTAMPTZ' } }
  for (const [text, options, value] of [
    ['2026-01-31 00:00', days, '2026-01-31'],
    ['2026-01-31 10:30', days, undefined],
    ['2026-01-31 10:30:00.123456000', nanos, '2026-01-31 10:30:00.123456'],
    ['2026-01-31 10:30:00.123456789', nanos, undefined],
    ['2026-01-31 10:30:00.123456789', { ...nanos, schema: { at: 'TIMESTAMPTZ' } }, undefined],
    ['2026-01-31 10:30:00.123456000 +0200', zonedNanos('TIMESTAMPTZ'), '2026-01-31 08:30:00.123456+00'],
    ['2026-01-31 10:30:00.5 +0200', zonedNanos('TIMESTAMP'), '2026-01-31 08:30:00.5'],
    ['2026-01-01 00:30:00.0 +0200', zonedNanos('TIMESTAMPTZ'), '2025-12-31 22:30:00+00'],
    ['2025-12-31 23:30:00.0 -0200', zonedNanos('TIMESTAMP'), '2026-01-01 01:30:00'],
    ['26-01-01 00:30:00.0 +0200', zonedNanos('TIMESTAMP'), undefined],
    ['2026-01-31 10:30:00.123456789 +0200', zonedNanos('TIMESTAMPTZ'), undefined],
    ['2026-01-31 10:30:00.1234560 +0200', zonedNanos('TIMESTAMPTZ'), '2026-01-31 08:30:00.123456+00'],
    ['2026-01-31 10:30:00.123456001 +0200', zonedNanos('TIMESTAMP'), undefined],
    ['2026-01-31 10:30:00.1234567 +0200', zonedNanos('TIMESTAMP'), undefined],
    ['20260131101500123456000+0000', glued, '2026-01-31 10:15:00.123456+00'],
    ['20260131101500123456700+0000', glued, undefined],
    ['20260131101500123456+0000', glued, '2026-01-31 10:15:00.123456+00'],
    ['20260131101500123+0000', glued, '2026-01-31 10:15:00.123+00'],
    ['ID 20260131 101500 123456000 +0000', spaced, '2026-01-31 10:15:00.123456+00'],
    ['ID 20260131 101500 123456001 +0000', spaced, undefined],
  ] as const) {
    const found = read({ 'a.csv': `at\n${text}\n` }, options)
    if (value !== undefined) assert.deepEqual((await found).rows, [[value]], text)
    else
      await assert.rejects(
        found,
        (error: Error) => error.message.includes(`"${text}" is not a value that`),
        text,
      )
  }
})

test('the first line of fixed width is a header where it names columns and holds nothing else', async () => {
  const options = { format: 'fixed', widths: { flag: 1, id: 4, customer_name: 8 } }
  const rows = [['F', '1', 'Ada']]
  for (const header of ['Fid  customer', 'F    CUSTOMER', ' id          '])
    assert.deepEqual((await read({ 'a.txt': `${header}\nF1   Ada     \n` }, options)).rows, rows, header)
  for (const [first, what] of [
    ['F17  Ada     ', /may be a row/],
    ['F    c       ', /may be a row/],
    ['Fid  Ada     ', /may be a row/],
    ['             ', /names none of its columns/],
    ['X17  Ada     ', /names none of its columns/],
  ] as const)
    await assert.rejects(read({ 'a.txt': `${first}\nF1   Ada     \n` }, options), (error: Error) => {
      assert.match(error.message, what, first)
      assert.match((error as Error & { hint: string }).hint, /header: false/)
      return true
    })
})

test('blank lines before the header of one column are no header', async () => {
  const dump = { quote: '', escape: '\\' }
  for (const options of [
    {},
    { schema: { email: 'VARCHAR' } },
    dump,
    { ...dump, schema: { email: 'VARCHAR' } },
  ])
    for (const breaks of ['\n', '\r\n']) {
      const text = ['', '', 'email', 'a@x', '', 'b@x', ''].join(breaks)
      const { rows } = await read({ 'a.csv': text }, options)
      const empty = 'quote' in options ? '' : null
      assert.deepEqual(rows.flat(), ['a@x', empty, 'b@x'], JSON.stringify([options, text]))
    }
  const rows = await read({ 'a.csv': '\na@x\n' }, { header: false, schema: { email: 'VARCHAR' } })
  assert.deepEqual(rows.rows.flat(), [null, 'a@x'])
})
