import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { notesInto, smallJob } from './small.ts'

for (const [ext, first, second, third] of [
  ['csv', 'id,t,u\n1,a,5\n2,b,6\n', 'id,t\n3,c\n', 'id,t,u\n4,d,8\n'],
  [
    'ndjson',
    '{"id":1,"t":"a","u":5}\n{"id":2,"t":"b","u":6}\n',
    '{"id":3,"t":"c"}\n',
    '{"id":4,"t":"d","u":8}\n',
  ],
] as const)
  test(`${ext}: a night of files without a column leaves what earlier rows have in it`, async t => {
    const yaml = (drift: string) => `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract: { t: { from: in, files: "*.${ext}", key: id${drift} } }
load: { t: { to: wh, from: t } }
resources: { memory: 300MB, threads: 1 }
`
    const job = await smallJob(t, `lacks_${ext}`, { 'job.yaml': yaml('') })
    const put = (name: string, text: string) => {
      mkdirSync(join(job.folder, 'in'), { recursive: true })
      writeFileSync(join(job.folder, 'in', `${name}.${ext}`), text)
    }
    const rows = async () => {
      const duck = await Duck.open({ path: join(job.folder, 'wh.duckdb') })
      try {
        return (await duck.rows('SELECT id::INT AS id, t, u::INT AS u FROM t ORDER BY 1')).map(Object.values)
      } finally {
        duck.close()
      }
    }
    put('a', first)
    assert.equal((await job.run()).error, undefined)
    put('b', second)
    if (ext === 'csv') {
      const { error } = await job.run()
      assert.match(String((error as { hint?: string }).hint), /drift: \{ dropped: ignore \}/)
    }
    job.yaml(yaml(', drift: { dropped: ignore }'))
    const notes: string[] = []
    const { error, outcome } = await job.run({ progress: notesInto(notes) })
    assert.equal(error, undefined)
    assert.deepEqual([outcome.loaded[0]!.inserted, outcome.loaded[0]!.updated], [1, 0])
    assert.match(notes.join('\n'), new RegExp(`b\\.${ext} .*no (column|key) u`))
    put('c', third)
    assert.equal((await job.run()).error, undefined)
    assert.deepEqual(await rows(), [
      [1, 'a', 5],
      [2, 'b', 6],
      [3, 'c', null],
      [4, 'd', 8],
    ])
  })

test('with drift.dropped: ignore, a header in other letters is the same columns, and a key is never taken for NULL', async t => {
  const job = await smallJob(t, 'letters', {
    'job.yaml': `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract: { t: { from: in, files: "*.csv", key: id, drift: { dropped: ignore } } }
load: { t: { to: wh, from: t } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  const put = (name: string, text: string) => writeFileSync(join(job.folder, 'in', name), text)
  mkdirSync(join(job.folder, 'in'))
  put('a.csv', 'id,Amount\n1,5\n')
  assert.equal((await job.run()).error, undefined)
  put('b.csv', 'id,amount\n2,6\n')
  const { error, outcome } = await job.run()
  assert.equal(error, undefined)
  assert.equal(outcome.loaded[0]!.inserted, 1)
  put('c.csv', 'amount\n7\n')
  assert.match(String((await job.run()).error), /key column id \(.*\) is gone/)
})
