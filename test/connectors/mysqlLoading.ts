/** Loads into a MariaDB of the test file's own, whose rows are SQL. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import type { Offload, StagedLoad } from '../../engine/contracts/load.ts'
import { rowsOf } from '../../engine/parquet/read.ts'
import { Workers } from '../../engine/pool/pool.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { type Column, typeFromName } from '../../engine/types/logical.ts'
import { MysqlTarget } from '../../src/connectors/mysql/target.ts'
import { freshMariadb } from '../servers.ts'
import { commitOf } from './loading.ts'
import { PLAIN_LOAD } from './plainLoad.ts'

export const signal = new AbortController().signal
export let duck: Duck
let workers: Workers
let folder: string
export let target: MysqlTarget
let parts = 0

// Before the database's own hook, which counts the connections that are left.
after(async () => {
  await target?.close()
  await workers.close()
  duck.close()
  rmSync(folder, { recursive: true })
})
export const database = await freshMariadb()

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nightfreight-mysql-target-'))
  duck = await Duck.open({})
  await duck.run("SET TimeZone = 'UTC'")
  workers = new Workers(2)
})
/** Loads as this user from now on. */
export async function openAs(url: string): Promise<void> {
  await target?.close()
  target = new MysqlTarget({ name: 'w', url })
}

/** An empty database and a target on it. */
export async function fresh(...setup: string[]): Promise<void> {
  const { name } = database
  await database.query(`DROP DATABASE ${name}; CREATE DATABASE ${name} CHARACTER SET utf8mb4; USE ${name}`)
  for (const sql of setup) await database.query(sql)
  await openAs(database.url)
}

/** Writes a query's rows as a part. */
async function part(sql: string): Promise<{ path: string; columns: Column[]; rows: number }> {
  const path = join(folder, `part-${parts++}.parquet`)
  await duck.run(`COPY (${sql}) TO ${quote(path)} (FORMAT parquet)`)
  const columns = (await duck.rows(`DESCRIBE ${sql}`)).map(({ column_name, column_type }): Column => {
    const type = typeFromName(String(column_type))
    assert.ok(type, String(column_type))
    return { name: String(column_name), type, nullable: true, native: String(column_type) }
  })
  return { path, columns, rows: await rowsOf(path) }
}

/** Calls in this thread: a worker's start takes longer than most of these loads. */
const here: Offload = async (module, name, input) => (await import(module))[name](input)
let offload = here
/** From here on loads encode in worker threads, as a run does. */
export function inWorkers(): void {
  offload = workers.offload
}

/** A load's rows as SQL, in a second part more of them, and the SQL of its keys where it has some. */
interface Rows {
  rows: string
  more?: string
  keys?: string
}

const of = (sql: string | Rows): Rows => (typeof sql === 'string' ? { rows: sql } : sql)

export async function stage(
  loadId: string,
  spec: Partial<StagedLoad>,
  sql: string | Rows,
  into = target,
): Promise<StagedLoad> {
  const { rows, more, keys } = of(sql)
  const upserts = await part(rows)
  const second = more === undefined ? undefined : await part(more)
  const keyed = keys === undefined ? undefined : await part(keys)
  const load: StagedLoad = {
    ...PLAIN_LOAD,
    guard: { maxDeleteShare: 1, allowEmpty: false },
    ...spec,
    columns: upserts.columns,
  }
  const files = {
    paths: [upserts.path, ...(second ? [second.path] : [])],
    rows: upserts.rows + (second?.rows ?? 0),
    keyPaths: keyed ? [keyed.path] : [],
    keys: keyed?.rows ?? 0,
  }
  const means = { lanes: 2, progress: () => {}, offload }
  await into.stage({ loadId, job: 'j', load, ...files, ...means }, signal)
  return load
}

export async function load(loadId: string, spec: Partial<StagedLoad>, sql: string | Rows) {
  const planned = await stage(loadId, spec, sql)
  const { counts } = await target.commit(commitOf(loadId, planned), signal)
  const { inserted, updated, deleted, unchanged } = counts[0]!
  return [inserted, updated, deleted, unchanged].join(' ')
}

export const values = (columns: string, ...rows: string[]) =>
  `SELECT * FROM (VALUES ${rows.join(', ')}) AS v(${columns})`

export async function read(sql: string): Promise<string[]> {
  const rows = await database.query(sql)
  return rows.map(row =>
    Object.values(row)
      .map(value => value ?? 'NULL')
      .join(' '),
  )
}
