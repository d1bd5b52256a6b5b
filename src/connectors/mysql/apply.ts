import type { LoadCounts, StagedLoad } from '../../../engine/contracts/load.ts'
import { endColumn, leavesOlder, updatedColumns } from '../../../engine/contracts/semantics.ts'
import { tooManyDeletes } from '../../../engine/diff/guard.ts'
import type { Referring } from '../sql/cascades.ts'
import { hasName } from '../sql/names.ts'
import {
  changingRows,
  deletedSql,
  deleteSql,
  insertSql,
  type LoadTables,
  markedRows,
  markMoves,
  olderRows,
  reviveSql,
  updatedRows,
  updateSql,
} from './changes.ts'
import { ask, type Session } from './connect.ts'
import { unchecked, unconstrained } from './foreignKeys.ts'
import { firstVersionsSql, scd2Sql } from './scd2.ts'
import { change } from './targetSession.ts'
import { identifier } from './types.ts'

export interface ApplyContext {
  /** For messages: `warehouse.dim_members`. */
  where: string
  runAt: Date
  signal: AbortSignal
  /** Done after rows are taken away and before any comes. */
  between?: () => Promise<void>
  /** What refers to the table by foreign keys. */
  referring: Referring
  /** Where what comes is checked once all loads have brought theirs: columns that others may refer to. */
  referred: string[] | undefined
}

/**
 * Makes a staged load true, inside the transaction. Rows go first, since a new row may have a unique value of one
 * that goes. Every mode but scd2 is the same three statements: `replace` and `partition` touch only rows that differ, so that
 * foreign keys on rows that stay, counters, triggers, grants and comments all outlive the load, and an equal row is
 * not written. Rows that others still refer to go with what is given, which tells the counts. Fails with GUARD_STOPPED where the
 * staged rows are all and too many would go.
 */
export async function applyLoad(
  session: Session,
  load: StagedLoad,
  tables: LoadTables,
  { where, runAt, signal, between, referring, referred }: ApplyContext,
): Promise<() => Promise<LoadCounts>> {
  const count = async (from: string) => {
    const [row] = await ask(session, `SELECT COUNT(*) AS n FROM ${from}`, signal)
    return Number(row!.n)
  }
  const run = async (sql: string | undefined) => (sql ? change(session, where, sql, signal) : 0)
  const staged = await count(tables.staging)
  const result = async (inserted: number, updated: number, revived = 0) => {
    const rest = staged - inserted - updated
    const older = rest > 0 && leavesOlder(load) ? (await count(olderRows(load, tables))) - revived : 0
    return async (): Promise<LoadCounts> => {
      await last?.()
      const counts = { table: load.table, inserted, updated, deleted, unchanged: rest - older, older }
      return { ...counts, ...(cascades.length > 0 && { cascades }) }
    }
  }
  const [any] = await ask(session, `SELECT 1 AS one FROM ${tables.target} LIMIT 1`, signal)
  // A change set without a key that is not whole has no row: the table holds them all.
  const removal = any && (load.whole || load.key.length > 0) && deleteSql(load, tables, runAt)
  let deleted = 0
  const cascades: string[] = []
  let last: (() => Promise<void>) | undefined
  if (removal) {
    const gone = deletedSql(load, tables)
    const end = endColumn(load)
    const live = end === undefined ? '' : ` WHERE ${identifier(end)} IS NULL`
    const before = load.whole ? await count(tables.target + live) : 0
    const byKey = load.key.length > 0
    const guard = (lost: number) => tooManyDeletes(where, load.guard.maxDeleteShare, lost, before)
    const lost = gone && load.whole && byKey ? await count(`(${gone(load.key)}) AS gone`) : undefined
    if (lost !== undefined) guard(lost)
    const remove = async (lines: string[]) => {
      cascades.push(...lines)
      deleted = await run(removal)
      // Without a key nobody can tell which rows are new: only how many fewer there are.
      if (load.whole && lost === undefined) guard(byKey ? deleted : Math.max(0, before - staged))
    }
    if (gone && byKey && lost !== 0) last = await referring.removal(gone, remove)
    else if (lost !== 0) await remove(gone ? await referring.lines(gone) : [])
  }
  const keyed = any && load.key.length > 0 && load.mode !== 'scd2'
  const set = (sql: string) => ask(session, sql)
  const bring = <T>(act: () => Promise<T>) => (referred ? unchecked(set, act) : act())
  /** Rows take what is staged, but for values that others may refer to; gives how many have such, and how many have none. */
  const move = async (referred: string[]) => {
    const names = updatedColumns(load)
    const changing = names.filter(name => hasName(referred, name))
    const marked = changing.length > 0 ? await run(markMoves(load, tables, changing)) : 0
    if (marked === 0) return { marked, updated: await bring(() => run(updateSql(load, tables))) }
    const rows = markedRows(load, tables)
    const others = names.filter(name => !changing.includes(name))
    return bring(async () => {
      await unconstrained(set, () => run(updateSql(load, tables, rows.marked, others)))
      return { marked, updated: await run(updateSql(load, tables, rows.others)) }
    })
  }
  const moved = referred && keyed ? await move(referred) : undefined
  await between?.()
  if (load.mode === 'scd2' && !any) {
    const inserted = await bring(() => run(firstVersionsSql(load, tables, runAt)))
    return result(inserted, 0)
  }
  if (load.mode === 'scd2') {
    const history = scd2Sql(load, tables, runAt)
    return bring(async () => {
      await run(history.ended)
      await run(history.begin)
      const updated = await run(history.correct)
      const inserted = await run(history.insert)
      await run(history.placed)
      await run(history.close)
      return result(inserted, updated)
    })
  }
  let updated = moved?.updated ?? 0
  if (keyed && moved?.marked !== 0) {
    const rows = moved ? markedRows(load, tables).marked : updatedRows(load, tables)
    cascades.push(...(await referring.changes(changingRows(tables, rows))))
    updated += await run(updateSql(load, tables, rows))
  }
  const revived = keyed ? await run(reviveSql(load, tables)) : 0
  const inserted = await bring(() => run(insertSql(load, tables, !any)))
  return result(inserted, updated + revived, revived)
}
