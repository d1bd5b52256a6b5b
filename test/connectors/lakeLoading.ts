/** Lakes of a test file, and what loads into them leave. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import type { LoadCounts } from '../../engine/contracts/load.ts'
import type { Target } from '../../engine/contracts/target.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { Log } from '../../src/connectors/lake/log.ts'
import { LakeTarget } from '../../src/connectors/lake/target.ts'
import type { FileFormat } from '../../src/connectors/lake/write.ts'
import { type LoadInput, loadInto } from './lakeNight.ts'
import { newShelf, onS3, type Shelf } from './lakePlaces.ts'

export const signal = new AbortController().signal
export const folder = mkdtempSync(join(tmpdir(), 'nightfreight-lake-'))
export const FORMAT: FileFormat = { compression: 'zstd', target: 1500 }
export let duck: Duck
before(async () => {
  duck = await Duck.open({ threads: 1 })
})
after(() => {
  duck.close()
  rmSync(folder, { recursive: true, force: true })
})

export function fresh(target = FORMAT.target) {
  const root = newShelf(folder)
  const opened: Target = new LakeTarget(root.store(), 'w', { ...FORMAT, target })
  return { root, target: opened }
}

export const load = async (target: Target, input: LoadInput): Promise<LoadCounts> => {
  const { counts } = await loadInto(duck, folder, target, input)
  return counts[0]!
}

export const counted = async (target: Target, loadId: string, sql: string, spec: LoadInput['spec'] = {}) => {
  const { inserted, updated, deleted, unchanged } = await load(target, { loadId, sql, spec })
  return [inserted, updated, deleted, unchanged]
}

export const newestOf = async (root: Shelf) => {
  const log = new Log(root.store())
  return (await log.manifest(await log.newest(), 't'))!
}

/** A table's rows as anyone with a DuckDB shell reads them. */
export async function rowsOf(root: Shelf, select = '*', table = 't'): Promise<string[]> {
  const view = (await root.get(`${table}/_current.sql`)).toString()
  // A shell with httpfs reads S3 itself.
  const here = (text: string) => text.replaceAll("'", "''").replace(/[*?[\]]/g, '[$&]')
  await duck.run(onS3 ? view.replaceAll(here(root.store().where), await root.mirror()) : view)
  const rows = await duck.rows(`SELECT ${select} FROM "${table}"`)
  return rows.map(row => Object.values(row).join(' ')).sort()
}

/** A table's rows as a reader has them that is given a glob. */
export async function globOf(root: Shelf, select = '*', hive = false): Promise<string[]> {
  const files = quote(`${(await root.mirror()).replace(/[*?[\]]/g, '[$&]')}/t/**/*.parquet`)
  const rows = await duck.rows(`SELECT ${select} FROM read_parquet(${files}, hive_partitioning = ${hive})`)
  return rows.map(row => Object.values(row).join(' ')).sort()
}

export const values = (columns: string, ...rows: string[]) =>
  `SELECT * FROM (VALUES ${rows.join(', ')}) AS v(${columns})`

/** The folder holds the files of the newest manifest and no other, each as listed: rows, partition and key range. */
export async function checkFiles(root: Shelf): Promise<void> {
  const folder = await root.mirror()
  const log = new Log(root.store())
  const manifest = (await log.manifest(await log.newest(), 't'))!
  assert.deepEqual(await root.names(/^t\/.*\.parquet$/), manifest.files.map(({ path }) => `t/${path}`).sort())
  for (const { path, rows, bytes, partition, min, max } of manifest.files) {
    const file = join(folder, 't', path)
    assert.equal(statSync(file).size, bytes)
    const names = [...manifest.partitionBy, ...manifest.key]
    const columns = names.map(
      name => `min("${name}")::VARCHAR AS "min ${name}", max("${name}")::VARCHAR AS "max ${name}"`,
    )
    const [found] = await duck.rows(
      `SELECT count(*) AS n${columns.map(column => `, ${column}`).join('')} FROM read_parquet(${quote(file)}, hive_partitioning = false)`,
    )
    assert.equal(found!.n, rows)
    for (const [index, name] of manifest.partitionBy.entries())
      assert.deepEqual([found![`min ${name}`], found![`max ${name}`]], [partition[index], partition[index]])
    for (const name of manifest.key)
      assert.deepEqual([found![`min ${name}`], found![`max ${name}`]], [min[name] ?? null, max[name] ?? null])
  }
}
