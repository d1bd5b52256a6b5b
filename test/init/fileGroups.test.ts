/** Which files make a table, by their names alone. */
import assert from 'node:assert/strict'
import { matchesGlob } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { groupFiles } from '../../src/init/fileGroups.ts'

const globsOf = (...names: string[]) =>
  Object.fromEntries(groupFiles(names, 'drop').groups.map(({ table, files }) => [table, files]))

test('names that differ in numbers and ids alone are one table, called by what they say', () => {
  assert.deepEqual(
    globsOf(
      'orders_2026-01-30.csv',
      'orders_2026-01-31T02:00:00Z.csv',
      'customers.csv.gz',
      'q1.csv',
      '20260131.tsv',
      'day=2026-01-30/part-0.parquet',
      'events/part-00000-6f9619ff-8b86-d011-b42d-00cf4fc964ff.json',
      'events/part-00001-7f9619ff-8b86-d011-b42d-00cf4fc964ff.json',
    ),
    {
      customers: ['customers.csv.gz'],
      drop: ['*.tsv'],
      drop_2: ['day=*/part-*.parquet'],
      events: ['events/part-*-*.json'],
      orders: ['orders_*.csv'],
      q1: ['q1.csv'],
    },
  )
})

test('a glob does not take the files of another table', () => {
  assert.deepEqual(globsOf('orders_20260130.csv', 'orders_20260131.csv', 'orders_lines_20260131.csv'), {
    orders: ['orders_[0-9]*.csv'],
    orders_lines: ['orders_lines_*.csv'],
  })
  assert.deepEqual(globsOf('a1.csv', 'a2.csv', 'a3b4.csv', 'a3b5.csv').a, ['a1.csv', 'a2.csv'])
})

test('what is no data by its ending, or a writer left beside it, is told; what is hidden is not there', () => {
  const { groups, skipped } = groupFiles(
    ['a.csv', 'readme.md', '_SUCCESS', '_delta_log/0.json', '.a.csv.swp', '.git/x.csv'],
    'drop',
  )
  assert.deepEqual(
    groups.map(({ names }) => names),
    [['a.csv']],
  )
  assert.deepEqual(skipped, ['readme.md', '_SUCCESS', '_delta_log/0.json'])
})

test('every file is in one table or told, and the globs of a table match its files and no other', () => {
  const step = fc.string({
    unit: fc.constantFrom(...'ab1290-_.,[]{}()!+@*?=\\ ü'),
    minLength: 1,
    maxLength: 12,
  })
  const name = fc
    .tuple(fc.array(step, { maxLength: 2 }), step, fc.constantFrom('.csv', '.parquet', '.csv.gz', '.doc', ''))
    .map(([folders, base, ending]) => [...folders, `${base}${ending}`].join('/'))
    .filter(name => name.split('/').every(step => !step.startsWith('.')))
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 12 }), names => {
      const { groups, skipped } = groupFiles(names, 'drop')
      assert.deepEqual([...groups.flatMap(group => group.names), ...skipped].toSorted(), names.toSorted())
      const tables = groups.map(({ table }) => table.toLowerCase())
      assert.equal(new Set(tables).size, tables.length)
      const data = names.filter(each => !skipped.includes(each))
      for (const { files, names: own } of groups) {
        const matched = data.filter(each => files.some(glob => glob === each || matchesGlob(each, glob)))
        assert.deepEqual(matched.toSorted(), own)
      }
    }),
    { numRuns: 500 },
  )
})
