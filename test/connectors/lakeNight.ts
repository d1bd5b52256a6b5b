import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { CommitResult, LoadCommit, StagedLoad } from '../../engine/contracts/load.ts'
import type { Target } from '../../engine/contracts/target.ts'
import { rowsOf } from '../../engine/parquet/read.ts'
import type { Duck } from '../../engine/sql/duckdb.ts'
import { type Column, typeFromName } from '../../engine/types/logical.ts'
import { PLAIN_LOAD } from './plainLoad.ts'

/** One load of one table, as a test says it. */
export interface LoadInput {
  loadId: string
  /** Of the load, what is not the default: a merge by `id` into `t`. */
  spec?: Partial<StagedLoad>
  /** The staged rows. */
  sql: string
  /** Files of these rows, where others stage them than DuckDB. */
  paths?: string[]
  /** The staged keys. */
  keySql?: string
  job?: string
}

const signal = new AbortController().signal

async function part(duck: Duck, folder: string, sql: string) {
  const path = join(folder, `part-${randomUUID()}.parquet`)
  await duck.copyParquet(sql, path)
  return { path, rows: await rowsOf(path) }
}

async function columnsOf(duck: Duck, sql: string): Promise<Column[]> {
  const described = await duck.rows(`DESCRIBE ${sql}`)
  return described.map(({ column_name, column_type }) => {
    const type = typeFromName(String(column_type))
    assert.ok(type, String(column_type))
    return { name: String(column_name), type, nullable: true, native: String(column_type) }
  })
}

/** Stages one load; the load to commit. */
export async function stageInto(
  duck: Duck,
  folder: string,
  target: Target,
  input: LoadInput,
): Promise<StagedLoad> {
  const { loadId, spec, sql, paths, keySql, job = 'j' } = input
  const own = paths ? [] : [await part(duck, folder, sql)]
  const rows = paths ? await Promise.all(paths.map(rowsOf)) : own.map(file => file.rows)
  const total = rows.reduce((sum, n) => sum + n, 0)
  const keys = keySql === undefined ? undefined : await part(duck, folder, keySql)
  const load: StagedLoad = {
    ...PLAIN_LOAD,
    guard: { maxDeleteShare: 1, allowEmpty: true },
    schema: 'apply-safe',
    ...spec,
    columns: await columnsOf(duck, sql),
  }
  const request = {
    loadId,
    job,
    load,
    paths: paths ?? (total > 0 ? own.map(file => file.path) : []),
    rows: total,
    keyPaths: keys ? [keys.path] : [],
    keys: keys?.rows ?? 0,
    lanes: 1,
    offload: () => assert.fail('nothing is offloaded'),
    progress: () => {},
  }
  await target.stage(request, signal)
  return load
}

export const commitOf = (loadId: string, loads: StagedLoad[], job = 'j'): LoadCommit => ({
  loadId,
  job,
  run: loadId,
  runAt: new Date('2026-01-31T02:00:00Z'),
  loads,
  tables: loads.map(({ table }) => table),
  syncPoints: [{ extract: 'members', value: `at ${loadId}`, run: loadId }],
})

/** Stages and commits one load. */
export async function loadInto(
  duck: Duck,
  folder: string,
  target: Target,
  input: LoadInput,
): Promise<CommitResult> {
  const load = await stageInto(duck, folder, target, input)
  return target.commit(commitOf(input.loadId, [load], input.job), signal)
}
