/** Tables are compared with what their logs said of them: what these missed is named, and repaired. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { endAlert } from '../../src/alerts/runAlerts.ts'
import { type FreshDatabase, freshMariadb, freshPostgres, type Hooks } from '../servers.ts'
import { type Following, follow } from './following.ts'
import { notesInto } from './small.ts'

const warehouse = await freshPostgres()

/** Has the server log nothing of some statements. */
async function unlogged({ query }: Following, statements: string[]): Promise<void> {
  await query('SET SESSION sql_log_bin = 0')
  for (const sql of statements) await query(sql)
  await query('SET SESSION sql_log_bin = 1')
}

const MISSED = [
  `INSERT INTO told VALUES (50, 50, 'new')`,
  'UPDATE told SET n = -n WHERE id IN (1, 2)',
  `DELETE FROM told WHERE id = 3`,
]

const followed = (hooks: Hooks, fresh: typeof freshMariadb, extract = '') =>
  follow(hooks, {
    fresh,
    warehouse,
    table: 'told',
    extract,
    statements: [
      'CREATE TABLE told (id int PRIMARY KEY, n int, note varchar(20))',
      `INSERT INTO told VALUES ${Array.from({ length: 40 }, (_, i) => `(${i}, ${i}, 'first')`).join(', ')}`,
    ],
  })

/** The same table with a history, whose changes are appended. */
async function historyOf(hooks: Hooks, fresh: typeof freshMariadb, extract = '') {
  const table = await followed(hooks, fresh, `, history: true${extract}`)
  table.job.yaml(
    table.yaml.replace(
      'key: id, deletes: hard, guard: { max_delete_share: 1 }',
      'key: [id, change_number], mode: append',
    ),
  )
  return table
}

const ROWS = 'SELECT * FROM told ORDER BY id'
const same = async ({ query }: Pick<FreshDatabase, 'query'>) =>
  assert.deepEqual(await warehouse.query(ROWS), await query(ROWS))

test('mariadb: what the log missed is named and repaired when it is asked for', async t => {
  const table = await followed(t, freshMariadb)
  const { query, night, job } = table
  await night()
  await unlogged(table, MISSED)
  await query(`UPDATE told SET note = 'told' WHERE id IN (2, 4)`)
  await query('DELETE FROM told WHERE id = 5')
  await query(`INSERT INTO told VALUES (51, 51, 'told')`)
  const notes: string[] = []
  const found = await job.run({ reconcile: true, fresh: true, progress: notesInto(notes) })
  assert.equal(found.error, undefined)
  // Of 2, a later change told all of it.
  const missed =
    /its log missed 1 insert, 1 update and 1 delete, which are repaired \(id 1; id 3; id 50\): 40 rows/
  assert.match(notes.join('\n'), missed)
  assert.match(found.outcome.extracted[0]!.note!, missed)
  const ended = { status: 'SUCCESS', outcome: found.outcome, tasks: [], report: '' } as const
  const told = endAlert(
    { job: 'told', run: 'r', folder: job.folder, home: job.home, env: {}, targets: [] },
    { ...ended, tasks: [] },
    new Date(),
  )
  assert.match(told!.what, missed)
  await same(table)
  const again = await job.run({ reconcile: true, fresh: true })
  assert.equal(again.error, undefined)
  assert.deepEqual(again.outcome.extracted[0]!.reconciled, {
    rows: 40,
    inserts: 0,
    updates: 0,
    deletes: 0,
    keys: [],
  })
  await query('UPDATE told SET n = 9 WHERE id IN (1, 50)')
  assert.deepEqual(await night(), { read: 2, inserted: 0, updated: 2, deleted: 0 })
})

