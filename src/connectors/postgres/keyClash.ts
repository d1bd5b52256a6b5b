import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { quoteIdent, quoteLiteral, quoteTable } from './connect.ts'
import { columnCalled, exact, expressions, fit, type TargetColumn } from './merge.ts'
import type { TargetSession } from './session.ts'

/** SQL about keys that are different where they are staged, and one for the target's types and collations. */
export interface KeyClashSql {
  /** Staged rows with the target's key columns, a text of the key, and a number that orders equal ones. */
  grouped(staging: string, more?: string): string
  /** Condition of a join of `staging AS _nf_s` with the target as `_nf_t`. */
  withTarget: string
  /** SQL text of a row's key. */
  shown(from: string): string
  /** The columns with their types or collations, for people. */
  among: string
}

/** SQL text of a row's key as messages show it; `from`: the row's alias. */
export const keyText = ({ key }: Pick<PlannedLoad, 'key'>, from: string) =>
  `concat_ws(', ', ${key.map(name => `${quoteLiteral(`${name} `)} || quote_literal(left(${from}.${quoteIdent(name)}::text, 100))`).join(', ')})`

/** Undefined where a key that differs is never one for the target. */
export function keyClashSql(load: PlannedLoad, columns: TargetColumn[]): KeyClashSql | undefined {
  const { cast } = expressions(load, columns)
  const key = load.key.map(name => ({
    column: columnCalled(columns, name)!,
    brought: columnCalled(load.columns, name)!,
    ours: `_nf_t.${quoteIdent(name)}`,
    staged: `_nf_s.${quoteIdent(name)}`,
  }))
  const padded = ({ typname }: TargetColumn) => typname === 'bpchar'
  const folding = key.filter(
    ({ column, brought }) => column.folds !== undefined || padded(column) || fit(brought, column) === 'parse',
  )
  if (folding.length === 0) return undefined
  const native = ({ column, staged }: (typeof key)[number]) => cast(column.name, staged)
  const names = load.key.map(quoteIdent).join(', ')
  const shown = (from: string) => keyText(load, from)
  const different = folding
    .filter(({ brought, column }) => fit(brought, column) !== 'parse')
    .map(part => `${exact(part.ours)} <> ${exact(native(part))}`)
  return {
    shown,
    // The target's own rows, none of them, give the columns their types and collations.
    grouped: (
      staging,
      more = 'NULL::bigint',
    ) => `SELECT *, row_number() OVER (PARTITION BY ${names} ORDER BY length(_nf_shown), _nf_shown COLLATE "C") AS _nf_nth
      FROM (SELECT ${names}, NULL::text AS _nf_shown, NULL::bigint AS _nf_more FROM ${quoteTable(load.table)} WHERE false
        UNION ALL SELECT ${key.map(native).join(', ')}, ${shown('_nf_s')}, ${more} FROM ${staging} AS _nf_s) AS g`,
    withTarget: `${key.map(part => `${part.ours} = ${native(part)}`).join(' AND ')} AND (${different.join(' OR ') || 'FALSE'})`,
    among: folding.map(({ column }) => `${column.name} (${column.folds ?? column.native})`).join(', '),
  }
}

/**
 * Why a load met a key that was there: a CONSTRAINT_VIOLATED error that names two keys that are one for the target.
 * Undefined where no two are.
 */
export async function keyClash(
  session: TargetSession,
  load: PlannedLoad,
  columns: TargetColumn[],
  staging: string,
  where: string,
): Promise<EngineError | undefined> {
  const sql = keyClashSql(load, columns)
  if (!sql) return undefined
  const names = load.key.map(quoteIdent).join(', ')
  for (const pairs of [
    `SELECT min(_nf_shown) AS one, max(_nf_shown) AS other FROM (${sql.grouped(staging)}) AS g GROUP BY ${names} HAVING count(*) > 1 LIMIT 1`,
    `SELECT ${sql.shown('_nf_s')} AS one, ${sql.shown('_nf_t')} AS other FROM ${staging} AS _nf_s JOIN ${quoteTable(load.table)} AS _nf_t ON ${sql.withTarget} LIMIT 1`,
  ]) {
    const { rows } = await session.query(pairs)
    const [found] = rows
    if (!found) continue
    return new EngineError(
      'CONSTRAINT_VIOLATED',
      `${where}: ${found.one} and ${found.other} are one key for the table: ${sql.among}`,
      {
        hint: `Nothing was loaded. Give the column a type or collation that tells them apart, or correct ${load.from}; on_bad_row: quarantine leaves all but one out.`,
      },
    )
  }
  return undefined
}
