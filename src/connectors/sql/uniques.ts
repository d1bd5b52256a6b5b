import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { removesGone } from '../../../engine/contracts/semantics.ts'

/** How a target's SQL names what a unique index is looked at by. */
export interface UniqueSql {
  quote(name: string): string
  /** Staged rows, which conditions call `_nf_s`, and their column of row numbers. */
  staged: string
  row: string
  target: string
  /** A staged value as the target's column compares it. */
  typed(name: string, alias: string): string
}

/** Unique indexes that rows of a load could break: not the key, and nothing that holds it; a history keeps values more than once. */
export function judgedUniques(load: PlannedLoad, indexes: string[][]): string[][] {
  const lower = (names: string[]) => names.map(name => name.toLowerCase())
  const loaded = lower(load.columns.map(({ name }) => name))
  const key = lower(load.key)
  const isJudged = (index: string[]) =>
    index.every(name => loaded.includes(name)) &&
    (key.length === 0 || !key.every(name => index.includes(name)))
  return load.mode === 'scd2' ? [] : indexes.filter(index => isJudged(lower(index)))
}

/**
 * Conditions on staged rows that break a unique index: all but the first of those with the same values, and those whose
 * values a row has that stays in the table as it is. Where rows may leave the table, the server alone can tell.
 */
export function uniqueClashes(
  load: PlannedLoad,
  columns: string[],
  { quote, staged, row, target, typed }: UniqueSql,
): { condition: string; text: string }[] {
  const list = columns.join(', ')
  const set = (alias: string) => columns.map(name => `${alias}.${quote(name)} IS NOT NULL`).join(' AND ')
  const values = columns.map(name => typed(name, '_nf_s')).join(', ')
  const nth = `SELECT _nf_s.${row} AS ${row}, row_number() OVER (PARTITION BY ${values} ORDER BY _nf_s.${row}) AS nth FROM ${staged} AS _nf_s WHERE ${set('_nf_s')}`
  const twice = {
    condition: `_nf_s.${row} IN (SELECT d.${row} FROM (${nth}) AS d WHERE d.nth > 1)`,
    text: `is that of another row, too, and ${list} is unique in the table`,
  }
  if (load.key.length === 0 || removesGone(load)) return [twice]
  const same = (names: string[], alias: string) =>
    names.map(name => `_nf_t.${quote(name)} = ${typed(name, alias)}`).join(' AND ')
  return [
    twice,
    {
      condition: `${set('_nf_s')} AND EXISTS (SELECT 1 FROM ${target} AS _nf_t WHERE ${same(columns, '_nf_s')}
        AND NOT EXISTS (SELECT 1 FROM (SELECT * FROM ${staged}) AS k WHERE ${same(load.key, 'k')}))`,
      text: `is that of another row that the table has, and ${list} is unique there`,
    },
  ]
}
