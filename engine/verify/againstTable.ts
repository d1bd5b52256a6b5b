import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { decidingColumns, endColumn, removesGone } from '../contracts/semantics.ts'
import type { Part } from '../contracts/staging.ts'
import { type Changes, countsOf } from '../diff/changeSet.ts'
import { KIND, ROW, WAS } from '../diff/compare.ts'
import { tooManyDeletes } from '../diff/guard.ts'
import type { Described } from '../diff/preview.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { quoteName } from '../sql/duckdb.ts'
import { allRows, goodRows } from '../staging/dataSet.ts'
import { PartSink } from '../staging/partSink.ts'
import { copyFile, copyParts } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { columnNamed, typeName } from '../types/logical.ts'
import { heldSql, keysOf, sumOf } from './compare.ts'

/**
 * A change set that only the target can tell the differences of, with what they are: its table is read, and nothing is written
 * there. Others are given back as they are. Fails with GUARD_STOPPED where the load would.
 */
export async function againstTable(context: RunContext, change: Changes): Promise<Described> {
  const { load, whole, list, there, counts } = change
  const none = { change, notes: [], remove() {} }
  if (!whole || list || !there || there.rows === 0) return none
  const where = `${load.to}.${load.table}`
  const limit = (deletes: number, rows: number) =>
    tooManyDeletes(where, load.guard.maxDeleteShare, deletes, rows)
  if (load.key.length === 0 && !context.targets.get(load.to)!.keepsEqual) {
    limit(Math.max(0, there.rows - counts.rows), there.rows)
    const deletes = there.rows
    return { ...none, change: { ...change, counts: { ...counts, inserts: counts.rows, deletes } } }
  }
  const folder = ownFile(context, `against/${load.table}`)
  const remove = () => rmSync(join(context.root, folder), { recursive: true, force: true })
  try {
    const { held, notes, list } = await differing(context, change, folder)
    const kinds = await context.duck.rows(
      `SELECT ${KIND} AS kind, count(*) AS n FROM ${filesSql(context.root, [list])} GROUP BY ${KIND}`,
    )
    const of = (kind: string) => Number(kinds.find(found => found.kind === kind)?.n ?? 0)
    const found = { ...counts, ...countsOf(load, of) }
    if (removesGone(load))
      limit(
        found.deletes,
        held.reduce((sum, { rows }) => sum + rows, 0),
      )
    return { change: { ...change, list: [list], was: { parts: held }, counts: found }, notes, remove }
  } catch (error) {
    remove()
    throw error
  }
}

/** The table's rows of today in the load's types, and the list of what differs from them. */
async function differing(context: RunContext, change: Changes, folder: string) {
  const { duck, root, targets, signal, spec, run } = context
  const { load, table, state, keys } = change
  const target = targets.get(load.to)!
  const verifier = target.verifier!
  const schema = (await target.describe(load.table, signal))!
  const can = await verifier.comparable(load, signal)
  const missing = load.columns.filter(({ name }) => !columnNamed(schema.columns, name))
  const compared = decidingColumns(load).flatMap(name => {
    const column = can.columns.find(one => one.name === name && !one.parsed)
    return column ?? missing.find(one => one.name === name) ?? []
  })
  const uncompared = decidingColumns(load).filter(name => !compared.some(one => one.name === name))
  const loadId = `${spec.job}/${run}/${load.to}/against`
  // A column that marks or ends rows is not there before the first load of ours.
  const end = endColumn(load)
  const isMarked = end === undefined || columnNamed(schema.columns, end)
  const alive = isMarked ? load : ({ ...load, mode: 'merge', deletes: 'keep' } as const)
  const sink = new PartSink(root, `${folder}/read`)
  await verifier.read({ loadId, load: alive, columns: can.columns, of: 'all', staged: false, sink }, signal)
  const values = load.columns.map(({ name, type }) => {
    const isThere = can.columns.some(one => one.name === name)
    return isThere ? quoteName(name) : `NULL::${typeName(type)} AS ${quoteName(name)}`
  })
  const rows = `SELECT ${values.join(', ')} FROM (${await heldSql(duck, root, sink.parts, can.columns)})`
  const held: Part[] = await copyParts(context, rows, `${folder}/held`)
  // Without a key, rows that are equal are one another's.
  const keyless = load.key.length === 0
  const sides = {
    key: load.key.map(name => [...can.columns, ...load.columns].find(one => one.name === name)!),
    newer: undefined,
    compared,
  }
  const sum = sumOf(sides)
  const own = keyless ? `row_number() OVER (PARTITION BY ${sum}) AS _nf_twin` : keysOf(sides)
  const side = (from: string, as: string) =>
    `SELECT ${own}, ${sum} AS _nf_sum, file_row_number AS ${as} FROM (${from})`
  const good = `SELECT * FROM (${goodRows(root, table, true)})
    ${state ? `WHERE file_row_number IN (SELECT ${ROW} FROM ${filesSql(root, state)} WHERE ${ROW} >= 0)` : ''}`
  const names = load.key.map(quoteName)
  const joined = keyless ? ['_nf_twin', '_nf_sum'] : names
  const kept =
    keys.length > 0
      ? `CASE WHEN (${names.map(name => `t.${name}`).join(', ')}) IN (SELECT (${names.join(', ')}) FROM ${filesSql(root, keys)}) THEN 'kept' ELSE 'delete' END`
      : `'delete'`
  const all = `SELECT CASE WHEN t.${WAS} IS NULL THEN 'insert' WHEN n.${ROW} IS NULL THEN ${kept} ELSE 'update' END AS ${KIND},
      n.${ROW} AS ${ROW}, t.${WAS} AS ${WAS}${names.map(name => `, coalesce(n.${name}, t.${name}) AS ${name}`).join('')}
    FROM (${side(good, ROW)}) AS n FULL JOIN (${side(`SELECT * FROM ${allRows(root, { parts: held })}`, WAS)}) AS t
      ON ${joined.map(name => `n.${name} = t.${name}`).join(' AND ')}
    WHERE n.${ROW} IS NULL OR t.${WAS} IS NULL OR n._nf_sum <> t._nf_sum`
  const notes = uncompared.map(
    name =>
      `rows that differ in ${name} alone are not counted: only the load can tell whether it equals a text`,
  )
  return { held, notes, list: await copyFile(context, all, `${folder}/list.parquet`) }
}
