import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Hooks } from '../servers.ts'

/** A job of orders and customers whose connections nobody can reach: its variables are set nowhere. */
const YAML = `job: shop
connections: { shop: "\${SHOP_URL}", wh: "\${WAREHOUSE_URL}" }
extract:
  orders:
    from: shop
    key: order_id
    schema: { order_id: BIGINT, customer_id: BIGINT, amount: "DECIMAL(12,2)", note: VARCHAR, placed: TIMESTAMP }
  customers: { from: shop, key: customer_id, schema: { customer_id: BIGINT, name: VARCHAR } }
load:
  m: { to: wh, from: m, key: order_id }
`

const FILES: Record<string, string> = {
  'job.yaml': YAML,
  'm.sql': `SELECT o.order_id, c.name, o.amount, year(getvariable('run_at')::TIMESTAMPTZ) AS y
FROM orders AS o LEFT JOIN customers AS c USING (customer_id)`,
  'checks/m/dear.sql': "SELECT order_id, 'amount is ' || amount AS reason FROM m WHERE amount > 50",
  'tests/cases/first/orders.csv': 'order_id,customer_id,amount\n1,10,12.5\n2,11,7\n3,10,99.99\n',
  'tests/cases/first/customers.sql': "SELECT 10 AS customer_id, 'Ada' AS name",
  'tests/cases/first/expected/m.csv': 'order_id,name,amount,y\n1,Ada,12.50,2026\n2,,7.00,2026\n',
  'tests/cases/first/expected/findings.csv':
    'check_name,record,severity,reason\ndear,3,reject,amount is 99.99\n',
}

export interface Project {
  folder: string
  home: string
  write(files: Record<string, string>): void
}

/** The job of a folder of its own, with other or more files. */
export function project(hooks: Hooks, files: Record<string, string> = {}): Project {
  const home = mkdtempSync(join(tmpdir(), 'nightfreight-project-'))
  hooks.after(async () => rmSync(home, { recursive: true, force: true }))
  const folder = join(home, 'shop')
  const write = (more: Record<string, string>) => {
    for (const [file, text] of Object.entries(more)) {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), text)
    }
  }
  write({ ...FILES, ...files })
  return { folder, home, write }
}
