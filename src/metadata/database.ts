/** What the metadata store asks of a database: small enough that SQLite and Postgres take the same SQL. */

export type Value = string | number | null
export type Params = Record<string, Value>

/** SQL with named parameters (`:job`), each of which must be given and used. */
export interface Queries {
  all<Row>(sql: string, params?: Params): Promise<Row[]>
  /** Rows changed. */
  run(sql: string, params?: Params): Promise<number>
}

/**
 * A database that holds a metadata store. Every write is durable on return. Fails with CONNECTION_FAILED,
 * CONNECTION_LOST, TIMEOUT (another process holds the store for too long) or RESOURCE_EXHAUSTED.
 */
export interface Database extends Queries {
  /**
   * One transaction of the store at a time, whatever process it is in: what `act` reads stays true until it returns.
   * `act` uses its own argument only (the store's other methods wait for it to end) and waits for nothing else. Under
   * `mayBeLost` a power cut before the next write may take it back, whole; a store need not make use of that.
   */
  transaction<T>(act: (queries: Queries) => Promise<T>, mayBeLost?: true): Promise<T>
  /** Brings the schema to the newest version; several processes may try at once. */
  migrate(migrations: Migration[]): Promise<void>
  /** Fails where the store's file is damaged, which a process that has read it before would not see; a server looks itself. */
  verify?(): Promise<void>
  close(): Promise<void>
}

/** Statements that lead from one version of the schema to the next, in each database's words. */
export interface Migration {
  sqlite: string
  postgres: string
}
