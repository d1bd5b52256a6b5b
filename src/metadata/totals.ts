import type { Queries, Value } from './database.ts'

/** What is counted of a job over all its nights; a label tells apart what is counted together. */
export type TotalName =
  /** Rows inserted, updated and deleted. */
  | 'processed'
  /** Rows read for loaded tables. */
  | 'records'
  /** Rejected rows; label: their category. */
  | 'errors'
  /** Ends of runs; label: the status. */
  | 'runs'
  | 'seconds'
  /** Rows of loaded tables; label: {@link rowsLabel}. */
  | 'rows'
  | 'retries'
  | 'lock_waits'
  /** Chunks read, their rows and bytes. */
  | 'chunks'
  | 'chunk_rows'
  | 'chunk_bytes'

export interface Total {
  name: TotalName
  label: string
  value: number
}

export type StoredTotal = Total & { job: string }

/** What became of rows, and of which table: `loaded warehouse.dim_members`. */
export const rowsLabel = (outcome: string, table: string) => `${outcome} ${table}`

/** Rows a statement. */
const AT_ONCE = 100

/** Adds to what is counted of a job; nothing of it is ever taken away. */
export async function addTotals(queries: Queries, job: string, added: Total[]): Promise<void> {
  const given = added.filter(({ value }) => value > 0)
  for (let from = 0; from < given.length; from += AT_ONCE) {
    const some = given.slice(from, from + AT_ONCE)
    const values = some.map((_, i) => `(:job, :name${i}, :label${i}, CAST(:value${i} AS DOUBLE PRECISION))`)
    const params: Record<string, Value> = { job }
    for (const [i, { name, label, value }] of some.entries())
      Object.assign(params, { [`name${i}`]: name, [`label${i}`]: label, [`value${i}`]: value })
    await queries.run(
      `INSERT INTO totals (job, name, label, value) VALUES ${values.join(', ')}
       ON CONFLICT (job, name, label) DO UPDATE SET value = totals.value + excluded.value`,
      params,
    )
  }
}

export function totals(queries: Queries): Promise<StoredTotal[]> {
  return queries.all('SELECT job, name, label, value FROM totals ORDER BY name, job, label')
}

/**
 * What a run adds beyond what its earlier ends have counted: one that failed and was resumed reports all of its rows
 * again. Never less than nothing: a counter goes up only.
 */
export function beyond(counted: Total[], now: Total[]): Total[] {
  const key = ({ name, label }: Total) => `${name} ${label}`
  const before = new Map(counted.map(total => [key(total), total.value]))
  return now.map(total => ({ ...total, value: Math.max(0, total.value - (before.get(key(total)) ?? 0)) }))
}
