import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { freshMariadb } from '../servers.ts'
import { TARGETS } from './hands.ts'
import { smallJob } from './small.ts'

const dataSet = (night: number) =>
  [1, 2, 3, 4].map(id => ({ id, v: id === 1 ? `night ${night}` : `row ${id}` }))

for (const [kind, open] of Object.entries(TARGETS))
  test(`${kind}: after whatever hands did to its table, the next run leaves what an undisturbed one leaves, and says why`, async t => {
    const folder = mkdtempSync(join(tmpdir(), 'nightfreight-disturbed-'))
    t.after(async () => rmSync(folder, { recursive: true }))
    const hands = await open(t, folder)
    const job = await smallJob(t, `disturbed_${kind}`, {
      'job.yaml': `connections: { s: "file:in", w: "${hands.url}" }
extract: { t: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT, v: VARCHAR } } }
load: { t: { to: w, from: t, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
    })
    mkdirSync(join(job.folder, 'in'))
    let now = 0
    const night = async (reason?: RegExp) => {
      const rows = dataSet(++now)
      writeFileSync(join(job.folder, 'in/t.csv'), `id,v\n${rows.map(({ id, v }) => `${id},${v}\n`).join('')}`)
      const { error, outcome } = await job.run()
      assert.equal(error, undefined)
      const there = (await hands.rows()).map(({ id, v }) => ({ id: Number(id), v }))
      assert.deepEqual(there, rows)
      const [loaded] = outcome.loaded
      if (reason) assert.match(String(loaded!.reason), reason)
      else assert.equal(loaded!.reason, undefined)
      return loaded!
    }
    assert.equal((await night()).inserted, 4)
    assert.equal((await night()).updated, 1)
    await hands.drop()
    assert.equal((await night(/is gone/)).inserted, 4)
    await hands.truncate()
    assert.equal((await night(/has 0 rows, and run .* left 4/)).inserted, 4)
    await hands.deleteOne()
    assert.equal((await night(/left 4/)).rows, 4)
    const restore = await hands.copy()
    await night()
    await restore()
    await night(/gone|not what run/)
    assert.equal((await night()).updated, 1)
    await hands.rename()
    assert.equal((await night(/is gone/)).inserted, 4)
    for (const act of [hands.dropColumn, hands.renameColumn]) {
      await act?.()
      if (act) assert.equal((await night(/has no column v, which run .* loaded/)).updated, 4)
    }
  })

test('verify names what mends a table, and mends it; a full refresh takes what is named, and refuses what is not there', async t => {
  const { url, query } = await freshMariadb(t)
  const job = await smallJob(t, 'mended', {
    'job.yaml': `connections: { s: "file:in", w: "${url}" }
extract: { t: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT, v: VARCHAR } } }
load: { t: { to: w, from: t, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  mkdirSync(join(job.folder, 'in'))
  writeFileSync(join(job.folder, 'in/t.csv'), 'id,v\n1,one\n2,two\n')
  assert.equal((await job.run()).error, undefined)
  await query("UPDATE t SET v = 'by hand' WHERE id = 2")
  const looked = await job.cli('verify', job.folder)
  assert.equal(looked.code, 3)
  assert.match(looked.out, /id = 2 differs[\s\S]*nightfreight verify \S+ --repair/)
  const mended = await job.cli('verify', job.folder, '--repair')
  assert.equal(mended.code, 0, mended.output)
  assert.match(mended.out, /w\.t +\d+ +0 +1 +0 +1 [\s\S]*a full refresh was asked for[\s\S]*equal +w\.t/)
  assert.deepEqual(await query('SELECT v FROM t ORDER BY id'), [{ v: 'one' }, { v: 'two' }])
  await assert.rejects(
    job.run({ fullRefresh: ['tt'], fresh: true }).then(({ error }) => Promise.reject(error)),
    /mended loads no table tt; did you mean "?t"?|mended loads no table tt/,
  )
})
