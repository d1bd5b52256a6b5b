import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { faultText, type SqlInvalid } from '../../engine/sql/faults.ts'
import { validateJob } from '../../src/runs/validateJob.ts'
import { smallJob } from './small.ts'

// Typical mistakes of those who write SQL, and all that is said of each: mistakes.txt, to be read by people. GOLDEN=write
// writes it anew.
const GOLDEN = join(import.meta.dirname, 'mistakes.txt')

const YAML = `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
  orders:
    from: in
    files: orders.csv
    take: all
    key: order_id
    schema: { order_id: BIGINT, customer_id: BIGINT, amount: "DECIMAL(12,2)", note: VARCHAR, placed: TIMESTAMP }
  customers:
    from: in
    files: customers.csv
    take: all
    key: customer_id
    schema: { customer_id: BIGINT, name: VARCHAR, since: DATE }
load:
  m: { to: wh, from: m, key: order_id }
`

const PLAIN = `job: mistakes\n${YAML}`
/** A job.yaml with one thing put in place of another. */
const settings = (was: string, now: string) => {
  assert.ok(PLAIN.includes(was))
  return { 'job.yaml': PLAIN.replace(was, now) }
}
const changed = (text: string) =>
  text
    .split('\n')
    .filter(line => !PLAIN.split('\n').includes(line))
    .join('\n')

