import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from '../../engine/errors.ts'
import type { NewRun } from '../../src/metadata/runs.ts'
import { worker } from './processes.ts'
import { overBoth, standing } from './stores.ts'

const newRun = (run: string, more: Partial<NewRun> = {}): NewRun => ({
  run,
  job: 'j',
  run_at: '2026-03-01T02:00:00.000Z',
  spec_hash: 'h',
  owner: 'here',
  ...more,
})
const ended = { job: 'j', runAt: '2026-03-01T02:00:00.000Z', records: 7, seconds: 1.5, error: undefined }
const code = (expected: string) => (error: unknown) => {
  assert.ok(error instanceof EngineError, String(error))
  assert.equal(error.code, expected)
  return true
}

overBoth((fresh, kind) => {
  test('what may be lost is there like anything else, and what is written after it is synced', async () => {
    const { database } = await fresh().open()
    const pause = (job: string) => async (queries: Pick<typeof database, 'run'>) => {
      await queries.run('INSERT INTO leases (name, owner, fence, expires_at) VALUES (:job, :job, 1, :job)', {
        job,
      })
      if (job === 'fails') throw new Error('failed')
    }
    await database.transaction(pause('kept'), true)
    await assert.rejects(database.transaction(pause('fails'), true), /failed/)
    assert.deepEqual(await database.all('SELECT name FROM leases'), [{ name: 'kept' }])
    // 2: FULL (https://sqlite.org/pragma.html#pragma_synchronous)
    if (kind === 'sqlite') assert.deepEqual(await database.all('PRAGMA synchronous'), [{ synchronous: 2 }])
  })

  test('a run: started, its tasks committed, ended', async () => {
    const clock = standing()
    const metadata = await fresh().open(clock)
    const record = await metadata.startRun(newRun('r1', { trigger: 'schedule', interval_start: 'a' }))
    assert.deepEqual(
      [record.status, record.goal, record.trigger, record.interval_start, record.attempt, record.fence],
      ['RUNNING', 'load', 'schedule', 'a', 1, 1],
    )
    assert.equal(record.expires_at, '2026-03-01T02:00:30.000Z')
    const store = metadata.taskStore(record)
    assert.equal(await store.output('extract.members'), undefined)
    await store.begin('extract.members')
    clock.move(1)
    await store.fail('extract.members', new EngineError('CONNECTION_LOST', 'gone', { hint: 'again' }))
    const [failed] = await metadata.tasks('r1')
    assert.deepEqual([failed!.status, failed!.code, failed!.attempt], ['FAILED', 'CONNECTION_LOST', 1])
    await store.begin('extract.members')
    const parts = Array.from({ length: 250 }, (_, i) => ({ file: `raw/${i}`, rows: i, bytes: 2 ** 40 + i }))
    const output = { extract: 'members', parts, text: "it's :odd ::text \u0000 😀" }
    await store.commit('extract.members', output)
    // A repeat is what a crash after the commit makes.
    await store.begin('extract.members')
    await store.commit('extract.members', output)
    assert.deepEqual(await store.output('extract.members'), output)
    const kept = await metadata.database.all<{ n: number; bytes: number }>(
      `SELECT count(*) AS n, max(bytes) AS bytes FROM parts WHERE run = 'r1' AND dataset = 'members'`,
    )
    assert.deepEqual(kept, [{ n: 250, bytes: 2 ** 40 + 249 }])
    clock.move(1)
    await store.begin('plan')
    await metadata.endRun({
      ...ended,
      run: 'r1',
      fence: 1,
      status: 'SUCCESS',
      syncPoints: [
        { extract: 'members', value: '9' },
        { extract: 'none', value: null },
      ],
    })
    assert.deepEqual(
      (await metadata.tasks('r1')).map(({ task, status, attempt, code }) => [task, status, attempt, code]),
      [
        ['extract.members', 'SUCCESS', 3, null],
        ['plan', 'RUNNING', 1, null],
      ],
    )
    assert.equal(await metadata.activeRun('j'), undefined)
    const [run] = await metadata.runs(5, 'j')
    assert.deepEqual([run!.status, run!.ended_at], ['SUCCESS', '2026-03-01T02:00:00.002Z'])
    const points = await metadata.database.all('SELECT extract, value, run FROM sync_points ORDER BY extract')
    assert.deepEqual(points, [
      { extract: 'members', value: '9', run: 'r1' },
      { extract: 'none', value: null, run: 'r1' },
    ])
  })

  test('one run of a job at a time, or as many as are allowed, never two of an interval', async () => {
    const metadata = await fresh().open()
    const tries = ['r1', 'r2', 'r3'].map(run => metadata.startRun(newRun(run)))
    const outcomes = await Promise.allSettled(tries)
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    for (const outcome of outcomes) if (outcome.status === 'rejected') code('RUN_CONFLICT')(outcome.reason)
    await metadata.startRun(newRun('other', { job: 'k' }))
    await metadata.startRun(newRun('a', { interval_start: 'a' }), 2)
    await assert.rejects(metadata.startRun(newRun('a2', { interval_start: 'a' }), 9), code('RUN_CONFLICT'))
    await assert.rejects(metadata.startRun(newRun('b', { interval_start: 'b' }), 2), code('RUN_CONFLICT'))
    await metadata.startRun(newRun('b', { interval_start: 'b' }), 3)
    assert.equal((await metadata.runs(9, 'j')).length, 3)
  })

  test('who was taken over cannot write, fail or end the run; its successor can', async () => {
    const clock = standing()
    const metadata = await fresh().open(clock)
    const first = await metadata.startRun(newRun('r1'))
    const late = metadata.taskStore(first)
    await late.begin('t')
    assert.equal(await metadata.takeOver(first, 'there', false), undefined, 'its lease has not expired')
    clock.move(30_000)
    const second = await metadata.takeOver(first, 'there', false)
    assert.deepEqual([second!.owner, second!.fence, second!.attempt], ['there', 2, 2])
    assert.equal(await metadata.takeOver(first, 'elsewhere', true), undefined, 'somebody was faster')
    await assert.rejects(late.commit('t', { parts: [{ file: 'f', rows: 1, bytes: 1 }] }), code('FENCED'))
    await assert.rejects(late.begin('u'), code('FENCED'))
    const next = metadata.taskStore(second!)
    await next.begin('t')
    await late.fail('t', new Error('late'))
    const end = { ...ended, run: 'r1', status: 'SUCCESS' as const, syncPoints: [] }
    await assert.rejects(metadata.endRun({ ...end, fence: 1, status: 'FAILED' }), code('FENCED'))
    await next.commit('t', 1)
    await metadata.endRun({ ...end, fence: 2 })
    assert.deepEqual(
      (await metadata.tasks('r1')).map(({ task, status }) => [task, status]),
      [['t', 'SUCCESS']],
    )
    assert.deepEqual(await metadata.database.all('SELECT file FROM parts'), [])
    await assert.rejects(next.commit('t', 2), code('FENCED'))
  })

  test('the lease of an owner known to be dead need not expire', async () => {
    const metadata = await fresh().open()
    const first = await metadata.startRun(newRun('r1'))
    const [a, b] = await Promise.all([
      metadata.takeOver(first, 'x', true),
      metadata.takeOver(first, 'y', true),
    ])
    assert.equal([a, b].filter(Boolean).length, 1)
    assert.equal((a ?? b)!.fence, 2)
  })

  test('a planned run goes again, under a new fence, and leaves no history until then', async () => {
    const metadata = await fresh().open()
    const plan = await metadata.startRun(newRun('r1', { goal: 'plan' }))
    const end = { ...ended, run: 'r1', syncPoints: [] }
    await metadata.endRun({ ...end, fence: plan.fence, status: 'PLANNED' })
    assert.deepEqual(await metadata.database.all('SELECT * FROM sync_history'), [])
    const planned = (await metadata.run('r1'))!
    const again = await metadata.reopen(planned, 'there')
    assert.deepEqual(
      [again!.status, again!.goal, again!.fence, again!.ended_at],
      ['RUNNING', 'load', 2, null],
    )
    assert.equal(await metadata.reopen(planned, 'elsewhere'), undefined)
    const store = metadata.taskStore(again!)
    await store.begin('load.w')
    await store.commit('load.w', { counts: [{ inserted: 1, updated: 2, deleted: 3, unchanged: 4 }] })
    const [load] = await metadata.loads('j', 'w', 5)
    assert.equal(load!.rows, 10)
  })

  test('leases: one holder, higher fences, renewal and release of the holder only', async () => {
    const clock = standing()
    const { leases } = await fresh().open(clock)
    const taken = await Promise.all(['a', 'b', 'c'].map(owner => leases.acquire('leader', owner, 1000)))
    assert.equal(taken.filter(Boolean).length, 1)
    const first = taken.find(Boolean)!
    assert.equal(await leases.acquire('leader', first.owner, 1000), undefined, 'not twice by one owner')
    clock.move(900)
    assert.equal(await leases.renew(first, 1000), true)
    clock.move(900)
    await leases.tell(first, 'hello')
    const held = { ...first, expires_at: '2026-03-01T02:00:01.900Z', note: 'hello' }
    assert.deepEqual(await leases.holder('leader'), held)
    clock.move(100)
    assert.equal(await leases.holder('leader'), undefined)
    assert.equal(await leases.holds(first), true, 'expired, but nobody has taken it')
    const second = (await leases.acquire('leader', 'd', 1000))!
    assert.equal(second.fence, first.fence + 1)
    assert.deepEqual([await leases.renew(first), await leases.holds(first)], [false, false])
    await leases.release(first)
    await leases.tell(first, 'late')
    const { owner, note } = (await leases.holder('leader'))!
    assert.deepEqual([owner, note], ['d', null])
    await leases.release(second)
    assert.equal((await leases.acquire('leader', 'a'))?.fence, 3)
  })

  test('a lease is kept by renewal, and its loss is told once', async () => {
    const { leases } = await fresh().open()
    const lease = (await leases.acquire('run/x', 'a', 300))!
    const lost: string[] = []
    leases.keep(lease, error => lost.push(error.code), 300)
    await delay(600)
    assert.deepEqual([await leases.holds(lease), lost], [true, []])
    assert.equal((await leases.acquire('run/x', 'b', 300, 'a'))?.fence, 2)
    for (let n = 0; n < 100 && lost.length === 0; n++) await delay(50)
    await delay(200)
    assert.deepEqual(lost, ['FENCED'])
  })

  test('transactions do not interleave, roll back whole, and reads outside wait for them', async () => {
    const { database } = await fresh().open()
    await database.run(`INSERT INTO pools (name, slots) VALUES ('n', 0)`)
    const raise = (fail: boolean) =>
      database.transaction(async queries => {
        const [pool] = await queries.all<{ slots: number }>('SELECT slots FROM pools')
        await queries.run('UPDATE pools SET slots = :slots', { slots: pool!.slots + 1 })
        await new Promise(setImmediate)
        if (fail) throw new Error('on purpose')
      })
    const outcomes = await Promise.allSettled([false, true, false, true, false].map(raise))
    assert.equal(outcomes.filter(({ status }) => status === 'rejected').length, 2)
    assert.deepEqual(await database.all('SELECT slots FROM pools'), [{ slots: 3 }])
  })

  test("checkpoints: the latest of a kind, by id; clean-up keeps the newest and the run's own", async () => {
    const clock = standing()
    const metadata = await fresh().open(clock)
    const { checkpoints } = metadata
    const { fence } = await metadata.startRun(newRun('r1'))
    const of = { job: 'j', run: 'r1', kind: 'full' } as const
    const ids = [await checkpoints.create({ ...of, task: null, state: 'begun' }, fence)]
    for (let n = 0; n < 4; n++) {
      clock.move(1)
      ids.push(await checkpoints.create({ ...of, task: `t${n}`, state: { n } }, fence))
    }
    clock.move(1)
    ids.push(await checkpoints.create({ ...of, task: 't', kind: 'incremental', state: [1] }, fence))
    await assert.rejects(checkpoints.create({ ...of, task: null, state: {} }, fence + 1), code('FENCED'))
    assert.deepEqual((await checkpoints.latest('r1', 'incremental'))?.state, [1])
    assert.deepEqual((await checkpoints.latest('r1', 'full'))?.state, { n: 3 })
    assert.equal((await checkpoints.latest('r1', 'full', true))?.state, 'begun')
    assert.deepEqual((await checkpoints.find(ids[2]!))?.state, { n: 1 })
    clock.move(1)
    const last = await checkpoints.create({ ...of, task: 't5', state: {} }, fence, 2)
    assert.deepEqual(
      (await checkpoints.list(9, 'j')).map(({ id }) => id),
      [last, ids[5], ids[0]],
    )
    assert.equal(await checkpoints.clear('r1'), 3)
  })

  test('error records: kept once, corrected while open, moved by one at a time', async () => {
    const { errors } = await fresh().open()
    const record = {
      id: 'e1',
      run: 'r1',
      job: 'j',
      table_name: 'm',
      row_key: '7',
      check_name: 'amount_negative',
      severity: 'reject',
      category: 'DATA_INTEGRITY_ERROR',
      code: null,
      reason: 'amount is negative',
      sensitive: [] as string[],
      record: { amount: '-1', note: null, odd: '\u0000\ud83d' },
    } as const
    await errors.add([record, { ...record, id: 'e2' }])
    await errors.add([{ ...record, reason: 'again' }])
    const corrected = (amount: string) => errors.queueCorrected(new Map([['e1', { amount }]]))
    assert.equal(await corrected('1'), 1)
    assert.equal(await corrected('2'), 0)
    const moves = await Promise.all([
      errors.move('e1', 'queued', 'reprocessed'),
      errors.move('e1', 'queued', 'reprocessed'),
    ])
    assert.deepEqual(moves.sort(), [false, true])
    await errors.move('e1', 'reprocessed', 'queued')
    const found = (await errors.find('e1'))!
    assert.deepEqual(
      [found.reason, found.state, found.attempts, found.correction, found.record],
      ['again', 'queued', 2, { amount: '1' }, record.record],
    )
    assert.deepEqual(
      (await errors.list({ job: 'j', state: 'open', limit: 9 })).map(({ id }) => id),
      ['e2'],
    )
  })

  test('history: newest first, by job and time', async () => {
    const clock = standing()
    const metadata = await fresh().open(clock)
    for (const [run, job] of [
      ['r1', 'j'],
      ['r2', 'k'],
      ['r3', 'j'],
    ] as const) {
      const { fence } = await metadata.startRun(newRun(run, { job }))
      clock.move(1000)
      await metadata.endRun({ ...ended, run, job, fence, status: 'SUCCESS', syncPoints: [] })
    }
    await metadata.startRun(newRun('r4'))
    const runs = async (query: { job?: string; since?: string }) =>
      (await metadata.history({ limit: 9, ...query })).map(({ run }) => run)
    assert.deepEqual(await runs({}), ['r4', 'r3', 'r2', 'r1'])
    assert.deepEqual(await runs({ job: 'j' }), ['r4', 'r3', 'r1'])
    assert.deepEqual(await runs({ job: 'j', since: '2026-03-01T02:00:01.000Z' }), ['r4', 'r3'])
    const [running, last] = await metadata.history({ limit: 2 })
    assert.deepEqual([running!.records_processed, last!.records_processed], [null, 7])
    assert.equal(last!.duration_seconds, 1.5)
  })

  test('10,000 runs and 1,000 tasks are listed well within 200 ms', async () => {
    const metadata = await fresh().open()
    const numbers = 'WITH RECURSIVE n (i) AS (SELECT 10001 UNION ALL SELECT i + 1 FROM n WHERE i < :last)'
    await metadata.database.run(
      `${numbers} INSERT INTO runs (run, job, status, run_at, started_at, ended_at, spec_hash, owner)
       SELECT 'r' || i, 'j' || (i % 3), 'SUCCESS', '', 'at ' || i, 'at ' || i, '', '' FROM n`,
      { last: 20_000 },
    )
    await metadata.database.run(
      `${numbers} INSERT INTO tasks (run, task, status, started_at)
       SELECT 'r20000', 'task ' || i, 'SUCCESS', 'at ' || i FROM n`,
      { last: 11_000 },
    )
    const started = performance.now()
    const [newest] = await metadata.runs(10)
    assert.equal((await metadata.tasks(newest!.run)).length, 1000)
    assert.equal((await metadata.runs(10, 'j1')).length, 10)
    assert.equal((await metadata.history({ limit: 50 })).length, 50)
    const took = performance.now() - started
    assert.ok(took < 200, `${took} ms`)
  })

  test("the dashboard's and the scheduler's queries of the specification", async () => {
    const metadata = await fresh().open()
    const { fence } = await metadata.startRun(newRun('r1'))
    await metadata.endRun({ ...ended, run: 'r1', fence, status: 'SUCCESS', syncPoints: [] })
    const since = kind === 'postgres' ? `now() - interval '24 hours'` : `datetime('now', '-24 hours')`
    const [job] = await metadata.database.all<Record<string, unknown>>(
      `SELECT job_name, start_time, end_time, status FROM batch_job_history WHERE start_time > ${since}
       ORDER BY start_time DESC`,
    )
    assert.deepEqual([job!.job_name, job!.status], ['j', 'SUCCESS'])
    assert.deepEqual(
      await metadata.database.all(
        `SELECT MAX(sync_timestamp) as last_sync_timestamp FROM sync_history
         WHERE job_name = 'j' AND status = 'SUCCESS'`,
      ),
      [{ last_sync_timestamp: ended.runAt }],
    )
  })

  test('several processes: none gets a lease that another holds, no number is lost', async () => {
    const place = fresh()
    const { database } = await place.open()
    await database.run(`INSERT INTO pools (name, slots) VALUES ('n', 0)`)
    const fences = await Promise.all(
      [1, 2, 3].map(async () => JSON.parse(await worker(place, 'count').line()) as number[]),
    )
    assert.deepEqual(await database.all('SELECT slots FROM pools'), [{ slots: 15 }])
    assert.deepEqual(
      fences.flat().sort((a, b) => a - b),
      Array.from({ length: 15 }, (_, i) => i + 1),
    )
  })

  test('a process that sleeps and wakes late cannot commit', async () => {
    const place = fresh()
    const paused = worker(place, 'hold')
    assert.equal(await paused.line(), 'started')
    paused.child.kill('SIGSTOP')
    const clock = standing(new Date(Date.now() + 60_000).toISOString())
    const metadata = await place.open(clock)
    const active = (await metadata.activeRun('j'))!
    const mine = (await metadata.takeOver(active, 'me', false))!
    const store = metadata.taskStore(mine)
    await store.begin('extract')
    await store.commit('extract', { parts: [{ file: 'mine', rows: 1, bytes: 1 }] })
    paused.child.kill('SIGCONT')
    assert.equal(await paused.line(), 'FENCED')
    await once(paused.child, 'exit')
    assert.deepEqual(await metadata.database.all('SELECT file FROM parts'), [{ file: 'mine' }])
  })
})
