/** Tables that are read, as Parquet files: each with the SQL that makes it, of so many thousand orders. */
export const SOURCES: Record<string, (thousands: number) => string> = {
  raw_customers: n =>
    `SELECT i AS customer_id, 'Name ' || i AS name, 'user' || i || '@Example.org' AS email, ['gb', 'fr', 'de', 'es'][1 + i % 4] AS country, DATE '2020-01-01' + (i % 1500)::INTEGER AS since FROM range(${n * 100}) AS t(i)`,
  raw_products: () =>
    `SELECT i AS product_id, 'Product ' || i AS title, 'cat' || i % 12 AS category, (1 + i % 90)::DECIMAL(12,2) AS price FROM range(1000) AS t(i)`,
  raw_orders: n =>
    `SELECT i AS order_id, hash(i) % ${n * 100} AS customer_id, TIMESTAMP '2025-01-01' + to_minutes(i % 500000) AS placed_at, ['paid', 'open', 'void', 'paid'][1 + i % 4] AS status FROM range(${n * 1000}) AS t(i)`,
  raw_lines: n =>
    `SELECT i AS line_id, i // 3 AS order_id, hash(i + 7) % 1000 AS product_id, 1 + i % 5 AS quantity FROM range(${n * 3000}) AS t(i)`,
  raw_payments: n =>
    `SELECT i AS payment_id, i AS order_id, (5 + i % 400)::DECIMAL(12,2) AS amount, ['card', 'bank', 'cash'][1 + i % 3] AS method FROM range(${n * 1000}) AS t(i) WHERE i % 4 <> 1`,
  raw_visits: n =>
    `SELECT i AS visit_id, hash(i + 3) % ${n * 100} AS customer_id, DATE '2025-01-01' + (i % 300)::INTEGER AS day, i % 9 AS pages FROM range(${n * 1500}) AS t(i)`,
}

