import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stateSql } from '../../engine/diff/compare.ts'
import { identityOf } from '../../engine/diff/state.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { type Column, typeFromName } from '../../engine/types/logical.ts'
import { totalSql } from '../../engine/verify/rowSum.ts'
import { stateSum } from '../../engine/verify/stateSum.ts'
import { PLAIN_LOAD } from '../connectors/plainLoad.ts'

const column = (name: string, type: string): Column => ({
  name,
  type: typeFromName(type)!,
  nullable: true,
  native: type,
})
const columns = [
  column('id', 'BIGINT'),
  column('part', 'DOUBLE'),
  column('amount', 'DECIMAL(30,2)'),
  column('rate', 'DOUBLE'),
  column('note', 'VARCHAR'),
]
const load = { ...PLAIN_LOAD, columns, key: ['id', 'part'] }
const [key, compared] = [columns.slice(0, 2), columns.slice(2)]
const rows = (more = '') =>
  `SELECT * ${more} FROM (SELECT i::BIGINT AS id, i::DOUBLE AS part, (i - 5)::DECIMAL(30,2) AS amount, if(i = 3, NULL, i / 3)::DOUBLE AS rate, if(i % 4 = 0, NULL, 'n' || i) AS note, i AS row FROM range(50) r(i))`

test('what a state says of rows is what they add up to, and of none that differ in any value', async () => {
  const duck = await Duck.open({ threads: 1 })
  const sum = stateSum(load, key, compared)!
  const total = async (sql: string, expression: string) =>
    (await duck.rows(totalSql(sql, expression)))[0]!.total
  const stated = await total(stateSql(identityOf(load), rows(), 'row'), sum.entry)
  assert.equal(await total(rows(), sum.row), stated)
  const others = [
    'id + 1 AS id',
    '-part AS part',
    'if(id = 9, amount + 0.01, amount) AS amount',
    'if(id = 0, -rate, rate) AS rate',
    'if(id = 3, 0, rate) AS rate',
    "coalesce(note, '') AS note",
    "if(id = 7, note || ' ', note) AS note",
  ]
  for (const other of others) assert.notEqual(await total(rows(`REPLACE (${other})`), sum.row), stated, other)
  duck.close()
})

test('a state says nothing of columns that it does not know, or that a table keeps otherwise', () => {
  assert.equal(stateSum({ ...load, ignore: ['note'] }, key, compared), undefined)
  assert.equal(stateSum(load, key, compared.slice(1)), undefined)
  assert.equal(stateSum(load, key, [...compared.slice(0, 2), { ...compared[2]!, unpadded: true }]), undefined)
  assert.equal(stateSum(load, [{ ...key[0]! }, { ...key[1]!, unsignedZero: true }], compared), undefined)
})
