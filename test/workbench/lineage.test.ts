import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { openLineage, type ProjectLineage } from '../../src/workbench/lineage.ts'
import { findColumn, traceColumn } from '../../src/workbench/trace.ts'
import { project } from './project.ts'

/** A job that reads what the job beside it loads, by another name of the same connection. */
const REPORTS = `job: reports
connections: { dw: "\${WAREHOUSE_URL}" }
extract:
  sales: { from: dw, table: m, key: order_id, schema: { order_id: BIGINT, name: VARCHAR, amount: "DECIMAL(12,2)", y: BIGINT } }
load:
  totals: { to: dw, from: totals, key: name }
`

const FILES = {
  '../reports/job.yaml': REPORTS,
  '../reports/kept.sql': 'SELECT * FROM sales',
  '../reports/totals.sql': 'SELECT name, sum(amount) AS total FROM kept GROUP BY name',
  // A query that has the name of a table reads others.
  '../queried/job.yaml': `job: queried
connections: { dw: "\${WAREHOUSE_URL}" }
extract: { m: { from: dw, query: "SELECT order_id FROM others", key: order_id, schema: { order_id: BIGINT } } }
load: { q: { to: dw, from: m, key: order_id } }
`,
  '../broken/job.yaml': 'job: broken\nextract: { a: { from: nowhere_at_all } }\nload: 3\n',
}

/** Sources that nobody has read yet. */
const UNKNOWN = `job: shop
connections: { shop: "\${SHOP_URL}", wh: "\${WAREHOUSE_URL}" }
extract: { orders: { from: shop }, customers: { from: shop } }
load: { m: { to: wh, from: m, key: order_id }, copy: { to: wh, from: copy, key: order_id } }
`

const trace = (lineage: ProjectLineage, text: string, job = 'shop') => {
  const { table, column } = findColumn(lineage, text, job)
  return traceColumn(lineage, { table: table.id, column: column! })
}
const ids = (list: { table: string; column: string }[]) =>
  list.map(({ table, column }) => `${table}.${column}`)

test('a column is followed through the jobs of a project, both ways', async t => {
  const { folder, home } = project(t, FILES)
  const lineage = await openLineage(folder, home)
  assert.equal(lineage.own, 'shop')
  assert.deepEqual(
    lineage.left.map(({ job }) => job),
    ['broken'],
  )
  const { source, reads } = lineage.tables.get('queried/m')!
  assert.deepEqual([source, reads], ['dw', []])
  const down = trace(lineage, 'orders.amount')
  assert.deepEqual(ids(down.usedBy), [
    'shop/m.amount',
    'shop/wh.m.amount',
    'reports/sales.amount',
    'reports/kept.amount',
    'reports/totals.total',
    'reports/dw.totals.total',
  ])
  assert.deepEqual(down.checks, [{ job: 'shop', file: 'checks/m/dear.sql' }])
  assert.deepEqual(down.decides, ['shop/m'])
  assert.deepEqual(down.reaches, [
    'shop/wh.m',
    'reports/sales',
    'reports/kept',
    'reports/totals',
    'reports/dw.totals',
  ])
  assert.deepEqual(down.without.fails, [{ job: 'shop', what: 'm.sql', line: 1, column: 28 }])
  assert.deepEqual(down.without.stops, ['shop/wh.m'])
  const up = trace(lineage, 'dw.totals.name', 'reports')
  assert.deepEqual(ids(up.madeOf), [
    'reports/totals.name',
    'reports/kept.name',
    'reports/sales.name',
    'shop/wh.m.name',
    'shop/m.name',
    'shop/customers.name',
  ])
})

test('without a column that only stars pass on, tables lose it in silence until something names it', async t => {
  const { folder, home } = project(t, FILES)
  const lineage = await openLineage(join(folder, '../reports'), home)
  assert.deepEqual(trace(lineage, 'sales.amount', 'reports').without, {
    fails: [{ job: 'reports', what: 'totals.sql', line: 1, column: 18 }],
    loses: [{ table: 'reports/kept', column: 'amount' }],
    stops: ['reports/dw.totals'],
  })
  assert.deepEqual(trace(lineage, 'sales.y', 'reports').without, {
    fails: [],
    loses: [{ table: 'reports/kept', column: 'y' }],
    stops: [],
  })
  // The key of a load.
  assert.deepEqual(trace(lineage, 'totals.name', 'reports').without.fails, [
    { job: 'reports', what: 'load of dw.totals', line: 6, column: 3 },
  ])
})

test('names are found without the case, the connection or the job, and what is meant is suggested', async t => {
  const { folder, home } = project(t, FILES)
  const lineage = await openLineage(folder, home)
  assert.equal(findColumn(lineage, 'orders.AMOUNT', 'shop').column, 'amount')
  assert.equal(findColumn(lineage, 'reports/totals').table.kind, 'model')
  assert.equal(findColumn(lineage, 'dw.totals.total', 'reports').table.kind, 'loaded')
  assert.throws(() => findColumn(lineage, 'order.amount', 'shop'), /no table order; did you mean "orders"\?/)
  assert.throws(
    () => findColumn(lineage, 'orders.amont', 'shop'),
    /orders has no column amont; did you mean "amount"\?/,
  )
})

test('before the first run, columns are those that queries name; what a star stands for is said to be open', async t => {
  const { folder, home } = project(t, {
    'job.yaml': UNKNOWN,
    'm.sql': 'SELECT o.order_id, o.amount FROM orders AS o',
    'copy.sql': 'SELECT * FROM orders',
    'checks/m/dear.sql': "SELECT order_id, 'dear' AS reason FROM m WHERE amount > 50",
  })
  const lineage = await openLineage(folder, home)
  assert.deepEqual(ids(trace(lineage, 'orders.amount').usedBy), [
    'shop/copy.*',
    'shop/m.amount',
    'shop/wh.copy.*',
    'shop/wh.m.amount',
  ])
  assert.match(lineage.tables.get('shop/copy')!.unsure!, /not known before the first run/)
})
