import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storedAnew } from '../../engine/plan/stored.ts'

test('a file is explained by the last TRUNCATE of the log where nothing was written behind it', () => {
  const file = (is: string, last?: string, columns = '7') => ({
    'its file': { is, ...(last !== undefined && { emptied: { last, columns } }) },
  })
  const anew = (before: object, now: object) =>
    storedAnew(before as never, now as never, transaction => transaction === '9').length > 0
  assert.ok(!anew(file('a', '8'), file('a', '8')))
  assert.ok(!anew(file('a', '8'), file('b', '9')))
  assert.ok(anew(file('a', '8'), file('b', '10')), 'by another')
  assert.ok(anew(file('a', '8'), file('b', '9', '7 9')), 'by its transaction, once more')
  assert.ok(anew(file('a'), file('b', '9')), 'as an earlier version stored it')
  assert.ok(anew({ 'its file': { is: 'a', emptied: true } }, file('b', '9')), 'as one stored it between')
})
