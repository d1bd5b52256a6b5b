/**
 * `npm run soak:transaction`: one transaction of 5 million rows (SOAK_ROWS) is read from the log and loaded into DuckDB, and the
 * process never holds more than the job's memory.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { follow as followProcess } from '../../benchmarks/measure.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { commandLine } from '../commandLine.ts'
import { dropAfter, reversed } from '../jobs/following.ts'
import { smallJob } from '../jobs/small.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'

const ROWS = Number(process.env.SOAK_ROWS ?? 5_000_000)
const MEMORY_MB = 1000

for (const { kind, fresh, series, i } of [
  { kind: 'postgres', fresh: freshPostgres, series: `generate_series(1, ${ROWS}) AS i`, i: 'i' },
  { kind: 'mariadb', fresh: freshMariadb, series: `seq_1_to_${ROWS}`, i: 'seq' },
])
  test(`${kind}: a transaction of ${ROWS} rows stays within the memory of the job`, async t => {
    const own = reversed(t)
    const { url, query } = await fresh(own)
    await query('CREATE TABLE orders (id bigint PRIMARY KEY, n int, note varchar(60), price numeric(12,2))')
    await query(`INSERT INTO orders VALUES (0, 0, 'first', 1)`)
    const job = await smallJob(own, `transaction_${kind}`, {})
    const path = join(job.home, 'warehouse.duckdb')
    job.yaml(`connections: { s: "${url}", w: "duckdb://${path}" }
extract: { orders: { from: s, table: orders, mode: changes } }
load: { orders: { to: w, from: orders, key: id, deletes: hard } }
resources: { memory: ${MEMORY_MB}MB, threads: 2 }
`)
    dropAfter(own, job)
    const run = async () => {
      let followed: ReturnType<typeof followProcess> | undefined
      const begun = performance.now()
      const { code, output } = await commandLine(job.home, ['run', job.folder], {
        begun: ({ pid }) => {
          followed = followProcess(pid!)
        },
      })
      const { peak } = followed!.stop()
      assert.equal(code, 0, output)
      return {
        output,
        peakMb: Math.round(peak / 1e6),
        seconds: Math.round((performance.now() - begun) / 1000),
      }
    }
    await run()
    await query('BEGIN')
    await query(
      `INSERT INTO orders SELECT ${i}, ${i} % 1000, concat('the note of order ', ${i}), ${i} % 10000 FROM ${series}`,
    )
    await query('UPDATE orders SET n = n + 1 WHERE id % 10 = 0')
    await query('DELETE FROM orders WHERE id % 100 = 1')
    await query('COMMIT')
    const { output, peakMb, seconds } = await run()
    t.diagnostic(
      `${/orders: \d+ inserts.*/.exec(output)?.[0]}; peak ${peakMb} MB of ${MEMORY_MB}, ${seconds} s`,
    )
    assert.ok(peakMb < MEMORY_MB, `${peakMb} MB`)
    const facts = 'SELECT count(*) AS n, sum(id) AS ids, sum(n) AS ns FROM '
    const text = ([row]: Record<string, unknown>[]) =>
      Object.fromEntries(Object.entries(row!).map(([name, value]) => [name, String(value)]))
    const duck = await Duck.open({ path })
    const found = text(await duck.rows(`${facts}orders`))
    duck.close()
    assert.deepEqual(found, text(await query(`${facts}orders`)))
  })
