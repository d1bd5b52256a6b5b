import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Snapshot } from '../../engine/contracts/source.ts'
import { readerOf } from '../../engine/plan/prepare.ts'
import { PostgresChangeLog } from '../../src/connectors/postgres/changeLog.ts'
import { commandLine } from '../commandLine.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { dropAfter, follow, reversed } from './following.ts'
import { smallJob } from './small.ts'

const warehouse = await freshPostgres()

for (const { kind, fresh } of [
  { kind: 'postgres', fresh: freshPostgres },
  { kind: 'mariadb', fresh: freshMariadb },
]) {
  test(`${kind}: a night reads what the log says changed, deletes included`, async t => {
    const { query, night, notes } = await follow(t, {
      fresh,
      warehouse,
      table: 'items',
      statements: [
        'CREATE TABLE items (id int PRIMARY KEY, n int, big text, price numeric(12,2))',
        `INSERT INTO items VALUES ${values(3000, i => `(${i}, ${i}, 'xxxxxxxxx', ${i * 1.5})`)}`,
      ],
    })
    assert.deepEqual(await night(), { read: 3000, inserted: 3000, updated: 0, deleted: 0 })
    assert.deepEqual(await night(), { read: 0, inserted: 0, updated: 0, deleted: 0 })
    await query('UPDATE items SET n = -n WHERE id <= 10')
    await query('UPDATE items SET n = 7 WHERE id <= 5')
    await query('DELETE FROM items WHERE id IN (11, 12)')
    await query('INSERT INTO items (id, n) VALUES (5001, 1)')
    assert.deepEqual(await night(), { read: 11, inserted: 1, updated: 10, deleted: 2 })
    assert.match(notes.join('\n'), /s\.items: 1 insert, 15 updates, 2 deletes of 4 transactions, to \S+$/m)
    // Keys that change, that come back, that swap.
    await query('UPDATE items SET id = 6001 WHERE id = 100')
    await query('DELETE FROM items WHERE id = 101')
    await query(`INSERT INTO items (id, n, big) VALUES (101, 0, 'back')`)
    for (const [from, to] of [
      [200, -1],
      [201, 200],
      [-1, 201],
    ])
      await query(`UPDATE items SET id = ${to} WHERE id = ${from}`)
    assert.deepEqual(await night(), { read: 4, inserted: 1, updated: 3, deleted: 1 })
    await query('BEGIN')
    await query('DELETE FROM items')
    await query('ROLLBACK')
    assert.deepEqual(await night(), { read: 0, inserted: 0, updated: 0, deleted: 0 })
    // What is rolled back to a savepoint is no change.
    await query('BEGIN')
    await query('UPDATE items SET n = 1000 WHERE id = 1')
    await query('SAVEPOINT here')
    await query('UPDATE items SET n = 2000 WHERE id IN (1, 2)')
    await query('ROLLBACK TO SAVEPOINT here')
    await query('UPDATE items SET n = 3000 WHERE id = 3')
    await query('COMMIT')
    assert.deepEqual(await night(), { read: 2, inserted: 0, updated: 2, deleted: 0 })
  })

  test(`${kind}: a table that is emptied is empty, and what came afterwards is there`, async t => {
    const { query, night } = await follow(t, {
      fresh,
      warehouse,
      table: 'emptied',
      statements: [
        'CREATE TABLE emptied (id int PRIMARY KEY, n int)',
        'INSERT INTO emptied VALUES (1, 1), (2, 2), (3, 3)',
      ],
    })
    await night()
    await query('UPDATE emptied SET n = 10 WHERE id = 1')
    await query('TRUNCATE TABLE emptied')
    await query('INSERT INTO emptied VALUES (2, 20), (9, 9)')
    assert.deepEqual(await night(), { read: 2, inserted: 1, updated: 1, deleted: 2 })
  })

  test(`${kind}: columns that come and go are weighed as in every extract`, async t => {
    const { query, night, notes } = await follow(t, {
      fresh,
      warehouse,
      table: 'altered',
      extract: ', drift: { dropped: evolve, incompatible: evolve }',
      statements: [
        'CREATE TABLE altered (id int PRIMARY KEY, a int, b varchar(20))',
        `INSERT INTO altered VALUES (1, 1, 'x'), (2, 2, 'y')`,
      ],
    })
    await night()
    await query(`UPDATE altered SET a = 5 WHERE id = 1`)
    await query('ALTER TABLE altered ADD COLUMN c int DEFAULT 7')
    await query(`INSERT INTO altered VALUES (3, 3, 'z', 8)`)
    assert.equal((await night()).read, 3)
    assert.match(notes.join('\n'), /reads the whole table, and its log from then on: column c is new/)
    // The log has rows of three shapes.
    await query(`UPDATE altered SET a = 6 WHERE id = 1`)
    await query('ALTER TABLE altered DROP COLUMN b')
    await query(`UPDATE altered SET c = 9 WHERE id = 2`)
    await query(
      kind === 'postgres'
        ? 'ALTER TABLE altered ALTER COLUMN a TYPE bigint'
        : 'ALTER TABLE altered MODIFY a bigint',
    )
    await query(`UPDATE altered SET a = 5000000000 WHERE id = 3`)
    const { read } = await night(['id', 'a', 'c'])
    assert.equal(read, 3)
  })

  test(`${kind}: a table that is added later gets a snapshot of its own, while the log of the others goes on`, async t => {
    const { query, night, job, yaml } = await follow(t, {
      fresh,
      warehouse,
      table: 'first',
      statements: [
        'CREATE TABLE first (id int PRIMARY KEY, n int)',
        'INSERT INTO first VALUES (1, 1)',
        'CREATE TABLE second (id int PRIMARY KEY, n int)',
        'INSERT INTO second VALUES (1, 1), (2, 2)',
      ],
    })
    await night()
    await query('INSERT INTO first VALUES (2, 2)')
    job.yaml(
      yaml
        .replace('extract: {', 'extract: { second: { from: s, table: second, mode: changes },')
        .replace(
          'load: {',
          'load: { second: { to: w, from: second, key: id, deletes: hard, guard: { max_delete_share: 1 } },',
        ),
    )
    assert.deepEqual(await night(), { read: 1, inserted: 1, updated: 0, deleted: 0 })
    await query('DELETE FROM second WHERE id = 1')
    await query('INSERT INTO first VALUES (3, 3)')
    await night()
    const list = 'SELECT * FROM second ORDER BY id'
    assert.deepEqual(await warehouse.query(list), await query(list))
  })

  test(`${kind}: a history has each change once, in order, and a truncate as deletes`, async t => {
    const own = reversed(t)
    const database = await fresh(own)
    const { query } = database
    for (const sql of [
      'CREATE TABLE told (id int PRIMARY KEY, n int)',
      'INSERT INTO told VALUES (1, 1), (2, 2)',
    ])
      await query(sql)
    const job = await smallJob(own, `told_${kind}`, {
      'job.yaml': `connections: { s: "${database.url}", w: "${warehouse.url}" }
extract: { told: { from: s, table: told, mode: changes, history: true } }
load: { told_${kind}: { to: w, from: told, key: [id, change_number], mode: append }, spans_${kind}: { to: w, from: spans, key: [id, change_number] } }
resources: { memory: 300MB, threads: 2 }
`,
      'spans.sql': `SELECT id, change_number, n, changed_at AS valid_from,
  lead(changed_at) OVER (PARTITION BY id ORDER BY change_number) AS valid_to
FROM told QUALIFY change_kind <> 'delete'`,
    })
    dropAfter(own, job)
    const night = async () => {
      const { error } = await job.run()
      assert.equal(error, undefined)
      const rows = await warehouse.query<{ id: number; n: number | null; change_kind: string }>(
        `SELECT id, n, change_kind FROM told_${kind} ORDER BY change_number, id`,
      )
      return rows.map(({ id, n, change_kind }) => `${change_kind} ${id} ${n}`)
    }
    const told = ['snapshot 1 1', 'snapshot 2 2']
    assert.deepEqual(await night(), told)
    assert.deepEqual(await night(), told)
    await query('UPDATE told SET n = 10 WHERE id = 1')
    await query('UPDATE told SET n = 11 WHERE id = 1')
    await query('DELETE FROM told WHERE id = 2')
    await query('INSERT INTO told VALUES (2, 20)')
    told.push('update 1 10', 'update 1 11', `delete 2 ${kind === 'postgres' ? 'null' : '2'}`, 'insert 2 20')
    assert.deepEqual(await night(), told)
    assert.deepEqual(await night(), told)
    await query('UPDATE told SET id = 3 WHERE id = 1')
    await query('TRUNCATE TABLE told')
    await query('INSERT INTO told VALUES (4, 4)')
    told.push(
      `delete 1 ${kind === 'postgres' ? 'null' : '11'}`,
      'update 3 11',
      'delete 2 null',
      'delete 3 null',
      'insert 4 4',
    )
    assert.deepEqual(await night(), told)
    const open = await warehouse.query(`SELECT id, n FROM spans_${kind} WHERE valid_to IS NULL ORDER BY id`)
    assert.deepEqual(open, [{ id: 4, n: 4 }])
  })
}

