import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Duck, quote } from '../../engine/sql/duckdb.ts'

function emptyFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'nightfreight-groups-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('what DuckDB writes of wide rows has row groups of some four million values', async t => {
  const folder = emptyFolder(t)
  const groups = async (columns: number, rows: number) => {
    const duck = await Duck.open({ threads: 1 })
    const path = join(folder, `${columns}.parquet`)
    const list = Array.from({ length: columns }, (_, at) => `i + ${at} AS c${at}`)
    await duck.copyParquet(`SELECT ${list.join(', ')} FROM range(${rows}) AS r(i)`, path)
    const found = await duck.rows(
      `SELECT num_row_groups::INT AS n, num_rows::INT AS r FROM parquet_file_metadata(${quote(path)})`,
    )
    duck.close()
    assert.equal(found[0]!.r, rows)
    return found[0]!.n
  }
  assert.equal(await groups(16, 100_000), 1)
  assert.equal(await groups(512, 40_960), 5)
})

test('rows that do not fit into memory by row groups of the size asked for are written in small ones', async t => {
  const folder = emptyFolder(t)
  const duck = await Duck.open({ threads: 2, memory: 2 ** 27, temp: folder })
  t.after(() => duck.close())
  const path = join(folder, 'long.parquet')
  const sql = `SELECT i, repeat(md5(i::VARCHAR), 300) AS v FROM range(30000) AS r(i)`
  await duck.copyParquet(sql, path, 'COMPRESSION zstd', 'ROW_GROUP_SIZE 98689')
  const [found] = await duck.rows(
    `SELECT num_row_groups::INT AS n, num_rows::INT AS r FROM parquet_file_metadata(${quote(path)})`,
  )
  assert.deepEqual(found, { n: 15, r: 30_000 })
})
