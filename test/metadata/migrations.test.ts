import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EngineError } from '../../engine/errors.ts'
import { openAlerts } from '../../src/metadata/alerts.ts'
import { MIGRATIONS } from '../../src/metadata/migrations/index.ts'
import { worker } from './processes.ts'
import { overBoth } from './stores.ts'

const OLD = [
  `INSERT INTO runs (run, job, status, run_at, started_at, ended_at, spec_hash, owner, error)
   VALUES ('r1', 'j', 'SUCCESS', 'at', '2026-03-01T02:00:00.000Z', '2026-03-01T02:00:09.000Z', 'h', 'o', NULL),
     ('r2', 'j', 'RUNNING', 'at', '2026-03-02T02:00:00.000Z', NULL, 'h', 'o', NULL)`,
  `INSERT INTO tasks (run, task, status, started_at, ended_at, output, error)
   VALUES ('r1', 'plan', 'SUCCESS', 's', 'e', '{"a":1}', NULL), ('r2', 'plan', 'RUNNING', 's', NULL, NULL, NULL)`,
  `INSERT INTO parts (run, dataset, file, rows, bytes) VALUES ('r1', 'members', 'f', 3, 5000000000)`,
  `INSERT INTO sync_points (job, extract, value, run) VALUES ('j', 'members', '7', 'r1')`,
  `INSERT INTO sync_history (job_name, run, sync_timestamp, status, records_processed, duration_seconds)
   VALUES ('j', 'r1', 'at', 'SUCCESS', 12, 9.5)`,
]

/** What stands in the tables that came with version 3. */
const NIGHT = (version: number) => [
  `INSERT INTO error_records (id, run, job, ${version < 4 ? 'model' : 'table_name'}, check_name, severity, category, reason,
     record, correction, state, attempts, created_at, updated_at)
   VALUES ('e1', 'r1', 'j', 'm', 'c', 'reject', 'DATA_INTEGRITY_ERROR', 'it is bad', '{"a":"1"}', '{"a":"2"}', 'queued', 1,
     '2026-03-01T02:00:00.000Z', '2026-03-01T02:00:00.000Z')`,
  `INSERT INTO intervals (job, interval_start, interval_end, state, run, try, updated_at)
   VALUES ('j', '2026-03-01T02:00:00.000Z', '2026-03-02T02:00:00.000Z', 'SUCCESS', 'r1', 1, 'u'),
     ('j', '2026-03-02T02:00:00.000Z', '2026-03-03T02:00:00.000Z', 'WAITING', NULL, 0, 'u')`,
  `INSERT INTO alerts (key, channel, job, kind, severity, state, payload, first_at)
   VALUES ('k', 'log', 'j', 'failure', 'HIGH', 'sent', '{}', 'f')`,
  `INSERT INTO triggers (id, job, kind, payload, created_at) VALUES ('t', 'j', 'file', '{}', 'c')`,
]

