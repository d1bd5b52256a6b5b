import type { LoadCounts, StagedLoad } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { counted } from '../../../engine/plural.ts'

/** A foreign key by which the server deletes rows, or gives them other values, where those that they refer to are deleted. */
export interface Cascade {
  constraint: string
  action: 'CASCADE' | 'SET NULL' | 'SET DEFAULT'
  /** The table whose rows refer, as SQL and for people; its columns, and those that they refer to. */
  table: string
  name: string
  columns: string[]
  to: string[]
  /** We may not count its rows. */
  unreadable?: boolean
  /** Of a table that the same commit loads. */
  loaded?: {
    load: StagedLoad
    /** Condition on a row `t` of it: the load brings and takes it not, so that it is to stay as it is. */
    stays: string
    /** The table's own key, where it refers to itself. */
    own?: string[]
  }
}

/** How a connector asks for what follows. `gone` gives SQL of columns of the rows that are about to be deleted. */
export interface CascadeSql {
  quote(name: string): string
  gone(columns: string[]): string
  count(sql: string): Promise<number>
  /** By tables of loads: rows that the server deletes, and that their own load, whose turn is later, brings anew. */
  rewritten: Map<string, number>
}

/**
 * Rows of other tables that the server changes by itself where rows of `parent` are deleted, a line for each foreign key. Fails with
 * CONSTRAINT_VIOLATED where the same commit loads such a table, and its data set has the rows as they were.
 */
export async function cascadeLines(
  parent: string,
  cascades: Cascade[],
  { quote, gone, count, rewritten }: CascadeSql,
): Promise<string[]> {
  const lines: string[] = []
  for (const { constraint, action, table, name, columns, to, unreadable, loaded } of cascades) {
    const list = (names: string[]) => names.map(column => `t.${quote(column)}`).join(', ')
    const all = `SELECT count(*) AS n FROM ${table} AS t WHERE (${list(columns)}) IN (${gone(to)})`
    const kept = loaded?.own ? ` AND (${list(loaded.own)}) NOT IN (${gone(loaded.own)})` : ''
    const rows = unreadable ? undefined : await count(loaded ? `${all} AND ${loaded.stays}${kept}` : all)
    if (rows === 0) {
      if (loaded && !loaded.own && action === 'CASCADE' && loaded.load.key.length > 0)
        rewritten.set(loaded.load.table, (rewritten.get(loaded.load.table) ?? 0) + (await count(all)))
      continue
    }
    const by = `by ${constraint} (ON DELETE ${action})`
    const values = columns.join(', ')
    if (!loaded || rows === undefined) {
      const what = rows === undefined ? 'rows that we may not count' : counted(rows, 'row')
      const change = action === 'CASCADE' ? 'deleted' : `given other values in ${values}`
      lines.push(
        `${what} of ${name} that referred to its deleted rows ${rows === 1 ? 'was' : 'were'} ${change}, ${by}`,
      )
      continue
    }
    const change = action === 'CASCADE' ? 'would delete them' : `would change their ${values}`
    throw new EngineError(
      'CONSTRAINT_VIOLATED',
      `${name}: ${counted(rows, 'row')} of its data set still ${rows === 1 ? 'refers' : 'refer'} (${values}) to rows that ${parent} has no more, and the server ${change} ${by}`,
      {
        hint: `Nothing was loaded. Correct or leave out these rows of ${name}; or keep the rows of ${parent} with deletes: soft or deletes: ignore.`,
      },
    )
  }
  return lines
}

/** Condition on a row of a load's table that is to stay as it is; `isStaged`: that the load brings it. */
export function staysSql(load: StagedLoad, isStaged: string): string {
  // A history's earlier versions are in no data set.
  if (load.mode === 'scd2') return 'TRUE'
  // Without a key all rows are exchanged.
  return load.key.length === 0 ? 'FALSE' : `NOT (${isStaged})`
}

/** What a load did, where some of its rows were deleted by a cascade of the same commit, and are new only to the table. */
export const countRewritten = (counts: LoadCounts, rows = 0): LoadCounts => ({
  ...counts,
  inserted: counts.inserted - rows,
  updated: counts.updated + rows,
})