test('postgres: a value that the log leaves out, since it did not change, is kept', async t => {
  const { query, night } = await follow(t, {
    fresh: freshPostgres,
    warehouse,
    table: 'toasted',
    statements: [
      `CREATE TABLE toasted (id int PRIMARY KEY, n int, a text, b bytea);
     ALTER TABLE toasted ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
     INSERT INTO toasted SELECT i, i, repeat(i::text, 9000), convert_to(repeat(i::text, 8000), 'UTF8') FROM generate_series(1, 12) AS i`,
    ],
  })
  await night()
  // From the image; from a change before; NULL is no value left out; where the key moved, once, twice, and into another's place.
  await query(`UPDATE toasted SET n = 100 WHERE id = 1;
    UPDATE toasted SET a = repeat('new', 5000) WHERE id = 2; UPDATE toasted SET n = 101 WHERE id = 2;
    UPDATE toasted SET a = NULL WHERE id = 3; UPDATE toasted SET n = 102 WHERE id = 3;
    UPDATE toasted SET id = 40 WHERE id = 4; UPDATE toasted SET n = 103 WHERE id = 40;
    UPDATE toasted SET id = 50 WHERE id = 5; UPDATE toasted SET id = 51 WHERE id = 50; UPDATE toasted SET n = 1 WHERE id = 51;
    UPDATE toasted SET id = -6 WHERE id = 6; UPDATE toasted SET id = 6 WHERE id = 7; UPDATE toasted SET id = 7 WHERE id = -6;
    DELETE FROM toasted WHERE id = 8; INSERT INTO toasted VALUES (8, 1, repeat('again', 3000), 'x'); UPDATE toasted SET n = 9 WHERE id = 8;
    INSERT INTO toasted VALUES (60, 1, repeat('fresh', 3000), convert_to(repeat('fresh', 3000), 'UTF8')); UPDATE toasted SET id = 61 WHERE id = 60; UPDATE toasted SET n = 2 WHERE id = 61`)
  assert.deepEqual(await night(), { read: 9, inserted: 3, updated: 6, deleted: 2 })
  await query(
    `ALTER TABLE toasted REPLICA IDENTITY FULL; UPDATE toasted SET n = n + 1; UPDATE toasted SET id = id + 1000 WHERE id = 9`,
  )
  await night()
})

