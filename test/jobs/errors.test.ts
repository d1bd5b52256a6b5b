import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { Mask } from '../../engine/mask.ts'
import type { ErrorRecord } from '../../src/metadata/errorRecords.ts'
import { corrections, csvOf } from '../../src/runs/correctionCsv.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { type SmallJob, smallJob } from './small.ts'

const { url, query } = await freshPostgres()
const legacy = await freshMariadb()

const yaml = (name: string) => `connections: { here: "${url}" }
extract: { items: { from: here, table: ${name}, key: id } }
load: { ${name}_loaded: { to: here, from: out, key: id } }
quality: { max_error_rate: 0.5 }
resources: { memory: 300MB, threads: 1 }
`

async function job(name: string): Promise<SmallJob> {
  await query(`CREATE TABLE ${name} (id bigint PRIMARY KEY, label text, amount numeric(10,2));
    INSERT INTO ${name} SELECT i, 'row ' || i, i FROM generate_series(1, 20) AS i;
    UPDATE ${name} SET amount = -1 WHERE id IN (3, 4, 5); UPDATE ${name} SET label = 'x,"y"' WHERE id = 3`)
  const made = await smallJob({ after }, name, {
    'job.yaml': yaml(name),
    'out.sql': 'SELECT id, label, amount FROM items',
  })
  mkdirSync(join(made.folder, 'checks/out'), { recursive: true })
  writeFileSync(
    join(made.folder, 'checks/out/negative.sql'),
    "SELECT id, 'amount is ' || amount AS reason FROM out WHERE amount < 0",
  )
  return made
}

const ids = (list: { id: string }[]) => list.map(({ id }) => id).join(',')
const loaded = (name: string) =>
  query<{ id: string; amount: string; label: string }>(
    `SELECT id, amount, label FROM ${name}_loaded WHERE id IN (3, 4, 5) ORDER BY id`,
  )

test('a corrected row is loaded once, in the place of the rejected one, tonight and later', async () => {
  const name = 'mend'
  const { cli, run, home, metadata } = await job(name)
  const first = await run()
  assert.deepEqual([first.status, first.outcome.tables.at(-1)!.rejected], ['COMPLETED_WITH_ERRORS', 3])
  const list = await cli('errors', 'list', '--state', 'open', '--json')
  const { records } = JSON.parse(list.out) as { records: ErrorRecord[] }
  assert.equal(records.length, 3)
  const three = records.find(({ record }) => record.id === '3')!
  assert.deepEqual(three.record, { id: '3', label: 'x,"y"', amount: '-1.00' })
  assert.deepEqual([three.category, three.reason], ['DATA_INTEGRITY_ERROR', 'amount is -1.00'])
  assert.match((await cli('errors', 'show', three.id)).out, /"check_name": "negative"/)

  const file = join(home, 'bad.csv')
  assert.equal((await cli('errors', 'export', name, 'out', '--out', file)).code, 0)
  const csv = readFileSync(file, 'utf8')
  assert.match(csv, /^_id,_reason,id,label,amount\n/)
  // Row 3 is mended, row 4 gets a value that is no amount, row 5 stays as it is.
  const lines = csv.split('\n').map(line => {
    if (line.includes('x,')) return line.replace(/-1\.00$/, '30.50')
    return line.includes('row 4') ? line.replace(/-1\.00$/, 'many') : line
  })
  writeFileSync(file, lines.join('\n'))
  const queued = await cli('errors', 'reprocess', name, '--corrections', file)
  assert.equal(queued.out, `2 records join the next run of ${name}\n`, queued.err)

  const notes: string[] = []
  const progress = { started() {}, advanced() {}, finished() {}, note: (text: string) => notes.push(text) }
  const second = await run({ progress })
  assert.equal(second.error, undefined)
  const out = second.outcome.tables.at(-1)!
  assert.deepEqual([out.rows, out.rejected, out.corrected!.applied], [20, 2, [three.id]])
  assert.ok(notes.some(note => /is refused: amount: many is no DECIMAL\(10,2\)/.test(note)))
  assert.deepEqual(await loaded(name), [{ id: '3', amount: '30.50', label: 'x,"y"' }])
  const state = async (id: string) => (await metadata.errors.find(id))!.state
  assert.deepEqual(await Promise.all(records.map(({ id }) => state(id))).then(s => s.sort()), [
    'open',
    'open',
    'reprocessed',
  ])

  const third = await run()
  assert.deepEqual(
    third.outcome.loaded.map(({ inserted, updated }) => [inserted, updated]),
    [[0, 0]],
  )
  assert.deepEqual(await loaded(name), [{ id: '3', amount: '30.50', label: 'x,"y"' }])

  await query(`UPDATE ${name} SET amount = 7 WHERE id = 3`)
  const fourth = await run()
  assert.equal(fourth.error, undefined)
  assert.equal((await loaded(name))[0]!.amount, '7.00', 'the source has changed the row: it holds')
})

