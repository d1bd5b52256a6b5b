import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fittedText, tableText } from '../../src/cli/tableText.ts'

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
