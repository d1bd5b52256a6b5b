import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readHeader } from '../../src/config/header.ts'

test('tags of a model’s comments are known in any case', () => {
  const sql =
    '-- Orders.\n-- @Owner Ada\n-- @TAGS a, b\n-- @Column id The key.\n-- @Materialised VIEW\nSELECT 1 AS id\n'
  const { header, materialised, faults } = readHeader('m.sql', sql)
  assert.deepEqual(faults, [])
  assert.equal(materialised?.kind, 'view')
  assert.deepEqual(
    [header?.description, header?.owner, header?.tags, header?.columns.map(({ name, text }) => [name, text])],
    ['Orders.', 'Ada', ['a', 'b'], [['id', 'The key.']]],
  )
})

test('lines of a model may end as they end on Windows, and its comments hold any character', () => {
  const sql =
    '\ufeff-- Orders,\n-- by day.\n\n--\n-- All\u2028of them.\n-- @column id The\u2028key.\n-- @buckets 4 by a.b\n-- @enrich enrich/x.ts\n-- @odd x\nSELECT 1\n-- @owner Ada\n'
  const read = readHeader('m.sql', sql)
  assert.equal(read.header?.description, 'Orders, by day.\n\nAll\u2028of them.')
  assert.deepEqual(
    [read.header?.columns[0]?.text, read.buckets?.count, read.function?.file, read.header?.owner],
    ['The\u2028key.', 4, 'enrich/x.ts', undefined],
  )
  assert.equal(read.header?.warnings[0]?.place?.line, 9)
  assert.deepEqual(readHeader('m.sql', sql.replaceAll('\n', '\r\n')), read)
})
