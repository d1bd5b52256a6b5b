import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { loadJob } from '../../src/config/load.ts'
import { latestAlerts } from '../../src/metadata/alerts.ts'
import type { Alert } from '../../src/spec/alert.ts'
import { notesInto, smallJob } from '../jobs/small.ts'
import { freshPostgres } from '../servers.ts'
import { receiver } from './receivers.ts'

const { url, query } = await freshPostgres()

const yaml = (table: string, hook: string, more = '') => `connections: { here: "${url}" }
extract: { ids: { from: here, table: ${table}, key: id, incremental: { column: seen } } }
load: { ${table}_loaded: { to: here, from: out, key: id, newer: seen } }
resources: { memory: 300MB, threads: 1 }
alerts:
  channels: { hook: { webhook: "${hook}" } }
  on: { failure: hook, recovery: hook, sla: hook, errors: hook, success: hook }
${more}`

const source = (table: string, seen: string, rows = 100) =>
  query(
    `CREATE TABLE ${table} AS SELECT i AS id, timestamptz '${seen}' AS seen FROM generate_series(1, ${rows}) AS i`,
  )

test('failed, failed again, works again: what is told, and what is not', async t => {
  const hook = await receiver(t)
  await source('nights', '2026-02-01')
  const files = {
    'job.yaml': yaml('nights', hook.url),
    'out.sql': `SELECT id, seen, error('it broke') AS x FROM ids`,
  }
  const job = await smallJob({ after }, 'nights', files)
  const told = () => hook.bodies.splice(0).map(body => JSON.parse(body) as Alert)
  const failed = await job.run()
  assert.equal(failed.status, 'FAILED')
  const [first] = told()
  assert.equal(first!.kind, 'failure')
  assert.match(first!.title, /^nights: failed in model\.out, SQL_FAILED$/)
  assert.match(first!.what, /it broke/)
  assert.deepEqual(first!.targets, ['here: untouched'])
  const nightfreight = `NIGHTFREIGHT_HOME=${job.home} nightfreight`
  assert.equal(first!.command, `${nightfreight} resume ${failed.run} --accept-changes`)
  assert.equal(first!.report, failed.report)
  await job.run()
  assert.deepEqual(told(), [], 'counted only')
  writeFileSync(join(job.folder, 'out.sql'), 'SELECT id, seen FROM ids')
  const worked = await job.run()
  assert.equal(worked.error, undefined)
  const [success, recovery] = told()
  assert.deepEqual([success!.kind, recovery!.kind], ['success', 'recovery'])
  assert.match(success!.what, /nights_loaded: 100 inserted/)
  assert.match(recovery!.what, /the job failed 2 times since/)
  assert.deepEqual(recovery!.targets, ['here: committed, complete'])
  await job.run()
  assert.deepEqual(
    told().map(({ kind }) => kind),
    ['success'],
  )
  const listed = await job.cli('alerts', 'list')
  assert.match(listed.out, /hook {2}resolved {2}2 x {2}nights: failed/)
})

test('a task that is tried again is told, with why; what is right after a failure depends on it', async t => {
  const hook = await receiver(t)
  await source('again', '2026-02-01')
  const text = yaml('again', hook.url).replace('success: hook', 'retry: hook')
  const job = await smallJob({ after }, 'again', {
    'job.yaml': text,
    'out.sql': 'SELECT id, seen FROM ids',
  })
  assert.equal((await job.run()).error, undefined)
  await query(`UPDATE again SET seen = '2026-02-02'`)
  // Its rows can be read, as the comparison does; the load waits.
  const lock = () => query('BEGIN; LOCK TABLE again_loaded IN SHARE MODE')
  const told = () => hook.bodies.splice(0).map(body => JSON.parse(body) as Alert)

  await lock()
  job.yaml(`${text}timeout: 5s\nretries: { limit: 5, delay: 10ms }\n`)
  const retried = (task: string) => {
    if (task === 'load.here') void query('COMMIT')
  }
  const progress = { started() {}, advanced() {}, finished() {}, note() {}, retried }
  const mended = await job.run({ progress })
  assert.equal(mended.error, undefined)
  assert.equal(mended.outcome.loaded[0]!.updated, 100)
  const [retry] = told()
  assert.deepEqual([retry!.kind, retry!.cause], ['retry', 'load.here TIMEOUT'])
  assert.equal(retry!.title, 'again: load.here is begun again')
  assert.match(retry!.what, /^load\.here: not done within 5 s/)

  await query(`UPDATE again SET seen = '2026-02-03'`)
  await lock()
  job.yaml(`${text}timeout: 5s\nretries: { limit: 0 }\n`)
  const failed = await job.run()
  await query('COMMIT')
  const [failure] = told()
  const nightfreight = `NIGHTFREIGHT_HOME=${job.home} nightfreight`
  assert.equal(failure!.command, `${nightfreight} resume ${failed.run}`)
  assert.deepEqual(failure!.targets, [
    'here: not known, the connection was lost; the next run asks it, and loads nothing twice',
  ])
  assert.equal((await job.run({ resume: failed.run })).outcome.loaded[0]!.updated, 100)
})

