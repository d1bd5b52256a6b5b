import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Column } from '../../engine/types/logical.ts'
import { type ColumnFacts, columnsOf } from '../../src/drops/columns.ts'
import { fileColumn } from '../../src/formats/column.ts'
import { night } from './nights.ts'
import { localPlace, testFolder } from './places.ts'

const folder = testFolder()
let places = 0
const file = (name: string, names: string[], more: object = {}) => ({
  file: { name, day: '', size: 1, mtime: 1 },
  name,
  names,
  sparse: false,
  ...more,
})
const id: Column = {
  name: 'id',
  type: { kind: 'int', bits: 64, signed: true },
  nullable: true,
  native: 'BIGINT',
  policy: 'quarantine',
}
const y: Column = { ...id, name: 'y', type: { kind: 'text' }, native: 'VARCHAR' }

function found(facts: Partial<ColumnFacts>) {
  const base = {
    ...{ where: 'drop.t', extract: 't', files: [], key: ['id'], accumulates: true },
    ...{ policy: {}, quarantine: false, types: {} },
  }
  return columnsOf({ ...base, ...facts }).map(column => [
    column.name,
    column.native,
    fileColumn(column).optional === true,
  ])
}

test('a column comes with a file, and may be missing from earlier ones', () => {
  const types = { z: { type: 'BIGINT', notation: 'own' } }
  const files = [file('a', ['id', 'y']), file('b', ['id', 'y', 'z'])]
  assert.deepEqual(found({ last: [id, y], files, types }), [
    ['id', 'BIGINT', false],
    ['y', 'VARCHAR', false],
    ['z', 'BIGINT', true],
  ])
  assert.deepEqual(found({ files, types: { id: { type: 'BIGINT' }, ...types } }), [
    ['id', 'BIGINT', false],
    ['y', 'VARCHAR', false],
    ['z', 'BIGINT', true],
  ])
  assert.deepEqual(found({ files, types, policy: { added: 'ignore' } }).length, 2)
  assert.throws(() => found({ files, policy: { added: 'fail' } }), {
    code: 'SCHEMA_DRIFT',
    message: /b has a column z/,
  })
})

test('a column that a file lacks: refused, or NULL, or gone with the whole night', () => {
  const files = [file('a', ['id', 'y']), file('b', ['id'])]
  assert.throws(() => found({ last: [id, y], files }), { code: 'SCHEMA_DRIFT', message: /b has no column y/ })
  assert.deepEqual(found({ last: [id, y], files, policy: { dropped: 'ignore' } })[1], ['y', 'VARCHAR', true])
  assert.deepEqual(found({ last: [id, y], files, quarantine: true })[1], ['y', 'VARCHAR', false])
  const without = [file('b', ['id'])]
  const ignored = { last: [id, y], files: without, policy: { dropped: 'ignore' as const } }
  assert.deepEqual(found({ ...ignored, accumulates: false }), [['id', 'BIGINT', false]])
  // Rows of earlier nights have it.
  assert.deepEqual(found(ignored)[1], ['y', 'VARCHAR', true])
  // The same column in other letters, and a key, are for the plan to weigh.
  assert.deepEqual(found({ ...ignored, files: [file('a', ['id', 'Y'])] }), [
    ['id', 'BIGINT', false],
    ['Y', 'VARCHAR', true],
  ])
  assert.deepEqual(found({ ...ignored, files: [file('a', ['y'])] }), [['y', 'VARCHAR', false]])
  assert.throws(
    () => found({ last: [id, y], files: [file('a', ['ID', 'y'])], policy: { added: 'evolve' } }),
    ({ message, hint }: { message: string; hint: string }) =>
      /a has no column id, which the last load had: ID is another, by its case/.test(message) &&
      /columns of the key/.test(hint) &&
      !/dropped/.test(hint),
  )
  assert.deepEqual(found({ last: [id, y], files: [file('b', ['id'], { sparse: true })] })[1], [
    'y',
    'VARCHAR',
    true,
  ])
  assert.deepEqual(found({ last: [id, y], files: [] }), [
    ['id', 'BIGINT', false],
    ['y', 'VARCHAR', false],
  ])
})

test('types of files that have their own are widened, by later files too', () => {
  const own = (type: string) => file('a', ['id'], { own: { id: type } })
  assert.deepEqual(found({ files: [own('INTEGER'), own('BIGINT'), own('SMALLINT')] }), [
    ['id', 'BIGINT', false],
  ])
  assert.deepEqual(found({ last: [id], files: [own('INTEGER')] }), [['id', 'BIGINT', false]])
  assert.deepEqual(
    found({
      last: [{ ...id, type: { kind: 'int', bits: 32, signed: true }, native: 'INTEGER' }],
      files: [own('BIGINT')],
    }),
    [['id', 'BIGINT', false]],
  )
  assert.deepEqual(found({ files: [own('INTEGER'), own('DATE')] }), [['id', 'VARCHAR', false]])
  assert.deepEqual(found({ last: [id], files: [own('DATE')] }), [['id', 'DATE', false]])
})

for (const [name, first, second] of [
  ['x.csv', 'id,x\n1,a\n', 'id,x,n\n2,b,7\n'],
  ['x.ndjson', '{"id":1,"x":"a"}\n', '{"id":2,"x":"b","n":7}\n'],
] as const)
  test(`${name}: a column that is new in the second night has a type of its own, and is read`, async () => {
    const place = localPlace(join(folder, `${++places}`))
    await place.put(`a-${name}`, first)
    const before = await night(place, { files: '*' })
    await place.put(`b-${name}`, second)
    const after = await night(place, { files: '*' }, before)
    assert.deepEqual(after.types, [...before.types, 'BIGINT'])
    assert.deepEqual(after.rows, [['2', 'b', '7']])
  })

test('a file without a row on the first night has the columns of its header', async () => {
  const place = localPlace(join(folder, `${++places}`))
  await place.put('a.csv', 'id,x\n')
  const first = await night(place, { files: '*' })
  assert.deepEqual([first.types, first.rows], [['VARCHAR', 'VARCHAR'], []])
  await place.put('b.csv', 'id,x\n1,a\n')
  assert.deepEqual((await night(place, { files: '*' }, first)).rows, [['1', 'a']])
  await place.put('empty.csv', '')
  await assert.rejects(night(place, { files: 'empty.csv' }), {
    code: 'TABLE_MISSING',
    message: /no file with a header or a row/,
  })
  const declared = await night(place, { files: 'empty.csv', schema: { id: 'BIGINT' } })
  assert.deepEqual(declared.rows, [])
})

test('what a file has beyond the schema, or lacks, is told', async () => {
  const place = localPlace(join(folder, `${++places}`))
  await place.put('a.csv', 'id,x,more\n1,a,z\n')
  const { notes } = await night(place, { files: '*', schema: { id: 'BIGINT', x: 'VARCHAR' } })
  assert.deepEqual(notes, ['a.csv has columns that are not read: more'])
})
