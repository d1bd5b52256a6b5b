import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { type Table, tableFromArrays, tableToIPC } from 'apache-arrow'
import fc from 'fast-check'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { type CsvDialect, csvFields, csvScan } from '../../src/formats/csv.ts'
import { splitRows } from '../../src/formats/split.ts'
import { night, type Place } from './nights.ts'
import { localPlace, testFolder } from './places.ts'

const folder = testFolder()
let places = 0
const schema = { id: 'BIGINT', name: 'VARCHAR' }

async function read(
  files: Record<string, string | Buffer>,
  options: object,
  place: Place = localPlace(join(folder, `${++places}`)),
) {
  for (const [name, content] of Object.entries(files)) await place.put(name, content)
  return night(place, { files: '*', ...options })
}

test('encodings, delimiters, quotes and escapes', async () => {
  const utf16 = Buffer.from('\ufeffid;name\r\n1;"ü;""x"""\r\n', 'utf16le')
  const cases: [string | Buffer, object][] = [
    [utf16, { encoding: 'utf-16', delimiter: ';' }],
    [Buffer.from(utf16).swap16(), { encoding: 'utf-16', delimiter: ';' }],
    [Buffer.from('id,name\n1,"ü;""x"""\n', 'latin1'), { encoding: 'latin1' }],
    ['id\tname\n1\t\'ü;\\"x\\"\'\n', { format: 'tsv', quote: "'", escape: '\\' }],
    ['junk\nmore junk\nid,name\r1,"ü;""x"""\r', { skip: 2 }],
    ['1,"ü;""x"""', { header: false }],
  ]
  for (const [content, options] of cases)
    assert.deepEqual((await read({ x: content }, { schema, ...options })).rows, [['1', 'ü;"x"']])
  await assert.rejects(read({ x: Buffer.from([0xff, 0xfe, 0, 0xd8]) }, { schema, encoding: 'utf-16' }), {
    code: 'DECODE_FAILED',
    message: /is not utf-16le throughout/,
  })
})

test('files of an archive have the columns that they have side by side', async () => {
  const files = { 'a.csv': 'id,x\n1,a\n', 'b.csv': 'id,x,y\n2,b,7\n', 'c.csv': 'id,x,y,z\n3,c,8,d\n' }
  const beside = await read(files, {})
  const zipped = await read({ 'z.zip': zipOf(files) }, {})
  assert.deepEqual(zipped.rows, [
    ['1', 'a', null, null],
    ['2', 'b', '7', null],
    ['3', 'c', '8', 'd'],
  ])
  assert.deepEqual([zipped.types, zipped.rows], [beside.types, beside.rows])
  await assert.rejects(read({ 'z.zip': zipOf({ 'a.csv': files['b.csv'], 'b.csv': files['a.csv'] }) }, {}), {
    code: 'SCHEMA_DRIFT',
    message: /z\.zip b\.csv has no column y, which a file before it has$/,
  })
})

test('every compression, and one within a zip', async () => {
  const csv = 'id,name\n1,a\n2,b\n'
  const bzip2 = execFileSync('bzip2', ['-c'], { input: csv })
  const zip = zipOf({ 'x.csv': csv, 'deep/y.csv': 'name,id\nc,3\n' })
  const whole = { 'a.csv.gz': gzipSync(csv), 'b.csv.zst': zstdCompressSync(csv), 'c.csv.bz2': bzip2 }
  for (const [name, bytes] of Object.entries(whole)) {
    assert.deepEqual((await read({ [name]: bytes }, { schema })).rows, [
      ['1', 'a'],
      ['2', 'b'],
    ])
    for (const cut of [0, bytes.length - 6])
      await assert.rejects(
        read({ [name]: bytes.subarray(0, cut) }, { schema }),
        { code: 'DECODE_FAILED' },
        name,
      )
  }
  assert.deepEqual((await read({ 'z.zip': zip }, { schema })).rows, [
    ['1', 'a'],
    ['2', 'b'],
    ['3', 'c'],
  ])
  await assert.rejects(read({ 'z.zip': zipOf({ '../x.csv': csv }) }, { schema }), {
    message: /invalid relative path/,
  })
  await assert.rejects(read({ 'z.zip': zip.subarray(0, -30) }, { schema }), { code: 'DECODE_FAILED' })
})

