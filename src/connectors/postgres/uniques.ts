import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { sameKey } from '../sql/dialect.ts'
import { judgedUniques, type UniqueSql, uniqueClashes } from '../sql/uniques.ts'
import { quoteIdent, quoteTable } from './connect.ts'
import { columnCalled, expressions, type TargetColumn } from './merge.ts'
import type { TargetSession } from './session.ts'
import { DIALECT } from './table.ts'

/** A unique index of whole columns that are all loaded, and of all rows, but the primary key. */
interface Unique {
  /** Quoted, with its schema. */
  index: string
  name: string
  columns: string[]
  /** As a constraint of the same columns has it. */
  definition: string
  isConstraint: boolean
  deferrable: boolean
  /** The statements that drop the foreign keys which refer to it; undefined where none do. */
  unbound?: string
}

export async function uniquesOf(session: TargetSession, { table, columns }: PlannedLoad): Promise<Unique[]> {
  const { rows } = await session.query(
    `SELECT i.indexrelid::regclass::text AS index, n.relname AS name, c.oid IS NOT NULL AS is_constraint,
       coalesce(c.condeferrable, false) AS deferrable,
       (SELECT json_agg(a.attname) FROM pg_attribute AS a WHERE a.attrelid = i.indrelid
         AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))::text AS columns,
       'UNIQUE' || CASE WHEN to_jsonb(i) ->> 'indnullsnotdistinct' = 'true' THEN ' NULLS NOT DISTINCT' ELSE '' END
         || (SELECT format(' (%s)', string_agg(pg_get_indexdef(i.indexrelid, n, true), ', ' ORDER BY n)) FROM generate_series(1, i.indnkeyatts) AS n)
         || coalesce((SELECT ' INCLUDE (' || string_agg(pg_get_indexdef(i.indexrelid, n, true), ', ' ORDER BY n) || ')'
           FROM generate_series(i.indnkeyatts + 1, i.indnatts) AS n), '') AS definition,
       (SELECT string_agg(format('ALTER TABLE %s DROP CONSTRAINT %I;', f.conrelid::regclass, f.conname), ' ')
         FROM pg_constraint AS f WHERE f.contype = 'f' AND f.conindid = i.indexrelid) AS unbound
     FROM pg_index AS i JOIN pg_class AS n ON n.oid = i.indexrelid
       LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid AND c.contype = 'u'
     WHERE i.indrelid = to_regclass($1) AND i.indisunique AND NOT i.indisprimary
       AND i.indpred IS NULL AND i.indexprs IS NULL ORDER BY 1`,
    [quoteTable(table)],
  )
  return rows
    .map(row => ({
      index: row.index!,
      name: row.name!,
      columns: JSON.parse(row.columns!) as string[],
      definition: row.definition!,
      isConstraint: row.is_constraint === 't',
      deferrable: row.deferrable === 't',
      ...(row.unbound && { unbound: row.unbound }),
    }))
    .filter(unique => unique.columns.every(name => columnCalled(columns, name)))
}

/** How conditions on the rows of a staging table compare them with a target whose columns are `found`. */
export function uniqueSql(load: PlannedLoad, found: TargetColumn[], staged: string, row: string): UniqueSql {
  const { cast } = expressions(load, found)
  const typed = (name: string, alias: string) => {
    const { native, folds } = columnCalled(found, name)!
    const own = cast(name, `${alias}.${quoteIdent(name)}`)
    return folds && folds !== 'citext' ? `${own} COLLATE ${quoteIdent(folds)}` : `(${own})::${native}`
  }
  return { quote: quoteIdent, staged, row, target: quoteTable(load.table), typed }
}

/**
 * Why a load met a unique value that was there, where the rows as they will be have each once: they change places, and the
 * server looks at each row alone. A CONSTRAINT_VIOLATED error with what makes it look at the end; undefined where they do not.
 */
export async function movedValues(
  session: TargetSession,
  load: PlannedLoad,
  found: TargetColumn[],
  staging: string,
  where: string,
): Promise<EngineError | undefined> {
  const sql = uniqueSql(load, found, staging, 'ctid')
  const any = async (from: string) =>
    (await session.query(`SELECT 1 AS one FROM ${from} LIMIT 1`)).rows.length > 0
  if (load.key.length === 0) return undefined
  const key = sameKey(load, { dialect: DIALECT, ...expressions(load, found) })
  for (const unique of await uniquesOf(session, load)) {
    const { columns, name, index, definition, unbound } = unique
    if (unique.deferrable || judgedUniques(load, [columns]).length === 0) continue
    const clashes = uniqueClashes(load, columns, sql).map(({ condition }) =>
      any(`${staging} AS _nf_s WHERE ${condition}`),
    )
    if ((await Promise.all(clashes)).some(Boolean)) continue
    const same = columns
      .map(column => `_nf_t.${quoteIdent(column)} = ${sql.typed(column, '_nf_s')}`)
      .join(' AND ')
    const moved = `${staging} AS _nf_s JOIN ${sql.target} AS _nf_t ON ${same} AND (${key}) IS NOT TRUE`
    if (!(await any(moved))) continue
    const add = `ADD CONSTRAINT ${quoteIdent(name)} ${definition} DEFERRABLE`
    const statement = unique.isConstraint
      ? `ALTER TABLE ${sql.target} DROP CONSTRAINT ${quoteIdent(name)}, ${add};`
      : `DROP INDEX ${index}; ALTER TABLE ${sql.target} ${add};`
    const hint = unbound
      ? `A foreign key refers to no unique column that is looked at once all rows are there. Give one of the rows a value of its own; or do without that key: ${unbound} ${statement}`
      : `Have it look once all rows are there: ${statement}`
    return new EngineError(
      'CONSTRAINT_VIOLATED',
      `${where}: values of ${columns.join(', ')} change places among rows, and ${name} looks at each row alone`,
      { hint: `Nothing was loaded. ${hint}` },
    )
  }
  return undefined
}
