import type { StagedLoad } from '../../../engine/contracts/load.ts'
import type { EngineError } from '../../../engine/errors.ts'
import { Referring, type ReferringKey } from '../sql/cascades.ts'
import { ask, type Session } from './connect.ts'
import type { ForeignKey } from './foreignKeys.ts'
import { identifier } from './types.ts'

/** What refers to the rows of a load's table, in the transaction of `session`; `name`: the target's, `keys`: all of the server's. */
export function referringTo(
  session: Session,
  load: StagedLoad,
  { name, loads, keys }: { name: string; loads: StagedLoad[]; keys(): Promise<ForeignKey[]> },
  signal: AbortSignal,
): Referring {
  return new Referring(load, `${name}.${load.table}`, {
    quote: identifier,
    keysTo: async table =>
      (await keys())
        .filter(({ parent }) => (table === undefined ? parent.name === load.table : parent.sql === table))
        .map(
          ({ child, parent, constraint, rule, columns, to }): ReferringKey => ({
            constraint,
            ...(ACTIONS.includes(rule) && { action: rule as ReferringKey['action'] & string }),
            table: child.sql,
            name: child.loaded ? `${name}.${child.name}` : child.name,
            columns,
            to,
            ...(child.loaded && {
              loaded: loads.some(({ table }) => table === child.name) ? 'here' : 'elsewhere',
            }),
            own: child.sql === parent.sql,
          }),
        ),
    count: async sql => {
      try {
        return Number((await ask(session, sql, signal))[0]!.n)
      } catch (error) {
        if ((error as EngineError).code === 'PERMISSION_DENIED') return undefined
        throw error
      }
    },
  })
}

const ACTIONS = ['CASCADE', 'SET NULL', 'SET DEFAULT']
