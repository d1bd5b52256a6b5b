import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { night } from './nights.ts'
import { localPlace, testFolder } from './places.ts'
import { type Cell, workbookOf } from './workbook.ts'

const folder = testFolder()
let places = 0

/** Texts as files have them that look like numbers, days, flags, and almost so. */
const digits = fc.stringMatching(/^-?[0-9]{1,21}$/)
const number = fc.oneof(
  digits,
  fc.integer({ min: -1000, max: 1000 }).map(String),
  fc.stringMatching(/^-?[0-9]{1,4}\.[0-9]{1,3}$/),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.constantFrom(
    '0',
    '-0',
    '-0.0',
    '+5',
    '007',
    '1e5',
    '1e400',
    '0.10',
    '.5',
    '5.',
    ' 1',
    '1_0',
    '0x1F',
    'NaN',
    'inf',
  ),
)
const moment = fc.oneof(
  fc
    .date({ noInvalidDate: true, min: new Date(0), max: new Date('2100-01-01') })
    .map(date => date.toISOString()),
  fc.constantFrom(
    '2026-01-31',
    '2026-02-30',
    '0000-01-01',
    '31.01.2026',
    '2026-01-31T10:00:00Z',
    '2026-01-31 10:00:00',
    '2026-01-31 10:00:00.50',
    '2026-01-31T10:00:00+01:00',
    '2026-01-31 24:00:00',
    '10:30',
    '10:30:00',
    '25:00:00',
  ),
)
const flag = fc.constantFrom('true', 'false', 'True', 'yes', 'no', 't', '1', '0')
/** Columns of one kind, as real ones are, and of anything. */
const column = fc.oneof(
  ...[number, digits, moment, flag, fc.oneof(number, moment, flag)].map(kind =>
    fc.array(kind, { minLength: 1, maxLength: 4 }),
  ),
)

/** How each format writes a column of texts. */
const writers: Record<string, { name: string; write(values: string[]): Buffer | Promise<Buffer> }> = {
  csv: {
    name: 'x.csv',
    write: values => Buffer.from(`id,v\n${values.map((v, i) => `${i},${v}\n`).join('')}`),
  },
  quoted: {
    name: 'x.csv',
    write: values => Buffer.from(`id,v\n${values.map((v, i) => `${i},"${v}"\n`).join('')}`),
  },
  tsv: {
    name: 'x.tsv',
    write: values => Buffer.from(`id\tv\n${values.map((v, i) => `${i}\t${v}\n`).join('')}`),
  },
  ndjson: {
    name: 'x.ndjson',
    write: values => Buffer.from(values.map((v, id) => `${JSON.stringify({ id, v })}\n`).join('')),
  },
  json: { name: 'x.json', write: values => Buffer.from(JSON.stringify(values.map((v, id) => ({ id, v })))) },
  'JSON numbers': {
    name: 'x.json',
    write: values => Buffer.from(`[${values.map((v, id) => `{"id":${id},"v":${jsonOf(v)}}`).join()}]`),
  },
  excel: {
    name: 'x.xlsx',
    write: values =>
      workbookOf([['id', 'v'], ...values.map((text, id): Cell[] => [{ number: String(id) }, text])]),
  },
}

/** As a number where JSON has such numbers. */
const jsonOf = (text: string) =>
  /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? text : JSON.stringify(text)

/** Whether a value, written as its whole column is, is the text that was read. */
function isWritten(value: string, text: string, type: string): boolean {
  if (value === text) return true
  if (type === 'DOUBLE') return value.replace(/\.0$/, '') === text
  if (!type.startsWith('TIMESTAMP')) return false
  const bare = (moment: string) =>
    moment
      .replace('T', ' ')
      .replace(/(Z|[+-]00(:?00)?)$/, '')
      .replace(/(:\d\d)(\.\d*?)0*$/, '$1$2')
      .replace(/\.$/, '')
  const seconds = /\d\d:\d\d:\d\d/.test(text) ? text : `${text}:00`
  return bare(value) === bare(seconds)
}

for (const [format, { name, write }] of Object.entries(writers))
  test(`${format}: a guessed type gives back every text, on the first night and later`, async () => {
    await fc.assert(
      fc.asyncProperty(column, column, async (values, later) => {
        const place = localPlace(join(folder, `${++places}`))
        await place.put(name, await write(values))
        const first = await night(place, { files: '*' })
        const type = first.types[1]!
        assert.deepEqual(first.rejected, [])
        assert.equal(first.rows.length, values.length)
        for (const [id, v] of first.rows)
          assert.ok(isWritten(v!, values[Number(id)]!, type), `${v} of ${type}`)
        // Two texts never become one value.
        assert.equal(new Set(first.rows.map(([, v]) => v)).size, new Set(values).size)

        await place.put(`later-${name}`, await write(later))
        const second = await night(place, { files: '*' }, first)
        assert.deepEqual(second.types, first.types)
        assert.equal(second.rows.length + second.rejected.length, later.length)
        for (const [id, v] of second.rows)
          assert.ok(isWritten(v!, later[Number(id)]!, type), `${v} of ${type}`)
        for (const { value } of second.rejected) assert.ok(later.includes(value))
      }),
      { numRuns: 12 },
    )
  })

test('types that people would give are found', async () => {
  const cases: [string[], string][] = [
    [['1', '-22', '9223372036854775807'], 'BIGINT'],
    [['1', '9223372036854775808'], 'VARCHAR'],
    [['1.50', '20.00'], 'DECIMAL(38,2)'],
    [['1.5', '2.25', '3'], 'DOUBLE'],
    [['1.5', '2.50'], 'VARCHAR'],
    [['0', '-0'], 'DOUBLE'],
    [['00501', '98765'], 'VARCHAR'],
    [['2026-01-31', '2026-02-01'], 'DATE'],
    [['2026-01-31T10:00:00.000Z', '2026-01-31T10:00:00.120Z'], 'TIMESTAMPTZ'],
    [['2026-01-31 10:00', '2026-01-31 11:00'], 'TIMESTAMP'],
    [['2026-01-31T10:00:00+01:00'], 'VARCHAR'],
    [['true', 'false'], 'BOOLEAN'],
    [['yes', 'no'], 'VARCHAR'],
  ]
  for (const [values, type] of cases) {
    const place = localPlace(join(folder, `${++places}`))
    await place.put('x.csv', await writers.csv!.write(values))
    assert.equal((await night(place, { files: '*' })).types[1], type, values.join())
  }
})

test('every file of the first night counts, and every value of a file', async () => {
  const place = localPlace(join(folder, `${++places}`))
  await place.put(
    'a.csv',
    `id,zip\n${Array.from({ length: 70_000 }, (_, id) => `${id},98765\n`).join('')}1,98765\n`,
  )
  await place.put('b.csv', 'id,zip\n2,00501\n')
  const { rows, types } = await night(place, { files: '*' })
  assert.deepEqual(types, ['BIGINT', 'VARCHAR'])
  assert.deepEqual(rows.at(-1), ['2', '00501'])
})
