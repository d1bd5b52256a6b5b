import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { testFolder } from './places.ts'

const folder = testFolder()
/** Mutated files of each kind: SOAK_FILES takes as many of each. */
const COUNTS = { parquet: 200, gzip: 60, zstd: 60, bzip2: 60, zip: 60, arrow: 12 }

for (const [kind, few] of Object.entries(COUNTS))
  test(`mutated ${kind} neither crashes nor hangs a reader`, () => {
    const count = process.env.SOAK_FILES ?? String(few)
    const seed = process.env.SOAK_SEED ?? '7'
    const script = join(import.meta.dirname, 'corrupt.ts')
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      [script, kind, count, seed, join(folder, kind)],
      { encoding: 'utf8', timeout: 3_600_000 },
    )
    assert.deepEqual([status, signal], [0, null], stderr)
    assert.match(stdout, new RegExp(`done ${count}\\n$`))
    const slowest = Number(/slowest (\d+) ms/.exec(stdout)![1])
    assert.ok(slowest < 20_000, `a file took ${slowest} ms`)
  })