test('a bomb is refused while it unpacks, whatever its packing', async () => {
  const zeros = Buffer.alloc(40_000_000)
  const bombs = {
    'a.gz': gzipSync(zeros),
    'b.zst': zstdCompressSync(zeros),
    'c.bz2': execFileSync('bzip2', ['-c'], { input: zeros, maxBuffer: 1e8 }),
  }
  for (const [name, bomb] of Object.entries({ ...bombs, 'd.zip': zipOf({ x: zeros.toString('latin1') }) })) {
    const failure = { code: 'DECODE_FAILED' as const }
    await assert.rejects(read({ [name]: bomb }, { schema, max_ratio: 20 }), {
      ...failure,
      message: /max_ratio|no end of the row/,
    })
    await assert.rejects(read({ [name]: bomb }, { schema, max_unpacked: '1MB' }), {
      ...failure,
      message: /max_unpacked/,
    })
  }
})

test('a line without end is refused at the limit', async () => {
  const long = gzipSync(Buffer.concat([Buffer.from('id,name\n1,a\n2,'), Buffer.alloc(30_000_000, 'x')]))
  const { rows, rejected } = await read(
    { 'x.csv.gz': long, 'y.csv': 'id,name\n3,c\n' },
    { schema, on_bad_file: 'quarantine', max_row: '2MB' },
  )
  assert.deepEqual(rows, [['3', 'c']])
  assert.match(rejected[0]!.reason, /line 3: no end of the row within 2 MB \(max_row\)/)
})

test('JSON keeps every digit; nested values stay as written; bad lines are told with their text', async () => {
  const types = { id: 'DECIMAL(30,10)', name: 'VARCHAR', 'odd "key"': 'VARCHAR', flag: 'BOOLEAN' }
  const record =
    '{"id": 12345678901234567890.0123456789, "name": {"a": [1.10, "q\\"x"]}, "odd \\"key\\"": "é\\n", "flag": true}'
  const expected = ['12345678901234567890.0123456789', '{"a": [1.10, "q\\"x"]}', 'é\n', 'true']
  const ndjson = await read(
    { x: `${record}\n{"id": 1\n\n[1]\n{"id":1,"name":null}` },
    { format: 'ndjson', schema: types },
  )
  assert.deepEqual(ndjson.rows, [expected, ['1.0000000000', null, null, null]])
  assert.deepEqual(ndjson.rejected, [
    { column: 'x line 2', value: '{"id": 1', reason: 'is not a JSON object' },
    { column: 'x line 4', value: '[1]', reason: 'is not a JSON object' },
  ])
  for (const text of [
    `[${record},\n${record}]`,
    `${record}\n${record}`,
    ` [ ${record.replaceAll(', ', ',\n')} , ${record}]\n`,
  ])
    assert.equal((await read({ x: text }, { format: 'json', schema: types })).rows.length, 2)
  for (const text of [`[${record},`, `[${record}`, `[${record} ${record}]`, '[1]', '[{"a":'])
    await assert.rejects(
      read({ x: text }, { format: 'json', schema: types }),
      { code: 'DECODE_FAILED' },
      text,
    )
})

test('Parquet and Arrow by their own types or by text, exactly', async () => {
  const duck = await Duck.open({ threads: 1 })
  const path = join(folder, 'made')
  await duck.run(
    `COPY (SELECT 7::INTEGER AS id, 'a' AS name, 1.50::DECIMAL(9,2) AS d, [1, 2] AS l, TIMESTAMPTZ '2026-01-31 10:00:00+00' AS at) TO ${quote(path)} (FORMAT parquet)`,
  )
  duck.close()
  const place = localPlace(folder)
  const options = { files: 'made', format: 'parquet' }
  const types = { id: 'BIGINT', d: 'DECIMAL(12,1)', l: 'JSON', at: 'TIMESTAMPTZ' }
  assert.deepEqual((await night(place, { ...options, schema: types })).rows, [
    ['7', '1.5', '[1,2]', '2026-01-31 10:00:00+00'],
  ])
  assert.deepEqual((await night(place, options)).types, [
    'INTEGER',
    'VARCHAR',
    'DECIMAL(9,2)',
    'VARCHAR',
    'TIMESTAMP WITH TIME ZONE',
  ])
  await assert.rejects(night(place, { ...options, schema: { d: 'BIGINT' } }), {
    code: 'DECODE_FAILED',
    message: /line 1: d: "1.50"/,
  })
  await assert.rejects(night(place, { ...options, schema: { nme: 'VARCHAR' } }), { code: 'COLUMN_MISSING' })
  const table = tableFromArrays({ id: BigInt64Array.from([1n, 2n]), name: ['a', 'b'] }) as unknown as Table
  for (const kind of ['stream', 'file'] as const)
    assert.deepEqual(
      (await read({ x: Buffer.from(tableToIPC(table, kind)) }, { format: 'arrow', schema })).rows,
      [
        ['1', 'a'],
        ['2', 'b'],
      ],
    )
})

