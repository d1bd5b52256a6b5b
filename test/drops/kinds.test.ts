import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { readerIn, testFolder } from './places.ts'
import { workbookOf, zipOf } from './workbook.ts'

const read = readerIn(testFolder())
const schema = { id: 'BIGINT', x: 'VARCHAR' }

const sum = { params: { [constants.ZSTD_c_checksumFlag]: 1 } }
const packers = {
  gz: (text: string) => gzipSync(text),
  zst: (text: string) => zstdCompressSync(text, sum),
  bz2: (text: string) => execFileSync('bzip2', ['-c'], { input: text }),
}

for (const [ending, pack] of Object.entries(packers))
  test(`${ending}: files of several members come whole, and no byte of one is passed over`, async () => {
    const parts = [pack('id,x\n1,a\n'), pack('2,b\n3,c\n')]
    const whole = Buffer.concat(parts)
    const name = `x.csv.${ending}`
    const good = await read({ [name]: whole }, { schema })
    assert.equal(good.rows.length, 3)
    const rubbish = [Buffer.from('rubbish'), Buffer.alloc(7), Buffer.from('\0x')]
    for (const more of rubbish)
      await assert.rejects(read({ [name]: Buffer.concat([whole, more]) }, { schema }), {
        code: 'DECODE_FAILED',
      })
    for (const cut of [1, 3, parts[1]!.length - 3])
      await assert.rejects(read({ [name]: whole.subarray(0, whole.length - cut) }, { schema }), {
        code: 'DECODE_FAILED',
      })
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, bits) => {
        const other = Buffer.from(whole)
        other[at]! ^= bits
        const found = await read({ [name]: other }, { schema }).catch(error => {
          assert.equal(error.code, 'DECODE_FAILED')
        })
        // A header's time or name may be another; not a row.
        if (found) assert.deepEqual(found.rows, good.rows)
      }),
      { numRuns: 25 },
    )
  })

test('zstd says where the bytes are that are no frame, and passes over frames made for that', async () => {
  const frame = zstdCompressSync('id,x\n1,a\n')
  const skipped = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])
  assert.equal((await read({ 'x.zst': Buffer.concat([skipped, frame, skipped]) }, { schema })).rows.length, 1)
  await assert.rejects(read({ 'x.zst': Buffer.concat([frame, Buffer.from('more')]) }, { schema }), {
    message: new RegExp(`the bytes from ${frame.length} on are no frame`),
  })
})

test('format and compression follow from the name; what a system adds to an archive is passed over', async () => {
  const csv = 'id,x\n1,a\n'
  const tsv = csv.replaceAll(',', '\t')
  const record = '{"id":1,"x":"a"}'
  const files: Record<string, string | Buffer> = {
    'a.csv': csv,
    'a.TSV.gz': gzipSync(tsv),
    'a.jsonl.zst': zstdCompressSync(record),
    'a.json': `[${record}]`,
    'a.xlsx': workbookOf([
      ['id', 'x'],
      [{ number: '1' }, 'a'],
    ]),
    'a.zip': zipOf({ 'a.tsv': tsv, '__MACOSX/._a.tsv': 'junk', '.DS_Store': 'junk', 'deep/._b': 'junk' }),
    'a.dat': csv,
  }
  for (const [name, content] of Object.entries(files))
    assert.deepEqual((await read({ [name]: content })).rows, [['1', 'a']], name)
})

test('dumps of MySQL and COPY: escapes without quotes, \\N, and an end', async () => {
  const dump = String.raw`1	a\tb
2	\N
3	c\\d
4	x\
y
5	
6	\101\x42
\.
`
  const { rows, rejected } = await read({ 'x.tsv': dump }, { schema, quote: '', escape: '\\', header: false })
  assert.deepEqual(rows, [
    ['1', 'a\tb'],
    ['2', null],
    ['3', 'c\\d'],
    ['4', 'x\ny'],
    ['5', ''],
    ['6', 'AB'],
  ])
  assert.deepEqual(rejected, [])
})

