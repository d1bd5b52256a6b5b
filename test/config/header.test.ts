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
