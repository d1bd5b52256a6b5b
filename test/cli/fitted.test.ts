import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fittedText, markedText, tableText } from '../../src/cli/tableText.ts'

const names = ['id', 'name', 'note']
const rows = ['1', '2', '3', '4'].map(id => [id, `somebody ${id}`, null])

test('a table that fits, or goes into a pipe, is shown whole', () => {
  assert.deepEqual(fittedText(names, rows, [true], 80), tableText(names, rows, [true]))
  assert.deepEqual(fittedText(names, rows, [true], undefined), tableText(names, rows, [true]))
})

test('columns beyond the width of a terminal are left out, and named', () => {
  assert.deepEqual(fittedText(names, rows, [true], 16), [
    'id  name',
    '──  ──────────',
    ' 1  somebody 1',
    ' 2  somebody 2',
    ' 3  somebody 3',
    ' 4  somebody 4',
    '',
    'not shown, for want of width: note',
  ])
})

test('a few rows stand one below the other', () => {
  assert.deepEqual(fittedText(names, rows.slice(0, 2), [true], 16), [
    'id    1',
    'name  somebody 1',
    'note  NULL',
    '',
    'id    2',
    'name  somebody 2',
    'note  NULL',
  ])
})

test('a difference that is too wide shows first by what rows are known and what differs', () => {
  const wide = ['note', 'id', 'amount']
  const differing = ['1', '2'].flatMap(id => [
    ['-', 'a long note of many words', id, '5.00'],
    ['+', 'a long note of many words', id, '7.00'],
  ])
  assert.deepEqual(markedText(wide, differing, ['id', 'amount'], '  ', 20), [
    '     id  amount',
    '  ─  ──  ──────',
    '  -  1   5.00',
    '  +  1   7.00',
    '  -  2   5.00',
    '  +  2   7.00',
    '',
    '  not shown, for want of width: note',
  ])
  assert.deepEqual(
    markedText(wide, differing, ['id'], '', 80),
    tableText(['', ...wide], differing),
    'one that fits has its columns in order',
  )
})

test('a value of few rows has its line, and no more', () => {
  const names = ['id', 'record', 'check_name', 'reason']
  const rows = [['1', 'x'.repeat(90), 'few', 'too few']]
  assert.equal(fittedText(names, rows, [], 70)[1], `record      ${'x'.repeat(57)}…`)
})

test('signs of two columns, and of none, leave columns below one another', () => {
  assert.deepEqual(
    tableText(
      ['name', 'n'],
      [
        ['東京', '1'],
        ['e\u0301', '2'],
        ['ab', '3'],
      ],
    ),
    ['name  n', '────  ─', '東京  1', 'e\u0301     2', 'ab    3'],
  )
})