test('targets that were not kept: alert, report, status and history', async t => {
  const hook = await receiver(t)
  await source('target', '2026-01-01')
  const sla =
    'sla: { max_duration: 1ms, max_data_lag: 24h, max_error_rate: 0, min_quality_score: 0.95 }\nquality: { max_error_rate: 0.5 }'
  const job = await smallJob({ after }, 'target', {
    'job.yaml': yaml('target', hook.url, sla),
    'out.sql': 'SELECT id, seen FROM ids',
  })
  mkdirSync(join(job.folder, 'checks/out'), { recursive: true })
  writeFileSync(
    join(job.folder, 'checks/out/low.sql'),
    `SELECT *, 'reject' AS severity, 'too low' AS reason FROM out WHERE id <= 10`,
  )
  const notes: string[] = []
  const progress = notesInto(notes)
  const { status, run, report, error } = await job.run({ runAt: new Date('2026-02-01T02:00:00Z'), progress })
  assert.equal(status, 'COMPLETED_WITH_ERRORS', String(error))
  assert.deepEqual(
    notes
      .filter(note => /^SLA: /.test(note) && !/Run time/.test(note))
      .map(note => note.replace(/: [^:]*$/, '')),
    ['SLA: Age of the data of ids', 'SLA: Error rate of out', 'SLA: Quality score of out'],
  )
  const told = hook.bodies.map(body => JSON.parse(body) as Alert)
  assert.deepEqual(
    told
      .filter(({ kind }) => kind === 'sla')
      .map(({ cause, severity }) => `${cause} ${severity}`)
      .sort(),
    [
      'DATA_FRESHNESS MEDIUM',
      'DURATION_EXCEEDED HIGH',
      'ERROR_RATE_EXCEEDED HIGH',
      'QUALITY_BELOW_THRESHOLD MEDIUM',
    ],
  )
  const errors = told.find(({ kind }) => kind === 'errors')!
  assert.match(errors.title, /10 rows rejected/)
  assert.match(errors.rows.join(), /out, check low: 10 rows, such as: too low/)
  const page = readFileSync(report, 'utf8')
  assert.match(page, /<h2>Service level<\/h2>[\s\S]*Age of the data[\s\S]*1 d[\s\S]*31 d 2 h[\s\S]*missed/)
  for (const command of ['status', 'history']) {
    const { runs } = JSON.parse((await job.cli(command, 'target', '--json')).out) as {
      runs: {
        run: string
        violations: { type: string; severity: string; expected: number; actual: number }[]
      }[]
    }
    const [{ violations }] = runs.filter(each => each.run === run) as [(typeof runs)[0]]
    const freshness = violations.find(({ type }) => type === 'DATA_FRESHNESS')!
    assert.deepEqual(
      [violations.length, freshness.severity, freshness.expected, freshness.actual],
      [4, 'MEDIUM', 24, 746],
    )
    assert.match((await job.cli(command, 'target')).out, /DATA_FRESHNESS 31 d 2 h \(target 1 d\)/)
  }
})

