import { type Kind, postgresKind, type Query } from './everyMode.ts'
import { mysqlStatements, postgresStatements, type WireParser } from './wire.ts'

/** What a sweep does on a server beside loading. */
export interface Server {
  query: Query
  /** What the target keeps of loads. */
  state: string[]
  /** The end of CREATE TABLE, for one with the same constraints. */
  like(table: string): string
  statements(): WireParser
  staged: string
  endSessions(): Promise<unknown>
}

export function serverOf(kind: Kind, query: Query): Server {
  if (kind === postgresKind)
    return {
      query,
      state: ['nightfreight.loads', 'nightfreight.sync_points', 'nightfreight.tables'],
      like: table => `(LIKE ${table} INCLUDING ALL)`,
      statements: postgresStatements,
      staged: "SELECT 1 FROM pg_class WHERE relname LIKE 'stg%' AND relkind = 'r'",
      endSessions: () =>
        query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid()`),
    }
  return {
    query,
    state: ['nightfreight_loads', 'nightfreight_sync_points', 'nightfreight_tables', 'nightfreight_made'],
    like: table => `LIKE ${table}`,
    statements: mysqlStatements,
    staged: `SHOW TABLES LIKE 'nightfreight\\_stg\\_%'`,
    async endSessions() {
      const others = await query(
        'SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()',
      )
      for (const { id } of others) await query(`KILL ${id}`)
    },
  }
}
