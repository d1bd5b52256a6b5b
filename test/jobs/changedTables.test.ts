import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { TARGETS } from './openTargets.ts'
import { smallJob } from './small.ts'

for (const [kind, open] of Object.entries(TARGETS))
  test(`${kind}: a column that holds more than its source ever did is widened to what both hold`, async t => {
    const job = await smallJob(t, `both_${kind}`, {})
    const { url, query } = await open(t, job.home)
    mkdirSync(join(job.folder, 'in'))
    const night = async (type: string, rows: string, schema = 'apply-safe') => {
      writeFileSync(join(job.folder, 'in/t.csv'), `id,d\n${rows}\n`)
      job.yaml(`connections: { s: "file:in", w: "${url}" }
extract: { t: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT, d: "${type}" } } }
load: { t: { to: w, from: t, key: id, schema: ${schema} } }
resources: { memory: 300MB, threads: 1 }
`)
      return job.run({ fresh: true })
    }
    const loads = async (type: string, rows: string) => {
      const { error } = await night(type, rows)
      assert.equal(error, undefined, `${error} ${(error as EngineError)?.hint}`)
    }
    await loads('DECIMAL(12,2)', '1,9999999.99')
    await loads('DECIMAL(5,2)', '2,1.25')
    await loads('DECIMAL(8,3)', '2,12345.678')
    const values = async () =>
      (await query('SELECT id, d FROM t ORDER BY id')).map(({ id, d }) => `${id} ${Number(d)}`)
    assert.deepEqual(await values(), ['1 9999999.99', '2 12345.678'])
    if (kind === 'lake') return
    const hint = ((await night('DECIMAL(9,5)', '2,1.00001', 'manual')).error as EngineError).hint!
    await query(/(ALTER TABLE .*?;)/.exec(hint)![1]!)
    await loads('DECIMAL(9,5)', '2,1.00001')
    assert.deepEqual(await values(), ['1 9999999.99', '2 1.00001'])
  })
