/** Pages of the dashboard, as people reach it: NIGHTFREIGHT_URL; undefined where nobody has said how. */
export const siteOf = (env: Record<string, string | undefined>): string | undefined =>
  env.NIGHTFREIGHT_URL?.replace(/\/+$/, '') || undefined

export const runPath = (run: string) => `/runs/${encodeURIComponent(run)}`
export const jobPath = (job: string) => `/jobs/${encodeURIComponent(job)}`
export const lineagePath = (...names: string[]) => ['/lineage', ...names.map(encodeURIComponent)].join('/')
/** `table`: with its connection, `warehouse.dim_members`. */
export const tablePath = (job: string, table: string) =>
  `/tables/${encodeURIComponent(job)}/${encodeURIComponent(table)}`
