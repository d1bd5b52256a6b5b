import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { notesInto, smallJob } from './small.ts'

const yaml = (options: string, more = '') => `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract: { orders: { from: in, files: "*.csv", key: id, schema: { id: INTEGER, amount: INTEGER }, ${options} } }
load: { orders: { to: wh, from: orders, key: id } }
quality: { max_error_rate: 1 }
resources: { threads: 1 }
${more}`

/** `bad`: a row of key 2 that is rejected on the first night. */
async function jobOf(t: TestContext, name: string, text: string, bad: string) {
  const job = await smallJob(t, name, { 'job.yaml': text })
  const { errors } = job.metadata
  const notes: string[] = []
  const run = async () => {
    const { error, run } = await job.run({ progress: notesInto(notes) })
    assert.equal(error, undefined)
    return run
  }
  const put = (file: string, ...rows: string[]) =>
    writeFileSync(join(job.folder, 'in', file), ['id,amount', ...rows, ''].join('\n'))
  mkdirSync(join(job.folder, 'in'))
  put('1.csv', '1,10', bad)
  await run()
  const [{ id } = { id: '' }] = await errors.list({ job: name })
  const record = async () => (await errors.find(id))!
  const reprocess = async () =>
    assert.match((await job.cli('errors', 'reprocess', name, id)).out, /^1 record joins/)
  return { ...job, errors, id, record, notes, run, put, reprocess, state: async () => (await record()).state }
}

test('a rejected row that is to be taken again, and of which no right one is read, is open again, and told', async t => {
  const job = await jobOf(t, 'taken_unread', yaml('columns: { amount: quarantine }'), '2,xx')
  const nights: [rows: string[], state: string][] = [
    [[], 'open'],
    [['3,30'], 'open'],
    [['2,yy'], 'open'],
    [['2,20'], 'reprocessed'],
  ]
  for (const [night, [rows, state]] of nights.entries()) {
    await job.reprocess()
    if (rows.length > 0) job.put(`${night + 2}.csv`, ...rows)
    job.notes.length = 0
    await job.run()
    assert.equal(await job.state(), state, `night ${night}: ${rows}`)
    const told = job.notes.filter(note => /^orders: 1 queued record is open again: no right row/.test(note))
    assert.equal(told.length, state === 'open' ? 1 : 0, job.notes.join('\n'))
  }
})

test('a rejected row that comes back as it was is open again, unless somebody has discarded it', async t => {
  const checked = yaml('take: all', 'checks: { orders: { amount: { between: [0, 100] } } }\n')
  const job = await jobOf(t, 'taken_back', checked, '2,500')
  const night = async (row: string) => {
    job.put('1.csv', '1,10', row)
    return job.run()
  }
  await job.reprocess()
  await night('2,50')
  assert.equal(await job.state(), 'reprocessed')
  await night('2,500')
  assert.equal(await job.state(), 'open')

  await job.errors.queueCorrected(new Map([[job.id, { amount: '51' }]]))
  for (const _ of ['corrected', 'its correction holds']) {
    await night('2,500')
    assert.equal(await job.state(), 'reprocessed')
  }
  const other = await night('2,600')
  assert.deepEqual([await job.state(), (await job.record()).resolved_by], ['resolved', other])
  await night('2,500')
  assert.deepEqual([await job.state(), (await job.record()).resolved_by], ['open', null])

  await job.errors.move(job.id, 'open', 'discarded')
  await night('2,500')
  assert.equal(await job.state(), 'discarded')
})

test('a row of what is read incrementally that a changed check lets through is reprocessed, or resolved', async t => {
  const checked = (to: number) =>
    yaml('columns: { amount: quarantine }', `checks: { orders: { amount: { between: [0, ${to}] } } }\n`)
  for (const state of ['reprocessed', 'resolved']) {
    const job = await jobOf(t, `taken_${state}`, checked(100), '2,500')
    job.yaml(checked(1000))
    if (state === 'reprocessed') await job.reprocess()
    job.put('2.csv', '3,xx')
    await job.run()
    assert.equal(await job.state(), state)
    assert.deepEqual(
      job.notes.filter(note => note.includes('open again')),
      [],
    )
    // What was rejected as it was read is not among what the check judges.
    await job.run()
    assert.deepEqual(
      (await job.errors.list({ job: `taken_${state}`, state: 'open' })).map(({ row_key }) => row_key),
      ['3'],
    )
  }
})
