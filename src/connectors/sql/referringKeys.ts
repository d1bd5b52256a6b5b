/** SQL of columns of the rows of a table that are about to be deleted. */
export type GoneRows = (columns: string[]) => string

/** What a server does by itself; `unknown`: it may, and we may not see what. */
export type Action = 'CASCADE' | 'SET NULL' | 'SET DEFAULT' | 'unknown'

/** A foreign key that refers to a table. */
export interface ReferringKey {
  constraint: string
  /** What the server does where a row that is referred to is deleted, or its values change; absent: it refuses. */
  onDelete?: Action
  onUpdate?: Action
  /** The table whose rows refer, as SQL and for people; its columns, and those that they refer to. */
  table: string
  name: string
  columns: string[]
  to: string[]
  /** Whether the job loads the table: in this commit, or in another. */
  loaded?: 'here' | 'elsewhere'
  /** Of a table that is loaded here: the condition on its row `_nf_t` that this gives it its values of `columns`. */
  given?(): Promise<string>
  /** Whether the table refers to itself. */
  own: boolean
  /** We may not count its rows. */
  unreadable?: boolean
}

/** How a connector asks for what follows. */
export interface ReferringSql {
  quote(name: string): string
  /** The foreign keys that refer to a table, as SQL; by default to the load's. */
  keysTo(table?: string): Promise<ReferringKey[]>
  /** The number `n` of a query; undefined where we may not read what it counts. */
  count(sql: string): Promise<number | undefined>
}