/** The text of a model; or files, by their names. */
const MISTAKES: (string | Record<string, string>)[] = [
  'SELECT order_id, custmer_id FROM orders',
  'SELECT o.order_id, o.nte FROM orders AS o',
  'SELECT orders.order_id FROM orders AS o',
  'SELECT order_id FROM order',
  'SELECT order_id FROM ordrs',
  'SELECT order_id FROM shop.orders',
  'SELECT order_id, amount FORM orders',
  'SELECT order_id, max(note) AS note FROM orders GRUOP BY order_id',
  'SELECT order_id, order FROM orders',
  'SELECT order_id note amount FROM orders',
  'SELECT order_id,, note FROM orders',
  'SELECT order_id, sum(amount AS a FROM orders GROUP BY ALL',
  'SELECT order_id, round(sum(amount), 2 FROM orders GROUP BY ALL',
  "SELECT order_id FROM orders WHERE note = 'abc",
  'SELECT order_id FROM orders WHERE',
  'SELECT order_id FROM orders; SELECT 1',
  '-- later',
  "INSERT INTO orders VALUES (1, 2, 3, 'a', NULL)",
  "SELECT order_id FROM read_csv('orders.csv')",
  "SELECT order_id FROM 'orders.csv'",
  "SELECT order_id FROM {{ ref('orders') }}",
  'SELECT order_id, `note` FROM orders',
  'SELECT order_id, “note” FROM orders',
  'SELECT TOP 5 order_id FROM orders',
  "SELECT order_id, nvl(note, 'none') AS note FROM orders",
  'SELECT order_id, getdate() AS loaded_at FROM orders',
  "SELECT order_id, to_char(placed, 'YYYY') AS y FROM orders",
  "SELECT order_id, date_trnc('month', placed) AS month FROM orders",
  "SELECT order_id, date_trunc('mnth', placed) AS month FROM orders",
  "SELECT order_id, strptime(note, '%Q') AS t FROM orders",
  'SELECT order_id, amount::NUMBR AS amount FROM orders',
  'SELECT order_id, sum(note) AS s FROM orders GROUP BY ALL',
  'SELECT order_id, note + 1 AS n FROM orders',
  'SELECT order_id, note LIKE 5 AS five FROM orders',
  'SELECT order_id, note, sum(amount) AS a FROM orders GROUP BY order_id',
  'SELECT order_id, sum(amount) AS a FROM orders WHERE sum(amount) > 1 GROUP BY ALL',
  'SELECT order_id FROM orders WHERE row_number() OVER (ORDER BY placed) = 1',
  'SELECT order_id FROM orders UNION ALL SELECT order_id, note FROM orders',
  'SELECT customer_id FROM orders JOIN customers ON orders.customer_id = customers.customer_id',
  'SELECT order_id, (SELECT amount, note FROM orders) AS x FROM orders',
  'SELECT order_id, note AS x, amount AS X FROM orders',
  "SELECT order_id, getvariable('runat') AS t FROM orders",
  'SELECT order_id, now() AS t FROM orders',
  "SELECT order_id, coalesce(amount, 'none') AS a FROM orders",
  "SELECT order_id FROM orders WHERE amount > 'much'",
  'SELECT order_id FROM orders WHERE note = 5',
  'SELECT order_id FROM orders WHERE note = NULL',
  'SELECT o.order_id, c.name FROM orders AS o JOIN customers AS c ON c.since = o.placed::DATE',
  'SELECT o.order_id, c.name FROM orders AS o, customers AS c',
  'SELECT order_id FROM orders LIMIT 10',
  'SELECT order_id, row_number() OVER (PARTITION BY customer_id) AS n FROM orders',
  'SELECT * FROM orders',
  'SELECT order_id, amount FROM orders WHERE placed > 2026',
  'SELECT order_id, CASE WHEN amount > 1 THEN 1 FROM orders',
  'SELECT order_id, count(*) AS n FROM orders',
  'SELECT order_id, placed + 1 AS later FROM orders',
  "SELECT order_id, note + 'x' AS n FROM orders",
  'SELECT order_id FROM orders WHERE note = "paid"',
  'SELECT [order_id] FROM orders',
  'SELECT order_id FROM orders LIMIT 5, 10',
  'SELECT order_id FROM orders JOIN customers',
  'WITH a AS (SELECT 1 AS x), SELECT order_id FROM orders',
  'SELECT order_id FROM (SELECT order_id FROM orders',
  "SELECT order_id, group_concat(note SEPARATOR ',') AS n FROM orders GROUP BY ALL",
  'SELECT order_id, convert(VARCHAR, amount) AS a FROM orders',
  "SELECT order_id, datediff(placed, '2026-01-01') AS d FROM orders",
  'SELECT order_id, amount FROM orders WHERE amount => 5',
  'SELECT order_id, amount FROM orders WHERE amount == 5 && note IS NULL',
  'SELECT order_id, isnull(note, 1) AS n FROM orders',
  'SELECT o.order_id FROM orders AS o LEFT JOIN customers AS c ON o.customer_id == c.customer',
  'SELECT order_id, lag(amount) AS before FROM orders',
  '-- @ownr finance\nSELECT order_id FROM orders',
  '-- @column nte What is written.\nSELECT order_id, note FROM orders',
  '-- @materialised tabel\nSELECT order_id FROM orders',
  '-- @materialised view\nSELECT order_id FROM orders',
  '-- @materialised incremental\nSELECT order_id FROM orders',
  '-- @materialised incremental by orders\nSELECT order_id FROM orders',
  '-- @materialised incremental by orders.ordr_id\nSELECT ordr_id FROM orders',
  '-- @materialised incremental by customers.customer_id\nSELECT order_id FROM orders',
  '-- @materialised incremental by orders.order_id\nSELECT note, count(*) AS n\nFROM orders GROUP BY note',
  '-- @materialised incremental by orders.order_id\nSELECT note FROM orders',
  '-- @materialised incremental by orders.order_id\nSELECT order_id FROM orders ORDER BY order_id LIMIT 5',
  '-- @materialised incremental by orders.order_id\nSELECT order_id, random() AS r FROM orders',
  "-- @materialised incremental by orders.order_id\nSELECT order_id, getvariable('run_at') AS t FROM orders",
  'SELECT order_id\r\nFROM orders\r\nWHERE amout > 1\r\n',
  '\ufeffSELECT order_id, nte FROM orders',
  'SELECT order_id,\u00a0nte\tFROM orders',
  'SELECT order_id FROM orders WHERE amount > 1 – 2',
  'SELECT order_id FROM orders WHERE note = ‘paid’',
  'SELECT order_id FROM orders WHERE placed > 31/12/2024',
  "SELECT order_id FROM orders WHERE placed > '31/12/2024'",
  "SELECT order_id, DATE '2024-02-30' AS d FROM orders",
  'SELECT order_id, amount / 0 AS x FROM orders',
  'SELECT order_id, 300::TINYINT AS t FROM orders',
  'SELECT order_id, amount::DECIMAL(40,2) AS amount FROM orders',
  'SELECT order_id FROM orders WHERE note IN (NULL, 1)',
  'SELECT order_id FROM orders WHERE amount > 5 OR note',
  'SELECT order_id FROM orders WHERE note',
  "SELECT order_id FROM orders WHERE note LIKE '*paid*'",
  'SELECT order_id, substring(note, 0, 3) AS x FROM orders',
  'SELECT order_id, year(note) AS y FROM orders',
  'SELECT order_id, lag(amount) OVER () AS before FROM orders',
  'SELECT order_id, first(note) AS n FROM orders GROUP BY order_id',
  'SELECT order_id, 1,5 AS x FROM orders',
  'SELECT order_id FROM orders WHERE amount > 1,5',
  'SELECT order_id FROM orders GROUP BY 2',
  'SELECT order_id FROM orders HAVING amount > 5',
  'SELECT order_id FROM orders WHERE order_id BETWEEN 1, 3',
  'SELECT order_id FROM orders WHERE NOT EXISTS SELECT 1 FROM customers',
  "SELECT order_id, CASE amount > 5 THEN 'a' ELSE 'b' END AS x FROM orders",
  'SELECT order_id, sum(amount) OVER PARTITION BY note AS x FROM orders',
  'SELECT order_id, rank() OVER (ORDER placed) AS x FROM orders',
  'SELECT order_id, amount * 2) AS b FROM orders',
  'SELECT order_id FROM orders AS o JOIN customers AS c USING customer_id',
  'SELECT order_id FROM orders AS o JOIN customers AS c USING (cust_id)',
  'SELECT order_id FROM orders AS o OUTER JOIN customers AS c ON o.customer_id = c.customer_id',
  "SELECT order_id, name FROM orders AS o LEFT JOIN customers AS c ON o.customer_id = c.customer_id WHERE c.name = 'x'",
  'WITH a (SELECT order_id FROM orders) SELECT order_id FROM a',
  'WITH a AS (SELECT order_id FROM orders)',
  'WITH a AS (SELECT order_id FROM orders) WITH b AS (SELECT 1 AS x) SELECT order_id FROM a',
  'WITH a AS (SELECT order_id FROM orders), b AS (SELECT nte FROM orders) SELECT order_id FROM a',
  'SELECT order_id AS [id] FROM orders',
  'SELECT o.* FROM orders',
  'SELECT order_id, $1 AS x FROM orders',
  'SELECT order_id, :since AS x FROM orders',
  'SELECT order_id FROM orders WITH (NOLOCK)',
  'SELECT order_id FROM orders // later',
  'SELECT order_id FROM orders /* later',
  'SELECT order_id INTO m FROM orders',
  'SELECT order_id FROM m',
  { 'checks/m/big.sql': 'SELECT order_id, 5 AS reason FROM m' },
  { 'checks/few.sql': "SELECT order_id, 'x' AS reason FROM m" },
  { 'seed/codes.csv': 'code\na\n' },
  { 'draft.sql': 'SELECT note FROM orders' },
  { 'a.sql': 'SELECT order_id FROM b', 'b.sql': 'SELECT order_id FROM a' },
  { 'm.sql': 'SELECT customer_id FROM orders' },
  { 'checks/few.sql': "SELECT if(count(*) < 9, 'fail', 'pass') AS level, 'few' AS message FROM m" },
  { 'checks/few.sql': "SELECT if(count(*) < 9, 'stop', 'pass') AS level, 'few' AS message FROM mm" },
  { 'checks/m/big.sql': "SELECT order_id, 'big' AS why FROM m WHERE order_id > 9" },
  { 'checks/m/big.sql': "SELECT order_no, 'big' AS reason FROM (SELECT order_id AS order_no FROM m)" },
  { 'checks/n/big.sql': "SELECT order_id, 'big' AS reason FROM m" },
  { 'check/m/big.sql': "SELECT order_id, 'big' AS reason FROM m" },
  { 'model.sqll': 'SELECT 1 AS x' },
  { '../macros/t.sql': 'CREATE MACRO vat(x) AS x * (1 + 2;' },
  { '../macros/t.sql': 'CREATE MACRO vat(x) AS rund(x);' },
  { '../macros/t.sql': 'CREATE TABLE t AS SELECT 1 AS x' },
  { ...settings('key: order_id }', 'kye: order_id }'), 'm.sql': 'SELECT order_id, custmer_id FROM orders' },
  {
    ...settings('load:', 'checks: { paid: { order_id: unique } }\nload:'),
    'paid.sql.txt': 'SELECT order_id FROM orders',
    'm.sql': 'SELECT order_id FROM ordrs',
  },
  { 'z.sql.txt': 'SELECT 1 AS x', 'm.sql': 'SELECT order_id, custmer_id FROM orders' },
  { ...settings('extract:', 'extracts:'), 'm.sql': 'SELECT order_id, FROM orders' },
  'SELECT c.customer_id AS order_id, sum(year(c.since)) AS s, sum(o.amount) AS a, count(DISTINCT c.name) AS n FROM customers AS c JOIN orders AS o USING (customer_id) GROUP BY ALL',
  'SELECT c.customer_id AS order_id, o.note FROM customers AS c LEFT JOIN orders AS o USING (customer_id)',
  {
    'seeds/tags.csv': 'order_id,tag\n10,a\n10,b\n',
    'm.sql':
      'SELECT o.customer_id AS order_id, sum(o.amount) AS a, sum(o.amount * t.order_id) AS b FROM orders AS o JOIN tags AS t USING (order_id) GROUP BY ALL',
  },
  'SELECT order_id,\n  customer_id\n  note,\n  amount\nFROM orders',
  {
    'm.sql': 'SELECT order_id customer_id FROM orders',
    'checks/m/c.sql': "SELECT customer_id, 'x' AS reason FROM m",
  },
  'SELECT order_id, c.name upper(c.name) AS big FROM orders JOIN customers AS c USING (customer_id)',
  "SELECT order_id, CASE WHEN amount > 1 THEN 'a' ELSE 'b' AS size FROM orders",
  'SELECT order_id, CASE WHEN amount > 1 THEN 1 ELSE 2, note FROM orders',
  "SELECT order_id, strptime('2026-01-31', '%d/%m/%Y') AS d FROM orders",
  {
    '../macros/t.sql': 'CREATE MACRO vat(x, r) AS x * r;',
    'm.sql': 'SELECT order_id, vat(amount) AS v FROM orders',
  },
  {
    '../macros/t.sql': "CREATE MACRO digits(x) AS regexp_full_match(x, '[0-9]+');",
    'm.sql': 'SELECT order_id, digits(order_id) AS d FROM orders',
  },
  'SELECT order_id, sum(amount) AS s FROM orders WHERE s > 1 GROUP BY ALL',
  'SELECT order_id, sum(amount) AS s FROM orders GROUP BY order_id HAVING m > 1',
  'SELECT o.*, c.* FROM orders AS o JOIN customers AS c USING (customer_id)',
  'SELECT order_id, o.customer_id, c.customer_id FROM orders AS o JOIN customers AS c USING (customer_id)',
  { 'm.sql': 'SELECT ordr_id, amont, uper(note) AS n, o.nte, x.note FROM orders AS o' },
  { 'm.sql': 'WITH a AS (SELECT amont FROM orders) SELECT amont, ordr_id FROM a' },
  {
    'a.sql': 'SELECT order_id, amont, note FROM orders',
    'm.sql': 'SELECT order_id, amont, nte, custmer_id FROM a',
    'checks/m/b.sql': "SELECT ordr_id, 'x' AS reason FROM m",
  },
  {
    'm.sql':
      'SELECT order_id, uper(lowr(note)) FROM orders WHERE amont > 1 GROUP BY ALL HAVING sum(amunt) > 1',
  },
]

