import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { smallJob } from '../../jobs/small.ts'
import { freshPostgres } from '../../servers.ts'

test('a value that DuckDB has not is refused, with its column and row, and as text it goes along', async () => {
  const source = await freshPostgres()
  await source.query('CREATE TABLE odd (id int PRIMARY KEY, c int[], i interval, d date[])')
  const yaml = (columns: string) => `connections: { s: "${source.url}", w: "duckdb:w.duckdb" }
extract: { odd: { from: s, table: odd${columns} } }
load: { odd: { to: w, from: odd, key: id, mode: replace } }
resources: { memory: 300MB, threads: 1 }
`
  for (const [column, literal, type] of [
    ['c', '{{1,2},{3,4}}', 'INTEGER[]'],
    ['c', '[2:3]={1,2}', 'INTEGER[]'],
    ['i', 'infinity', 'INTERVAL'],
    ['d', '{-infinity}', 'DATE[]'],
  ] as const) {
    await source.query(`TRUNCATE odd; INSERT INTO odd (id, ${column}) VALUES (1, NULL), (7, '${literal}')`)
    const job = await smallJob({ after }, 'odd', { 'job.yaml': yaml('') })
    const { error } = await job.run()
    assert.equal((error as Error).message, `w.odd.${column}: ${literal} is no ${type}, where id = 7`)
    assert.match((error as { hint: string }).hint, new RegExp(`columns: \\{ ${column}: text \\}`))
    const other = await smallJob({ after }, 'odd_text', {
      'job.yaml': yaml(`, columns: { ${column}: text }`),
    })
    assert.equal((await other.run()).error, undefined)
  }
})
