import type { Enrichment } from '../contracts/enrichment.ts'
import type { Macro } from './macros.ts'
import type { Mention, Query, SqlFile } from './parse.ts'
import type { Place } from './text.ts'

/** A job's own variables: what SQL has by `getvariable`. */
export type Variables = Record<string, string | number | boolean>

/** A table whose rows are divided, and the column that decides. */
export interface TableKey {
  table: string
  column: string
}

/**
 * What a model asks for: `view`, to be computed wherever its name stands; `table`, to be kept as a file of the run;
 * `incremental`, to be kept, and computed anew for the `keys` of rows that changed alone.
 */
export interface Materialised {
  kind: 'view' | 'table' | 'incremental'
  keys?: TableKey[]
  place: Place
}

/** What a model asks for: to be made bucket by bucket, each from the rows of some tables whose keys are in that bucket. */
export interface Buckets {
  /** How many; the same as long as the data set is. */
  count: number
  /** The tables whose rows are divided; others are whole in every bucket. */
  keys: TableKey[]
  place: Place
}

/** A `.sql` file of a job: one SELECT in plain DuckDB SQL. */
export interface Model extends SqlFile {
  name: string
  materialised?: Materialised
  buckets?: Buckets
  /** The table is what this makes of the query's rows. */
  enrich?: Enrichment
  /** It has columns that are not known: what gives them is not valid. */
  partial?: true
}

/** A check: a query that returns the rows that are wrong. */
export interface Check extends Model {
  /** The model or extract whose rows it marks; absent for a set check, which returns `level` and `message`. */
  model?: string
  /** Of one that the settings declare: the columns that it names, and what it compares them with. Nobody has written its text. */
  columns?: { table: string; column: string; type?: 'number' | 'boolean' }[]
  /** How many rows it may find. */
  limits?: Limits
  /** It says how many rows a night has, or how new they are: nothing of a test's few. */
  ofNight?: true
}

/** How many rows of a table: a number, or a share from 0 to 1. */
export type Limit = { rows: number } | { share: number }

/** Of a row check: with more rows than `warnIf` it warns, and passes otherwise; with more than `stopIf`, nothing is loaded. */
export interface Limits {
  warnIf?: Limit
  stopIf?: Limit
}

/** All of a job that is SQL, or that SQL names. */
export interface SqlSources {
  extracts: { name: string }[]
  models: Model[]
  checks: Check[]
  /** Scripts of CREATE MACRO. */
  macros: SqlFile[]
  loads: { from: string }[]
  /** What SQL has by `getvariable`. */
  vars?: Variables
  /** There may be other tables than these. */
  partial?: boolean
}

/** A table that a run makes. */
export interface OrderedModel extends Model {
  /** The tables that it is made from. */
  reads: string[]
  /** Those that must be there before its rows can be judged. */
  awaits: string[]
  /** An extract that is loaded or checked as it is read. */
  extract?: true
  /** Its query may be computed anew wherever its name stands, with the same rows. */
  inline?: true
  /** It is made in buckets, or is made from, or judged beside, what is: it comes after all others. */
  late?: true
  /** Of an incremental one: its column that says of each row which key it is of. */
  keyed?: string
  /** What it mentions that gives another answer each time. */
  volatile: Mention[]
}

/** A check, and the tables that it reads. */
export type OrderedCheck = Check & { reads: string[] }

/** A macro, and the tables that it reads, by itself or through others. */
export type OrderedMacro = Macro & { reads: string[] }

/** A job's SQL: all of it parsed, each name known, in an order in which each comes after what it needs. */
export interface SqlGraph {
  models: OrderedModel[]
  checks: OrderedCheck[]
  macros: OrderedMacro[]
  queries: Map<string, Query>
  vars: Variables
}