test('typical mistakes are told each at its place, with what to write', async () => {
  const job = await smallJob({ after }, 'mistakes', { 'job.yaml': YAML })
  const told: string[] = []
  for (const mistake of MISTAKES) {
    const files = {
      'm.sql': 'SELECT order_id FROM orders',
      ...(typeof mistake === 'string' ? { 'm.sql': mistake } : mistake),
    }
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(join(job.folder, file, '..'), { recursive: true })
      writeFileSync(join(job.folder, file), text)
    }
    const found = await validateJob(job.folder, {}, job.home).then(
      ({ warnings }) => warnings.map(warning => `warning: ${faultText(warning)}`),
      (error: SqlInvalid) => error.message.split('\n').concat(error.hint ? `    hint: ${error.hint}` : []),
    )
    assert.ok(found.length > 0, `nothing is said of: ${JSON.stringify(mistake)}`)
    const text = found.join('\n').replaceAll(job.folder, 'job')
    assert.doesNotMatch(text, /DESCRIBE|COPY|read_parquet|nightfreight-|_nf_/)
    // What is wrong with a query stands at its line.
    assert.match(text, /\.sql:\d+:(\d+:)? |job\.yaml:\d+|is empty|nobody|no model/)
    const title =
      typeof mistake === 'string'
        ? mistake
        : Object.entries(mistake)
            .map(([file, text]) => `${file}: ${file === 'job.yaml' ? changed(text) : text}`)
            .join('\n')
    told.push(`${title}\n\n${text.replaceAll(/^/gm, '  ')}\n`)
    for (const file of Object.keys(files)) rmSync(join(job.folder, file))
    job.yaml(YAML)
    for (const folder of ['check', 'checks', 'seed', 'seeds', '../macros'])
      rmSync(join(job.folder, folder), { recursive: true, force: true })
  }
  const page = told.join(`\n${'─'.repeat(80)}\n`)
  if (process.env.GOLDEN === 'write') writeFileSync(GOLDEN, page)
  assert.equal(page, readFileSync(GOLDEN, 'utf8'))
})

