import type { LoadCounts, StagedLoad } from '../../../engine/contracts/load.ts'
import { tooManyDeletes } from '../../../engine/diff/guard.ts'
import { deleteSql, deletesRows, goneSql, liveSql, partitionSql } from './deletes.ts'
import { comparedColumns, differing, type LoadTables, sameKey } from './dialect.ts'
import { insertSql, reviveSql, updateSql } from './merge.ts'
import { firstVersionsSql, scd2Sql } from './scd2.ts'

/** Runs statements in the load's transaction. */
export interface Executor {
  /** Rows that the statement inserted, updated (matched and written) or deleted. */
  change(sql: string): Promise<number>
  /** The numbers of a query's one row, by position; its columns have names of their own. */
  count(sql: string): Promise<number[]>
}

/**
 * Makes a table what its load says, from the staged rows and keys: every statement of every mode, in order. `created`:
 * the table holds no row yet. Fails with GUARD_STOPPED before anything is changed where a whole data set would take
 * away too many of the target's rows.
 */
export async function applyLoad(
  load: StagedLoad,
  runAt: Date,
  tables: LoadTables,
  run: Executor,
  created = false,
): Promise<LoadCounts> {
  const change = (sql: string | undefined) => (sql ? run.change(sql) : Promise.resolve(0))
  const [rows = 0] = await run.count(`SELECT count(*) FROM ${tables.staging} AS s`)
  const [some = 0] = created
    ? [0]
    : await run.count(`SELECT count(*) FROM (SELECT 1 FROM ${tables.target} AS t LIMIT 1) AS one`)
  const empty = some === 0
  const counts = { table: load.table, inserted: 0, updated: 0, deleted: 0 }
  // Nothing has changed since the last load.
  const exchanges = load.mode === 'partition' || (load.mode === 'replace' && load.key.length === 0)
  if (exchanges) {
    if (load.whole || load.mode === 'partition')
      Object.assign(counts, await exchange(load, rows, tables, run))
  } else if (load.mode !== 'replace' || load.whole) {
    if (deletesRows(load) && !empty) {
      if (load.whole) await guardDeletes(load, tables, run)
      counts.deleted = await change(deleteSql(load, tables, runAt))
    }
    if (load.mode === 'scd2' && empty) counts.inserted = await change(firstVersionsSql(load, tables, runAt))
    else if (load.mode === 'scd2') {
      const { correct, insert, close } = scd2Sql(load, tables, runAt)
      counts.updated = await change(correct)
      counts.inserted = await change(insert)
      await change(close)
    } else {
      if (load.mode !== 'append' && !empty)
        counts.updated = (await change(updateSql(load, tables))) + (await change(reviveSql(load, tables)))
      counts.inserted = await change(insertSql(load, tables, empty))
    }
  }
  return { ...counts, unchanged: rows - counts.inserted - counts.updated }
}

async function guardDeletes(load: StagedLoad, tables: LoadTables, run: Executor): Promise<void> {
  const among = (where: string) => `SELECT count(*) FROM ${tables.target} AS t WHERE ${where}`
  const [there = 0] = await run.count(among(liveSql(load, tables)))
  const [gone = 0] = await run.count(among(goneSql(load, tables)))
  tooManyDeletes(tables.where, load.guard.maxDeleteShare, gone, there)
}

/** Empties the table, or the partitions staged, and inserts every staged row; counted as what it comes to. */
async function exchange(load: StagedLoad, rows: number, tables: LoadTables, run: Executor) {
  const { target, staging, dialect } = tables
  const old = partitionSql(load, tables)
  const [removing = 0] = await run.count(`SELECT count(*) FROM ${target} AS t WHERE ${old}`)
  let kept = 0
  let updated = 0
  if (load.key.length > 0 && removing > 0)
    [kept = 0, updated = 0] = await run.count(
      `SELECT count(*) AS kept, count(CASE WHEN ${differing(tables, comparedColumns(load))} THEN 1 END) AS updated
       FROM ${target} AS t JOIN ${staging} AS s ON ${sameKey(load, tables)} WHERE ${old}`,
    )
  const deleted = load.key.length > 0 ? removing - kept : removing
  if (load.whole) {
    const fewer = load.key.length > 0 ? deleted : Math.max(0, removing - rows)
    tooManyDeletes(tables.where, load.guard.maxDeleteShare, fewer, removing)
  }
  if (removing > 0) await run.change(dialect.remove(target, old))
  await run.change(insertSql(load, tables, true))
  return { inserted: rows - kept, updated, deleted }
}
