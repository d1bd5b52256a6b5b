import assert from 'node:assert/strict'
import { cpSync, globSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Duck } from '../../engine/sql/duckdb.ts'
import { lakeKind } from '../connectors/everyMode.ts'
import { freshMariadb, freshPostgres, type Hooks } from '../servers.ts'

/** What hands can do to a table between two nights, in a target's own words. */
export interface Hands {
  url: string
  drop(): Promise<unknown>
  truncate(): Promise<unknown>
  rename(): Promise<unknown>
  /** Keeps a copy of the table as it is; the function that it gives puts it in the table's place. */
  copy(): Promise<() => Promise<unknown>>
  deleteOne(): Promise<unknown>
  /** Changes all rows' values. Absent where only a load changes rows. */
  alter?(): Promise<unknown>
  /** Takes a column away, or its name. Absent where only a load changes columns. */
  dropColumn?(): Promise<unknown>
  renameColumn?(): Promise<unknown>
  /** All rows, by key. */
  rows(): Promise<Record<string, unknown>[]>
}

const ALL = 'SELECT id, v FROM t ORDER BY id'

function inSql(url: string, query: (sql: string) => Promise<Record<string, unknown>[]>): Hands {
  return {
    url,
    drop: () => query('DROP TABLE t'),
    truncate: () => query(url.startsWith('duckdb') ? 'DELETE FROM t' : 'TRUNCATE TABLE t'),
    rename: () => query('ALTER TABLE t RENAME TO elsewhere'),
    async copy() {
      await query('CREATE TABLE saved AS SELECT * FROM t')
      return async () => {
        await query('DELETE FROM t')
        await query('INSERT INTO t SELECT * FROM saved')
      }
    },
    deleteOne: () => query('DELETE FROM t WHERE id = 2'),
    alter: () => query("UPDATE t SET v = 'by hand'"),
    dropColumn: () => query('ALTER TABLE t DROP COLUMN v'),
    renameColumn: () => query('ALTER TABLE t RENAME COLUMN v TO formerly'),
    rows: () => query(ALL),
  }
}

export const TARGETS: Record<string, (hooks: Hooks, folder: string) => Promise<Hands>> = {
  postgres: async hooks => {
    const { url, query } = await freshPostgres(hooks)
    return inSql(url, query)
  },
  mariadb: async hooks => {
    const { url, query } = await freshMariadb(hooks)
    return inSql(url, query)
  },
  async duckdb(_, folder) {
    const path = join(folder, 'w.duckdb')
    return inSql(`duckdb://${path}`, async sql => {
      const duck = await Duck.open({ path })
      try {
        return await duck.rows(sql)
      } finally {
        duck.close()
      }
    })
  },
  async lake(_, folder) {
    const root = join(folder, 'lake')
    const table = join(root, 't')
    return {
      url: `lake://${root}`,
      drop: async () => rmSync(table, { recursive: true }),
      truncate: async () => removeData(table),
      rename: async () => {
        cpSync(table, join(root, 'elsewhere'), { recursive: true })
        rmSync(table, { recursive: true })
      },
      async copy() {
        cpSync(table, join(folder, 'saved'), { recursive: true })
        return async () => {
          rmSync(table, { recursive: true })
          cpSync(join(folder, 'saved'), table, { recursive: true })
        }
      },
      deleteOne: async () => removeData(table),
      rows: () => lakeKind.read(root, ALL),
    }
  },
}

/** A lake's rows lie in files: what can be taken by hand is one of these. */
function removeData(table: string): void {
  const [file] = globSync('*.parquet', { cwd: table })
  assert.ok(file, 'a data file')
  rmSync(join(table, file))
}