test('a dump gives back every text, wherever its bytes are cut', async () => {
  const text = fc.string({
    unit: fc.constantFrom('a', '\\', '\t', '\n', '\r', '"', 'N', 'é', '0'),
    maxLength: 6,
  })
  const written = (value: string | null) =>
    value === null
      ? '\\N'
      : value.replace(/[\\\t\n\r]/g, mark => `\\${{ '\\': '\\', '\t': 't', '\n': 'n', '\r': 'r' }[mark]}`)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.option(text), { minLength: 1, maxLength: 6 }), async values => {
      const dump = values.map((value, id) => `${id}\t${written(value)}\n`).join('')
      const { rows } = await read({ 'x.tsv': dump }, { schema, quote: '', escape: '\\', header: false })
      assert.deepEqual(
        rows.map(([, x]) => x),
        values,
      )
    }),
    { numRuns: 20 },
  )
})

test('words for NULL, a decimal comma, days and moments as they are declared', async () => {
  const options = {
    delimiter: ';',
    null_values: ['NULL', 'n/a'],
    decimal: ',',
    date_format: '%d.%m.%Y',
    timestamp_format: '%d.%m.%Y %H:%M',
  }
  const csv =
    'amount;day;at;x\n1,50;31.01.2026;31.01.2026 10:30;NULL\nn/a;01.02.2026;01.02.2026 00:00;"NULL"\n'
  const found = await read({ 'x.csv': csv }, options)
  assert.deepEqual(found.types, ['DECIMAL(38,2)', 'DATE', 'TIMESTAMP', 'VARCHAR'])
  assert.deepEqual(found.rows, [
    ['1.50', '2026-01-31', '2026-01-31 10:30:00', null],
    [null, '2026-02-01', '2026-02-01 00:00:00', 'NULL'],
  ])
  const types = { amount: 'DECIMAL(9,2)', day: 'DATE', at: 'TIMESTAMP', x: 'VARCHAR' }
  await assert.rejects(read({ 'x.csv': csv.replace('1,50', '1.50') }, { ...options, schema: types }), {
    message: /line 2: amount: "1.50"/,
  })
  await assert.rejects(read({ 'x.csv': csv.replace('31.01', '31.02') }, { ...options, schema: types }), {
    message: /line 2: day: "31.02.2026"/,
  })
})

test('what is wrong with a header is said, with what to write', async () => {
  const refused: [string, RegExp, RegExp][] = [
    ['id;x\n1;a\n', /has one column, "id;x"; delimiter: ";" would give 2/, /delimiter: ";"/],
    ['id\tx\n1\ta\n', /delimiter: "\\t" would give 2/, /delimiter/],
    [',,\n1,a,b\n', /its header has no name/, /./],
    ['sep=;\nid;x\n1;a\n', /line 1: is no header: "sep=;"/, /skip: 1 in this extract, and delimiter: ";"/],
    ['id,ID\n1,2\n', /names id and ID: one column twice/, /./],
    ['id,x\n1,a,b\n2,a,b\n', /none of its 2 rows can be read: line 2 has 3 fields, not 2/, /./],
  ]
  for (const [csv, message, hint] of refused)
    await assert.rejects(read({ 'a.csv': csv }), (error: { message: string; hint: string }) => {
      assert.match(error.message, message)
      assert.match(error.hint, hint)
      return true
    })
  await assert.rejects(read({ 'a.csv': 'made\rby\rid,ID\r1,2\r' }, { skip: 2 }), {
    message: /line 3: its header/,
  })
  await assert.rejects(read({ 'a.csv': 'id\n1\n' }, { skip: 7, schema }), {
    message: /ends within the 7 lines/,
  })
  assert.deepEqual((await read({ 'a.csv': 'made\rid,x\r1,a\r' }, { skip: 1 })).rows, [['1', 'a']])
  const blank = await read({ 'a.csv': 'id, ,x\n1,,a\n' })
  assert.deepEqual(blank.rows, [['1', 'a']])
  const unnamed = await read({ 'a.csv': 'id,x,,\n1,a,,\n2,b,c,\n' })
  assert.deepEqual(unnamed.rows, [['1', 'a']])
  assert.match(unnamed.rejected[0]!.reason, /has a value in column 3, whose name in the header is empty/)
  assert.match(unnamed.notes.join(), /2 columns without a name/)
  const ended = await read({ 'a.csv': 'id,x\n1,a,\n2,b,\n3,c\n' })
  assert.deepEqual(ended.rows, [
    ['1', 'a'],
    ['2', 'b'],
  ])
  assert.match(ended.rejected[0]!.reason, /has 2 fields, not 3, of which the last is empty/)
  assert.match(ended.notes.join(), /ends each row with a delimiter/)
})