overBoth((fresh, kind) => {
  for (let version = 1; version < MIGRATIONS.length; version++)
    test(`a store of version ${version} keeps its rows`, async () => {
      const place = fresh()
      const old = place.database()
      await old.migrate(MIGRATIONS.slice(0, version))
      for (const statement of [...OLD, ...(version < 3 ? [] : NIGHT(version))]) await old.run(statement)
      const metadata = await place.open()
      if (version >= 3) {
        const [record] = await metadata.errors.corrections('j', 'm')
        const { row_key, sensitive, correction, attempts } = record!
        assert.deepEqual([row_key, sensitive, correction, attempts], [null, [], { a: '2' }, 1])
        const states = (await metadata.intervals.list('j', 9)).map(({ state, waits_for }) => [
          state,
          waits_for,
        ])
        assert.deepEqual(states, [
          ['WAITING', null],
          ['SUCCESS', null],
        ])
        assert.equal((await openAlerts(metadata.database, 'j')).length, 1)
        assert.equal(await metadata.triggers.isWaiting('j'), true)
      }
      const [running, done] = await metadata.runs(9)
      assert.deepEqual(
        [running!.run, running!.status, running!.fence, running!.expires_at, running!.goal],
        ['r2', 'RUNNING', 0, null, 'load'],
      )
      assert.deepEqual(
        [done!.run, done!.ended_at, done!.trigger],
        ['r1', '2026-03-01T02:00:09.000Z', 'manual'],
      )
      assert.deepEqual(await metadata.taskStore(done!).output('plan'), { a: 1 })
      const [history] = await metadata.history({ limit: 1, job: 'j', since: '2026-03-01' })
      assert.equal(history!.run, 'r2')
      assert.deepEqual(
        await metadata.database.all(
          `SELECT p.bytes, s.value, h.records_processed, h.duration_seconds FROM parts p JOIN sync_points s ON s.run = p.run
           JOIN sync_history h ON h.run = p.run`,
        ),
        [{ bytes: 5_000_000_000, value: '7', records_processed: 12, duration_seconds: 9.5 }],
      )
      const taken = await metadata.takeOver(running!, 'me', false)
      assert.deepEqual([taken!.fence, taken!.attempt], [1, 2])
      await metadata.taskStore(taken!).begin('plan')
      // The references of the old tables hold in the new ones.
      await assert.rejects(metadata.database.run(`DELETE FROM runs WHERE run = 'r1'`))
    })

  test('followers are told from jobs of events, whose runs an older version named alike', async () => {
    const place = fresh()
    const old = place.database()
    await old.migrate(MIGRATIONS.slice(0, 10))
    const at = (hour: number) => `2026-03-01T${String(hour).padStart(2, '0')}:00:00.000Z`
    const runs = [
      ['load', 'schedule', 0, 2],
      ['report', 'event', 0, 4],
      ['files', 'event', 1, 3],
      ['summary', 'event', 1, 5],
    ] as const
    for (const [job, trigger, start, began] of runs) {
      await old.run(
        `INSERT INTO runs (run, job, status, run_at, started_at, ended_at, spec_hash, owner, trigger, interval_start, interval_end)
         VALUES (:job, :job, 'SUCCESS', :end, :began, :ended, 'h', 'o', :trigger, :start, :end)`,
        { job, trigger, start: at(start), end: at(start + 1), began: at(began), ended: at(began + 1) },
      )
      await old.run(
        `INSERT INTO intervals (job, interval_start, interval_end, state, run, try, updated_at)
         VALUES (:job, :start, :end, 'SUCCESS', :job, 1, 'u')`,
        { job, start: at(start), end: at(start + 1) },
      )
    }
    const found = await (await place.open()).runs(9)
    assert.deepEqual(found.map(({ job, trigger }) => `${job} ${trigger}`).sort(), [
      'files event',
      'load schedule',
      'report after',
      'summary after',
    ])
  })

  test('a store of a newer version is refused', async () => {
    const place = fresh()
    await place.database().migrate([...MIGRATIONS, { sqlite: '', postgres: 'SELECT 1' }])
    await assert.rejects(place.open(), (error: unknown) => {
      assert.ok(error instanceof EngineError)
      assert.equal(error.code, 'CONFIG_INVALID')
      assert.match(error.message, /a newer Nightfreight wrote it \(version 12; this one knows 11\)/)
      return true
    })
  })

  if (kind === 'sqlite')
    test('a store that a newer version changes under a process is not called damaged', async () => {
      const place = fresh()
      const metadata = await place.open()
      const newer = { sqlite: 'ALTER TABLE runs DROP COLUMN goal', postgres: '' }
      await place.database().migrate([...MIGRATIONS, newer])
      for (const act of [
        () => metadata.runs(1),
        () => metadata.database.transaction(q => q.all('SELECT goal FROM runs')),
      ])
        await assert.rejects(act, (error: unknown) => {
          assert.ok(error instanceof EngineError)
          assert.equal(error.code, 'CONFIG_INVALID')
          assert.match(error.message, /a newer Nightfreight wrote it/)
          return true
        })
    })

  test('several processes may migrate at once', async () => {
    const place = fresh()
    const old = place.database()
    await old.migrate(MIGRATIONS.slice(0, 1))
    for (const statement of OLD) await old.run(statement)
    const lines = await Promise.all([1, 2, 3].map(() => worker(place, 'open').line()))
    assert.deepEqual(lines, ['open', 'open', 'open'])
    const empty = fresh()
    await Promise.all([empty.open(), empty.open(), empty.open()])
    const metadata = await place.open()
    assert.equal((await metadata.runs(9)).length, 2)
    if (kind === 'postgres')
      assert.deepEqual(await metadata.database.all('SELECT version FROM schema_version ORDER BY version'), [
        { version: 1 },
        { version: MIGRATIONS.length },
      ])
  })
})
