import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { columnNamed } from '../../../engine/types/logical.ts'
import { foldedText, matchFolded } from './changes.ts'
import type { TargetSession } from './targetSession.ts'
import type { TargetTable } from './targetTypes.ts'
import { identifier, literal } from './types.ts'

/** Of MariaDB and of MySQL: compares bytes, and does not take blanks at the end away. */
const EXACT_COLLATIONS = ['utf8mb4_nopad_bin', 'utf8mb4_0900_bin']

/** The server's collation for texts of a key, by which two are equal only where they are the same. */
export async function exactCollation(session: TargetSession): Promise<string> {
  const [found] = await session.rows(
    `SELECT collation_name AS name FROM information_schema.collations WHERE collation_name IN (${EXACT_COLLATIONS.map(
      name => `'${name}'`,
    ).join(', ')})`,
  )
  return found?.name ?? 'utf8mb4_bin'
}

/** Columns of the key whose collation takes texts that differ for equal. */
export const foldingColumns = ({ key }: Pick<StagedLoad, 'key'>, table: TargetTable) =>
  key.flatMap(name => {
    const column = columnNamed(table.columns, name)!
    return column.collation !== null && !EXACT_COLLATIONS.includes(column.collation) ? [column] : []
  })

/** What staged rows are grouped by: their key as the target compares it. */
export const foldedKey = ({ key }: Pick<StagedLoad, 'key'>, table: TargetTable, from = '_nf_s') =>
  key.map(name => foldedText(name, table, from)).join(', ')

/** SQL of a row's key as messages show it: `id '1', day '2026-02-01'`; `from`: the row's alias. */
export function keyText({ key }: Pick<StagedLoad, 'key'>, from: string): string {
  const parts = key.map(
    name => `CONCAT(${literal(`${name} `)}, QUOTE(CAST(${from}.${identifier(name)} AS CHAR)))`,
  )
  return parts.length > 0 ? `CONCAT_WS(', ', ${parts.join(', ')})` : "''"
}

/**
 * Why a load met a key that was there, where the key's collation is the reason: a CONSTRAINT_VIOLATED error that names
 * two keys that are one for the target. Undefined where no two are.
 */
export async function keyClash(
  session: TargetSession,
  load: StagedLoad,
  table: TargetTable,
  staging: string,
  where: string,
): Promise<EngineError | undefined> {
  const folding = foldingColumns(load, table)
  if (folding.length === 0) return undefined
  const shown = (from: string) => keyText(load, from)
  const pairs = [
    `SELECT MIN(${shown('_nf_s')} COLLATE utf8mb4_bin) AS one, MAX(${shown('_nf_s')} COLLATE utf8mb4_bin) AS other FROM ${staging} AS _nf_s
      GROUP BY ${foldedKey(load, table)} HAVING COUNT(*) > 1 LIMIT 1`,
    `SELECT ${shown('_nf_s')} AS one, ${shown('_nf_t')} AS other FROM ${staging} AS _nf_s STRAIGHT_JOIN ${session.quoted(load.table)} AS _nf_t
      ON ${matchFolded(load.key, table)} LIMIT 1`,
  ]
  for (const sql of pairs) {
    const [found] = await session.rows(sql)
    if (!found) continue
    const collations = folding.map(({ name, collation }) => `${name} (${collation})`).join(', ')
    return new EngineError(
      'CONSTRAINT_VIOLATED',
      `${where}: ${found.one} and ${found.other} are one key by the collation of ${collations}`,
      {
        hint: `Nothing was loaded. Give the column a collation that tells them apart (${await exactCollation(session)}), or correct ${load.from}; on_bad_row: quarantine leaves all but one out.`,
      },
    )
  }
  return undefined
}