/** Thirty models in plain SQL, each in its order; the names that they read stand behind FROM and JOIN. */
export const MODELS: Record<string, string> = {
  customers: `SELECT customer_id::BIGINT AS customer_id, trim(name) AS name, lower(email) AS email, upper(country) AS country, since
FROM raw_customers`,
  products: `SELECT product_id::BIGINT AS product_id, title, category, price
FROM raw_products`,
  orders: `SELECT order_id::BIGINT AS order_id, customer_id::BIGINT AS customer_id, placed_at, placed_at::DATE AS day, status
FROM raw_orders`,
  lines: `SELECT line_id::BIGINT AS line_id, order_id::BIGINT AS order_id, product_id::BIGINT AS product_id, quantity::BIGINT AS quantity
FROM raw_lines`,
  payments: `SELECT payment_id::BIGINT AS payment_id, order_id::BIGINT AS order_id, amount, method
FROM raw_payments`,
  visits: `SELECT visit_id::BIGINT AS visit_id, customer_id::BIGINT AS customer_id, day, pages::BIGINT AS pages
FROM raw_visits`,
  orders_valid: `SELECT order_id, customer_id, placed_at, day, status
FROM orders
WHERE status <> 'void'`,
  lines_priced: `SELECT l.line_id, l.order_id, l.product_id, p.category, l.quantity, (l.quantity * p.price)::DECIMAL(18,2) AS value
FROM lines AS l
JOIN products AS p ON p.product_id = l.product_id`,
  order_values: `SELECT order_id, sum(value)::DECIMAL(18,2) AS value, sum(quantity)::BIGINT AS items
FROM lines_priced
GROUP BY order_id`,
  order_payments: `SELECT order_id, sum(amount)::DECIMAL(18,2) AS paid, min(method) AS method
FROM payments
GROUP BY order_id`,
  orders_full: `SELECT o.order_id, o.customer_id, o.day, o.status, v.value, v.items, coalesce(p.paid, 0)::DECIMAL(18,2) AS paid, p.method
FROM orders_valid AS o
JOIN order_values AS v ON v.order_id = o.order_id
LEFT JOIN order_payments AS p ON p.order_id = o.order_id`,
  customer_orders: `SELECT customer_id, count(*) AS orders, sum(value)::DECIMAL(18,2) AS value, sum(paid)::DECIMAL(18,2) AS paid, min(day) AS first_day, max(day) AS last_day
FROM orders_full
GROUP BY customer_id`,
  customer_visits: `SELECT customer_id, count(*) AS visits, sum(pages)::BIGINT AS pages, max(day) AS last_visit
FROM visits
GROUP BY customer_id`,
  daily_orders: `SELECT day, count(*) AS orders, sum(value)::DECIMAL(18,2) AS value
FROM orders_full
GROUP BY day`,
  daily_visits: `SELECT day, count(*) AS visits, sum(pages)::BIGINT AS pages
FROM visits
GROUP BY day`,
  product_sales: `SELECT product_id, sum(quantity)::BIGINT AS sold, sum(value)::DECIMAL(18,2) AS value
FROM lines_priced
GROUP BY product_id`,
  category_sales: `SELECT category, sum(quantity)::BIGINT AS sold, sum(value)::DECIMAL(18,2) AS value
FROM lines_priced
GROUP BY category`,
  method_totals: `SELECT method, count(*) AS payments, sum(amount)::DECIMAL(18,2) AS amount
FROM payments
GROUP BY method`,
  late_orders: `SELECT order_id, customer_id, day, value, paid
FROM orders_full
WHERE paid < value AND status = 'open'`,
  first_orders: `SELECT customer_id, order_id, day, value
FROM orders_full
QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY day, order_id) = 1`,
  customer_ranks: `SELECT customer_id, value, rank() OVER (ORDER BY value DESC) AS place
FROM customer_orders`,
  product_ranks: `SELECT s.product_id, p.title, p.category, s.value, rank() OVER (PARTITION BY p.category ORDER BY s.value DESC) AS place
FROM product_sales AS s
JOIN products AS p ON p.product_id = s.product_id`,
  dim_customers: `SELECT c.customer_id, c.name, c.email, c.country, c.since, coalesce(o.orders, 0) AS orders, o.value, o.paid, v.visits, v.pages
FROM customers AS c
LEFT JOIN customer_orders AS o ON o.customer_id = c.customer_id
LEFT JOIN customer_visits AS v ON v.customer_id = c.customer_id`,
  dim_products: `SELECT p.product_id, p.title, p.category, p.price, coalesce(s.sold, 0)::BIGINT AS sold
FROM products AS p
LEFT JOIN product_sales AS s ON s.product_id = p.product_id`,
  fct_orders: `SELECT order_id, customer_id, day, status, value, items, paid, (value - paid)::DECIMAL(18,2) AS due
FROM orders_full`,
  fct_days: `SELECT v.day, v.visits, v.pages, coalesce(o.orders, 0) AS orders, o.value
FROM daily_visits AS v
LEFT JOIN daily_orders AS o ON o.day = v.day`,
  mart_countries: `SELECT country, count(*) AS customers, sum(orders)::BIGINT AS orders, sum(value)::DECIMAL(18,2) AS value
FROM dim_customers
GROUP BY country`,
  mart_top_customers: `SELECT d.customer_id, d.name, r.place, r.value
FROM customer_ranks AS r
JOIN dim_customers AS d ON d.customer_id = r.customer_id
WHERE r.place <= 100`,
  mart_categories: `SELECT c.category, c.sold, c.value, p.title AS best
FROM category_sales AS c
JOIN product_ranks AS p ON p.category = c.category AND p.place = 1
QUALIFY row_number() OVER (PARTITION BY c.category ORDER BY p.product_id) = 1`,
  mart_cohorts: `SELECT date_trunc('month', f.day)::DATE AS cohort, count(*) AS customers, sum(f.value)::DECIMAL(18,2) AS first_value
FROM first_orders AS f
GROUP BY 1`,
}

/** The tables that people read, and the column that keeps their rows apart. */
export const MARTS: Record<string, string> = {
  dim_customers: 'customer_id',
  dim_products: 'product_id',
  fct_orders: 'order_id',
  fct_days: 'day',
  mart_countries: 'country',
  mart_top_customers: 'customer_id',
  mart_categories: 'category',
  mart_cohorts: 'cohort',
}

/** The change that an analyst makes: a condition more in a model that others are made of. */
export const CHANGED = 'orders_valid'
export const changed = (sql: string) => `${sql} AND order_id % 10 <> 0`

/** A query with other names for the tables that it reads. */
export const renamed = (sql: string, name: (table: string) => string) =>
  sql.replace(/\b(FROM|JOIN) (\w+)/g, (_, word: string, table: string) => `${word} ${name(table)}`)

/** The test of one model: rows of what it reads, and what it gives. */
export const CASE = {
  model: 'customer_visits',
  input: 'visits',
  rows: [
    { visit_id: 1, customer_id: 7, day: '2025-01-01', pages: 3 },
    { visit_id: 2, customer_id: 7, day: '2025-01-02', pages: 4 },
  ],
  gives: { customer_id: 7, visits: 2, pages: 7, last_visit: '2025-01-02' },
}
