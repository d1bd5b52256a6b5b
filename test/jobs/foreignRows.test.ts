import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { TARGETS } from './hands.ts'
import { smallJob } from './small.ts'

type Line = [id: number, k: number, v: string]

/** Options of a load, what it does of rows that another job has loaded, and what is said of them. */
const LOADS: { load: string; counts: [insert: number, update: number, gone: number]; said: RegExp }[] = [
  {
    load: 'mode: replace, key: id',
    counts: [1, 1, 1],
    said: /that differ are changed, those that t has not are deleted/,
  },
  { load: 'mode: merge, key: id', counts: [1, 1, 0], said: /those that t has not stay/ },
  { load: 'mode: merge, key: id, deletes: hard', counts: [1, 1, 1], said: /are deleted/ },
  { load: 'mode: merge, key: id, deletes: soft, deleted_at: gone', counts: [1, 1, 1], said: /are marked/ },
  { load: 'mode: append, key: id', counts: [1, 0, 0], said: /stay as they are/ },
  { load: 'mode: partition, key: id, partition_by: k', counts: [1, 1, 1], said: /are deleted/ },
  { load: 'mode: scd2, key: id, deletes: hard', counts: [1, 1, 1], said: /are ended/ },
  { load: 'mode: replace', counts: [4, 0, 4], said: /those that t has not are deleted/ },
]

const SOME = [
  'mode: replace, key: id',
  'mode: merge, key: id, deletes: soft, deleted_at: gone',
  'mode: replace',
]

for (const [kind, open] of Object.entries(TARGETS))
  test(`${kind}: what a plan counts of rows that others loaded is what the run does, and both say whose they are`, async t => {
    for (const { load, counts: figures, said } of LOADS) {
      // What a mode means is one for all; how each reads its table back, a few of them show.
      if (kind !== 'duckdb' && !SOME.includes(load)) continue
      const folder = mkdtempSync(join(tmpdir(), 'nightfreight-foreign-'))
      t.after(() => rmSync(folder, { recursive: true }))
      const hands = await open(t, folder)
      const yaml = (share: number) => `connections: { s: "file:in", w: "${hands.url}" }
extract: { t: { from: s, files: t.csv, take: all, schema: { id: BIGINT, k: BIGINT, v: VARCHAR } } }
load: { t: { to: w, from: t, ${load}, guard: { max_delete_share: ${share} } } }
resources: { memory: 300MB, threads: 1 }
`
      const write = async (name: string, rows: Line[]) => {
        const job = await smallJob(t, `${name}_${kind}`, { 'job.yaml': yaml(1) })
        mkdirSync(join(job.folder, 'in'))
        writeFileSync(
          join(job.folder, 'in/t.csv'),
          `id,k,v\n${rows.map(row => `${row.join(',')}\n`).join('')}`,
        )
        return job
      }
      const others = await write('others', [
        [1, 1, 'one'],
        [2, 1, 'theirs'],
        [3, 1, 'three'],
        [9, 1, 'theirs'],
      ])
      assert.equal((await others.run()).error, undefined)
      const job = await write('ours', [
        [1, 1, 'one'],
        [2, 1, 'two'],
        [3, 1, 'three'],
        [4, 1, 'four'],
      ])
      // Of rows without a key, a lake keeps those that are equal.
      const counts = kind === 'lake' && load === 'mode: replace' ? [2, 0, 2] : figures
      const [insert, update, gone] = counts
      if (load === 'mode: replace, key: id') {
        job.yaml(yaml(0.2))
        for (const goal of ['plan', 'load'] as const) {
          const { error } = await job.run({ goal, fresh: true })
          assert.match(String(error), /1 of 4 rows would be deleted/, `${load}: ${goal}`)
        }
        job.yaml(yaml(1))
      }
      const plan = await job.run({ goal: 'plan', fresh: true })
      assert.equal(plan.error, undefined, load)
      const [preview] = plan.outcome.previews
      const { inserts, updates, deletes } = preview!.counts
      assert.deepEqual([inserts, updates, deletes], counts, load)
      assert.match(preview!.notes.join('\n'), /the table has 4 rows that this job never loaded/)
      assert.match(preview!.notes.join('\n'), said)
      if (update === 1) {
        const [shown] = preview!.samples.updates
        assert.deepEqual(shown, { key: { id: '2' }, values: { v: { before: 'theirs', after: 'two' } } })
      }
      if (gone === 1)
        assert.deepEqual(
          preview!.samples.deletes.map(({ key }) => key),
          [{ id: '9' }],
        )
      const run = await job.run()
      assert.equal(run.error, undefined, load)
      const [loaded] = run.outcome.loaded
      assert.match(String(loaded!.reason), said)
      // Of a history, a version that follows another is a row of its own.
      const of = load.includes('scd2')
        ? [loaded!.inserted + loaded!.updated, loaded!.deleted]
        : [loaded!.inserted, loaded!.updated, loaded!.deleted]
      assert.deepEqual(of, load.includes('scd2') ? [insert! + update!, gone] : counts, load)
    }
  })
