import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import type { LoadCommit, StagedLoad } from '../../engine/contracts/load.ts'
import type { Target } from '../../engine/contracts/target.ts'
import { rowsOf } from '../../engine/parquet/read.ts'
import { Workers } from '../../engine/pool/pool.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { type Column, typeFromName } from '../../engine/types/logical.ts'
import { PLAIN_LOAD } from './plainLoad.ts'

export const signal = new AbortController().signal

/** Loads queries' rows into targets, part by part, without a job; for one test file. */
export function loading() {
  let duck: Duck
  let workers: Workers
  let folder: string
  let parts = 0
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'nightfreight-targets-'))
    duck = await Duck.open({})
    workers = new Workers(2)
  })
  after(async () => {
    await workers.close()
    duck.close()
    rmSync(folder, { recursive: true })
  })

  /** Writes a query's rows as a part. */
  async function part(sql: string): Promise<{ path: string; columns: Column[]; rows: number }> {
    const path = join(folder, `part-${parts++}.parquet`)
    await duck.run(`COPY (${sql}) TO ${quote(path)} (FORMAT parquet)`)
    const described = await duck.rows(`DESCRIBE ${sql}`)
    const columns = described.map(({ column_name, column_type }): Column => {
      const type = typeFromName(String(column_type))
      assert.ok(type, String(column_type))
      return { name: String(column_name), type, nullable: true, native: String(column_type) }
    })
    return { path, columns, rows: await rowsOf(path) }
  }

  /** Stages a query's rows, and another's keys. */
  async function stage(
    target: Target,
    loadId: string,
    spec: Partial<StagedLoad>,
    sql: string,
    keys?: string,
  ): Promise<StagedLoad> {
    const { path, columns, rows } = await part(sql)
    const gone = keys === undefined ? undefined : await part(keys)
    const load: StagedLoad = {
      ...PLAIN_LOAD,
      ...spec,
      columns,
    }
    const request = {
      loadId,
      job: 'j',
      load,
      paths: [path],
      rows,
      keyPaths: gone ? [gone.path] : [],
      keys: gone?.rows ?? 0,
      lanes: 2,
      progress: () => {},
    }
    await target.stage({ ...request, offload: workers.offload }, signal)
    return load
  }

  async function load(target: Target, loadId: string, spec: Partial<StagedLoad>, sql: string, keys?: string) {
    const planned = await stage(target, loadId, spec, sql, keys)
    const { counts } = await target.commit(commitOf(loadId, planned), signal)
    return counts[0]!
  }

  return {
    stage,
    load,
    path: (name: string) => join(folder, `${name}-${parts++}`),
    rowsOfQuery: (sql: string) => duck.rows(sql),
  }
}

export const commitOf = (loadId: string, ...loads: StagedLoad[]): LoadCommit => ({
  loadId,
  job: 'j',
  run: loadId,
  runAt: new Date('2026-01-31T02:00:00Z'),
  loads,
  tables: loads.map(({ table }) => table),
  syncPoints: [{ extract: 'members', value: `at ${loadId}`, run: loadId }],
})

/** SQL of rows listed: `rows('(1, 2)') AS v(id, x)`. */
export const rows = (...values: string[]) => `SELECT * FROM (VALUES ${values.join(', ')})`