test('a run that will be late is told while it goes on; a broken channel does not hold it up', async t => {
  const hook = await receiver(t)
  const dead = await receiver(t, response => response.destroy())
  await source('late', '2026-02-01', 3000)
  const text = yaml('late', hook.url, 'sla: { max_duration: 30s }')
    .replace('hook: {', `dead: { webhook: "${dead.url}" }, hook: {`)
    .replace('sla: hook', 'sla: [dead, hook]')
  const job = await smallJob({ after }, 'late', { 'job.yaml': text, 'out.sql': 'SELECT id, seen FROM ids' })
  const first = await job.run()
  assert.equal(first.error, undefined)
  // The history says that decades follow the extract.
  await job.metadata.database.run(`UPDATE runs SET ended_at = '2099-01-01T00:00:00.000Z' WHERE run = :run`, {
    run: first.run,
  })
  await query(`UPDATE late SET seen = '2026-02-02'`)
  hook.bodies.length = 0
  const notes: string[] = []
  const second = await job.run({ progress: notesInto(notes) })
  assert.equal(
    notes.filter(note => /^an alert was not sent to dead: /.test(note)).length,
    1,
    notes.join('\n'),
  )
  const toldAt = hook.bodies.findIndex(body => (JSON.parse(body) as Alert).cause === 'DURATION_AT_RISK')
  assert.equal(second.status, 'SUCCESS', String(second.error))
  assert.ok(toldAt >= 0, hook.bodies.join('\n'))
  const risk = JSON.parse(hook.bodies[toldAt]!) as Alert
  assert.match(risk.what, /^Run time: will be about .*target 30 s\. It goes on\.$/)
  assert.equal(toldAt, 0, 'before the run ended')
  const kept = await latestAlerts(job.metadata.database, 20, 'late')
  assert.ok(
    kept.some(({ channel, payload }) => channel === 'dead' && payload.includes('error')),
    JSON.stringify(kept),
  )
})

test('what is wrong in the configuration is said with its place, and no address is shown', async () => {
  const job = await smallJob({ after }, 'wrong', {
    'job.yaml': `connections: { here: "${url}" }
alerts:
  channels:
    ops: { email: a@example.org }
    hook: { webhook: "ftp://T0PS3CRET", smtp: "smtp://x" }
    none: {}
  on: { failure: [opps] }
`,
    'out.sql': 'SELECT 1',
  })
  await assert.rejects(loadJob(job.folder, {}), (error: EngineError) => {
    assert.equal(error.code, 'CONFIG_INVALID')
    for (const line of [
      /:5:.*alerts\.channels\.ops\.smtp: expected a URL such as smtps:/,
      /:6:.*hook\.smtp: only a channel with email has it/,
      /:6:.*hook\.webhook: expected an http or https URL/,
      /:7:.*none needs one of email, webhook and command/,
      /:8:.*alerts\.on\.failure: no channel "opps".*ops/,
    ])
      assert.match(error.message, line)
    assert.ok(!error.message.includes('T0PS3CRET'))
    return true
  })
})

test('alerts test sends to one channel or all, and says which did not take it', async t => {
  const hook = await receiver(t)
  const broken = await receiver(t, response => response.writeHead(404).end())
  const job = await smallJob({ after }, 'tried', {
    'job.yaml': `connections: { here: "${url}" }
alerts: { channels: { hook: { webhook: "${hook.url}" }, broken: { webhook: "${broken.url}" }, cmd: { command: [cat] } } }
`,
    'out.sql': 'SELECT 1',
  })
  const one = await job.cli('alerts', 'test', job.folder, 'hook')
  assert.deepEqual([one.code, one.out], [0, 'hook: sent\n'], one.err)
  assert.match((JSON.parse(hook.bodies[0]!) as Alert).title, /tried: a test/)
  const all = await job.cli('alerts', 'test', job.folder)
  assert.deepEqual(
    [all.code, all.out],
    [75, 'hook: sent\nbroken: failed, answered 404\ncmd: sent\n'],
    all.err,
  )
  const unknown = await job.cli('alerts', 'test', job.folder, 'hok')
  assert.deepEqual([unknown.code, /no channel "hok"/.test(unknown.err)], [2, true])
})
