import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { stripped } from '../../engine/sql/text.ts'

let duck: Duck
before(async () => {
  duck = await Duck.open({ threads: 1 })
})
after(() => duck.close())

/** Files of one query each, all of which give the one value. */
const FILES: [file: string, value: unknown][] = [
  ['SELECT 1 AS x', 1],
  ['SELECT 1 AS x;\n', 1],
  ['SELECT 1 AS x -- the end', 1],
  ['SELECT 1 AS x; -- the end\n', 1],
  ['SELECT 1 AS x\n/* the; end */\n;;\n-- of it;', 1],
  ["SELECT '-- it''s; not' AS x -- it's", "-- it's; not"],
  [`SELECT "a--b;" AS x FROM (SELECT 2 AS "a--b;") --'`, 2],
  ["SELECT e'\\'--' AS x -- '", "'--"],
  ['SELECT $$--;$$ AS x --$$', '--;'],
  ['SELECT 5 - -3 AS x', 8],
]

for (const [file, value] of FILES)
  test(`a query within another: ${JSON.stringify(file)}`, async () => {
    const rows = await duck.rows(`SELECT x FROM (${stripped(file)})`)
    assert.deepEqual(rows, [{ x: value }])
  })
