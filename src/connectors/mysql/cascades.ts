import type { LoadCommit, StagedLoad } from '../../../engine/contracts/load.ts'
import { Referring, type ReferringKey } from '../sql/cascades.ts'
import { ask, type Session, unlessDenied } from './connect.ts'
import type { ForeignKey } from './foreignKeys.ts'
import { identifier } from './types.ts'

/** For loads of a commit what refers to their tables, by `keys`, all of the server's, in the transaction of `session`. */
export function referrers(
  session: Session,
  name: string,
  { loads }: Pick<LoadCommit, 'loads'>,
  keys: ForeignKey[],
  signal: AbortSignal,
): (load: StagedLoad) => Referring {
  let asked: Promise<Map<string, Action>> | undefined
  // Not joined to the keys by the server: that would take it minutes where there are thousands.
  const actions = async () => {
    const rows = await ask<{ schema: string; child: string; name: string; rule: Action }>(
      session,
      `SELECT constraint_schema AS \`schema\`, table_name AS child, constraint_name AS name, delete_rule AS rule
       FROM information_schema.referential_constraints WHERE delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT')`,
      signal,
    )
    return new Map(
      rows.map(({ schema, child, name, rule }) => [
        `${identifier(schema)}.${identifier(child)} ${name}`,
        rule,
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
        const actionOf = await asked
        return found.map(({ child, parent, constraint, columns, to }): ReferringKey => {
          const action = actionOf.get(`${child.sql} ${constraint}`)
          return {
            constraint,
            ...(action && { action }),
            table: child.sql,
            name: child.loaded ? `${name}.${child.name}` : child.name,
            columns,
            to,
            ...(child.loaded && {
              loaded: loads.some(({ table }) => table === child.name) ? 'here' : 'elsewhere',
            }),
            own: child.sql === parent.sql,
          }
        })
      },
      count: async sql => {
        const found = await unlessDenied(ask(session, sql, signal))
        return found && Number(found[0]!.n)
      },
    })
}

type Action = NonNullable<ReferringKey['action']>
