/** What a server keeps of its log for a job: no longer than it is needed, and never unseen. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lsnOf } from '../../src/connectors/postgres/lsn.ts'
import { type FreshDatabase, freshPostgres } from '../servers.ts'
import { dropAfter, reversed } from './following.ts'
import { notesInto, smallJob } from './small.ts'

const warehouse = await freshPostgres()

test('postgres: a log that no extract reads any more is told each night, and dropped by the line that is told', async t => {
  const own = reversed(t)
  const [read, unread] = [await freshPostgres(own), await freshPostgres(own)]
  for (const { query } of [read, unread])
    for (const sql of ['CREATE TABLE items (id int PRIMARY KEY)', 'INSERT INTO items VALUES (1)'])
      await query(sql)
  const yamlOf = (
    mode: string,
    otherMode: string,
  ) => `connections: { s: "${read.url}", other: "${unread.url}", w: "${warehouse.url}" }
extract:
  kept_one: { from: s, table: items, mode: ${mode} }
  kept_other: { from: other, table: items, mode: ${otherMode} }
load:
  kept_one: { to: w, from: kept_one, key: id }
  kept_other: { to: w, from: kept_other, key: id }
resources: { memory: 300MB, threads: 1 }
`
  const job = await smallJob(own, 'unread', { 'job.yaml': yamlOf('changes', 'changes') })
  dropAfter(own, job)
  const slots = async ({ query, name }: FreshDatabase) =>
    (await query(`SELECT 1 FROM pg_replication_slots WHERE database = '${name}'`)).length
  const told = async () => {
    const notes: string[] = []
    assert.equal((await job.run({ progress: notesInto(notes) })).error, undefined)
    return notes.filter(note => /no extract reads/.test(note))
  }
  assert.deepEqual(await told(), [])
  job.yaml(yamlOf('changes', 'read'))
  for (let night = 0; night < 2; night++) {
    const [note, ...more] = await told()
    assert.match(note!, /^other: replication slot nightfreight_unread_other_\w+ keeps [\d.]+ MB of log, /)
    assert.match(note!, new RegExp(`: nightfreight changes drop ${job.folder} other$`))
    assert.deepEqual(more, [])
  }
  const status = await job.cli('changes', 'status', job.folder)
  assert.match(
    status.output,
    /^other: replication slot .*\n {2}tables {4}none: no extract reads it any more$/m,
  )
  job.yaml(yamlOf('changes', 'changes').replace(', other:', ', anew:').replace('from: other', 'from: anew'))
  const renamed = await job.cli('changes', 'status', job.folder)
  assert.match(
    renamed.output,
    /^ {2}note +nightfreight_unread_other_\w+ keeps .* under a former name\. Only where no job has that name any more: SELECT pg_drop_replication_slot\('nightfreight_unread_other_\w+'\);$/m,
  )
  job.yaml(yamlOf('changes', 'read'))
  const misspelled = await job.cli('changes', 'drop', job.folder, 'othr')
  assert.equal(misspelled.code, 2, misspelled.output)
  assert.match(misspelled.output, /did you mean "other"/)
  const line = await job.cli('changes', 'drop', job.folder, 'other')
  assert.equal(line.code, 0, line.output)
  assert.match(line.output, /^other: removed replication slot \S+, publication \S+$/m)
  assert.deepEqual([await slots(read), await slots(unread)], [1, 0])
  assert.deepEqual(await told(), [])
  job.yaml(yamlOf('read', 'read'))
  assert.match((await told()).join(), /^s: replication slot/)
  const all = await job.cli('changes', 'drop', job.folder)
  assert.equal(all.code, 0, all.output)
  assert.deepEqual([await slots(read), await slots(unread)], [0, 0])
  const nothing = await job.cli('changes', 'status', job.folder)
  assert.equal(nothing.code, 2, nothing.output)
  assert.match(nothing.output, /no server keeps a log for it/)
})

test('postgres: what fails beside it has no log kept; a table that fails has it kept, until it is loaded', async t => {
  const own = reversed(t)
  const { url, name: database, query } = await freshPostgres(own)
  for (const table of ['good', 'bad', 'plain'])
    for (const sql of [
      `CREATE TABLE ${table} (id int PRIMARY KEY, n int)`,
      `INSERT INTO ${table} VALUES (1, 1)`,
    ])
      await query(sql)
  const job = await smallJob(own, 'beside', {
    'job.yaml': `connections: { s: "${url}", p: "${url}", w: "${warehouse.url}" }
extract:
  good: { from: s, table: good, mode: changes }
  bad: { from: s, table: bad, mode: changes }
  plain: { from: p, table: plain }
load:
  beside_good: { to: w, from: good, key: id }
  beside_bad: { to: w, from: bad, key: id, on_error: continue }
  beside_plain: { to: w, from: plain, key: id, on_error: continue }
resources: { memory: 300MB, threads: 1 }
`,
  })
  dropAfter(own, job)
  const confirmed = async () => {
    const [slot] = await query<{ lsn: string }>(
      `SELECT confirmed_flush_lsn AS lsn FROM pg_replication_slots WHERE database = '${database}'`,
    )
    return lsnOf(slot!.lsn)
  }
  const night = async (n: number, fails: boolean) => {
    for (const table of ['good', 'bad', 'plain']) await query(`UPDATE ${table} SET n = ${n}`)
    const notes: string[] = []
    const before = await confirmed().catch(() => 0n)
    const { error } = await job.run({ progress: notesInto(notes), fresh: true })
    assert.equal(error !== undefined, fails, String(error))
    const [found] = await warehouse.query<{ n: number[] }>(
      'SELECT ARRAY[(SELECT n FROM beside_good), (SELECT n FROM beside_bad WHERE id = 1), (SELECT n FROM beside_plain)] AS n',
    )
    const kept = notes.filter(note => /keeps its log from where/.test(note))
    return { loaded: found!.n, hasMoved: (await confirmed()) > before, kept }
  }
  const refuse = (table: string) =>
    warehouse.query(`ALTER TABLE beside_${table} ADD CONSTRAINT few CHECK (n < 2)`)
  const allow = (table: string) => warehouse.query(`ALTER TABLE beside_${table} DROP CONSTRAINT few`)
  await night(1, false)
  await refuse('plain')
  assert.deepEqual(await night(2, true), { loaded: [2, 2, 1], hasMoved: true, kept: [] })
  await warehouse.query('UPDATE beside_bad SET n = 1')
  await refuse('bad')
  const told = ['s: its server keeps its log from where bad was loaded last, until that is loaded again']
  // Up to where it was loaded last, and no further.
  await night(3, true)
  assert.deepEqual(await night(4, true), { loaded: [4, 1, 1], hasMoved: false, kept: told })
  await allow('bad')
  await allow('plain')
  await query('INSERT INTO bad VALUES (7, 7)')
  assert.deepEqual(await night(5, false), { loaded: [5, 5, 5], hasMoved: true, kept: [] })
  const list = 'SELECT * FROM bad ORDER BY id'
  assert.deepEqual(await warehouse.query(list.replace('bad', 'beside_bad')), await query(list))
})