test('postgres: a value that the log leaves out of a row that was rejected is not taken for NULL', async t => {
  const { query, job, yaml, night } = await follow(t, {
    fresh: freshPostgres,
    warehouse,
    table: 'unread',
    extract: ', columns: { born: quarantine }',
    statements: [
      'CREATE TABLE unread (id int PRIMARY KEY, born date, a text)',
      'ALTER TABLE unread ALTER a SET STORAGE EXTERNAL',
      `INSERT INTO unread VALUES (1, 'infinity', repeat('z', 5000)), (2, '2026-02-01', repeat('z', 5000))`,
    ],
  })
  job.yaml(`${yaml}quality: { max_error_rate: 1 }\n`)
  assert.equal((await job.run()).error, undefined)
  await query(`UPDATE unread SET born = '2026-02-02'`)
  const { error } = await job.run({ fresh: true })
  assert.match(String(error), /unread: the log leaves out a of 1 changed row\b/)
  assert.equal((error as { code: string }).code, 'LOG_LOST')
  assert.equal((await job.run({ fresh: true, fullRefresh: [] })).error, undefined)
  assert.deepEqual(await night(), { read: 0, inserted: 0, updated: 0, deleted: 0 })
})

test('postgres: a run that is killed while the server makes its slot leaves none that goes with it', async t => {
  const { query, night, job, reader, url } = await follow(t, {
    fresh: freshPostgres,
    warehouse,
    table: 'begun',
    statements: ['CREATE TABLE begun (id int PRIMARY KEY, n int)', 'CREATE TABLE other (id int PRIMARY KEY)'],
  })
  // The server makes no slot until this has ended.
  const other = new pg.Client({ connectionString: url })
  await other.connect()
  await other.query('BEGIN')
  await other.query('INSERT INTO other VALUES (1)')
  let child: ChildProcess | undefined
  const killed = commandLine(job.home, ['run', job.folder], {
    begun(process) {
      child = process
    },
  })
  const slot = () => query(`SELECT 1 FROM pg_replication_slots WHERE slot_name = '${reader}'`)
  while ((await slot()).length === 0) await delay(50)
  child!.kill('SIGKILL')
  await killed
  const again = night()
  await delay(1000)
  await other.query('COMMIT')
  await other.end()
  await again
  await query('INSERT INTO begun VALUES (1, 1)')
  assert.equal((await night()).inserted, 1)
})

