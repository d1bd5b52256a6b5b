import { settings } from './mistakes.ts'

/** What is right, and of which nothing is to be said. */
export const RIGHT: (string | Record<string, string>)[] = [
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
  'SELECT order_id FROM orders WHERE 1 = 1 AND amount > 5',
  "SELECT order_id FROM orders WHERE note IN ('a', 'b') OR note IS NULL",
  "SELECT order_id FROM orders WHERE amount > 5 AND amount < 10 AND note <> 'a' AND note <> 'b'",
  'SELECT order_id FROM orders WHERE amount < 0 OR amount > 10',
  'SELECT order_id FROM orders WHERE note IS NOT NULL OR amount > 5',
  "SELECT order_id FROM orders WHERE placed >= '2026-01-01' AND placed < '2026-02-01'",
  "SELECT order_id FROM orders WHERE placed::DATE BETWEEN '2026-01-01' AND '2026-01-31'",
  "SELECT order_id, replace('Dear {{name}}', '{{name}}', note) AS text FROM orders",
  "SELECT order_id, strftime(placed, '%Y-%m-%d %H:%M') AS t, strftime(placed, '%M:%S') AS s FROM orders",
  'SELECT order_id FROM orders WHERE customer_id NOT IN (SELECT customer_id FROM customers)',
  'SELECT order_id FROM orders WHERE customer_id NOT IN (SELECT customer_id FROM orders WHERE customer_id > 5)',
  'SELECT order_id FROM orders AS o WHERE EXISTS (SELECT 1 FROM customers AS c WHERE c.customer_id = o.customer_id)',
  'SELECT order_id FROM orders WHERE amount > (SELECT avg(amount) FROM orders)',
  'SELECT o.order_id FROM orders AS o LEFT JOIN customers AS c USING (customer_id) WHERE c.customer_id IS NULL',
  "SELECT order_id, CASE WHEN amount > 10 THEN 'a' WHEN amount > 0 THEN 'b' WHEN amount IS NULL THEN 'c' ELSE 'd' END AS n FROM orders",
  "SELECT order_id, CASE WHEN amount > 10 AND note = 'x' THEN 1 WHEN amount > 10 THEN 2 END AS n FROM orders",
  "SELECT order_id, coalesce(note, 'none') AS n, amount / nullif(customer_id, 0) AS r FROM orders",
  'SELECT customer_id AS order_id, count(CASE WHEN amount > 5 THEN 1 END) AS n, count(*) FILTER (amount > 5) AS m, count(note) AS k FROM orders GROUP BY ALL HAVING count(*) > 0',
  'SELECT order_id, customer_id FROM orders UNION ALL SELECT customer_id, order_id FROM orders',
  'SELECT order_id, note FROM orders UNION ALL SELECT customer_id, name FROM customers',
  'SELECT DISTINCT (order_id) FROM orders',
  'SELECT order_id, last_value(amount) OVER (PARTITION BY customer_id ORDER BY placed, order_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS l FROM orders',
  "SELECT order_id, split(note, ',')[1] AS f, split_part(note, ',', -1) AS g, regexp_replace(note, '^0', '') AS h FROM orders",
  "SELECT order_id FROM orders WHERE date_part('day', placed - TIMESTAMP '2026-01-01') > 60",
  "SELECT order_id FROM orders WHERE dayofweek(placed) IN (0, 6) AND length(note) > 0 AND strpos(note, 'a') > 0",
  "SELECT order_id FROM orders WHERE upper(note) = 'PAID' AND note LIKE '%[a]%' AND note <> '100%'",
  "SELECT order_id FROM orders WHERE note >= '10000' AND note < '20000'",
  'SELECT o.order_id FROM orders AS o JOIN customers AS c ON c.customer_id = o.customer_id AND o.amount > 5',
  "SELECT c.customer_id AS order_id, d.day FROM customers AS c CROSS JOIN (SELECT DATE '2026-01-01' AS day) AS d WHERE d.day > c.since",
  'SELECT o.order_id, count(*) AS n FROM orders AS o LEFT JOIN customers AS c USING (customer_id) GROUP BY o.order_id',
  "SELECT order_id, 'orders' AS origin, 'amount' AS measure, amount AS value FROM orders",
  "SELECT order_id FROM orders WHERE amount BETWEEN 5 AND 5 AND (note = 'a' OR note = 'b') AND NOT (note = 'c')",
  { 'checks/m/c.sql': "SELECT order_id, 'x' AS reason FROM m WHERE order_id IS NULL OR order_id <= 0" },
  { 'checks/c.sql': "SELECT 'pass' AS level, '' AS message, count(*)::DOUBLE AS value FROM m" },
  {
    'checks/c.sql':
      "SELECT CASE WHEN count(*) < 9 THEN 'stop' ELSE 'pass' END AS level, 'few' AS message FROM m",
  },
  settings(
    'load:',
    'checks: { orders: { amount: { not_null: true, severity: warn, warn_if: 10, stop_if: 1% }, rows: { min: 0, max: 9 }, note: { matches: .*@.* } } }\nload:',
  ),
  "SELECT order_id FROM orders WHERE note = 'a' OR (note = 'b' AND amount > 5)",
  "SELECT order_id FROM orders WHERE (note = 'a' OR note = 'b') AND amount > 5",
  "SELECT order_id FROM orders WHERE note = 'a' OR amount > 5 AND customer_id = 7",
  "SELECT o.order_id FROM orders AS o LEFT JOIN customers AS c USING (customer_id) WHERE c.name IS NOT NULL OR coalesce(c.name, 'x') LIKE 'a%'",
  'SELECT o.order_id FROM orders AS o LEFT JOIN customers AS c USING (customer_id) JOIN customers AS d ON d.customer_id = o.customer_id',
  "SELECT customer_id AS order_id, avg(CASE WHEN note = 'a' THEN 1 ELSE 0 END) AS share, sum(CASE WHEN note = 'a' THEN amount ELSE 0 END) AS a FROM orders GROUP BY ALL",
  'SELECT DISTINCT ON (customer_id) customer_id AS order_id, note FROM orders ORDER BY customer_id, placed DESC, order_id',
  'SELECT order_id FROM orders QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY customer_id, placed, order_id) = 1',
  "SELECT order_id, placed AT TIME ZONE 'Europe/Berlin' AS b, placed AT TIME ZONE 'UTC' AS u, length('amounts') AS n FROM orders",
  {
    ...settings('load:', 'checks: { orders: { note: { not_null: true, severity: warn } } }\nload:'),
    'm.sql': 'SELECT order_id FROM orders WHERE note IS NULL',
  },
  {
    ...settings('load:', 'checks: { orders: { customer_id: not_null, note: not_null } }\nload:'),
    'm.sql':
      'SELECT order_id FROM orders WHERE customer_id NOT IN (SELECT customer_id FROM orders WHERE amount > 5)',
    'checks/orders/c.sql': "SELECT order_id, 'x' AS reason FROM orders WHERE note IS NULL",
  },
  {
    'stg.sql': 'SELECT order_id, customer_id FROM orders WHERE amount > 100',
    'm.sql':
      'SELECT min(s.order_id) AS order_id, count(c.customer_id) AS n FROM customers AS c JOIN stg AS s USING (customer_id) GROUP BY c.name',
  },
  {
    'checks/c.sql':
      "SELECT CASE WHEN order_id < 0 THEN 'stop' WHEN order_id > 9 THEN 'warn' END AS level, 'odd' AS message FROM m WHERE order_id < 0 OR order_id > 9",
  },
  {
    ...settings(
      'm: { to: wh, from: m, key: order_id }',
      'm: { to: wh, from: m, key: [order_id, line] }\n  lines: { to: wh, from: lines, key: [order_id, line] }',
    ),
    'lines.sql': 'SELECT order_id, 1 AS line, amount FROM orders',
    'm.sql': 'SELECT o.order_id, l.line, o.note FROM orders AS o JOIN lines AS l USING (order_id)',
  },
  // All rows of some customers.
  {
    'checks/orders/c.sql':
      "SELECT customer_id, 'owes' AS reason FROM orders GROUP BY customer_id HAVING sum(amount) < 0",
    'checks/orders/d.sql': "SELECT customer_id, 'gone' AS reason FROM customers WHERE name IS NULL",
  },
  `WITH orders AS (SELECT * FROM orders), customers AS (SELECT * FROM customers)
SELECT o.order_id, c.name FROM orders AS o LEFT JOIN customers AS c USING (customer_id)`,
  `WITH o AS (SELECT * FROM orders WHERE amount > 5), c AS (SELECT * FROM customers)
SELECT min(o.order_id) AS order_id, count(c.customer_id) AS n FROM c LEFT JOIN o USING (customer_id) GROUP BY c.name`,
]
