import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { unless } from '../../../engine/errors.ts'
import { Referring } from '../sql/cascades.ts'
import { givenSql } from '../sql/changedValues.ts'
import type { Action, ReferringKey } from '../sql/referringKeys.ts'
import { ask, type Session } from './connect.ts'
import type { ForeignKey } from './foreignKeys.ts'
import { identifier } from './types.ts'

/** For loads of a commit what refers to their tables, by `keys`, all of the server's; `staged`: SQL of whether a load brings the row `_nf_t` of its table. In the transaction of `session`. */
export function referrers(
  session: Session,
  name: string,
  { loads, keys }: { loads: StagedLoad[]; keys: ForeignKey[] },
  staged: (load: StagedLoad) => Promise<string>,
  signal: AbortSignal,
): (load: StagedLoad) => Referring {
  let asked: Promise<Map<string, Actions>> | undefined
  // Not joined to the keys by the server: that would take it minutes where there are thousands.
  const actions = async () => {
    const does = (rule: string) => `IF(${rule} IN ('CASCADE', 'SET NULL', 'SET DEFAULT'), ${rule}, NULL)`
    const rows = await ask<
      Record<'schema' | 'child' | 'name', string> & Record<'on_delete' | 'on_update', Action | null>
    >(
      session,
      `SELECT constraint_schema AS \`schema\`, table_name AS child, constraint_name AS name,
         ${does('delete_rule')} AS on_delete, ${does('update_rule')} AS on_update
       FROM information_schema.referential_constraints`,
      signal,
    )
    return new Map(
      rows.map(({ schema, child, name, on_delete, on_update }) => [
        `${identifier(schema)}.${identifier(child)} ${name}`,
        { ...(on_delete && { onDelete: on_delete }), ...(on_update && { onUpdate: on_update }) },
      ]),
    )
  }
  return load =>
    new Referring(load, `${name}.${load.table}`, {
      quote: identifier,
      async keysTo(table) {
        const found = keys.filter(({ parent }) =>
          table === undefined ? parent.loaded && parent.name === load.table : parent.sql === table,
        )
        if (found.length === 0) return []
        asked ??= actions()
        const actionsOf = await asked
        return found.map(({ child, parent, constraint, columns, to }): ReferringKey => {
          const own = child.loaded ? loads.find(({ table }) => table === child.name) : undefined
          return {
            constraint,
            ...(actionsOf.get(`${child.sql} ${constraint}`) ?? UNKNOWN),
            table: child.sql,
            name: child.loaded ? `${name}.${child.name}` : child.name,
            columns,
            to,
            ...(child.loaded && { loaded: own ? 'here' : 'elsewhere' }),
            ...(own && { given: () => givenSql(own, columns, () => staged(own)) }),
            own: child.sql === parent.sql,
          }
        })
      },
      count: async sql => {
        const found = await unless('PERMISSION_DENIED', () => ask(session, sql, signal))
        return found && Number(found[0]!.n)
      },
    })
}

/** Of tables that we may only read, the server shows their keys, and not what it does by them. */
const UNKNOWN: Actions = { onDelete: 'unknown', onUpdate: 'unknown' }

type Actions = Pick<ReferringKey, 'onDelete' | 'onUpdate'>
