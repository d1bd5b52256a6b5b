import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { notesInto, smallJob } from './small.ts'

/** A job of the files that come, a night each, with corrections by the note of the row that they mend. */
async function drop(t: TestContext, name: string) {
  const job = await smallJob(t, name, {
    'job.yaml': `connections: { drop: "file:drop", wh: "duckdb:wh.duckdb" }
extract:
  orders: { from: drop, files: "o*.csv", key: id, schema: { id: INTEGER, amount: INTEGER, note: VARCHAR }, columns: { id: quarantine, amount: quarantine } }
load: { orders: { to: wh, from: orders, key: id } }
quality: { max_error_rate: 1 }
resources: { memory: 300MB, threads: 1 }
`,
    'drop/read.me': '',
  })
  let files = 0
  const { errors } = job.metadata
  const recordOf = async (note: string) =>
    (await errors.list({ job: name, limit: 99 })).find(({ record }) => record.note === note)!
  return {
    night: async (...lines: string[]) => {
      if (lines.length > 0)
        writeFileSync(
          join(job.folder, `drop/o${++files}.csv`),
          `${['id,amount,note', ...lines].join('\n')}\n`,
        )
      const notes: string[] = []
      assert.equal((await job.run({ progress: notesInto(notes) })).error, undefined)
      return notes.filter(note => note.includes('correction')).join('\n')
    },
    correct: async (note: string, values: Record<string, string | null>) => {
      await errors.queueCorrected(new Map([[(await recordOf(note)).id, values]]))
    },
    stateOf: async (note: string) => (await recordOf(note)).state,
    table: async () => {
      const duck = await Duck.open({ threads: 1 })
      try {
        await duck.run(`ATTACH ${quote(join(job.folder, 'wh.duckdb'))} AS wh (READ_ONLY)`)
        const rows = await duck.rows('SELECT id, amount FROM wh.orders ORDER BY id')
        return rows.map(({ id, amount }) => `${id}:${amount}`).join(' ')
      } finally {
        duck.close()
      }
    },
  }
}

test('a corrected row gives way to a later one of the source with the key that it was given', async t => {
  const { night, correct, table, stateOf } = await drop(t, 'later')
  await night('1,10,a', '2,xx,b', ',70,typed')
  await correct('typed', { id: '7' })
  await night()
  assert.equal(await table(), '1:10 7:70')
  await night('7,99,newer')
  assert.equal(await table(), '1:10 7:99')
  assert.equal(await stateOf('typed'), 'resolved')
  await correct('b', { id: '1', amount: '20' })
  await night()
  assert.equal(await stateOf('b'), 'open', 'the good row of the same night keeps its key')
  assert.equal(await table(), '1:10 7:99')
})

test('a corrected row with the key of an earlier one is the later of the two', async t => {
  const { night, correct, table } = await drop(t, 'earlier')
  await night('1,10,a', '2,20,b')
  await night('3,xx,c')
  await correct('c', { id: '1', amount: '30' })
  await night()
  assert.equal(await table(), '1:30 2:20')
})

test('a correction is refused, and its record open, where its key is NULL, or that of another row or correction', async t => {
  const { night, correct, table, stateOf } = await drop(t, 'refused')
  await night('1,10,a', ',20,none', ',30,taken', ',40,twice', ',50,again', ',60,own')
  await correct('none', { amount: '21' })
  await correct('taken', { id: '1' })
  await correct('twice', { id: '4' })
  await correct('again', { id: '4' })
  await correct('own', { id: '6' })
  const notes = await night()
  assert.match(notes, /is refused: id is NULL: a row needs its key/)
  assert.match(notes, /is refused: id = 1 is the key of a row that came with it/)
  assert.equal(notes.match(/is refused: id = 4 is the key of another correction, too/g)?.length, 2)
  assert.equal(await table(), '1:10 6:60')
  for (const note of ['none', 'taken', 'twice', 'again']) assert.equal(await stateOf(note), 'open')
  assert.equal(await stateOf('own'), 'reprocessed')
  await correct('twice', { id: '4' })
  await night()
  assert.equal(await table(), '1:10 4:40 6:60')
})

test('of two rejected rows of one key, and of those without one, each is corrected', async t => {
  const { night, correct, table, stateOf } = await drop(t, 'each')
  await night('1,xx,a', '1,yy,b', 'zz,30,c', 'zz,40,d')
  await night('zz,50,e')
  await correct('a', { amount: '10' })
  await correct('b', { id: '2', amount: '20' })
  await correct('c', { id: '3' })
  await correct('d', { id: '4' })
  await correct('e', { id: '4' })
  await night()
  assert.equal(await table(), '1:10 2:20 3:30 4:50')
  assert.equal(await stateOf('d'), 'resolved', 'a later night has a correction of its key')
})
