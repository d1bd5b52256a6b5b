import type { LoadCommit, StagedLoad } from '../../../engine/contracts/load.ts'
import type { EngineError } from '../../../engine/errors.ts'
import { Referring, type ReferringKey } from '../sql/cascades.ts'
import { ask, type Session } from './connect.ts'
import { allForeignKeys, type ForeignKey } from './foreignKeys.ts'
import type { TargetSession } from './targetSession.ts'
import { identifier } from './types.ts'

/** For loads of a commit what refers to their tables, in the transaction of `session`; the server is asked for foreign keys once. */
export function referrers(
  session: Session,
  target: TargetSession,
  { loads, tables }: Pick<LoadCommit, 'loads' | 'tables'>,
  signal: AbortSignal,
): (load: StagedLoad) => Referring {
  const { name } = target.access
  let asked: Promise<ForeignKey[]> | undefined
  const keys = () => {
    asked ??= allForeignKeys(target, tables)
    return asked
  }
  return load =>
    new Referring(load, `${name}.${load.table}`, {
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