test('Excel: integers to the last digit, days, a sheet by its name', async () => {
  const main = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main'
  const rels = 'http://schemas.openxmlformats.org/package/2006/relationships'
  const office = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'
  const cell = (text: string, at: string) => `<c r="${at}" t="inlineStr"><is><t>${text}</t></is></c>`
  const workbook = zipOf({
    '[Content_Types].xml': `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>`,
    '_rels/.rels': `<Relationships xmlns="${rels}"><Relationship Id="rId1" Type="${office}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
    'xl/workbook.xml': `<workbook xmlns="${main}" xmlns:r="${office}"><sheets><sheet name="Data" sheetId="1" r:id="rId1"/></sheets></workbook>`,
    'xl/_rels/workbook.xml.rels': `<Relationships xmlns="${rels}"><Relationship Id="rId1" Type="${office}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="${office}/styles" Target="styles.xml"/></Relationships>`,
    'xl/styles.xml': `<styleSheet xmlns="${main}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>`,
    'xl/worksheets/sheet1.xml': `<worksheet xmlns="${main}"><sheetData><row r="1">${cell('id', 'A1')}${cell('name', 'B1')}${cell('day', 'C1')}</row><row r="2"><c r="A2"><v>12345678901234567</v></c>${cell('a "b", ü', 'B2')}<c r="C2" s="1"><v>46053</v></c></row></sheetData></worksheet>`,
  })
  const options = { format: 'excel', schema: { ...schema, day: 'DATE' } }
  assert.deepEqual((await read({ 'x.xlsx': workbook }, { ...options, sheet: 'Data' })).rows, [
    ['12345678901234567', 'a "b", ü', '2026-01-31'],
  ])
  await assert.rejects(read({ 'x.xlsx': workbook }, { ...options, sheet: 'Nope' }), {
    message: /has no sheet "Nope", only "Data"/,
  })
  const bomb = zipOf({ 'xl/workbook.xml': ' '.repeat(40_000_000) })
  await assert.rejects(read({ 'x.xlsx': bomb }, options), { message: /max_ratio/ })
  await assert.rejects(read({ 'x.xlsx': workbook.subarray(0, 900) }, options), { code: 'DECODE_FAILED' })
})

test('fixed width', async () => {
  const options = { format: 'fixed', header: false, widths: { id: 5, name: 4 }, schema }
  const { rows, rejected } = await read({ x: '    1ü  \n00002ab c\n  3\n    4abcde\n' }, options)
  assert.deepEqual(rows, [
    ['1', 'ü'],
    ['2', 'ab c'],
  ])
  assert.deepEqual(
    rejected.map(({ reason }) => reason),
    ['ends before its last column', 'is longer than its columns'],
  )
})

test('types are inferred from the first file and kept; what does not fit later goes to the quarantine', async () => {
  const csv =
    'id,zip,amount,day,at,ok,note\n1,01234,1.50,2026-01-31,2026-01-31T10:00:00Z,true,\n22,12345,2.00,2026-02-01,2026-01-31T10:00:00Z,false,\n'
  const place = localPlace(join(folder, `${++places}`))
  const first = await read({ 'a.csv': csv }, {}, place)
  assert.deepEqual(first.types, [
    'BIGINT',
    'VARCHAR',
    'DECIMAL(38,2)',
    'DATE',
    'TIMESTAMPTZ',
    'BOOLEAN',
    'VARCHAR',
  ])
  await place.put('b.csv', csv.replace('22', 'x2'))
  const second = await night(place, { files: '*' }, first)
  assert.deepEqual(second.types, first.types)
  assert.equal(second.rows.length, 1)
  assert.match(second.rejected[0]!.reason, /is not a value that BIGINT holds exactly \(b\.csv line 3\)/)
})

