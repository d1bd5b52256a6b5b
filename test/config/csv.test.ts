import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { csvText, parseCsv } from '../../src/util/csv.ts'

test('lines are read as they are written, with a line break at the end or without', () => {
  const value = fc.option(fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', 'é') }))
  const lines = fc.array(fc.array(value, { minLength: 2, maxLength: 4 }), { maxLength: 5 })
  fc.assert(
    fc.property(lines, written => {
      const text = csvText(written)
      assert.deepEqual(parseCsv(text), written)
      assert.deepEqual(parseCsv(text.replace(/\n$/, '')), written)
      assert.deepEqual(parseCsv(`\ufeff${text}`), written)
    }),
  )
  assert.deepEqual(parseCsv('a,b\r\n1,'), [
    ['a', 'b'],
    ['1', null],
  ])
})
