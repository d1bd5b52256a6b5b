import type { LoadCommit, StagedLoad } from '../../../engine/contracts/load.ts'
import { Referring, type ReferringKey } from '../sql/cascades.ts'
import { quoteTable } from './connect.ts'
import { readableSql } from './readable.ts'
import type { TargetSession } from './session.ts'
import { DIALECT } from './table.ts'

/** What refers to the rows of a load's table, in the transaction of `session`. */
export function referringTo(
  session: TargetSession,
  load: StagedLoad,
  { loads, tables }: Pick<LoadCommit, 'loads' | 'tables'>,
): Referring {
  const { name } = session.access
  return new Referring(load, `${name}.${load.table}`, {
    quote: DIALECT.quote,
    async keysTo(table = quoteTable(load.table)) {
      const { rows } = await session.query(
        `WITH t AS (SELECT name, to_regclass(quoted) AS oid FROM unnest($1::text[], $2::text[]) AS t(name, quoted))
         SELECT f.conname AS constraint, f.confdeltype AS action, f.conrelid::regclass::text AS child, t.name AS loaded,
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
        const action = ACTIONS[row.action!]
        return {
          constraint: row.constraint!,
          ...(action && { action }),
          table: row.child!,
          name: row.loaded === null ? row.child! : `${name}.${row.loaded}`,
          columns: JSON.parse(row.columns!),
          to: JSON.parse(row.to_columns!),
          ...(row.loaded !== null && {
            loaded: loads.some(({ table }) => table === row.loaded) ? 'here' : 'elsewhere',
          }),
          own: row.own === 't',
          unreadable: row.readable !== 't',
        }
      })
    },
    count: async sql => Number((await session.query(sql)).rows[0]!.n),
  })
}

const ACTIONS: Record<string, ReferringKey['action']> = { c: 'CASCADE', n: 'SET NULL', d: 'SET DEFAULT' }
