import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { REJECTED } from '../../engine/batch/builder.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { parquetSql } from '../../engine/sql/files.ts'
import type { Column } from '../../engine/types/logical.ts'
import { declaredType } from '../../src/connectors/declare/declared.ts'
import { fieldSql, OWN } from '../../src/formats/field.ts'
import { writeTyped } from '../../src/formats/typed.ts'

const TYPES = ['BIGINT', 'DECIMAL(38,2)', 'DATE', 'TIMESTAMP']
const GOOD = ['7', '1.25', '2026-01-31', '2026-01-31 10:00:00']

let duck: Duck
let folder: string
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nightfreight-wide-'))
  duck = await Duck.open({ threads: 1 })
})
after(() => {
  duck.close()
  rmSync(folder, { recursive: true })
})

/** Writes a row of good values, and one whose last is none, of so many columns; gives the CPU time that takes. */
async function written(count: number): Promise<{ seconds: number; path: string }> {
  const path = join(folder, `${count}.parquet`)
  const columns: Column[] = Array.from({ length: count }, (_, index) => ({
    name: `c${index}`,
    type: declaredType(TYPES[index % 4]!)!,
    nullable: true,
    native: 'VARCHAR',
    policy: 'quarantine',
  }))
  const texts = columns.map((_, index) => `'${GOOD[index % 4]}' AS c${index}`)
  await duck.run(
    `CREATE OR REPLACE TEMP TABLE wide AS SELECT 0 AS _file, 1::BIGINT AS _line, ${texts.join(', ')}`,
  )
  await duck.run(`INSERT INTO wide SELECT * REPLACE (2 AS _line, '007' AS c${count - 4}) FROM wide`)
  const rejected: Column = { name: REJECTED, type: declaredType('VARCHAR')!, nullable: true, native: '' }
  const value = (column: Column) => ({
    text: column.name,
    ...fieldSql(column.name, column.type, {}, OWN),
  })
  const start = process.cpuUsage()
  await writeTyped(duck, 'test', [...columns, rejected], { from: 'wide', names: ['f.csv'], value }, path)
  const { user, system } = process.cpuUsage(start)
  return { seconds: (user + system) / 1e6, path }
}

test('four times the columns take about four times as long, and each value is checked', async () => {
  await written(40)
  const few = await written(400)
  const many = await written(1600)
  assert.ok(many.seconds < 7 * few.seconds, `${few.seconds} s, then ${many.seconds} s`)
  const rows = await duck.rows(
    `SELECT c0, c1::VARCHAR AS c1, c1596, ${REJECTED} AS why FROM ${parquetSql([many.path])} ORDER BY why NULLS FIRST`,
  )
  assert.deepEqual(rows, [
    { c0: 7, c1: '1.25', c1596: 7, why: null },
    {
      c0: 7,
      c1: '1.25',
      c1596: null,
      why: '[{"column":"c1596","value":"007","reason":"is not a value that BIGINT holds exactly (f.csv line 2)"}]',
    },
  ])
})
