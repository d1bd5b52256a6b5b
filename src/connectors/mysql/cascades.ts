import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { type Cascade, type CascadeSql, cascadeLines, staysSql } from '../sql/cascades.ts'
import { type LoadTables, matchStaged } from './changes.ts'
import { ask, type Session } from './connect.ts'
import type { ForeignKey } from './foreignKeys.ts'
import { identifier } from './types.ts'

/** What the rows of a commit's loads are in, and the foreign keys of their tables. */
export interface CascadeFacts {
  /** The target's name. */
  name: string
  loads: StagedLoad[]
  keys: ForeignKey[]
  tablesOf(load: StagedLoad): Promise<LoadTables>
}

/** {@link cascadeLines} of the rows that a load of a commit is about to delete, in the transaction of `session`. */
export async function cascade(
  session: Session,
  { table }: StagedLoad,
  { name, loads, keys, tablesOf }: CascadeFacts,
  { gone, rewritten }: Pick<CascadeSql, 'gone' | 'rewritten'>,
  signal: AbortSignal,
): Promise<string[]> {
  const referring = keys.filter(({ parent }) => parent.loaded && parent.name === table)
  if (referring.length === 0) return []
  const rules = await ask<Record<'schema' | 'child' | 'name' | 'rule', string>>(
    session,
    `SELECT constraint_schema AS \`schema\`, table_name AS child, constraint_name AS name, delete_rule AS rule
     FROM information_schema.referential_constraints WHERE delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT')`,
    signal,
  )
  const staysOf = async (child: StagedLoad) => {
    const tables = await tablesOf(child)
    const same = matchStaged(child.key, tables)
    return staysSql(child, `EXISTS (SELECT 1 FROM ${tables.staging} AS s WHERE ${same})`)
  }
  const cascades: Cascade[] = []
  for (const { child, constraint, columns, to } of referring) {
    const found = rules.find(
      one => one.name === constraint && `${identifier(one.schema)}.${identifier(one.child)}` === child.sql,
    )
    if (!found) continue
    const load = loads.find(one => child.loaded && one.table === child.name)
    cascades.push({
      constraint,
      action: found.rule as Cascade['action'],
      table: child.sql,
      name: load ? `${name}.${child.name}` : child.name,
      columns,
      to,
      ...(load && { loaded: { load, stays: await staysOf(load) } }),
    })
  }
  const count = async (sql: string) => Number((await ask(session, sql, signal))[0]!.n)
  return cascadeLines(`${name}.${table}`, cascades, { quote: identifier, gone, count, rewritten })
}
