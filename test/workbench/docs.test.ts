import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { smallJob } from '../jobs/small.ts'

const YAML = `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
  orders:
    from: in
    files: orders.csv
    take: all
    key: order_id
    schema: { order_id: BIGINT, customer_id: BIGINT, amount: "DECIMAL(12,2)", status: VARCHAR }
load:
  sums: { to: wh, from: sums, key: customer_id }
quality: { max_error_rate: 0.9 }
checks:
  paid: { amount: { between: [0, null] }, rows: { min: 1, severity: warn } }
`

const FILES = {
  'in/orders.csv':
    'order_id,customer_id,amount,status\n1,10,12.50,paid\n2,11,7.00,open\n3,10,99.99,paid\n4,12,-5,paid\n',
  'paid.sql': "SELECT order_id, customer_id, amount FROM orders WHERE status = 'paid'",
  'sums.sql': 'SELECT customer_id, sum(amount)::DECIMAL(12,2) AS amount FROM paid GROUP BY ALL',
  'checks/sums/large.sql':
    "SELECT customer_id, 'warn' AS severity, 'large' AS reason FROM sums WHERE amount > 50",
  'checks/few.sql':
    "SELECT CASE WHEN count(*) < 9 THEN 'warn' ELSE 'pass' END AS level, 'few' AS message FROM sums",
}

const job = await smallJob({ after }, 'documented', { 'job.yaml': YAML, ...FILES })
assert.equal((await job.run()).error, undefined)

/** A page's text, cells of a table apart. */
function page(name: string): string {
  const html = readFileSync(join(job.home, 'pages/tables', `documented-${name}.html`), 'utf8')
  return html
    .replaceAll(/<\/t[dh]>/g, ' | ')
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll(/ +/g, ' ')
}

test('a page counts what the run read and rejected, and has the checks of the night as a whole', async () => {
  const { code, err } = await job.cli('docs', job.folder, '--out', join(job.home, 'pages'))
  assert.equal(code, 0, err)
  for (const name of ['paid', 'sums', 'orders'])
    assert.match(page(name), /Run \|.*\| Read \| Loaded \| Rejected \|.* 4 \| 1 \| 1 \|/s, name)
  assert.match(page('paid'), /amount_between \| checks\.paid\.amount\.between \| reject .*\| 1 \|/)
  assert.match(page('paid'), /paid_rows \| checks\.paid\.rows \| pass/)
  assert.match(page('sums'), /few \| checks\/few\.sql \| warn/)
  assert.doesNotMatch(page('orders'), /few/)
})

test('lineage names the checks of the night as a whole, and all that decides which rows a table has', async () => {
  const { out } = await job.cli('lineage', job.folder, 'sums')
  assert.match(out, /checked by\n {2}checks\/few\.sql\n {2}checks\/sums\/large\.sql/)
  assert.match(
    (await job.cli('lineage', job.folder, 'paid')).out,
    /checked by\n.*checks\.paid\.amount\.between\n.*checks\.paid\.rows/,
  )
  for (const asked of ['wh.sums', 'wh.sums.amount'])
    assert.match(
      (await job.cli('lineage', job.folder, asked)).out,
      /rows decided by\n {2}sums \(sums\.sql\): paid\.customer_id\n {2}paid \(paid\.sql\): orders\.status, paid\.amount, and what job\.yaml:\d+: checks\.paid\.amount\.between rejects\n/,
    )
})