test('postgres: tables of two databases of a cluster are read at a time, whatever the names of job and connections begin with', async t => {
  const [one, other] = [await freshPostgres(t), await freshPostgres(t)]
  const job = 'a_nightly_job_with_a_name_that_is_rather_long'
  const open = ({ url }: { url: string }, connection: string, within: () => Promise<unknown>) => {
    const log = new PostgresChangeLog({ name: connection, url }, async () => {
      await within()
      return {} as Snapshot
    })
    return log.open(readerOf(job, connection), 1, new AbortController().signal, [])
  }
  const { position } = await open(one, 'first', () => open(other, 'second', async () => {}))
  assert.match(position, /^[0-9A-F]+\/[0-9A-F]+$/)
})

test('postgres: a log that is lost, a slot that moved on, and a table made anew are errors that say what to do', async t => {
  const { query, night, job, reader } = await follow(t, {
    fresh: freshPostgres,
    warehouse,
    table: 'lost',
    statements: ['CREATE TABLE lost (id int PRIMARY KEY, n int)', 'INSERT INTO lost VALUES (1, 1)'],
  })
  await night()
  const refused = async (message: RegExp) => {
    const { error } = await job.run({ fresh: true })
    assert.match(String(error), message)
    assert.equal((error as { code: string }).code, 'LOG_LOST')
    assert.match(String((error as { hint: string }).hint), /--full-refresh/)
    assert.equal((await job.run({ fresh: true, fullRefresh: [] })).error, undefined)
    assert.deepEqual(
      await warehouse.query('SELECT * FROM lost ORDER BY id'),
      await query('SELECT * FROM lost ORDER BY id'),
    )
  }
  await query(`INSERT INTO lost VALUES (2, 2); SELECT pg_drop_replication_slot('${reader}')`)
  await refused(/there is no replication slot nightfreight_\w+ any more: changes of lost may be lost/)
  await query(`INSERT INTO lost VALUES (3, 3)`)
  await query(`SELECT pg_replication_slot_advance('${reader}', pg_current_wal_flush_lsn())`)
  await refused(/slot nightfreight_\w+ is at [0-9A-F/]+, past [0-9A-F/]+, up to which lost was read/)
  await query(
    `DROP TABLE lost; CREATE TABLE lost (id int PRIMARY KEY, n int); INSERT INTO lost VALUES (7, 7)`,
  )
  await refused(/lost had not been in publication/)
  await query(`INSERT INTO lost VALUES (8, 8)`)
  await night()
})