test('an error of a spreadsheet goes to the quarantine, whatever it is and in whichever column; other bad values stop', async () => {
  const errors = ['#NULL!', '#DIV/0!', '#VALUE!', '#REF!', '#NAME?', '#NUM!', '#N/A', '#SPILL!']
  for (const type of ['BIGINT', 'DECIMAL(9,2)', 'DOUBLE', 'DATE', 'TIMESTAMP', 'BOOLEAN']) {
    const rows = errors.map((error, index) => [{ number: String(index) }, { error }])
    const found = await read(
      { 'a.xlsx': workbookOf([['id', 'v'], ...rows, [{ number: '9' }, undefined]]) },
      { schema: { id: 'BIGINT', v: type } },
    )
    assert.deepEqual(found.rows, [['9', null]], type)
    assert.deepEqual(
      found.rejected.map(({ column, value }) => [column, value]),
      errors.map(error => ['v', error]),
    )
  }
  const bad = workbookOf([
    ['id', 'v'],
    [{ number: '1' }, { error: '#N/A' }],
    [{ number: '2' }, 'x'],
  ])
  await assert.rejects(read({ 'a.xlsx': bad }, { schema: { id: 'BIGINT', v: 'BIGINT' } }), {
    message: /line 3: v: "x" is not a value that BIGINT holds/,
  })
  const kept = await read({ 'a.xlsx': bad }, { schema: { id: 'BIGINT', v: 'VARCHAR' } })
  assert.deepEqual(kept.rows, [
    ['1', '#N/A'],
    ['2', 'x'],
  ])
})

test('JSON: keys that repeat, are empty, or differ in case; lists; long records', async () => {
  const repeated = await read({ 'a.ndjson': '{"id":1,"x":"a"}\n{"id":2,"x":"b","\\u0078":"c"}\n' })
  assert.deepEqual(repeated.rows, [['1', 'a']])
  assert.match(repeated.rejected[0]!.reason, /has the key "x" twice/)
  await assert.rejects(read({ 'a.ndjson': '{"id":1}\n{"":7}\n' }), { message: /line 2: a key is empty/ })
  await assert.rejects(read({ 'a.ndjson': '{"Name":1,"name":2}\n' }), {
    message: /Name and name differ in case/,
  })
  await assert.rejects(read({ 'a.ndjson': '[{"id":1}]\n' }), { message: /line 1: is a JSON array/ })
  const declared = await read({ 'a.ndjson': '{"id":1,"X":"a"}\n{"id":2,"x":"b","X":"c"}\n' }, { schema })
  assert.deepEqual(declared.rows, [['2', 'b']])
  assert.match(declared.rejected[0]!.reason, /key "X", which differs from the column "x" in case only/)
  const odd = ['*', '**', '$', '/', '~1', 'a.b', 'a[0]', '"', '\\\\', '\n', ' ', '#', '🎉']
  const keys = await read({ 'a.json': JSON.stringify([Object.fromEntries(odd.map((key, n) => [key, n]))]) })
  assert.deepEqual(keys.rows, [odd.map((_, n) => String(n))])
  const halves = await read({ 'a.ndjson': '{"id":1}\n{"id":"\\ud83d"}\n{"\\ud83d":1}\n{"id":1}{"x":2}\n' })
  assert.deepEqual(halves.rejected.map(({ reason }) => reason).sort(), [
    'has half a surrogate pair',
    'has half a surrogate pair in a key',
    'is more than one object',
  ])
  await assert.rejects(read({ 'a.ndjson': '{\n"id":1\n}\n' }), {
    message: /none of its 3 rows can be read: line 1/,
  })
  const long = `{"id":1,"x":"${'z'.repeat(6_000_000)}"}\n{"id":2}\n`
  assert.equal((await read({ 'a.ndjson': long })).rows[0]![1]!.length, 6_000_000)
  await assert.rejects(read({ 'a.ndjson': long }, { max_row: '1MB' }), { message: /max_row/ })
})

