import type { MacroBody } from '../sql/macros.ts'
import type { Refs } from './refs.ts'
import type { LineageColumn } from './scope.ts'

/** What a query gives: each column with the columns of tables that it is made of. */
export interface QueryLineage {
  columns: LineageColumn[]
  /** Columns that decide which rows there are: by a condition, a join, a grouping, an order that is cut. */
  rows: Refs
}

/** What is known of what a query mentions. */
export interface Known {
  /** The table's own name, and its columns as far as they are known; undefined where no table is called so. */
  table(name: string): { name: string; columns?: string[] } | undefined
  /** The overloads of a macro, by its name in small letters. */
  macro(name: string): MacroBody[] | undefined
  isAggregate(name: string): boolean
}

/** A query has a part of a kind that nobody follows. */
export class NotFollowed extends Error {
  constructor(type: unknown) {
    super(`${type} is not followed`)
  }
}
