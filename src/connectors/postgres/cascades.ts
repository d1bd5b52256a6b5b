import type { LoadCommit, StagedLoad } from '../../../engine/contracts/load.ts'
import { type Cascade, type CascadeSql, cascadeLines, staysSql } from '../sql/cascades.ts'
import { sameKey } from '../sql/dialect.ts'
import { quoteTable } from './connect.ts'
import { expressions } from './merge.ts'
import type { TargetSession } from './session.ts'
import { stagingNames } from './staging.ts'
import { columnsOfTables } from './state.ts'
import { DIALECT } from './table.ts'

/** {@link cascadeLines} of the rows that a load of a commit is about to delete; `touched`: the loads for which rows are staged. */
export async function cascade(
  session: TargetSession,
  { table, key }: StagedLoad,
  { loadId, loads }: Pick<LoadCommit, 'loadId' | 'loads'>,
  touched: StagedLoad[],
  { gone, rewritten }: Pick<CascadeSql, 'gone' | 'rewritten'>,
): Promise<string[]> {
  const { name } = session.access
  const tables = loads.map(one => one.table)
  const { rows } = await session.query(
    `WITH t AS (SELECT name, to_regclass(quoted) AS oid FROM unnest($1::text[], $2::text[]) AS t(name, quoted))
     SELECT f.conname AS constraint, f.confdeltype AS action, f.conrelid::regclass::text AS child, t.name AS loaded,
       f.conrelid = f.confrelid AS own, has_table_privilege(f.conrelid, 'SELECT') AS readable,
       (SELECT json_agg(a.attname ORDER BY c.n) FROM unnest(f.conkey, f.confkey) WITH ORDINALITY AS c(ours, theirs, n)
         JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = c.ours)::text AS columns,
       (SELECT json_agg(a.attname ORDER BY c.n) FROM unnest(f.conkey, f.confkey) WITH ORDINALITY AS c(ours, theirs, n)
         JOIN pg_attribute AS a ON a.attrelid = f.confrelid AND a.attnum = c.theirs)::text AS to_columns
     FROM pg_constraint AS f LEFT JOIN t ON t.oid = f.conrelid
     WHERE f.contype = 'f' AND f.confdeltype IN ('c', 'n', 'd') AND f.conparentid = 0 AND f.confrelid = to_regclass($3)
     ORDER BY f.conname`,
    [tables, tables.map(quoteTable), quoteTable(table)],
  )
  if (rows.length === 0) return []
  const columns = await columnsOfTables(session, tables)
  const staysOf = (child: StagedLoad) => {
    if (!touched.includes(child)) return 'TRUE'
    const { rows: staging } = stagingNames(session, loadId, child)
    const same = sameKey(child, { dialect: DIALECT, ...expressions(child, columns.get(child.table)!) })
    return staysSql(child, `EXISTS (SELECT 1 FROM ${staging} AS s WHERE ${same})`)
  }
  const cascades = rows.map((row): Cascade => {
    const child = loads.find(load => load.table === row.loaded)
    return {
      constraint: row.constraint!,
      action: ACTIONS[row.action!]!,
      table: row.child!,
      name: child ? `${name}.${child.table}` : row.child!,
      columns: JSON.parse(row.columns!),
      to: JSON.parse(row.to_columns!),
      unreadable: row.readable === 'f',
      ...(child && { loaded: { load: child, stays: staysOf(child), ...(row.own === 't' && { own: key }) } }),
    }
  })
  return cascadeLines(`${name}.${table}`, cascades, {
    quote: DIALECT.quote,
    gone,
    rewritten,
    count: async sql => Number((await session.query(sql)).rows[0]!.n),
  })
}

const ACTIONS: Record<string, Cascade['action']> = { c: 'CASCADE', n: 'SET NULL', d: 'SET DEFAULT' }
