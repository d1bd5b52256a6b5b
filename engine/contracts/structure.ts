/** What a table has beside columns and key that another of its like can have. Plain data. */
export interface TableStructure {
  /** The table as {@link TableReference} names it. */
  table: string
  indexes: TableIndex[]
  references: TableReference[]
  /** Indexes and constraints that are none of these, and why: for people. */
  others: string[]
}

/** An index of plain columns, in their order. */
export interface TableIndex {
  columns: string[]
  unique: boolean
  /** What only a target of the family has: `gin`. Absent of an index that every system has. */
  method?: { family: string; name: string }
}

/** A foreign key: `columns` refer to `to` of `table`, in order. */
export interface TableReference {
  columns: string[]
  table: string
  to: string[]
}