test('mariadb: a history gets what its log missed as changes, as often as the job says', async t => {
  const table = await historyOf(t, freshMariadb, ', reconcile: 1s')
  const { query, job } = table
  const run = async () => {
    const { error, outcome } = await job.run({ fresh: true })
    assert.equal(error, undefined)
    return outcome.extracted[0]!
  }
  await run()
  await unlogged(table, MISSED)
  await query('UPDATE told SET n = 100 WHERE id = 4')
  await delay(1100)
  const { reconciled, rows } = await run()
  assert.deepEqual(reconciled, {
    rows: 40,
    inserts: 1,
    updates: 2,
    deletes: 1,
    keys: ['id 1', 'id 2', 'id 3', 'id 50'],
  })
  assert.equal(rows, 5)
  await query('UPDATE told SET n = 200 WHERE id = 50')
  await run()
  const changes = await warehouse.query<{ id: number; change_kind: string; n: number | null }>(
    `SELECT id, change_kind, n FROM told WHERE change_kind <> 'snapshot' ORDER BY change_number`,
  )
  assert.deepEqual(
    changes.map(({ id, change_kind, n }) => `${change_kind} ${id} ${n}`),
    ['update 4 100', 'update 1 -1', 'update 2 -2', 'delete 3 null', 'insert 50 50', 'update 50 200'],
  )
  const [latest] = await warehouse.query<{ rows: string }>(
    `SELECT count(*) AS rows FROM (SELECT DISTINCT ON (id) change_kind FROM told ORDER BY id, change_number DESC) l WHERE change_kind <> 'delete'`,
  )
  assert.equal(Number(latest!.rows), 40)
})

test('postgres: a log that tells all has missed nothing, whoever writes meanwhile', async t => {
  const table = await followed(t, freshPostgres, ', reconcile: 1h')
  const { query, night, job } = table
  await night()
  const state = { stopped: false }
  const writing = (async () => {
    for (let n = 0; !state.stopped; n++) {
      await query(`UPDATE told SET n = ${n} WHERE id = ${n % 40}`)
      await query(`UPDATE told SET id = ${n % 40 < 20 ? 1000 + n : n % 40} WHERE id = ${n % 40}`)
      await query(`INSERT INTO told VALUES (${100_000 + n}, 1, 'more')`)
      await query(`DELETE FROM told WHERE id = ${100_000 + n - 5}`)
    }
  })()
  for (let time = 0; time < 3; time++) {
    const { error, outcome } = await job.run({ reconcile: true, fresh: true })
    assert.equal(error, undefined)
    const { rows, ...missed } = outcome.extracted[0]!.reconciled!
    assert.ok(rows >= 40)
    assert.deepEqual(missed, { inserts: 0, updates: 0, deletes: 0, keys: [] })
  }
  state.stopped = true
  await writing
  await night()
  // Within the hour it is not compared again.
  assert.equal((await job.run()).outcome.extracted[0]!.reconciled, undefined)
})

test('mariadb: a row that no type holds is there: it is no delete, and told once where the log missed it', async t => {
  const { query, job, yaml } = await follow(t, {
    fresh: freshMariadb,
    warehouse,
    table: 'told',
    extract: ', columns: { d: quarantine }',
    statements: [
      "SET SESSION sql_mode = ''",
      'CREATE TABLE told (id int PRIMARY KEY, n int, d date)',
      `INSERT INTO told VALUES ${Array.from({ length: 40 }, (_, i) => `(${i}, ${i}, ${i === 7 ? "'0000-00-00'" : "'2026-01-01'"})`).join(', ')}`,
    ],
  })
  job.yaml(
    `${yaml.replace('max_delete_share: 1', 'max_delete_share: 1, allow_empty: true')}quality: { max_error_rate: 1 }\n`,
  )
  const reconciled = async () => {
    const { error, outcome } = await job.run({ reconcile: true, fresh: true })
    assert.equal(error, undefined)
    return outcome.extracted[0]!.reconciled
  }
  const rejected = async () => {
    const { out } = await job.cli('errors', 'list', '--job', 'log_told_mysql', '--json')
    return (JSON.parse(out) as { records: { row_key: string }[] }).records
      .map(({ row_key }) => row_key)
      .sort()
  }
  const held = async () =>
    (await warehouse.query('SELECT id, n FROM told ORDER BY id')).map(({ id, n }) => `${id}:${n}`)
  assert.equal((await job.run()).error, undefined)
  const none = { rows: 40, inserts: 0, updates: 0, deletes: 0, keys: [] }
  // One was never good, one is not any more, as the log tells.
  await query("UPDATE told SET n = -8, d = '0000-00-00' WHERE id = 8")
  assert.deepEqual(await reconciled(), none)
  assert.equal((await held()).length, 39)
  assert.ok((await held()).includes('8:8'), 'what was loaded last')
  await query('SET SESSION sql_log_bin = 0')
  await query("UPDATE told SET n = -9, d = '2026-00-00' WHERE id = 9")
  await query("INSERT INTO told VALUES (50, 50, '0000-00-00')")
  await query("UPDATE told SET n = -7, d = '2026-01-02' WHERE id = 7")
  await query('SET SESSION sql_log_bin = 1')
  const found = { rows: 41, inserts: 2, updates: 1, deletes: 0, keys: ['id 7', 'id 9', 'id 50'] }
  assert.deepEqual(await reconciled(), found)
  assert.ok((await held()).includes('9:9') && (await held()).includes('7:-7'))
  assert.deepEqual(await rejected(), ['50', '8', '9'])
  assert.deepEqual(await reconciled(), { ...none, rows: 41 })
  // What is emptied is so, whether the log tells it or not.
  await query('SET SESSION sql_log_bin = 0')
  await query('DELETE FROM told WHERE id < 20')
  await query('SET SESSION sql_log_bin = 1')
  await query('DELETE FROM told WHERE id >= 20')
  const { deletes } = (await reconciled())!
  assert.equal(deletes, 20)
  assert.deepEqual(await held(), [])
  assert.deepEqual(await reconciled(), { ...none, rows: 0 })
})

