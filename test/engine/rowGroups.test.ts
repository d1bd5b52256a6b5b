import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Duck, quote } from '../../engine/sql/duckdb.ts'

test('what DuckDB writes of wide rows has row groups of some four million values', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'nightfreight-groups-'))
  t.after(() => rmSync(folder, { recursive: true }))
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
