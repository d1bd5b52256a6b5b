import type { Column } from '../types/logical.ts'
/** How a table is made of another's distinct rows, value by value: what SQL cannot do. Plain data. */
export interface Enrichment {
  /** URL of a module that exports {@link EnrichModule}. */
  module: string
  /** Text columns of the rows that it is given; the first is never NULL. */
  takes: string[]
  /** Columns that it adds: text and booleans. */
  gives: Column[]
  /** Another one makes other values of the same rows: those kept from earlier runs are made again. */
  version: string
}

/** What an enrichment's module exports. Worker thread. */
export interface EnrichModule {
  /** The values of {@link Enrichment.gives} for those of `takes`; depends on them alone. */
  enrich(values: (string | null)[]): (string | boolean | null)[]
}
