import type { Hooks } from '../servers.ts'
import { type SmallJob, smallJob } from './small.ts'

const CSV = `order_id,customer_id,amount,status,placed
1,10,12.50,paid,2026-01-01 10:00:00
2,11,7.00,open,2026-01-02 10:00:00
2,,-1.00,lost,2026-01-03 10:00:00
4,99,5.00,paid,
`

let jobs = 0
/** A job of a model `m` over orders, with these checks. */
export const jobWith = async (hooks: Hooks, checks: string): Promise<SmallJob & { name: string }> => {
  const name = `declared_${++jobs}`
  const job = await smallJob(hooks, name, {
    'job.yaml': `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
  orders:
    from: in
    files: orders.csv
    take: all
    schema: { order_id: BIGINT, customer_id: BIGINT, amount: "DECIMAL(12,2)", status: VARCHAR, placed: TIMESTAMP }
  customers: { from: in, files: customers.csv, take: all, schema: { customer_id: BIGINT } }
load:
  orders: { to: wh, from: m, mode: replace }
checks:
${checks.replaceAll(/^/gm, '  ')}
quality: { max_error_rate: 1 }
`,
    'in/orders.csv': CSV,
    'in/customers.csv': 'customer_id\n10\n11\n',
    'm.sql': 'SELECT order_id, customer_id, amount, status, placed FROM orders',
  })
  return { ...job, name }
}
