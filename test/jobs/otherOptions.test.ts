import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { TARGETS } from './hands.ts'
import { smallJob } from './small.ts'

type Line = [id: number, k: number, v: string]

/** A load's options of the first night and of the second, and why the second compares the table itself. */
const CASES: { was: string; now: string; reason: RegExp }[] = [
  { was: 'mode: replace', now: 'mode: replace, key: id', reason: /key is id, and was none/ },
  { was: 'mode: replace, key: id', now: 'mode: replace, key: k', reason: /key is k, and was id/ },
  {
    was: 'mode: replace, key: [id, k]',
    now: 'mode: merge, deletes: hard, key: id',
    reason: /key is id, and was id, k/,
  },
  { was: 'mode: merge, key: id', now: 'mode: replace, key: id', reason: /deletes what is gone/ },
  { was: 'mode: merge, key: id', now: 'mode: merge, deletes: hard, key: id', reason: /deletes what is gone/ },
  { was: 'mode: append, key: id', now: 'mode: replace, key: id', reason: /mode is replace, and was append/ },
  {
    was: 'mode: merge, deletes: hard, key: id, ignore: v',
    now: 'mode: merge, deletes: hard, key: id',
    reason: /did not compare v/,
  },
  {
    was: 'mode: merge, deletes: hard, key: id, newer: k',
    now: 'mode: merge, deletes: hard, key: id',
    reason: /newer by k/,
  },
]

for (const [kind, open] of Object.entries(TARGETS))
  test(`${kind}: a load that gets other options leaves what they say, whatever the last one had left`, async t => {
    for (const { was, now, reason } of kind === 'duckdb' ? CASES : CASES.slice(0, 4)) {
      const folder = mkdtempSync(join(tmpdir(), 'nightfreight-options-'))
      t.after(() => rmSync(folder, { recursive: true }))
      const hands = await open(t, folder)
      const yaml = (load: string) => `connections: { s: "file:in", w: "${hands.url}" }
extract: { t: { from: s, files: t.csv, take: all, schema: { id: BIGINT, k: BIGINT, v: VARCHAR } } }
load: { t: { to: w, from: t, ${load}, guard: { max_delete_share: 1 } } }
resources: { memory: 300MB, threads: 1 }
`
      const other = await smallJob(t, `others_${kind}`, { 'job.yaml': yaml('mode: append, key: id') })
      const job = await smallJob(t, `options_${kind}`, { 'job.yaml': yaml(was) })
      const night = async ({ folder, run }: typeof job, rows: Line[]) => {
        mkdirSync(join(folder, 'in'), { recursive: true })
        writeFileSync(join(folder, 'in/t.csv'), `id,k,v\n${rows.map(row => `${row.join(',')}\n`).join('')}`)
        const { error, outcome } = await run()
        assert.equal(error, undefined, `${was} then ${now}`)
        return outcome.loaded[0]!
      }
      await night(other, [
        [1, 11, 'theirs'],
        [9, 19, 'theirs'],
      ])
      await night(job, [
        [1, 11, 'one'],
        [2, 12, 'two'],
        [3, 13, 'three'],
      ])
      await night(job, [
        [1, 11, 'one'],
        [2, 12, 'other'],
        [3, 3, 'three'],
      ])
      job.yaml(yaml(now))
      const last: Line[] = [
        [1, 11, 'one'],
        [2, 12, 'other'],
        [3, 3, 'three'],
      ]
      if (kind === 'mariadb' && now.includes('key: k')) {
        // It would look for each row in the whole table.
        const { error } = await job.run()
        const { message, hint } = error as EngineError
        assert.match(
          `${message}. ${hint}`,
          /w\.t: no unique index on k\. ALTER TABLE `t` ADD UNIQUE KEY \(`k`\)/,
        )
        continue
      }
      const { reason: why } = await night(job, last)
      assert.match(String(why), reason)
      assert.deepEqual(
        (await hands.rows()).map(({ id, v }) => [Number(id), v]),
        last.map(([id, , v]) => [id, v]),
        `${was} then ${now}`,
      )
      const again = await night(job, last)
      assert.equal(again.reason, undefined)
      assert.equal(again.inserted + again.updated + again.deleted, 0)
    }
  })
