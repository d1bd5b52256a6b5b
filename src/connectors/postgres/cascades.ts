import type { LoadCommit, StagedLoad } from '../../../engine/contracts/load.ts'
import { Referring } from '../sql/cascades.ts'
import { givenSql } from '../sql/changedValues.ts'
import { sameKey } from '../sql/dialect.ts'
import type { Action, ReferringKey } from '../sql/referringKeys.ts'
import { quoteTable } from './connect.ts'
import { expressions } from './merge.ts'
import { readableSql } from './readable.ts'
import type { TargetSession } from './session.ts'
import { stagingNames } from './staging.ts'
import { targetColumns } from './state.ts'
import { DIALECT } from './table.ts'

/** What refers to the rows of a load's table, in the transaction of `session`; `touched`: the loads of its commit that change rows. */
export function referringTo(
  session: TargetSession,
  load: StagedLoad,
  { loadId, loads, tables }: Pick<LoadCommit, 'loadId' | 'loads' | 'tables'>,
  touched: StagedLoad[],
): Referring {
  const { name } = session.access
  const staged = async (own: StagedLoad) => {
    const { rows } = stagingNames(session, loadId, own)
    const values = expressions(own, await targetColumns(session, own.table))
    return `EXISTS (SELECT 1 FROM ${rows} AS _nf_s WHERE ${sameKey(own, { dialect: DIALECT, ...values })})`
  }
  return new Referring(load, `${name}.${load.table}`, {
    quote: DIALECT.quote,
    async keysTo(table = quoteTable(load.table)) {
      const { rows } = await session.query(
        `WITH t AS (SELECT name, to_regclass(quoted) AS oid FROM unnest($1::text[], $2::text[]) AS t(name, quoted))
         SELECT f.conname AS constraint, f.confdeltype AS on_delete, f.confupdtype AS on_update, f.conrelid::regclass::text AS child, t.name AS loaded,
           f.conrelid = f.confrelid AS own,
           ${readableSql('r')} AS readable,
           (SELECT json_agg(a.attname ORDER BY c.n) FROM unnest(f.conkey, f.confkey) WITH ORDINALITY AS c(ours, theirs, n)
             JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = c.ours)::text AS columns,
           (SELECT json_agg(a.attname ORDER BY c.n) FROM unnest(f.conkey, f.confkey) WITH ORDINALITY AS c(ours, theirs, n)
             JOIN pg_attribute AS a ON a.attrelid = f.confrelid AND a.attnum = c.theirs)::text AS to_columns
         FROM pg_constraint AS f JOIN pg_class AS r ON r.oid = f.conrelid
           LEFT JOIN t ON t.oid = coalesce(pg_partition_root(f.conrelid), f.conrelid)
         WHERE f.contype = 'f' AND f.conparentid = 0
           AND (f.confrelid = to_regclass($3) OR f.confrelid IN (SELECT relid FROM pg_partition_tree(to_regclass($3))))
         ORDER BY f.conname`,
        [tables, tables.map(quoteTable), table],
      )
      return rows.map((row): ReferringKey => {
        const [onDelete, onUpdate] = [ACTIONS[row.on_delete!], ACTIONS[row.on_update!]]
        const columns = JSON.parse(row.columns!) as string[]
        const own = touched.find(({ table }) => table === row.loaded)
        return {
          constraint: row.constraint!,
          ...(onDelete && { onDelete }),
          ...(onUpdate && { onUpdate }),
          table: row.child!,
          name: row.loaded === null ? row.child! : `${name}.${row.loaded}`,
          columns,
          to: JSON.parse(row.to_columns!),
          ...(row.loaded !== null && {
            loaded: loads.some(({ table }) => table === row.loaded) ? 'here' : 'elsewhere',
          }),
          ...(own && { given: () => givenSql(own, columns, () => staged(own)) }),
          own: row.own === 't',
          unreadable: row.readable !== 't',
        }
      })
    },
    count: async sql => Number((await session.query(sql)).rows[0]!.n),
  })
}

const ACTIONS: Record<string, Action> = { c: 'CASCADE', n: 'SET NULL', d: 'SET DEFAULT' }
