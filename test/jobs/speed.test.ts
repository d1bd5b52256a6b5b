import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fillLineitem } from '../../benchmarks/lineitem.ts'
import { type Contender, nightfreight, pipe } from '../../benchmarks/peers/contenders.ts'
import { measured } from '../../benchmarks/peers/measure.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../servers.ts'

const ROWS = 1_000_000
/**
 * Processor time of a whole first copy with its verification, of a copy's of few rows taken away, in that of the two
 * clients in a pipe: a ratio of one machine's times in one run. Of fewer rows it says how long the engine takes to warm
 * up. Where a change moves it for good, it moves this number.
 */
const RATIO = 2.4
/** Where what is faster is not noise any more. */
const REGRESSION = 1.1
/** The least of so many runs: other work on the machine only adds. */
const RUNS = 3

const dir = mkdtempSync(join(tmpdir(), 'nightfreight-speed-'))
const [source, few, target] = await Promise.all([freshMariadb(), freshMariadb(), freshPostgres()])
await fillLineitem(source, 'mariadb', ROWS)
await fillLineitem(few, 'mariadb', 1000)
after(() => rmSync(dir, { recursive: true, force: true }))

test('a first copy takes no more processor time beside a bare pipe than it did', async t => {
  const times = { whole: Infinity, start: Infinity, pipe: Infinity }
  for (let run = 0; run < RUNS; run++) {
    const cpu = async (make: typeof pipe, from: FreshDatabase) => {
      const home = join(dir, String(run), from.name)
      const contender: Contender = make({ source: from.url, target: target.url, home })
      await target.query('DROP TABLE IF EXISTS lineitem; DROP SCHEMA IF EXISTS nightfreight CASCADE')
      await contender.prepare?.()
      const { clientCpu } = await measured(contender.command, contender.env, [])
      return clientCpu
    }
    times.pipe = Math.min(times.pipe, await cpu(pipe, source))
    times.start = Math.min(times.start, await cpu(nightfreight, few))
    times.whole = Math.min(times.whole, await cpu(nightfreight, source))
  }
  const ratio = (times.whole - times.start) / times.pipe
  t.diagnostic(`${ratio.toFixed(2)} times the pipe's: ${JSON.stringify(times)}`)
  assert.ok(
    ratio <= RATIO * REGRESSION,
    `${ratio.toFixed(2)} times the processor time of the pipe; it was ${RATIO}`,
  )
})