test('a changed check lets rows through: reprocessed, the others are open again', async () => {
  const name = 'recheck'
  const { cli, run, folder, metadata } = await job(name)
  await run()
  writeFileSync(
    join(folder, 'checks/out/negative.sql'),
    "SELECT id, 'amount is ' || amount AS reason FROM out WHERE amount < 0 AND id <> 4",
  )
  const before = await metadata.errors.list({ job: name, limit: 10 })
  assert.match((await cli('errors', 'reprocess', name)).out, /^3 records/)
  assert.equal((await run()).error, undefined)
  const records = await metadata.errors.list({ job: name, limit: 10 })
  assert.equal(ids(records), ids(before), 'a row found again is no further record')
  assert.deepEqual(records.map(({ record, state }) => [record.id, state]).sort(), [
    ['3', 'open'],
    ['4', 'reprocessed'],
    ['5', 'open'],
  ])
  assert.equal(ids(await loaded(name)), '4')
})

test('the same options say which records are listed, exported, queued and discarded', async () => {
  const { cli, run, metadata, home } = await job('picked')
  await run()
  const open = async () =>
    (await metadata.errors.list({ state: 'open' })).map(({ row_key }) => row_key).sort()
  const ids = async (...options: string[]) => {
    const { out } = await cli('errors', 'list', '--json', ...options)
    return (JSON.parse(out) as { records: ErrorRecord[] }).records.map(({ row_key }) => row_key).sort()
  }
  const tomorrow = new Date(Date.now() + 24 * 3600_000).toISOString().slice(0, 10)
  assert.deepEqual(await ids('--key', '4'), ['4'])
  assert.deepEqual(await ids('--reason', 'AMOUNT IS -1', '--table', 'out'), ['3', '4', '5'])
  assert.deepEqual([await ids('--since', tomorrow), await ids('--table', 'items')], [[], []])
  const few = await cli('errors', 'list', '--limit', '0')
  assert.match(few.out, /0 of 3: --limit shows more/)

  const file = join(home, 'some.csv')
  assert.equal((await cli('errors', 'export', 'picked', 'out', '--key', '3', '--out', file)).code, 0)
  assert.equal(readFileSync(file, 'utf8').trim().split('\n').length, 2)
  const all = (await cli('errors', 'export', 'picked', 'out')).out
  assert.equal(all.trim().split('\n').length, 4)
  assert.match((await cli('errors', 'export', 'picked', 'out', '--since', tomorrow)).out, /^_id,_reason\n$/)

  assert.match((await cli('errors', 'reprocess', 'picked', '--key', '5')).out, /^1 record joins/)
  assert.deepEqual(await open(), ['3', '4'])
  const wide = await cli('errors', 'discard', 'picked')
  assert.deepEqual([wide.code, /nothing says which records/.test(wide.err)], [2, true])
  const other = await cli('errors', 'discard', 'picked', 'nonsense')
  assert.deepEqual([other.code, /no open error record nonsense/.test(other.err)], [2, true])
  assert.match(
    (await cli('errors', 'discard', 'picked', '--reason', 'amount', '--key', '3')).out,
    /^1 record /,
  )
  assert.deepEqual(await open(), ['4'])
})