test('a table is compared when its interval is over, and not before', async t => {
  const { job } = await followed(t, freshPostgres, ', reconcile: 7d')
  const began = Date.now()
  const nights: Record<number, boolean> = {
    0: false,
    6: false,
    8: true,
    9: false,
    14: false,
    15.5: true,
    16: false,
  }
  for (const [day, isCompared] of Object.entries(nights).sort(([a], [b]) => Number(a) - Number(b))) {
    const now = () => new Date(began + Number(day) * 86_400_000)
    const { error, outcome } = await job.run({ fresh: true, clock: { now } })
    assert.equal(error, undefined)
    assert.equal(outcome.extracted[0]!.reconciled !== undefined, isCompared, `day ${day}`)
  }
})

test('postgres: a history that is emptied and filled again is read from its log alone, and compared where that does not tell why its file is another', async t => {
  const { query, job } = await historyOf(t, freshPostgres)
  const run = async () => {
    const { error, outcome } = await job.run({ fresh: true })
    assert.equal(error, undefined)
    return outcome.extracted[0]!
  }
  await run()
  await query('TRUNCATE told')
  await query(`INSERT INTO told VALUES (1, 1, 'again')`)
  const emptied = await run()
  assert.equal(emptied.reconciled, undefined)
  assert.equal(emptied.rows, 41)
  await query('UPDATE told SET n = 5')
  await query('VACUUM FULL told')
  const compared = await run()
  assert.deepEqual(compared.reconciled, { rows: 1, inserts: 0, updates: 0, deletes: 0, keys: [] })
  assert.equal(compared.rows, 1)
  await query('ALTER TABLE told ALTER COLUMN n TYPE int USING n * 10')
  assert.equal((await run()).reconciled!.updates, 1)
  // Times grow, whatever the clock of a run says.
  const before = { now: () => new Date('2020-01-01T00:00:00Z') }
  const after = { now: () => new Date(Date.now() + 86_400_000) }
  for (const clock of [before, after]) {
    await query('UPDATE told SET n = n + 1')
    await query('ALTER TABLE told ALTER COLUMN n TYPE int USING n * 10')
    const { error, outcome } = await job.run({ fresh: true, clock })
    assert.equal(error, undefined)
    assert.equal(outcome.extracted[0]!.reconciled!.updates, 1)
  }
  await query('UPDATE told SET n = n + 1')
  await run()
  const times = await warehouse.query<{ goes_back: string }>(
    `SELECT count(*)::text AS goes_back FROM (SELECT changed_at < lag(changed_at) OVER (ORDER BY change_number) AS back FROM told) t WHERE back`,
  )
  assert.equal(times[0]!.goes_back, '0')
})