function values(count: number, row: (number: number) => string): string {
  return Array.from({ length: count }, (_, index) => row(index + 1)).join(', ')
}

test('mariadb: numbers that were logged before their columns were widened are what they were', async t => {
  const { query, night, notes } = await follow(t, {
    fresh: freshMariadb,
    warehouse,
    table: 'broader',
    load: ', schema: evolve',
    statements: [
      'CREATE TABLE broader (id int PRIMARY KEY, y year, n int, m smallint, b bit(8))',
      `INSERT INTO broader VALUES (1, 1999, 1, 1, b'1')`,
    ],
  })
  await night(['id', 'y', 'n', 'm'])
  await query(`INSERT INTO broader VALUES (2, 2024, -70000, -7, b'10000001'), (3, 2155, 3, 3, NULL)`)
  await query(
    'ALTER TABLE broader MODIFY y int, MODIFY n double, MODIFY m decimal(9,2), MODIFY b decimal(20,0)',
  )
  await query(`INSERT INTO broader VALUES (4, 70000, 0.5, 1.25, 300)`)
  assert.equal((await night()).read, 3)
  assert.doesNotMatch(notes.join('\n'), /reads the whole table/)
})

test('mariadb: the times of a history grow with its changes, and are one for each transaction', async t => {
  const own = reversed(t)
  const one = await freshMariadb(own)
  const other = await freshMariadb(own)
  const database = new URL(one.url).pathname.slice(1)
  await one.query('CREATE TABLE timed (id int PRIMARY KEY, n int)')
  const job = await smallJob(own, 'timed', {
    'job.yaml': `connections: { s: "${one.url}", w: "${warehouse.url}" }
extract: { timed: { from: s, table: timed, mode: changes, history: true } }
load: { timed: { to: w, from: timed, key: [id, change_number], mode: append } }
resources: { memory: 300MB, threads: 2 }
`,
  })
  dropAfter(own, job)
  const night = async () => assert.equal((await job.run()).error, undefined)
  await night()
  await other.query(`USE ${database}`)
  await one.query('START TRANSACTION')
  await one.query('INSERT INTO timed VALUES (1, 1)')
  await delay(1100)
  await other.query('INSERT INTO timed VALUES (2, 2)')
  await delay(1100)
  await one.query('INSERT INTO timed VALUES (3, 3)')
  await delay(1100)
  await one.query('COMMIT')
  // One that began before what is committed before it, and is read by the next run.
  const slow = one.query('INSERT INTO timed SELECT 5, sleep(6)')
  await delay(1100)
  await other.query('INSERT INTO timed VALUES (4, 4)')
  await night()
  await slow
  await night()
  const rows = await warehouse.query<{ id: number; changed_at: string }>(
    `SELECT id, changed_at::text FROM timed ORDER BY change_number`,
  )
  // Another test's read lock may have one of the last two wait for the other.
  const ids = rows.map(({ id }) => id)
  assert.deepEqual([...ids.slice(0, 3), ...ids.slice(3).sort()], [2, 1, 3, 4, 5])
  const times = rows.map(({ changed_at }) => Date.parse(changed_at))
  assert.equal(times[1], times[2])
  assert.ok(times[0]! + 1000 < times[1]!, times.join())
  assert.deepEqual(
    times.toSorted((x, y) => x - y),
    times,
  )
})