test('values that a type cannot hold are corrected in the extract', async () => {
  await legacy.query(`SET sql_mode = ''; CREATE TABLE born (id int PRIMARY KEY, day date NOT NULL);
    INSERT INTO born VALUES (1, '2001-02-03'), (2, '0000-00-00'), (3, '0000-00-00')`)
  const made = await smallJob({ after }, 'born', {
    'job.yaml': `connections: { old: "${legacy.url}", here: "${url}" }
extract: { born: { from: old, table: born, key: id, columns: { day: quarantine } } }
load: { born_loaded: { to: here, from: people, key: id } }
quality: { max_error_rate: 0.9 }
resources: { memory: 300MB, threads: 1 }
`,
    'people.sql': 'SELECT id, day FROM born',
  })
  assert.equal((await made.run()).status, 'COMPLETED_WITH_ERRORS')
  // They are listed by their ids, which are hashes.
  const records = await made.metadata.errors.list({ job: 'born', limit: 9 })
  assert.deepEqual(records.map(({ record }) => record.id).sort(), ['2', '3'])
  const two = records.find(({ record }) => record.id === '2')
  assert.deepEqual(
    [two!.record, two!.category, two!.code],
    [{ id: '2', day: '0000-00-00' }, 'FORMAT_ERROR', 'VALUE_INEXACT'],
  )
  await made.metadata.errors.queueCorrected(new Map([[two!.id, { day: '1999-12-31' }]]))
  assert.equal((await made.run()).error, undefined)
  const rows = () => query(`SELECT id, day::text AS day FROM born_loaded ORDER BY id`)
  const mended = [
    { id: 1, day: '2001-02-03' },
    { id: 2, day: '1999-12-31' },
  ]
  assert.deepEqual(await rows(), mended)
  assert.equal((await made.run()).error, undefined)
  assert.deepEqual(await rows(), mended)
  assert.equal((await made.metadata.errors.find(two!.id))!.state, 'reprocessed')
})

test('what is exported comes back as it was, in whatever portions; only changes are corrections', async () => {
  const text = fc.option(
    fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é', '=', '-', "'", '1', '\u001b') }),
    {
      nil: null,
    },
  )
  // Of a line that is no row there is a column that others have not.
  const row = fc.record({ a: text, b: text, 'f.csv line 3': text }, { requiredKeys: ['a', 'b'] })
  const exported = async (records: ErrorRecord[], exact = false) => {
    const pages = async function* () {
      for (const page of [records.slice(0, 2), records.slice(2)]) yield page
    }
    let csv = ''
    for await (const text of csvOf(pages, record => record, exact)) csv += text
    return csv
  }
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1 }), async rows => {
      const records = rows.map(
        (record, i) => ({ id: `i${i}`, reason: 'r', record, table_name: 'm' }) as unknown as ErrorRecord,
      )
      const byId = new Map(records.map(record => [record.id, record]))
      for (const exact of [false, true])
        assert.deepEqual(corrections(await exported(records, exact), 'f', byId, Mask.none), new Map())
      const changed = records.map(each => ({ ...each, record: { ...each.record, b: 'new' } }))
      const found = corrections(await exported(changed), 'f', byId, Mask.none)
      for (const { id, record } of records)
        assert.deepEqual(found.get(id), record.b === 'new' ? undefined : { b: 'new' })
    }),
  )
  const byId = new Map([['i', { id: 'i', record: { a: '1' }, table_name: 'm' } as unknown as ErrorRecord]])
  assert.throws(() => corrections('_id,_reason,a\nj,r,2\n', 'f.csv', byId, Mask.none), {
    message: 'f.csv:2: no open error record has the id j',
  })
  assert.throws(() => corrections('_id,_reason,z\ni,r,2\n', 'f.csv', byId, Mask.none), {
    message: 'f.csv:1: m has no column z',
  })
  byId.set('j', { id: 'j', record: { 'f.csv line 3': '1' }, table_name: 'm' } as unknown as ErrorRecord)
  assert.throws(() => corrections('_id,_reason,a,f.csv line 3\ni,r,2,x\n', 'g.csv', byId, Mask.none), {
    message: 'g.csv:2: row i has no f.csv line 3',
  })
  const twice = '_id,_reason,a\ni,r,"2\n"\ni,r,3\nk,r,4\n'
  assert.throws(() => corrections(twice, 'g.csv', byId, Mask.none, ['i']), {
    message: 'g.csv:4: row i is there twice',
  })
  const others = '_id,_reason,a\ni,r,2\nk,r,4\n'
  assert.deepEqual(corrections(others, 'g.csv', byId, Mask.none, ['i']), new Map([['i', { a: '2' }]]))
})

