import type { LoadCommit, LoadCounts, StagedLoad } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { type Apply, applyInOrder } from '../sql/references.ts'
import { applyLoad } from './apply.ts'
import { referrers } from './cascades.ts'
import { type LoadTables, matchStaged } from './changes.ts'
import { circlesOf, parted, referredColumns } from './circles.ts'
import { hasCode } from './clash.ts'
import { ask, type Session } from './connect.ts'
import { allForeignKeys, checkKeys, keysOf, orderOf, unconstrained } from './foreignKeys.ts'
import { noteStanding } from './standing.ts'
import { change, type TargetSession } from './targetSession.ts'

/** A row is referred to. */
const REFERRED_TO = 1451

/** Makes the loads of a commit true, in an order that their foreign keys allow, inside the transaction of `session`. */
export async function applyLoads(
  target: TargetSession,
  session: Session,
  commit: LoadCommit,
  tables: Map<StagedLoad, LoadTables>,
  signal: AbortSignal,
): Promise<LoadCounts[]> {
  const { name } = target.access
  const loads = [...tables.keys()]
  const every = await allForeignKeys(target, commit.tables)
  const foreign = keysOf(loads, every)
  const { references, late } = orderOf(loads, foreign)
  const isStaged = async (load: StagedLoad) => {
    const of = tables.get(load)!
    return `EXISTS (SELECT 1 FROM ${of.staging} AS _nf_s WHERE ${matchStaged(load.key, of)})`
  }
  const circles = late ? circlesOf(loads, foreign) : undefined
  const referringOf = referrers(session, name, { loads, keys: every }, isStaged, signal)
  const apply: Apply = async (load, between) => {
    const where = `${name}.${load.table}`
    const of = tables.get(load)!
    const referred = circles && referredColumns(load, of, circles)
    const context = { where, runAt: commit.runAt, signal, between, referring: referringOf(load), referred }
    const end = await applyLoad(session, load, of, context)
    return async () => {
      const count = await end()
      const note = (sql: string) => change(session, where, sql, signal)
      return { ...count, rows: await noteStanding(target, load, count, commit, note) }
    }
  }
  if (!circles) return applyInOrder(loads, references, apply)
  const { apart, references: left, stuck } = parted(loads, tables, circles)
  // What is about to go need meet no CHECK.
  await unconstrained(
    sql => ask(session, sql),
    async () => {
      for (const { load, sql } of apart) await change(session, `${name}.${load.table}`, sql, signal)
    },
  )
  const counts = await applyInOrder(loads, left, apply).catch(error => {
    throw hasCode(error, REFERRED_TO) && stuck.length > 0 ? mayBeNull(error as EngineError, stuck) : error
  })
  const ours = foreign.filter(({ child }) => child.loaded)
  await checkKeys(session, name, ours, signal)
  return counts
}

function mayBeNull(error: EngineError, stuck: { table: string; columns: string[] }[]): EngineError {
  const columns = stuck.map(({ table, columns }) => `${columns.join(' or ')} of ${table}`)
  return new EngineError(error.code, error.message, {
    cause: error.cause,
    hint: `Nothing was loaded. Where rows that go refer to each other, let ${columns.join(' and ')} be NULL: it is set so before they go. Where others refer to them, correct those.`,
  })
}
