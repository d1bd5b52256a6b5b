import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { receiver } from '../alerts/receivers.ts'
import { smallJob } from '../jobs/small.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'

const shop = await freshMariadb()
const warehouse = await freshPostgres()
await shop.query('CREATE TABLE orders (id int PRIMARY KEY, customer int, amount decimal(9,2))')
await shop.query('INSERT INTO orders VALUES (1, 7, 9.5), (2, 7, 1)')

const job = (name: string, sql: string) =>
  smallJob({ after }, name, {
    'job.yaml': `connections: { shop: "${shop.url}", dw: "${warehouse.url}" }
extract: { sales: { from: shop, table: orders } }
load: { ${name}: { to: dw, from: revenue, key: customer } }
`,
    'revenue.sql': sql,
  })

const place = (url: string) => {
  const { hostname, port, pathname } = new URL(url)
  return { server: `${hostname}:${port}`, database: pathname.slice(1) }
}

test('OpenLineage is told what a run read, what it made, and of which columns', async t => {
  const { url, bodies } = await receiver(t)
  const made = await job(
    'told',
    'SELECT customer, sum(amount) AS total, 1 AS one FROM sales GROUP BY customer',
  )
  const env = { OPENLINEAGE_URL: new URL('/', url).href, OPENLINEAGE_NAMESPACE: 'nights' }
  const { code, output } = await made.cliIn(env, 'run', made.folder)
  assert.equal(code, 0, output)
  const [start, end] = bodies.map(body => JSON.parse(body))
  assert.deepEqual([start.eventType, end.eventType], ['START', 'COMPLETE'])
  assert.equal(start.run.runId, end.run.runId)
  assert.match(end.run.runId, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.deepEqual([end.job.namespace, end.job.name], ['nights', 'told'])

  const [from, to] = [place(shop.url), place(warehouse.url)]
  const orders = { namespace: `mysql://${from.server}`, name: `${from.database}.orders` }
  const [input] = end.inputs
  assert.deepEqual({ namespace: input.namespace, name: input.name }, orders)
  assert.deepEqual(
    input.facets.schema.fields.map(({ name }: { name: string }) => name),
    ['id', 'customer', 'amount'],
  )
  const [output_] = end.outputs
  assert.deepEqual(
    [output_.namespace, output_.name, output_.outputFacets.outputStatistics.rowCount],
    [`postgres://${to.server}`, `${to.database}.public.told`, 1],
  )
  assert.deepEqual(output_.facets.columnLineage.fields, {
    customer: { inputFields: [{ ...orders, field: 'customer' }] },
    total: { inputFields: [{ ...orders, field: 'amount' }] },
    one: { inputFields: [] },
  })
})

test('a run that fails is told as one that failed; a receiver that is away is told of, and changes nothing', async t => {
  const { url, bodies } = await receiver(t, response => response.writeHead(500).end())
  const sql = "SELECT customer, error('no') AS total FROM sales"
  const made = await job('untold', sql)
  const first = await made.cliIn({ OPENLINEAGE_URL: new URL('/', url).href }, 'run', made.folder)
  assert.notEqual(first.code, 0)
  assert.match(first.output, /the lineage was not sent: the receiver answered 500/)
  assert.equal(bodies.length, 1)
  const secret = 'http://me:T0PS3CRET@127.0.0.1:1'
  const away = await made.cliIn({ OPENLINEAGE_URL: secret }, 'run', made.folder, '--fresh')
  assert.match(away.output, /the lineage was not sent: /)
  assert.doesNotMatch(away.output, /T0PS3CRET/)
  const good = await receiver(t)
  await made.cliIn({ OPENLINEAGE_URL: new URL('/', good.url).href }, 'run', made.folder, '--fresh')
  const end = JSON.parse(good.bodies[1]!)
  assert.equal(end.eventType, 'FAIL')
  assert.match(end.run.facets.errorMessage.message, /no/)
})

test('files and a DuckDB file are named by their paths', async t => {
  const { url, bodies } = await receiver(t)
  const made = await smallJob({ after }, 'files_told', {
    'job.yaml': `connections: { drop: "file:./drop", out: "duckdb:out.duckdb" }
extract: { sales: { from: drop, files: "*.csv" } }
load: { sales: { to: out, from: sales, key: id } }
`,
    'drop/one.csv': 'id,amount\n1,2\n',
  })
  const { code, output } = await made.cliIn({ OPENLINEAGE_URL: new URL('/', url).href }, 'run', made.folder)
  assert.equal(code, 0, output)
  const { inputs, outputs } = JSON.parse(bodies[1]!)
  const names = [...inputs, ...outputs].map(({ namespace, name }) => `${namespace} ${name}`)
  assert.deepEqual(names, [`file ${made.folder}/drop/*.csv`, `file ${made.folder}/out.duckdb/sales`])
})