test('postgres: a history is compared where its table was written anew after it was emptied, in one transaction, too', async t => {
  const { query, job } = await historyOf(t, freshPostgres)
  const updates = async (statements: string[]) => {
    for (const sql of statements) await query(sql)
    const { error, outcome } = await job.run({ fresh: true })
    assert.equal(error, undefined)
    const latest = await warehouse.query(
      `SELECT id, n, note FROM (SELECT DISTINCT ON (id) * FROM told ORDER BY id, change_number DESC) l WHERE change_kind <> 'delete' ORDER BY id`,
    )
    assert.deepEqual(latest, await query('SELECT id, n, note FROM told ORDER BY id'), statements.join('; '))
    return outcome.extracted[0]!.reconciled?.updates
  }
  await updates([])
  const emptied = ['TRUNCATE told', `INSERT INTO told VALUES (1, 1, 'again')`]
  const anew = 'ALTER TABLE told ALTER COLUMN n TYPE int USING n * 10'
  assert.equal(await updates([...emptied, anew]), 1)
  assert.equal(await updates(['BEGIN', ...emptied, anew, 'COMMIT']), 1)
  // What a savepoint has around it is of another transaction.
  const within = ['SAVEPOINT s', anew, 'RELEASE s', 'ALTER TABLE told SET (fillfactor = 90)']
  assert.equal(await updates(['BEGIN', ...emptied, ...within, 'COMMIT']), 1)
  assert.equal(await updates(['BEGIN', 'SAVEPOINT s', ...emptied, 'COMMIT', 'ANALYZE told', anew]), 1)
  assert.equal(await updates(['BEGIN', 'SAVEPOINT s', ...emptied, 'COMMIT']), 0)
  const kept = ['ANALYZE told', 'CREATE INDEX ON told (n)', 'VACUUM ANALYZE told', 'UPDATE told SET n = 3']
  assert.equal(await updates([anew, ...emptied]), 0)
  assert.equal(await updates([...emptied, ...emptied, ...kept]), undefined)
  assert.equal(await updates(['BEGIN', ...emptied, 'COMMIT', ...kept]), undefined)
  assert.equal(await updates([]), undefined)
})

for (const [kind, fresh, anew] of [
  ['mariadb', freshMariadb, 'ALTER TABLE told MODIFY note varchar(10)'],
  ['postgres', freshPostgres, 'VACUUM FULL told'],
] as const)
  test(`${kind}: a history goes on where a column comes: what changed before is told, and whose row has a value in it`, async t => {
    const { query, job, yaml } = await followed(t, fresh, ', history: true')
    job.yaml(
      yaml.replace(
        'key: id, deletes: hard, guard: { max_delete_share: 1 }',
        'key: [id, change_number], mode: append, schema: apply-safe',
      ),
    )
    const run = async () => assert.equal((await job.run({ fresh: true })).error, undefined)
    await run()
    await query('DELETE FROM told WHERE id > 5')
    await query('UPDATE told SET n = 100 WHERE id = 4')
    await query('UPDATE told SET n = 101 WHERE id = 4')
    await query('DELETE FROM told WHERE id = 3')
    await query('ALTER TABLE told ADD COLUMN extra int DEFAULT 7')
    await query('DELETE FROM told WHERE id = 2')
    await query(`INSERT INTO told VALUES (50, 50, 'new', 8)`)
    await run()
    const changes = await warehouse.query<Record<'id' | 'n' | 'extra', number> & { change_kind: string }>(
      `SELECT id, change_kind, n, extra FROM told WHERE change_kind <> 'snapshot' AND id NOT BETWEEN 6 AND 39 ORDER BY change_number`,
    )
    assert.deepEqual(
      changes.map(({ id, change_kind, n, extra }) =>
        [change_kind, id, ...(change_kind === 'delete' ? [] : [n, extra])].join(' '),
      ),
      [
        'update 4 100 ',
        'update 4 101 ',
        'delete 3',
        'delete 2',
        'insert 50 50 8',
        'update 0 0 7',
        'update 1 1 7',
        'update 4 101 7',
        'update 5 5 7',
      ],
    )
    const latest = await warehouse.query(
      `SELECT id, n, note, extra FROM (SELECT DISTINCT ON (id) * FROM told ORDER BY id, change_number DESC) l WHERE change_kind <> 'delete' ORDER BY id`,
    )
    assert.deepEqual(latest, await query('SELECT id, n, note, extra FROM told ORDER BY id'))
    await query('UPDATE told SET n = 102 WHERE id = 4')
    await query('DELETE FROM told WHERE id = 50')
    await query(anew)
    await run()
    const more = await warehouse.query<{ id: number; change_kind: string }>(
      'SELECT id, change_kind FROM told ORDER BY change_number DESC LIMIT 3',
    )
    assert.deepEqual(
      more.map(({ id, change_kind }) => `${change_kind} ${id}`),
      ['delete 50', 'update 4', 'update 5'],
    )
  })