test('rows may have columns that are called as those of the export: they are corrected as all others', async () => {
  const record = { _id: '1', _reason: 'cold', a: 'x' }
  const found = { id: 'i', reason: 'r', record, table_name: 'm' } as unknown as ErrorRecord
  const byId = new Map([['i', found]])
  const pages = async function* () {
    yield [found]
  }
  let csv = ''
  for await (const text of csvOf(pages, each => each)) csv += text
  assert.equal(csv, '_id,_reason,_id,_reason,a\ni,r,1,cold,x\n')
  const given = (text: string) => corrections(text, 'f.csv', byId, Mask.none).get('i')
  assert.equal(given(csv), undefined)
  assert.deepEqual(given('_id,_reason,_id,_reason,a\ni,r,2,warm,x\n'), { _id: '2', _reason: 'warm' })
  assert.deepEqual(given('_id,_id,a\ni,2,x\n'), { _id: '2' })
  assert.throws(() => given('_id,_reason,_id\ni,warm,1\n'), {
    message: 'f.csv:1: there is one column _reason: row i has one of its own, behind that of the export',
  })
  // Of rows without such columns they are the export's wherever they stand.
  byId.set('j', { id: 'j', record: { a: 'x' }, table_name: 'm' } as unknown as ErrorRecord)
  assert.deepEqual(corrections('_id,a,_reason\nj,y,r\n', 'f.csv', byId, Mask.none).get('j'), { a: 'y' })
})

test('rows that are the same in every column are each corrected, where a model has no key', async () => {
  await query(
    "CREATE TABLE alike (label text, amount int); INSERT INTO alike VALUES ('a', -1), ('a', -1), ('b', 2)",
  )
  const made = await smallJob({ after }, 'alike', {
    'job.yaml': `connections: { here: "${url}" }
extract: { items: { from: here, table: alike } }
load: { alike_loaded: { to: here, from: out, mode: replace } }
quality: { max_error_rate: 1 }
resources: { memory: 300MB, threads: 1 }
`,
    'out.sql': 'SELECT label, amount FROM items',
    'checks/out/negative.sql':
      "SELECT label, 'amount is ' || amount AS reason FROM out WHERE amount < 0 UNION ALL SELECT label, 'again' FROM out WHERE amount < 0",
  })
  await made.run()
  const [record, ...others] = await made.metadata.errors.list({ job: 'alike', limit: 9 })
  assert.deepEqual([record!.record, others], [{ label: 'a', amount: '-1' }, []])
  await made.metadata.errors.queueCorrected(new Map([[record!.id, { amount: '1' }]]))
  assert.equal((await made.run()).error, undefined)
  assert.deepEqual(await query('SELECT label, amount FROM alike_loaded ORDER BY label'), [
    { label: 'a', amount: 1 },
    { label: 'a', amount: 1 },
    { label: 'b', amount: 2 },
  ])
})
