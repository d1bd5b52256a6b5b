import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type FileHead, findDialect, findEncoding } from '../../src/formats/dialect.ts'
import { magicOf } from '../../src/formats/magic.ts'
import type { TextFormat } from '../../src/formats/textFormat.ts'

const FORMAT: TextFormat = {
  format: 'csv',
  encoding: 'utf-8',
  quote: '"',
  header: true,
  skip: 0,
  null_values: [],
  max_row: 1e6,
  decimal: '.',
}
const NOTHING = { delimiter: false, header: false, names: false }
const answer = (...answers: string[]) => answers.map(each => `<${each}>`).join('')
const headOf = (text: string | Buffer, isWhole = true): FileHead => ({
  name: 'a.csv',
  format: 'csv',
  bytes: Buffer.from(text as string),
  isWhole,
})
const find = (text: string, format: Partial<TextFormat> = {}, given = {}) =>
  findDialect(headOf(text), { ...FORMAT, ...format }, 'utf-8', { ...NOTHING, ...given }, answer)

test('a table written with any delimiter is found to be written so, whatever its fields hold', () => {
  const field = fc.string({ unit: fc.constantFrom('a', 'é', ',', ';', '|', '\t', '"', '\n', ' ', '1') })
  const table = fc
    .integer({ min: 2, max: 5 })
    .chain(columns =>
      fc.array(fc.array(field, { minLength: columns, maxLength: columns }), { minLength: 1, maxLength: 8 }),
    )
  fc.assert(
    fc.property(table, fc.constantFrom(',', ';', '\t', '|'), (rows, delimiter) => {
      const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`
      const names = rows[0]!.map((_, index) => `c${index}`)
      const text = [names, ...rows].map(row => row.map(quoted).join(delimiter)).join('\n')
      assert.deepEqual(find(text, {}, { header: true }), { delimiter, names, rows })
    }),
  )
})

test('the delimiter is that of the header by which rows have as many fields', () => {
  assert.equal(find('id;amount\n1;9,50\n2;1,25\n').delimiter, ';')
  assert.equal(find('id,tags\n1,a|b\n2,c;d\n').delimiter, ',')
  assert.equal(find('id;note\n1;x\n2\n3;y\n').delimiter, ';', 'a bad row is for the run to say')
  assert.equal(find('id;note\n1;x;\n2;y;\n').delimiter, ';', 'rows may end with one')
  assert.equal(find('word\na\n').delimiter, ',')
  assert.equal(find('word\na\n', { format: 'tsv' }).delimiter, '\t')
  for (const end of ['\n', '\r\n', '\r'])
    assert.deepEqual(find(['made by x;y;z', 'id,n', '1,2', ''].join(end), { skip: 1 }), {
      delimiter: ',',
      names: ['id', 'n'],
      rows: [['1', '2']],
    })
  assert.deepEqual(find(''), { delimiter: ',', names: [], rows: [] })
  assert.throws(() => find('a,b;c\n1,2;3\n'), { message: /may be "," or ";"/, hint: /<delimiter=;>/ })
  assert.equal(find('a,b;c\n1,2;3\n', { delimiter: ';' }, { delimiter: true }).delimiter, ';')
})

test('a row that is cut at the end of what was read is no evidence', () => {
  const cut = findDialect(headOf('a;b\n1;2\n3', false), FORMAT, 'utf-8', NOTHING, answer)
  assert.deepEqual(cut, { delimiter: ';', names: ['a', 'b'], rows: [['1', '2']] })
})

test('a first line of values is not taken for names', () => {
  for (const rows of ['1,Ada\n2,Bob\n', '7,Ada', '2026-01-01,x\n2026-01-02,y\n'])
    assert.throws(() => find(rows), { message: /looks like a row/, hint: /header=false.*column_2: VARCHAR/ })
  assert.deepEqual(find('country,2019\nDE,x\n').names, ['country', '2019'])
  assert.deepEqual(find('id,2019\n1,5\n').names, ['id', '2019'], 'id names numbers')
  assert.deepEqual(find('1,Ada\n2,Bob\n', {}, { header: true }).names, ['1', 'Ada'])
  assert.throws(() => find('1,Ada\n', { header: false }, { header: true }), { hint: /schema=/ })
  const named = find('1,Ada\n', { header: false }, { header: true, names: true })
  assert.deepEqual(named, { delimiter: ',', names: undefined, rows: [['1', 'Ada']] })
})

test('an encoding is found by its mark, by zeros, or because all of it is UTF-8', () => {
  const encoding = (bytes: Buffer, isWhole = true) => findEncoding(headOf(bytes, isWhole), answer)
  assert.equal(encoding(Buffer.from('a,ü\n')), 'utf-8')
  assert.equal(encoding(Buffer.from('a,b\n1,ü').subarray(0, -1), false), 'utf-8', 'cut in a character')
  assert.equal(encoding(Buffer.from('\ufeffa,b\n', 'utf16le')), 'utf-16')
  assert.equal(encoding(Buffer.from('\ufeffa,b\n', 'utf16le').swap16()), 'utf-16')
  assert.equal(encoding(Buffer.from('a,b\n', 'utf16le')), 'utf-16le')
  assert.equal(encoding(Buffer.from('a,b\n', 'utf16le').swap16()), 'utf-16be')
  assert.throws(() => encoding(Buffer.from('a\n1\nM\xfcller\n', 'latin1')), {
    message: /line 3 is not UTF-8/,
    hint: /<encoding=windows-1252>/,
  })
})

test('a format is proven by first bytes that no CSV has', () => {
  for (const [text, magic] of [
    ['PAR1\x15\x04', { format: 'parquet' }],
    ['PAR1,x\n', {}],
    ['ARROW1\0\0', { format: 'arrow' }],
    ['\x1f\x8b\x08', { compression: 'gzip' }],
    ['BZh91AY&SY', { compression: 'bzip2' }],
    ['BZh,x\n', {}],
    ['PK\x03\x04 [Content_Types].xml', { format: 'excel' }],
    ['PK\x03\x04 a.csv', { compression: 'zip' }],
    ['{"a":1}\n{"a":2}\n', { format: 'ndjson' }],
    ['[ {"a":1} ]', { format: 'json' }],
    ['{a},b\n', {}],
  ] as const)
    assert.deepEqual(magicOf(Buffer.from(text, 'latin1')), magic, text)
})