test('rows come out as they went in, wherever the bytes are cut', async () => {
  const dialect: CsvDialect = { delimiter: ',', quote: '"', escape: '' }
  const field = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', 'é', ' '), maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(field, field), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 7 }),
      fc.constantFrom('\n', '\r\n', '\r'),
      async (rows, size, end) => {
        const text = Buffer.from(
          rows.map(row => row.map(value => `"${value.replaceAll('"', '""')}"`).join(',')).join(end),
        )
        async function* pieces() {
          for (let at = 0; at < text.length; at += size) yield text.subarray(at, at + size)
        }
        const found: string[][] = []
        const sink = {
          row: (source: Buffer, from: number, to: number) =>
            void found.push(csvFields(source.toString('utf8', from, to), dialect)),
          bad: (raw: string) => assert.fail(raw),
          reserve: async () => {},
        }
        await splitRows('x', pieces(), sink, csvScan(dialect, sink, { fields: 2, header: false }), 1e6)
        assert.deepEqual(found, rows)
      },
    ),
  )
})

test('a quote that is open at the end of a file is a bad row of its last line, and else a bad file: it may hold rows', async () => {
  const dialect: CsvDialect = { delimiter: ',', quote: '"', escape: '' }
  const line = fc.tuple(fc.nat(), fc.stringMatching(/^[a-z]{0,3}$/)).map(([id, text]) => `${id},${text}`)
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 5 }),
      fc.array(line, { maxLength: 5 }),
      fc.integer({ min: 1, max: 7 }),
      fc.constantFrom('\n', '\r\n', '\r'),
      fc.boolean(),
      async (before, after, size, end, ends) => {
        const text = Buffer.from([...before, '1,"x', ...after].join(end) + (ends ? end : ''))
        async function* pieces() {
          for (let at = 0; at < text.length; at += size) yield text.subarray(at, at + size)
        }
        const bad: number[] = []
        let rows = 0
        const sink = {
          row: () => void rows++,
          bad: (_raw: string, at: number) => void bad.push(at),
          reserve: async () => {},
        }
        const split = splitRows(
          'x',
          pieces(),
          sink,
          csvScan(dialect, sink, { fields: 2, header: false }),
          1e6,
        )
        if (after.length === 0) await split
        else
          await assert.rejects(split, {
            code: 'DECODE_FAILED',
            message: new RegExp(
              `^x: line ${before.length + 1} has a quote that is not closed .*: ${after.length} lines? after it may be rows`,
            ),
          })
        assert.deepEqual([rows, bad], [before.length, [before.length + 1]])
      },
    ),
  )
})

test('lines that may be rows are those of the field that is open, but for blank ones at the end', async () => {
  const dialect: CsvDialect = { delimiter: ',', quote: '"', escape: '' }
  const split = async (text: string) => {
    const bad: [string, number][] = []
    const sink = {
      row: () => {},
      bad: (raw: string, at: number) => void bad.push([raw, at]),
      reserve: async () => {},
    }
    async function* whole() {
      yield Buffer.from(text)
    }
    await splitRows('x', whole(), sink, csvScan(dialect, sink, { fields: 2, header: false }), 1e6)
    return bad
  }
  for (const text of ['9,"a\nb","c', '9,"x\n\n', '9,"x\r\n \r\n', '9,"x\r\r', '"\n\n\n'])
    assert.deepEqual(await split(`1,2\n${text}`), [[text, 2]], text)
  for (const [text, line] of [
    ['9,"a\nb","c\n2,3\n', 3],
    ['9,"x\n\n2,3', 2],
  ] as const)
    await assert.rejects(split(`1,2\n${text}`), (error: Error & { hint?: string }) => {
      assert.match(
        error.message,
        new RegExp(`^x: line ${line} has a quote .*: \\d lines? after it may be rows`),
      )
      assert.match(error.hint!, /quote: ""/)
      return true
    })
})

function zipOf(files: Record<string, string>): Buffer {
  const script = `import sys,zipfile,json,io
files=json.load(sys.stdin); out=io.BytesIO(); z=zipfile.ZipFile(out,'w',zipfile.ZIP_DEFLATED)
for name,text in files.items(): z.writestr(name,text)
z.close(); sys.stdout.buffer.write(out.getvalue())`
  return execFileSync('python3', ['-c', script], { input: JSON.stringify(files), maxBuffer: 1e9 })
}
