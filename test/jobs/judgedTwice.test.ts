import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { type SmallJob, smallJob } from './small.ts'

const FILES = {
  'job.yaml': `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
  orders: { from: in, files: "o*.csv", take: all, key: id, schema: { id: INTEGER, amount: INTEGER, note: VARCHAR }, columns: { amount: quarantine } }
checks: { orders: { amount: { between: [0, 100] } } }
load: { orders: { to: wh, from: orders, key: id } }
quality: { max_error_rate: 1 }
resources: { threads: 1 }
`,
  'in/o1.csv': 'id,amount,note\n1,10,a\n2,xx,b\n3,500,c\n4,7,d\n',
}

async function rowsOf({ folder }: SmallJob): Promise<string[]> {
  const duck = await Duck.open({ path: join(folder, 'wh.duckdb'), threads: 1 })
  const rows = await duck.rows('SELECT id, amount FROM orders ORDER BY id')
  duck.close()
  return rows.map(({ id, amount }) => `${id}:${amount}`)
}

test('rows of an extract that is judged as it is read and as a table are all kept, and all corrected', async t => {
  const job = await smallJob(t, 'judged_twice', FILES)
  const first = await job.run()
  assert.equal(first.error, undefined)
  const records = await job.metadata.errors.list({ job: 'judged_twice' })
  const states = async () =>
    (await job.metadata.errors.list({ job: 'judged_twice' }))
      .map(({ row_key, state }) => `${row_key} ${state}`)
      .sort()
  assert.deepEqual(await states(), ['2 open', '3 open'])
  assert.match((await job.cli('shell', job.folder, '-c', 'SELECT reason FROM quarantine')).out, /xx/)

  const mended = new Map(records.map(({ id, row_key }) => [id, { amount: `${row_key}0` }]))
  assert.equal(await job.metadata.errors.queueCorrected(mended), 2)
  for (const night of [1, 2]) {
    assert.equal((await job.run()).error, undefined, `night ${night}`)
    assert.deepEqual(await states(), ['2 reprocessed', '3 reprocessed'])
    assert.deepEqual(await rowsOf(job), ['1:10', '2:20', '3:30', '4:7'])
  }
  const corrected = globSync('staging/judged_twice/*/{corrected,mended}/*.parquet', { cwd: job.home })
  assert.equal(corrected.length, 4, 'what each judge corrected has a file of its own')
})

test('a correction that comes between the two judges of a run is taken by the next one', async t => {
  const job = await smallJob(t, 'judged_between', {
    ...FILES,
    'job.yaml': FILES['job.yaml'].replace('take: all, ', ''),
  })
  const { errors } = job.metadata
  const stateOf = async (key: string) =>
    (await errors.list({ job: 'judged_between' })).find(({ row_key }) => row_key === key)!.state
  assert.equal((await job.run()).error, undefined)
  const { run } = await job.run({ until: 'types.orders' })
  const [two] = await errors.list({ job: 'judged_between', key: '2' })
  assert.equal(await errors.queueCorrected(new Map([[two!.id, { amount: '20' }]])), 1)
  assert.equal((await job.run({ resume: run })).error, undefined)
  assert.equal(await stateOf('2'), 'queued')
  assert.equal((await job.run()).error, undefined)
  assert.equal(await stateOf('2'), 'reprocessed')
  assert.deepEqual(await rowsOf(job), ['1:10', '2:20', '4:7'])
})
