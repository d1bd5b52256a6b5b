import assert from 'node:assert/strict'
import { test } from 'node:test'
import { placeOf } from '../../engine/sql/text.ts'
import { cutFrom, cutTo, widthOf } from '../../engine/width.ts'

test('the columns of a text are those that a terminal gives it', () => {
  const widths = {
    abc: 3,
    東京: 4,
    ﾃｽﾄ: 3,
    ＡＢ: 4,
    'e\u0301': 1,
    '\ufeffa': 1,
    '🚀': 2,
    한국: 4,
    zürich: 6,
    '': 0,
  }
  for (const [text, width] of Object.entries(widths)) assert.equal(widthOf(text), width, text)
})

test('a text is cut between its signs', () => {
  assert.equal(cutTo('東京都庁', 5), '東京…')
  assert.equal(cutFrom('東京都庁', 6), '…都庁')
  assert.equal(cutTo('abc', 3), 'abc')
})

/** The sign of an excerpt that stands above its caret. */
function pointedAt(excerpt: string): string {
  const [line = '', caret = ''] = excerpt.split('\n')
  let column = 0
  for (const sign of line) {
    if (column === widthOf(caret) - 1 && widthOf(sign) > 0) return sign
    column += widthOf(sign)
  }
  return ''
}

test('a caret stands below its character, whatever is before it, in a line of at most 80', () => {
  const fillers = [
    '',
    '\ufeff',
    '東京 ',
    '\t\t',
    "'🚀' ",
    'e\u0301 ',
    'x'.repeat(100),
    '東'.repeat(60),
    '한국 ＡＢ ',
  ]
  for (const before of fillers)
    for (const after of ['', ' FROM orders', ` FROM ${'東'.repeat(70)}`]) {
      const sql = `${before}Q${after}`
      const { excerpt, column } = placeOf(sql, before.length)
      assert.equal(pointedAt(excerpt), 'Q', JSON.stringify(sql))
      assert.ok(
        excerpt.split('\n').every(line => widthOf(line) <= 76),
        excerpt,
      )
      assert.equal(column, before.replace('\ufeff', '').length + 1)
    }
})
