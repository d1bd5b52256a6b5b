import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commandLine } from '../commandLine.ts'
import type { FreshDatabase } from '../servers.ts'

/** Runs a job `queries/orders` below `place` that reads its source's log. */
export async function followOrders(
  place: string,
  { url, query }: Pick<FreshDatabase, 'url' | 'query'>,
): Promise<Record<string, string>> {
  await query('CREATE TABLE orders (order_id int PRIMARY KEY)')
  const folder = join(place, 'queries/orders')
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    join(folder, 'job.yaml'),
    `job: orders
connections: { shop: "${url}" }
extract: { orders: { from: shop, table: orders, mode: changes } }
load: { orders_copy: { to: shop, from: orders, key: order_id } }
`,
  )
  const { code, err } = await commandLine(join(place, '.nightfreight'), ['run', folder])
  assert.equal(code, 0, err)
  return {}
}
