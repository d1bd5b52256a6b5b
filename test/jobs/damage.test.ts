import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type SmallJob, smallJob } from './small.ts'

const YAML = `
connections:
  drop: { url: "file:in" }
  wh: { url: "duckdb:wh.duckdb" }
extract:
  t: { from: drop, files: "*.csv", take: all, key: id, schema: { id: BIGINT, v: VARCHAR } }
load:
  t: { to: wh, from: m, key: id, mode: merge }
resources: { memory: 300MB, threads: 1 }
retries: { limit: 0 }
`

async function made(hooks: Parameters<typeof smallJob>[0], name: string): Promise<SmallJob> {
  const job = await smallJob(hooks, name, { 'job.yaml': YAML, 'm.sql': 'SELECT * FROM t' })
  mkdirSync(join(job.folder, 'in'))
  const lines = Array.from({ length: 2000 }, (_, i) => `${i},value ${i}`)
  writeFileSync(join(job.folder, 'in', 'a.csv'), `id,v\n${lines.join('\n')}\n`)
  return job
}

/** Files of a job below its staging folder. */
const staged = ({ home }: SmallJob, ending: string): string[] =>
  readdirSync(join(home, 'staging'), { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith(ending))
    .map(file => join(home, 'staging', file))

const DAMAGES: Record<string, (file: string) => void> = {
  truncated: file => truncateSync(file, Math.floor(statSync(file).size / 2)),
  empty: file => truncateSync(file, 0),
  altered(file) {
    const bytes = readFileSync(file)
    for (let at = 0; at < 4; at++) bytes[(bytes.length >> 1) + at]! ^= 0x11
    writeFileSync(file, bytes)
  },
}

for (const [what, damage] of Object.entries(DAMAGES)) {
  test(`manifests and parts of an earlier night that are ${what} stop no night`, async t => {
    const job = await made(t, `night_${what}`)
    const first = await job.run()
    assert.equal(first.error, undefined)
    for (const ending of ['.json', '.parquet']) {
      for (const file of staged(job, ending)) damage(file)
      writeFileSync(join(job.folder, 'in', 'b.csv'), `id,v\n${ending === '.json' ? 5000 : 6000},new\n`)
      const next = await job.run()
      assert.equal(next.error, undefined, String(next.error))
      assert.equal(next.outcome.loaded[0]!.inserted >= 1, true)
    }
    const verified = await job.verify()
    assert.deepEqual(
      verified.loads.map(({ wrong }) => wrong.rows),
      [0],
    )
  })

  test(`a run that is resumed does again what its ${what} files were of`, async t => {
    const job = await made(t, `resumed_${what}`)
    const stopped = await job.run({ until: 'diff.t' })
    assert.equal(stopped.status, 'PLANNED')
    const parts = staged(job, '.parquet')
    assert.ok(parts.length >= 2)
    for (const file of parts) damage(file)
    const notes: string[] = []
    const progress = { started() {}, advanced() {}, finished() {}, note: (text: string) => notes.push(text) }
    const resumed = await job.run({ resume: stopped.run, progress })
    assert.equal(resumed.error, undefined, String(resumed.error))
    assert.match(notes.join('\n'), /extract\.drop is done again: its staged files are gone or damaged/)
    assert.equal(resumed.outcome.loaded[0]!.inserted, 2000)
    assert.deepEqual(
      (await job.verify()).loads.map(({ wrong }) => wrong.rows),
      [0],
    )
  })

  test(`what checks found is found anew where its file is ${what}`, async t => {
    const job = await made(t, `found_${what}`)
    mkdirSync(join(job.folder, 'checks/m'), { recursive: true })
    writeFileSync(
      join(job.folder, 'checks/m/odd.sql'),
      `SELECT *, 'it is odd' AS reason FROM m WHERE id % 50 = 7`,
    )
    const stopped = await job.run({ until: 'diff.t' })
    const files = staged(job, '.parquet').filter(file => file.includes('/quarantine/'))
    assert.ok(files.length > 0)
    for (const file of files) damage(file)
    const resumed = await job.run({ resume: stopped.run })
    assert.equal(resumed.error, undefined, String(resumed.error))
    assert.equal(resumed.outcome.loaded[0]!.inserted, 1960)
    assert.equal((await job.verify()).loads[0]!.wrong.rows, 0)
  })
}
