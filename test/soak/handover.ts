/**
 * `npm run soak:handover`: a table of 3 million rows (SOAK_ROWS) is read whole, and its log from then on, while others write to it
 * more than 2,000 rows a second and the reader is killed twice in the middle of the table. Afterwards both tables are equal.
 */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { commandLine } from '../commandLine.ts'
import { dropAfter, reversed } from '../jobs/following.ts'
import { type SmallJob, smallJob } from '../jobs/small.ts'
import { randomOf } from '../random.ts'
import { freshMariadb, freshPostgres, type Hooks } from '../servers.ts'

const ROWS = Number(process.env.SOAK_ROWS ?? 3_000_000)
const WANTED_RATE = 2000
const STEP_MS = 50

/** A connection of a writer's own. */
async function writerOf(hooks: Hooks, url: string): Promise<(sql: string) => Promise<number>> {
  if (url.startsWith('postgres')) {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    hooks.after(() => client.end())
    return async sql => (await client.query(sql)).rowCount ?? 0
  }
  const client = await mysql.createConnection({ uri: url })
  hooks.after(() => client.end())
  return async sql => ((await client.query(sql))[0] as { affectedRows?: number }).affectedRows ?? 0
}

/** Writes until it is told to stop; gives how many rows, in how many seconds. */
function writing(write: (sql: string) => Promise<number>): () => Promise<{ rows: number; seconds: number }> {
  const random = randomOf(7)
  const any = (count: number) => Math.floor(random() * count)
  const ids = (count: number) => Array.from({ length: count }, () => any(ROWS)).join(', ')
  const state = { rows: 0, stopped: false, next: 10 * ROWS }
  const begun = performance.now()
  const end = (async () => {
    for (let due = begun; !state.stopped; due += STEP_MS) {
      const fresh = Array.from({ length: 25 }, () => `(${state.next++}, ${any(1e6)}, 'written', 1.25)`)
      const moved = any(ROWS)
      // One transaction: with a sync of the server's log each, the disk would set the rate.
      for (const sql of [
        'BEGIN',
        `UPDATE orders SET n = n + 1 WHERE id IN (${ids(65)})`,
        `UPDATE orders SET note = 'another note' WHERE id IN (${ids(25)})`,
        `DELETE FROM orders WHERE id IN (${ids(10)})`,
        `INSERT INTO orders VALUES ${fresh.join(', ')}`,
        `UPDATE orders SET id = ${20 * ROWS + state.next++} WHERE id = ${moved}`,
        'COMMIT',
      ])
        state.rows += await write(sql)
      await delay(Math.max(0, due + STEP_MS - performance.now()))
    }
  })()
  return async () => {
    state.stopped = true
    await end
    return { rows: state.rows, seconds: (performance.now() - begun) / 1000 }
  }
}

/** Kills a run once it has kept more rows of the table than the one before. */
async function killAmid({ home, folder }: SmallJob): Promise<string> {
  let child: ChildProcess | undefined
  const ended = commandLine(home, ['run', folder], {
    begun: process => {
      child = process
    },
  })
  const kept = () =>
    globSync(join(home, '**/progress/orders.json')).reduce((sum, file) => {
      const { parts } = JSON.parse(readFileSync(file, 'utf8')) as { parts: { rows: number }[] }
      return sum + parts.reduce((all, part) => all + part.rows, 0)
    }, 0)
  const before = kept()
  while (kept() === before) {
    assert.equal(child!.exitCode, null, 'it ended before it was killed')
    await delay(20)
  }
  child!.kill('SIGKILL')
  return (await ended).output
}

for (const { kind, fresh, series, i, sum } of [
  {
    kind: 'postgres',
    fresh: freshPostgres,
    series: `generate_series(1, ${ROWS}) AS i`,
    i: 'i',
    sum: "crc32(convert_to(concat_ws('|', id, n, note, price), 'UTF8'))",
  },
  {
    kind: 'mariadb',
    fresh: freshMariadb,
    series: `seq_1_to_${ROWS}`,
    i: 'seq',
    sum: "crc32(concat_ws('|', id, n, note, price))",
  },
])
  test(`${kind}: a table is handed over from its snapshot to its log while it changes and its reader is killed`, async t => {
    const own = reversed(t)
    const source = await fresh(own)
    const warehouse = await freshPostgres(own)
    await source.query(
      'CREATE TABLE orders (id bigint PRIMARY KEY, n int, note varchar(60), price numeric(12,2))',
    )
    await source.query(
      `INSERT INTO orders SELECT ${i}, ${i} % 1000, concat('the note of order ', ${i}), ${i} % 10000 FROM ${series}`,
    )
    const job = await smallJob(own, `handover_${kind}`, {
      'job.yaml': `connections: { s: "${source.url}", w: "${warehouse.url}" }
extract: { orders: { from: s, table: orders, mode: changes } }
load: { orders: { to: w, from: orders, key: id, deletes: hard, guard: { max_delete_share: 1 } } }
resources: { memory: 1GB, threads: 1 }
# Slow and in small pieces, so that a kill comes amid the table.
chunking: { max_chunk_size: 100000 }
`,
    })
    dropAfter(own, job)
    const stop = writing(await writerOf(own, source.url))
    await killAmid(job)
    await delay(2000)
    await killAmid(job)
    const { code, output } = await commandLine(job.home, ['run', job.folder])
    assert.equal(code, 0, output)
    const [, kept] = /orders: goes on after (\d+) rows/.exec(output) ?? []
    assert.ok(Number(kept) > 0 && Number(kept) < ROWS * 0.9, output)
    const { rows, seconds } = await stop()
    t.diagnostic(`${rows} rows written in ${seconds.toFixed(0)} s, ${Math.round(rows / seconds)} a second`)
    t.diagnostic(/.*goes on after.*/.exec(output)![0])
    const last = await commandLine(job.home, ['run', job.folder])
    assert.equal(last.code, 0, last.output)
    assert.ok(rows / seconds >= WANTED_RATE, 'the machine writes too slowly for this to say anything')
    const facts = (how: string) =>
      `SELECT count(*) AS n, sum(id) AS ids, sum(n) AS ns, sum(${how}) AS sums FROM orders`
    const pgSum = "crc32(convert_to(concat_ws('|', id, n, note, price), 'UTF8'))"
    const text = ([row]: Record<string, unknown>[]) =>
      Object.fromEntries(Object.entries(row!).map(([name, value]) => [name, String(value)]))
    const wanted = text(await source.query(facts(sum)))
    assert.deepEqual(text(await warehouse.query(facts(pgSum))), wanted)
    t.diagnostic(JSON.stringify(wanted))
  })