/** What is right, and of which nothing is to be said. */
const RIGHT: (string | Record<string, string>)[] = [
  'SELECT c.customer_id AS order_id, sum(o.amount) AS a FROM customers AS c JOIN orders AS o USING (customer_id) GROUP BY ALL',
  'SELECT c.customer_id AS order_id, count(o.order_id) AS n FROM customers AS c LEFT JOIN orders AS o ON o.customer_id = c.customer_id GROUP BY c.customer_id',
  'SELECT c.customer_id AS order_id, max(c.since) AS s, count(*) AS n FROM customers AS c JOIN orders AS o USING (customer_id) GROUP BY ALL',
  'SELECT o.order_id, sum(year(c.since)) AS s FROM customers AS c JOIN orders AS o USING (customer_id) GROUP BY ALL',
  'SELECT o.order_id, c.name FROM orders AS o JOIN customers AS c USING (customer_id)',
  'SELECT o.order_id, c.name FROM customers AS c JOIN orders AS o USING (customer_id)',
  'WITH j AS (SELECT customer_id, o.amount FROM customers AS c JOIN orders AS o USING (customer_id)) SELECT customer_id AS order_id, sum(amount) AS a FROM j GROUP BY ALL',
  'SELECT c.name AS order_id, sum(o.amount) AS a FROM orders AS o, customers AS c WHERE o.customer_id = c.customer_id GROUP BY ALL',
  {
    'seeds/tags.csv': 'order_id,tag\n10,a\n11,b\n',
    'm.sql':
      'SELECT t.tag AS order_id, sum(o.amount) AS a FROM orders AS o JOIN tags AS t USING (order_id) GROUP BY ALL',
  },
]

