import type { LoadCounts, StagedLoad } from '../../../engine/contracts/load.ts'
import { leavesOlder } from '../../../engine/contracts/semantics.ts'
import { tooManyDeletes } from '../../../engine/diff/guard.ts'
import type { Referring } from './cascades.ts'
import { deleteSql, liveSql } from './deletes.ts'
import { type LoadTables, olderSql, sameKey } from './dialect.ts'
import { changingRows, insertSql, reviveSql, updateSql } from './merge.ts'
import { firstVersionsSql, scd2Sql } from './scd2.ts'

/** Runs statements in the load's transaction. */
export interface Executor {
  /** Rows that the statement inserted, updated (matched and written) or deleted. */
  change(sql: string): Promise<number>
  /** The numbers of a query's one row, by position; its columns have names of their own. */
  count(sql: string): Promise<number[]>
  /** What refers to the table by foreign keys, where the server acts on rows by them. */
  referring?: Referring
}

/**
 * Makes a table what its load says, from the staged rows and keys: every statement of every mode, in order. `created`:
 * the table holds no row yet. `between` is done after rows are taken away and before any comes; rows that others still refer to
 * go with what is given, which tells the counts. Fails with GUARD_STOPPED before anything is changed where a whole data set would
 * take away too many of the target's rows.
 */
export async function applyLoad(
  load: StagedLoad,
  runAt: Date,
  tables: LoadTables,
  run: Executor,
  created = false,
  between?: () => Promise<void>,
): Promise<() => Promise<LoadCounts>> {
  const change = (sql: string | undefined) => (sql ? run.change(sql) : Promise.resolve(0))
  const count = async (sql: string) => (await run.count(sql))[0]!
  const rows = await count(`SELECT count(*) FROM ${tables.staging} AS _nf_s`)
  const one = `SELECT count(*) FROM (SELECT 1 FROM ${tables.target} AS _nf_t LIMIT 1) AS one`
  const empty = created || (await count(one)) === 0
  const counts = { table: load.table, inserted: 0, updated: 0, deleted: 0, older: 0 }
  const cascades: string[] = []
  const goneRows = (where: string) => (columns: string[]) => {
    const list = columns.map(name => `_nf_t.${tables.dialect.quote(name)}`)
    return `SELECT ${list.join(', ')} FROM ${tables.target} AS _nf_t WHERE ${where}`
  }
  let last: (() => Promise<void>) | undefined
  let revived = 0
  if (load.key.length === 0) await between?.()
  // A change set without a key that is not whole has no row: the table holds them all.
  if (load.key.length === 0 && load.whole) {
    if (!empty) cascades.push(...((await run.referring?.lines(goneRows('TRUE'))) ?? []))
    Object.assign(counts, await exchange(load, rows, tables, run))
  } else if (load.key.length > 0) {
    const gone = empty ? undefined : deleteSql(load, tables, runAt)
    const lost = gone && load.whole ? await count(gone.count) : undefined
    if (lost) {
      const there = await count(
        `SELECT count(*) FROM ${tables.target} AS _nf_t WHERE ${liveSql(load, tables)}`,
      )
      tooManyDeletes(tables.where, load.guard.maxDeleteShare, lost, there)
    }
    if (gone && lost !== 0) {
      const removed = gone.removed === undefined ? undefined : goneRows(gone.removed)
      const remove = async (lines: string[]) => {
        cascades.push(...lines)
        counts.deleted = await change(gone.change)
      }
      if (removed && run.referring) last = await run.referring.removal(removed, remove)
      else await remove([])
    }
    await between?.()
    if (load.mode === 'scd2' && empty) counts.inserted = await change(firstVersionsSql(load, tables, runAt))
    else if (load.mode === 'scd2') {
      const { correct, insert, close } = scd2Sql(load, tables, runAt)
      counts.updated = await change(correct)
      counts.inserted = await change(insert)
      await change(close)
    } else {
      if (!empty) {
        cascades.push(...((await run.referring?.changes(changingRows(load, tables))) ?? []))
        counts.updated = await change(updateSql(load, tables))
        revived = await change(reviveSql(load, tables))
        counts.updated += revived
      }
      counts.inserted = await change(insertSql(load, tables, empty))
    }
  }
  const unchanged = rows - counts.inserted - counts.updated
  if (unchanged > 0 && leavesOlder(load))
    counts.older =
      -revived +
      (await count(
        `SELECT count(*) FROM ${tables.target} AS _nf_t JOIN ${tables.staging} AS _nf_s ON ${sameKey(load, tables)} WHERE ${olderSql(load, tables)}`,
      ))
  return async () => {
    await last?.()
    return { ...counts, unchanged: unchanged - counts.older, ...(cascades.length > 0 && { cascades }) }
  }
}

/** Empties the table and inserts every staged row: without a key nobody can tell which of them are new. */
async function exchange(load: StagedLoad, rows: number, tables: LoadTables, run: Executor) {
  const [there = 0] = await run.count(`SELECT count(*) FROM ${tables.target} AS _nf_t`)
  const deleted = Math.max(0, there - rows)
  tooManyDeletes(tables.where, load.guard.maxDeleteShare, deleted, there)
  if (there > 0) await run.change(tables.dialect.remove(tables.target, 'TRUE'))
  await run.change(insertSql(load, tables, true))
  return { inserted: rows, deleted: there }
}
