import { join } from 'node:path'
import { Duck } from '../../engine/sql/duckdb.ts'
import { freshMariadb, freshPostgres, type Hooks } from '../servers.ts'

/** A DuckDB file as a test reads it: no session stays. */
export async function duckdb(_: Hooks, folder: string) {
  const path = join(folder, 'w.duckdb')
  return {
    url: `duckdb://${path}`,
    async query(sql: string) {
      const duck = await Duck.open({ path })
      try {
        return await duck.rows(sql)
      } finally {
        duck.close()
      }
    },
  }
}

/** A lake as other programs read it. */
async function lake(_: Hooks, folder: string) {
  return {
    url: `lake://${join(folder, 'lake')}`,
    async query(sql: string) {
      const duck = await Duck.open({})
      try {
        for (const table of ['t', 'u'])
          await duck
            .run(`CREATE VIEW ${table} AS FROM read_parquet('${join(folder, 'lake', table)}/*.parquet')`)
            .catch(() => {})
        return await duck.rows(sql)
      } finally {
        duck.close()
      }
    },
  }
}

/** Opens each kind of target for a test: its URL, and what it holds, as other programs read it. */
export const TARGETS = {
  postgres: (hooks: Hooks) => freshPostgres(hooks),
  mariadb: (hooks: Hooks) => freshMariadb(hooks),
  duckdb,
  lake,
}
