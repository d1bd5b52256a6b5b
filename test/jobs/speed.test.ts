import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fillLineitem } from '../../benchmarks/lineitem.ts'
import { nightfreight } from '../../benchmarks/peers/contenders.ts'
import { inTurns } from '../../benchmarks/peers/measure.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'

const ROWS = 1_000_000
/**
 * Processor time of a whole first copy with its verification, in that of the yardstick, where both take turns of a moment:
 * beside a program in JavaScript, since what else a machine does slows that otherwise than the servers' clients. Where a
 * change moves it for good, it moves this number.
 */
const RATIO = 1.6
/** Where what is faster is not noise any more: the median of so many runs varies by 2 %. */
const REGRESSION = 1.1
const RUNS = 5
const YARDSTICK = {
  command: '"$NODE" "$YARDSTICK"',
  env: { NODE: process.execPath, YARDSTICK: join(import.meta.dirname, 'yardstick.ts') },
}

const dir = mkdtempSync(join(tmpdir(), 'nightfreight-speed-'))
const [source, target] = await Promise.all([freshMariadb(), freshPostgres()])
await fillLineitem(source, 'mariadb', ROWS)
after(() => rmSync(dir, { recursive: true, force: true }))

test('a first copy takes no more processor time than it did', async t => {
  const ratios: number[] = []
  for (let run = 0; run < RUNS; run++) {
    await target.query('DROP TABLE IF EXISTS lineitem; DROP SCHEMA IF EXISTS nightfreight CASCADE')
    const copy = nightfreight({ source: source.url, target: target.url, home: join(dir, String(run)) })
    const [taken, yardstick] = await inTurns([copy, YARDSTICK])
    ratios.push(taken! / yardstick!)
  }
  const ratio = ratios.sort((a, b) => a - b)[Math.floor(RUNS / 2)]!
  t.diagnostic(`times the yardstick's: ${ratios.map(each => each.toFixed(2)).join(', ')}`)
  assert.ok(
    ratio <= RATIO * REGRESSION,
    `${ratio.toFixed(2)} times the processor time of the yardstick; it was ${RATIO}`,
  )
})
