import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const FRESH = { postgres: freshPostgres, mariadb: freshMariadb }
type Family = keyof typeof FRESH
export const FAMILIES = Object.keys(FRESH) as Family[]

/** Tables with foreign keys in a target, the same without them in a source, and the job that loads some; each `table: how`. */
export async function linked(
  t: TestContext,
  family: Family,
  {
    made,
    given,
    loads,
    options = '',
    role,
  }: { made: string; given: string; loads: string[]; options?: string; role?: string },
) {
  const target = await FRESH[family](t)
  const source = await freshPostgres(t)
  await target.query(made)
  await source.query(given)
  const tables = loads.map(load => load.split(':')[0]!)
  const url = new URL(target.url)
  if (role) {
    await target.query(
      family === 'postgres'
        ? `GRANT CREATE ON DATABASE ${target.name} TO ${role}`
        : `CREATE USER ${role} IDENTIFIED BY 'p'; GRANT ALL ON ${target.name}.* TO ${role}`,
    )
    Object.assign(url, { username: role, password: 'p' })
  }
  const job = await smallJob(t, 'linked', {
    'job.yaml': `connections: { shop: "${source.url}", wh: "${url.href}" }
extract: { ${tables.map(table => `${table}: { from: shop${options} }`).join(', ')} }
load:
${loads.map((load, at) => `  ${tables[at]}: { to: wh, from: ${tables[at]}, ${load.slice(load.indexOf(':') + 1)}${load.includes('guard') ? '' : ', guard: { max_delete_share: 1 }'} }`).join('\n')}
resources: { memory: 300MB, threads: 1 }
`,
  })
  const run = async () => {
    const outcome = await job.run()
    assert.equal(outcome.error, undefined)
    return outcome
  }
  const rows = async (table: string) =>
    (await target.query<Record<string, unknown>>(`SELECT * FROM ${table} ORDER BY 1`)).map(row =>
      Object.values(row),
    )
  return { job, run, rows, source: source.query, target: target.query }
}