test('of what is right nothing is said', async () => {
  const job = await smallJob({ after }, 'right', { 'job.yaml': YAML })
  for (const right of RIGHT) {
    const files = typeof right === 'string' ? { 'm.sql': right } : right
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(join(job.folder, file, '..'), { recursive: true })
      writeFileSync(join(job.folder, file), text)
    }
    const { warnings } = await validateJob(job.folder, {}, job.home)
    assert.deepEqual(
      warnings.map(each => faultText(each)),
      [],
      JSON.stringify(right),
    )
  }
})

test('a job of 200 models over 50 tables is bound in less than 2 seconds of one core', async () => {
  const tables = Array.from({ length: 50 }, (_, i) => i)
  const schema =
    '{ id: BIGINT, customer_id: BIGINT, amount: "DECIMAL(12,2)", note: VARCHAR, seen: TIMESTAMP }'
  const extracts = tables.map(
    i => `  t${i}: { from: in, files: t${i}.csv, take: all, key: id, schema: ${schema} }`,
  )
  const job = await smallJob({ after }, 'wide', {
    'job.yaml': `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }\nextract:\n${extracts.join('\n')}\nload: { m199: { to: wh, from: m199, key: id } }\n`,
  })
  for (let i = 0; i < 200; i++)
    writeFileSync(
      join(job.folder, `m${i}.sql`),
      `WITH base AS (SELECT id, customer_id, amount, note, seen FROM t${i % 50} WHERE amount > 0),
  ranked AS (SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY seen DESC, id) AS rn FROM base)
SELECT r.id, r.customer_id, r.amount, coalesce(b.note, r.note) AS note, r.seen
FROM ranked AS r LEFT JOIN ${i < 50 ? `t${(i + 1) % 50}` : `m${i - 50}`} AS b ON b.id = r.id WHERE r.rn = 1
`,
    )
  const start = process.cpuUsage()
  const { graph } = await validateJob(job.folder, {}, job.home)
  const { user, system } = process.cpuUsage(start)
  assert.equal(graph.models.length, 200)
  assert.ok((user + system) / 1e6 < 2, `${(user + system) / 1e6} s`)
})
