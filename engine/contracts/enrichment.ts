import type { Vector as ArrowVector } from 'apache-arrow'
import type { Column } from '../types/logical.ts'

/** How a table is a query's rows with columns that a function makes of some of theirs: what SQL cannot do. Plain data. */
export interface Enrichment {
  /** URL of a module that exports {@link EnrichModule}. */
  module: string
  /** Columns of the rows that it is given. */
  takes: Column[]
  /** Columns that it adds. */
  gives: Column[]
  /** Another one makes other values of the same rows: those kept from earlier runs are made again. */
  version: string
  /** Of a module of the job's own. */
  own?: OwnModule
}

/** A module of a job's folder. */
export interface OwnModule {
  /** As messages name it: `enrich/geo.ts`. */
  file: string
  /** URL of the folder that it, and what it imports by paths, lies in; ends with `/`. */
  folder: string
  /** URL → SHA-256 (hex) of each file that it loads: another content is not run. */
  loads: Record<string, string>
}

/** What an enrichment's module exports. Worker thread. */
export interface EnrichModule {
  /** Of so many rows: a column for each name of {@link Enrichment.gives}; what it gives of a row depends on that row alone. */
  enrich(columns: Record<string, EnrichColumn>, rows: number): EnrichResult | Promise<EnrichResult>
}

type EnrichResult = Record<string, unknown>

/** One column of the rows that a function is given. Buffers live until it has returned. */
export interface EnrichColumn<T = unknown> extends Iterable<T | null> {
  readonly length: number
  /** A row's value, from 0; null is SQL's NULL. */
  get(row: number): T | null
  map<U>(make: (value: T | null, row: number) => U): U[]
  /** The same as an Apache Arrow vector, over the same buffers. */
  readonly arrow: ArrowVector
}

/** `{ zip: 'VARCHAR', amount: 'DECIMAL(12,2)' }`: columns, and DuckDB's names of their types. */
export type EnrichTypes = Readonly<Record<string, string>>

/**
 * The function `enrich` of a file in a job's `enrich/`, over the columns of up to some ten thousand rows at a time:
 *
 *     export const takes = { zip: 'VARCHAR' } as const
 *     export const gives = { region: 'VARCHAR' } as const
 *     export const enrich: Enrich<typeof takes, typeof gives> = ({ zip }) => ({
 *       region: zip.map(value => value?.slice(0, 2)),
 *     })
 *
 * What it gives of a row must depend on that row's values alone: rows that are alike are given once, and what was made
 * of them is kept from run to run.
 */
export type Enrich<Takes extends EnrichTypes, Gives extends EnrichTypes> = (
  columns: { readonly [C in keyof Takes]: EnrichColumn<EnrichValue<Takes[C]>> },
  rows: number,
) => EnrichGiven<Gives> | Promise<EnrichGiven<Gives>>

type EnrichGiven<Gives extends EnrichTypes> = {
  [C in keyof Gives]: ArrayLike<EnrichInto<Gives[C]> | null | undefined> | EnrichColumn | ArrowVector
}

/** What a value of a type is in JavaScript: exact in each. Decimals, days and times are text, as are lists and structs (JSON). */
export type EnrichValue<T extends string> = ValueOf<Uppercase<T>>

type ValueOf<T extends string> = T extends 'BOOLEAN' | 'BOOL'
  ? boolean
  : T extends 'BIGINT' | 'UBIGINT'
    ? bigint
    : T extends `${'' | 'U'}${'TINYINT' | 'SMALLINT' | 'INTEGER'}` | 'INT' | 'FLOAT' | 'REAL' | 'DOUBLE'
      ? number
      : T extends 'BLOB'
        ? Uint8Array
        : string

/** What a value may be given as. */
type EnrichInto<T extends string> = Into<Uppercase<T>>

type Into<T extends string> = T extends 'BIGINT' | 'UBIGINT'
  ? bigint | number
  : T extends `DECIMAL${string}` | `NUMERIC${string}`
    ? string | number | bigint
    : T extends 'DATE' | `TIMESTAMP${string}` | 'DATETIME'
      ? string | Date
      : T extends 'JSON'
        ? unknown
        : ValueOf<T>
