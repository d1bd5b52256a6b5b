import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { UNCLOSED } from '../../src/metadata/errorRecords.ts'
import { notesInto, smallJob } from './small.ts'

const COLUMNS = '{ id: INTEGER, amount: INTEGER, note: VARCHAR }'

const yaml = (
  options: string,
  key = 'key: id',
  from = 'orders',
) => `connections: { drop: "file:drop", wh: "duckdb:wh.duckdb" }
extract: { ${from}: { from: drop, files: "o*.csv", schema: ${COLUMNS}, ${options} } }
load: { orders: { to: wh, from: orders, ${key} } }
quality: { max_error_rate: 1 }
resources: { memory: 300MB, threads: 1 }
`

const TYPED = yaml('key: id, columns: { id: quarantine, amount: quarantine }')
const CHECKED = 'checks: { orders: { amount: { between: [0, 100] } } }\n'
const MODEL = {
  yaml: yaml('take: all', 'key: id', 'src') + CHECKED,
  models: { 'orders.sql': 'SELECT id, amount, note FROM src' },
}

/** A job of the files that come, a night each, with corrections by the note of the row that they mend. */
async function drop(t: TestContext, name: string, { yaml = TYPED, models = {} } = {}) {
  const job = await smallJob(t, name, { 'job.yaml': yaml, 'drop/read.me': '', ...models })
  let files = 0
  const { errors } = job.metadata
  const recordOf = async (note: string) =>
    (await errors.list({ job: name, limit: 99 })).find(({ record }) => record.note === note)!
  const put = (file: number, lines: string[]) =>
    writeFileSync(join(job.folder, `drop/o${file}.csv`), `${['id,amount,note', ...lines].join('\n')}\n`)
  const nightWith = async (finished: (task: string) => void) => {
    const notes: string[] = []
    assert.equal((await job.run({ progress: { ...notesInto(notes), finished } })).error, undefined)
    return notes.filter(note => note.includes('correction')).join('\n')
  }
  return {
    nightWith,
    cli: job.cli,
    folder: job.folder,
    recordOf,
    /** The first file with other rows. */
    rewrite: (...lines: string[]) => put(1, lines),
    night: async (...lines: string[]) => {
      if (lines.length > 0) put(++files, lines)
      return nightWith(() => {})
    },
    correct: async (note: string, values: Record<string, string | null>) => {
      await errors.queueCorrected(new Map([[(await recordOf(note)).id, values]]), UNCLOSED)
    },
    stateOf: async (note: string) => (await recordOf(note)).state,
    table: async (columns = 'id, amount') => {
      const duck = await Duck.open({ threads: 1 })
      try {
        await duck.run(`ATTACH ${quote(join(job.folder, 'wh.duckdb'))} AS wh (READ_ONLY)`)
        const rows = await duck.rows(`SELECT ${columns} FROM wh.orders ORDER BY id`)
        return rows.map(row => Object.values(row).join(':')).join(' ')
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

test('a correction with the key of one that holds is refused: the other stays', async t => {
  const { night, correct, table, stateOf } = await drop(t, 'second')
  await night('1,10,a', ',40,first', ',50,second')
  await correct('first', { id: '4' })
  await night()
  await correct('second', { id: '4' })
  const notes = await night()
  assert.equal(notes.match(/is refused: id = 4 is the key of another correction/g)?.length, 1)
  assert.equal(await table(), '1:10 4:40')
  assert.deepEqual([await stateOf('first'), await stateOf('second')], ['reprocessed', 'open'])
})

test('a correction that held is refused once, and its record open, where a good row of its night has its key', async t => {
  const { night, correct, rewrite, table, stateOf } = await drop(t, 'held', {
    yaml: yaml('key: id, take: all, columns: { id: quarantine, amount: quarantine }'),
  })
  await night('1,10,a', ',40,bad')
  await correct('bad', { id: '4' })
  await night()
  assert.equal(await stateOf('bad'), 'reprocessed')
  rewrite('1,10,a', ',40,bad', '4,99,new')
  assert.match(await night(), /is refused: id = 4 is the key of a row that came with it/)
  assert.equal(await table(), '1:10 4:99')
  assert.equal(await stateOf('bad'), 'open')
  assert.equal(await night(), '')
})

test('a row of a model with a column called row is corrected', async t => {
  const { night, correct, table, stateOf } = await drop(t, 'called_row', {
    yaml: MODEL.yaml,
    models: { 'orders.sql': 'SELECT id, amount, note, id + 10 AS row FROM src' },
  })
  await night('1,10,a', '2,500,b')
  await correct('b', { amount: '50' })
  await night()
  assert.equal(await table('id, amount, row'), '1:10:11 2:50:12')
  assert.equal(await stateOf('b'), 'reprocessed')
})

test("a correction of a model's row with the key of another is refused, and the good rows are loaded", async t => {
  const { night, correct, rewrite, table, stateOf } = await drop(t, 'model_keys', MODEL)
  await night('1,10,a', '2,500,b', '3,600,c', '4,700,d')
  await correct('b', { amount: '50', id: '1' })
  await correct('c', { amount: '60', id: '9' })
  const notes = await night()
  assert.match(notes, /is refused: id = 1 is the key of a row that came with it: give it another/)
  assert.equal(await table(), '1:10 9:60')
  assert.deepEqual([await stateOf('b'), await stateOf('c')], ['open', 'reprocessed'])
  await correct('d', { amount: '70', id: '9' })
  assert.match(await night(), /is refused: id = 9 is the key of another correction/)
  assert.equal(await table(), '1:10 9:60')
  rewrite('1,10,a', '3,600,c', '9,90,new')
  assert.match(await night(), /is refused: id = 9 is the key of a row that came with it/)
  assert.deepEqual([await table(), await stateOf('c')], ['1:10 9:90', 'open'])
})

test('a correction that is queued, or holds, is corrected otherwise, or withdrawn', async t => {
  const { cli, folder, night, recordOf, table, stateOf } = await drop(t, 'withdrawn', {
    ...MODEL,
    yaml: yaml('take: all', 'key: id, mode: replace, guard: { max_delete_share: 1 }', 'src') + CHECKED,
  })
  await night('1,10,a', '2,500,b', '3,600,c')
  const csv = join(folder, 'bad.csv')
  const exported = (await cli('errors', 'export', 'withdrawn', 'orders')).out
  const queue = async (b: number, c: number) => {
    writeFileSync(csv, exported.replace(',500,', `,${b},`).replace(',600,', `,${c},`))
    return (await cli('errors', 'reprocess', 'withdrawn', '--corrections', csv)).out
  }
  assert.match(await queue(900, 60), /^2 records join/)
  assert.match(await queue(50, 60), /^1 record joins/)
  await night()
  assert.equal(await table(), '1:10 2:50 3:60')
  assert.match(await queue(50, 70), /^1 record joins/)
  const { id } = await recordOf('b')
  assert.match((await cli('errors', 'discard', 'withdrawn', id)).out, /^1 record is discarded/)
  await night()
  assert.equal(await table(), '1:10 3:70')
  assert.deepEqual([await stateOf('b'), await stateOf('c')], ['discarded', 'reprocessed'])
  const again = await cli('errors', 'discard', 'withdrawn', id)
  assert.match(again.err, /no open error record \w+, nor one that is queued or reprocessed/)
})

test('where the newest row of a key stays, a correction of a model may have the key of another', async t => {
  const { night, correct, table, stateOf } = await drop(t, 'newest', {
    ...MODEL,
    yaml: yaml('take: all', 'key: id, newer: amount', 'src') + CHECKED,
  })
  await night('1,10,a', '2,500,b')
  await correct('b', { amount: '50', id: '1' })
  await night()
  assert.deepEqual([await table(), await stateOf('b')], ['1:50', 'reprocessed'])
})

test('a correction of a model of which no row is rejected any more is resolved', async t => {
  const { night, correct, rewrite, table, stateOf } = await drop(t, 'mended', MODEL)
  await night('1,10,a', '2,500,b')
  await correct('b', { amount: '50' })
  rewrite('1,10,a', '2,60,b')
  assert.equal(await night(), '')
  assert.deepEqual([await table(), await stateOf('b')], ['1:10 2:60', 'resolved'])
})

test('a correction of a row that only its load rejects is refused, and its record open', async t => {
  const { night, correct, table, stateOf } = await drop(t, 'by_load', {
    ...MODEL,
    yaml: yaml('take: all', 'key: id, on_duplicate: quarantine', 'src') + CHECKED,
  })
  await night('1,10,a', '2,50,b', '2,60,c')
  await correct('b', { id: '3' })
  assert.match(await night(), /is refused: a load rejects its row, or a good row has its key/)
  assert.deepEqual([await table(), await stateOf('b')], ['1:10 2:60', 'open'])
})

test('a correction of an extract without a key, which its checks judge, is resolved where the source mends the row', async t => {
  const { night, correct, rewrite, table, stateOf } = await drop(t, 'keyless', {
    yaml: yaml('take: all, columns: { amount: quarantine }', 'mode: replace') + CHECKED,
  })
  await night('1,10,a', '2,500,b', '3,xx,c')
  await correct('b', { amount: '50' })
  await correct('c', { amount: '30' })
  assert.match(
    await night(),
    /^orders: the correction of \w+ is refused: orders has no key: correct the source$/,
  )
  assert.deepEqual([await stateOf('b'), await stateOf('c')], ['reprocessed', 'open'])
  assert.equal(await table(), '1:10 2:50')
  rewrite('1,10,a', '2,51,b2')
  assert.equal(await night(), '')
  assert.deepEqual([await table(), await stateOf('b')], ['1:10 2:51', 'resolved'])
})

test('corrections of a model that make one row of two are one row', async t => {
  const { night, correct, table, stateOf } = await drop(t, 'model_twins', MODEL)
  await night('1,10,a', '2,500,b', '2,600,c')
  await correct('b', { amount: '50', note: 'b' })
  await correct('c', { amount: '50', note: 'b' })
  assert.equal(await night(), '')
  assert.equal(await table(), '1:10 2:50')
  assert.deepEqual([await stateOf('b'), await stateOf('c')], ['reprocessed', 'reprocessed'])
  assert.equal(await night(), '')
  assert.equal(await table(), '1:10 2:50')
})

test('a correction that is queued otherwise while a run goes on waits for the next one', async t => {
  const { night, nightWith, correct, table, stateOf } = await drop(t, 'meanwhile')
  await night('1,10,a', ',40,b', ',50,c')
  await correct('b', { id: '1' })
  await correct('c', { id: '5' })
  let queued: Promise<unknown> | undefined
  const notes = await nightWith(task => {
    if (task === 'diff.orders') queued = Promise.all([correct('b', { id: '2' }), correct('c', { id: '3' })])
  })
  await queued
  assert.match(notes, /id = 1 is the key of a row that came with it/)
  assert.deepEqual([await stateOf('b'), await stateOf('c')], ['queued', 'queued'])
  await night()
  assert.equal(await table('id, amount'), '1:10 2:40 3:50 5:50')
})