test('Excel: days, moments, times and durations by their format, from 1900 on; errors; formulas', async () => {
  const at = (number: string, format: string) => ({ number, format })
  const rows = [
    ['day', 'at', 'start', 'took', 'v'],
    [
      at('1', 'yyyy-mm-dd'),
      at('46023.4375', 'd/m/yy h:mm'),
      at('0.4375', 'hh:mm:ss'),
      at('1.5', '[h]:mm:ss'),
      { number: '1' },
    ],
    [
      at('59', 'yyyy-mm-dd'),
      at('46024', 'd/m/yy h:mm'),
      at('0', 'hh:mm:ss'),
      at('0.25', '[h]:mm:ss'),
      { error: '#N/A' },
    ],
    [
      at('61', 'yyyy-mm-dd'),
      at('46024.00000001157', 'd/m/yy h:mm'),
      at('0.999988425925926', 'h:mm AM/PM'),
      at('0', '[h]:mm:ss'),
      { number: '2' },
    ],
  ]
  const found = await read({ 'a.xlsx': workbookOf(rows) })
  assert.deepEqual(found.types, ['DATE', 'TIMESTAMP', 'TIME', 'VARCHAR', 'VARCHAR'])
  assert.deepEqual(found.rows, [
    ['1900-01-01', '2026-01-01 10:30:00', '10:30:00', '36:00:00', '1'],
    ['1900-02-28', '2026-01-02 00:00:00', '00:00:00', '06:00:00', '#N/A'],
    ['1900-03-01', '2026-01-02 00:00:00.001', '23:59:59', '00:00:00', '2'],
  ])
  const impossible = workbookOf([['day'], [at('60', 'dd.mm.yyyy')]])
  await assert.rejects(read({ 'a.xlsx': impossible }, { schema: { day: 'DATE' } }), {
    message: /"1900-02-29"/,
  })
  const later = workbookOf([['day'], [at('0', 'dd.mm.yyyy')], [at('60', 'dd.mm.yyyy')]], { date1904: true })
  assert.deepEqual((await read({ 'a.xlsx': later })).rows, [['1904-01-01'], ['1904-03-01']])
  for (const cell of [{ formula: 'A1+1' }, { formula: 'A1+1', empty: true as const }])
    await assert.rejects(read({ 'a.xlsx': workbookOf([['x'], [cell]]) }), {
      message: /cell A2 is a formula whose value the file does not hold/,
    })
  const two = workbookOf([['x'], ['a']], { others: ['May', 'June'] })
  assert.match(
    (await read({ 'a.xlsx': two })).notes.join(),
    /other sheets, which are not read: "May", "June"/,
  )
  assert.deepEqual((await read({ 'a.xlsx': two }, { sheet: 'May' })).notes, [])
  const behind = workbookOf([['x'], ['a']], { others: ['May', 'June'], hidden: true })
  assert.match(
    (await read({ 'a.xlsx': behind })).notes.join(),
    /other sheets, which are not read: "Data", "June"/,
  )
  const merged = workbookOf(
    [
      ['shop', 'x'],
      ['Oslo', '1'],
      [undefined, '2'],
    ],
    { merged: ['A2:A3'] },
  )
  assert.match(
    (await read({ 'a.xlsx': merged })).notes.join(),
    /has merged cells \(A2:A3\): all but the first of each are empty/,
  )
})

test('Excel: half a surrogate pair is no character, and no row comes after the last there can be', async () => {
  const pair = workbookOf([['x'], ['_xD83D__xDE00_'], ['a_x000D_']])
  assert.deepEqual((await read({ 'x.xlsx': pair })).rows, [['😀'], ['a\r']])
  await assert.rejects(read({ 'x.xlsx': workbookOf([['x'], ['a _xD83D_']]) }), {
    code: 'DECODE_FAILED',
    message: /cell A2 has half a surrogate pair, which is no character: "a \\ud83d"/,
  })
  for (const first of [1_048_576, 4_294_967_295, 0, 1.5])
    await assert.rejects(read({ 'x.xlsx': workbookOf([['x'], ['a']], { first }) }), {
      code: 'DECODE_FAILED',
      message: /is not a readable workbook: it has a row [\d.]+/,
    })
})
