import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { EngineError } from '../../engine/errors.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { freshPostgres } from '../servers.ts'
import { type SmallJob, smallJob } from './small.ts'

const { url, query } = await freshPostgres()
const other = await freshPostgres()
const ROOT = join(import.meta.dirname, '../..')

/** Two branches into two targets: `left` is a table of the first database, `right` of the second. */
async function twoBranches(name: string, extra = 'retries: { limit: 0 }'): Promise<SmallJob> {
  for (const database of [{ query }, other])
    await database.query(`CREATE TABLE ${name} (id int PRIMARY KEY, n int);
      INSERT INTO ${name} SELECT i, i FROM generate_series(1, 50) AS i`)
  return smallJob({ after }, name, {
    'job.yaml': `connections: { a: "${url}", b: "${other.url}" }
extract: { left_rows: { from: a, table: ${name}, key: id }, right_rows: { from: b, table: ${name}, key: id } }
load: { ${name}_left: { to: a, from: left_out, key: id }, ${name}_right: { to: b, from: right_out, key: id } }
resources: { memory: 300MB, threads: 1 }
${extra}
`,
    'left_out.sql': 'SELECT id, n FROM left_rows',
    'right_out.sql': 'SELECT id, n FROM right_rows',
  })
}

const codeOf = ({ error }: RunResult) => (error as EngineError | undefined)?.code
const rows = async (database: { query: typeof query }, table: string) =>
  Number((await database.query<{ n: string }>(`SELECT sum(n) AS n FROM ${table}`))[0]!.n)
const done = async (job: SmallJob, run: string) =>
  (await job.metadata.tasks(run)).filter(({ status }) => status === 'SUCCESS').map(({ task }) => task)

test('a branch that fails does not stop its sibling; resumed, only what failed is done', async () => {
  const job = await twoBranches('branch')
  await other.query('ALTER TABLE branch RENAME TO branch_away')
  await other.query("CREATE TABLE branch (id int PRIMARY KEY, n text); INSERT INTO branch VALUES (1, 'x')")
  const broken = 'SELECT id, n::INTEGER AS n FROM right_rows'
  writeFileSync(join(job.folder, 'right_out.sql'), broken)
  const first = await job.run()
  assert.equal(first.status, 'FAILED')
  assert.equal(codeOf(first), 'SQL_FAILED')
  assert.equal(await rows({ query }, 'branch_left'), 1275, 'the left one is loaded')
  assert.equal((await other.query(`SELECT to_regclass('branch_right') AS t`))[0]!.t, null)
  assert.deepEqual(await done(job, first.run), [
    'plan',
    'extract.a',
    'extract.b',
    'types.left_rows',
    'types.right_rows',
    'model.left_out',
    `diff.branch_left`,
    'load.a',
  ])

  const asked = await job.cli('resume', first.run, '--json')
  assert.equal(asked.code, 4, asked.err)
  writeFileSync(join(job.folder, 'right_out.sql'), 'SELECT id, TRY_CAST(n AS INTEGER) AS n FROM right_rows')
  const changed = await job.cli('resume', first.run)
  assert.equal(changed.code, 2)
  assert.match(changed.err, /JOB_CHANGED: run .* changed since it began: right_out\.sql\n/)
  const accepted = await job.cli('resume', first.run, '--accept-changes')
  assert.equal(accepted.code, 0, accepted.err)
  assert.match(accepted.err, /extract\.b: already done/)
  assert.equal((await other.query('SELECT count(*) AS n FROM branch_right'))[0]!.n, '1')
  const again = await job.cli('resume', first.run)
  assert.equal(again.code, 2)
  assert.match(again.err, /there is nothing to resume/)

  writeFileSync(join(job.folder, 'left_out.sql'), 'SELECT id, n + 1 AS n FROM left_rows')
  assert.equal(codeOf(await job.run()), undefined)
  assert.equal(await rows({ query }, 'branch_left'), 1325)
})

test('what is loaded cannot be done again under changed files, nor a run that others have overtaken', async () => {
  const job = await twoBranches('overtaken')
  writeFileSync(join(job.folder, 'right_out.sql'), "SELECT id, error('no')::INTEGER AS n FROM right_rows")
  const first = await job.run()
  assert.equal(first.status, 'FAILED')
  writeFileSync(join(job.folder, 'left_out.sql'), 'SELECT id, n + 1 AS n FROM left_rows')
  const refused = await job.run({ resume: first.run, acceptChanges: true })
  assert.equal(codeOf(refused), 'JOB_CHANGED')
  assert.match((refused.error as Error).message, /load\.a is done, and would be another/)
  writeFileSync(join(job.folder, 'right_out.sql'), 'SELECT id, n FROM right_rows')
  assert.equal(codeOf(await job.run()), undefined, 'a run of its own')
  const late = await job.run({ resume: first.run, acceptChanges: true })
  assert.ok(['RESUME_REFUSED', 'JOB_CHANGED'].includes(codeOf(late)!))
  assert.equal(await rows({ query }, 'overtaken_left'), 1325)
})

test('until, from and only one task', async () => {
  const job = await twoBranches('steps')
  const unknown = await job.run({ until: 'model.nobody' })
  assert.equal(codeOf(unknown), 'RESUME_REFUSED')
  assert.match((unknown.error as EngineError).hint!, /plan, extract\.a, extract\.b, types\.left_rows/)
  const half = await job.run({ until: 'model.right_out' })
  assert.deepEqual([half.status, half.error], ['PLANNED', undefined])
  const { run } = half
  assert.ok(!(await done(job, run)).some(task => task.startsWith('diff')))
  const early = await job.run({ resume: run, from: 'load.a' })
  assert.equal(codeOf(early), 'RESUME_REFUSED')
  assert.match((early.error as Error).message, /cannot begin at load\.a: diff\.steps_left is not done/)
  await query('UPDATE steps SET n = n + 1')
  const only = await job.cli('run', job.folder, '--only', 'model.left_out')
  assert.equal(only.code, 0, only.err)
  assert.match(only.err, /done again: model\.left_out/)
  const rest = await job.run({ resume: run })
  assert.equal(codeOf(rest), undefined)
  assert.equal(rest.status, 'SUCCESS')
  assert.equal(await rows({ query }, 'steps_left'), 1275, 'as the run had read it')
  await assert.rejects(job.run({ from: 'diff.steps_left' }), /it is done: there is nothing to resume/)
})

test('cancelled, the run stops at the next commit; a checkpoint brings an earlier state back', async () => {
  const job = await twoBranches('stopped')
  const stop = new AbortController()
  const progress = {
    started() {},
    advanced() {},
    finished: (task: string) => {
      if (task === 'model.left_out') stop.abort()
    },
    note() {},
  }
  const first = await job.run({ stop: stop.signal, progress })
  assert.equal(codeOf(first), 'INTERRUPTED')
  assert.equal((first.error as EngineError).exitCode, 130)
  assert.match((first.error as Error).message, /stopped on request, before model\.right_out/)
  assert.deepEqual((await done(job, first.run)).at(-1), 'model.left_out')
  const listed = await job.cli('checkpoints', 'list', '--json')
  const { checkpoints } = JSON.parse(listed.out) as {
    checkpoints: { id: string; task: string; kind: string }[]
  }
  const extracted = checkpoints.find(({ task, kind }) => task === 'extract.a' && kind === 'full')!
  const chunk = checkpoints.find(({ kind }) => kind === 'incremental')!
  assert.match((await job.cli('checkpoints', 'restore', chunk.id)).err, /a snapshot that is no more/)
  assert.match((await job.cli('checkpoints', 'list')).out, /left_rows: 1 chunk, 50 rows, at /)
  const restored = await job.cli('checkpoints', 'restore', extracted.id)
  assert.equal(restored.code, 0, restored.err)
  assert.match(restored.out, /model\.left_out/)
  assert.ok(!(await done(job, first.run)).includes('model.left_out'))
  const resumed = await job.run({ resume: first.run })
  assert.deepEqual([resumed.status, codeOf(resumed)], ['SUCCESS', undefined])
  assert.deepEqual((await job.cli('checkpoints', 'list')).out, 'No checkpoints: nothing is to be resumed.\n')
  const deltas = await job.metadata.database.all<{ target: string; extract: string; rows_inserted: number }>(
    'SELECT target, extract, rows_inserted FROM delta_tracking ORDER BY target',
  )
  assert.deepEqual(
    deltas.map(row => ({ ...row })),
    [
      { target: 'a.stopped_left', extract: 'left_rows', rows_inserted: 50 },
      { target: 'b.stopped_right', extract: 'right_rows', rows_inserted: 50 },
    ],
  )
})

/** Stops at the first commit of a task. */
function stopsAt(wanted: string) {
  const stop = new AbortController()
  const notes: string[] = []
  const progress = {
    started() {},
    advanced() {},
    finished: (task: string) => {
      if (task === wanted) stop.abort()
    },
    note: (text: string) => void notes.push(text),
  }
  return { stop: stop.signal, progress, notes }
}

test('the same command goes on with a run that a signal has stopped, and with no other', async () => {
  const job = await twoBranches('same')
  const stopped = async (goal?: 'plan') => {
    const result = await job.run({ ...stopsAt('model.left_out'), goal })
    assert.equal(codeOf(result), 'INTERRUPTED')
    return result.run
  }
  const first = await stopped()
  await query('UPDATE same SET n = n + 1')
  const again = await job.run()
  assert.deepEqual([again.run, again.resumed, codeOf(again)], [first, true, undefined])
  assert.equal(await rows({ query }, 'same_left'), 1275, 'as it had been read')

  const left = await stopped()
  const fresh = await job.run({ fresh: true })
  assert.deepEqual([fresh.resumed, codeOf(fresh)], [false, undefined])
  const next = await job.run()
  assert.deepEqual([next.resumed, next.run === left], [false, false], 'a run has ended since')

  const cancelled = await stopped()
  assert.match((await job.cli('cancel', cancelled)).out, /not resumed by itself/)
  assert.equal((await job.run()).resumed, false)

  const changed = await stopped()
  writeFileSync(join(job.folder, 'left_out.sql'), 'SELECT id, n + 1 AS n FROM left_rows')
  const told = stopsAt('nothing')
  assert.equal((await job.run(told)).resumed, false)
  assert.ok(
    told.notes.includes(`run ${changed} was interrupted and is abandoned: changed since: left_out.sql`),
    told.notes.join('\n'),
  )

  const early = await stopped()
  const [at, other] = [(await job.metadata.run(early))!.run_at, '2026-02-01T02:00:00.000Z']
  const asked = stopsAt('model.left_out')
  const another = await job.run({ ...asked, runAt: new Date(other) })
  assert.deepEqual([another.resumed, codeOf(another)], [false, 'INTERRUPTED'])
  assert.deepEqual(
    asked.notes.filter(note => note.includes(early)),
    [`run ${early} was interrupted and is abandoned: its own time is ${at}`],
  )
  const same = await job.run({ runAt: new Date(other) })
  assert.deepEqual([same.run, same.resumed, codeOf(same)], [another.run, true, undefined])

  const plan = await stopped('plan')
  await assert.rejects(job.run({ resume: plan }), /it was to be a plan/)
  const planned = await job.run({ goal: 'plan' })
  assert.deepEqual([planned.run, planned.resumed, planned.status], [plan, true, 'PLANNED'])
  const loaded = await job.run({ stop: AbortSignal.abort(), fromPlan: plan })
  assert.equal(codeOf(loaded), 'INTERRUPTED')
  const rest = await job.run({ fromPlan: plan })
  assert.deepEqual([rest.run, rest.resumed, codeOf(rest)], [plan, true, undefined])
})

test('cancel from another process, and Ctrl-C once and twice', async () => {
  const job = await twoBranches('signals')
  const lock = async () => {
    await query('BEGIN; LOCK TABLE signals IN ACCESS EXCLUSIVE MODE')
  }
  await lock()
  const start = async () => {
    const child = spawn(process.execPath, ['src/main.ts', 'run', job.folder, '--json'], {
      cwd: ROOT,
      env: { ...process.env, NIGHTFREIGHT_HOME: job.home },
    })
    const ended = once(child, 'close')
    let out = ''
    child.stdout.on('data', piece => {
      out += piece
    })
    child.stderr.on('data', piece => {
      out += piece
    })
    let run: string | undefined
    while (!run) {
      if (child.exitCode !== null) throw new Error(`it has ended with ${child.exitCode}: ${out}`)
      run = (await job.metadata.activeRun('signals'))?.run
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    return { child, ended, run, out: () => out }
  }
  const first = await start()
  const cancelled = await job.cli('cancel', first.run)
  assert.equal(cancelled.code, 0, cancelled.err)
  assert.match(cancelled.out, /stopping at the next commit/)
  await new Promise(resolve => setTimeout(resolve, 1200))
  await query('COMMIT')
  const [code] = (await first.ended) as [number]
  assert.equal(code, 130, first.out())
  assert.match(first.out(), /stopped on request, before/)
  assert.match((await job.cli('cancel', first.run)).out, /has failed, and is not resumed by itself/)

  await lock()
  const third = await start()
  third.child.kill('SIGINT')
  await new Promise(resolve => setTimeout(resolve, 200))
  await query('COMMIT')
  assert.deepEqual(await third.ended, [130, null], third.out())
  assert.match(
    third.out(),
    /Stopping at the next commit, in 5 s at the latest; once more stops now\.[\s\S]*stopped on request, before/,
  )

  await lock()
  const second = await start()
  while ((await job.metadata.tasks(second.run)).length === 0)
    await new Promise(resolve => setTimeout(resolve, 50))
  second.child.kill('SIGINT')
  await new Promise(resolve => setTimeout(resolve, 200))
  second.child.kill('SIGINT')
  const [now, by] = (await second.ended) as [number, string]
  await query('COMMIT')
  assert.deepEqual([now, by], [130, null], second.out())
  const resumed = await job.cli('resume', second.run)
  assert.equal(resumed.code, 0, resumed.err)
})

test('a run that fails transiently is resumed by itself, where the job says so', async () => {
  const job = await twoBranches(
    'mends',
    'retries: { limit: 0 }\ntimeout: 3s\nrecovery: { auto: true, limit: 2, delay: 10ms }',
  )
  assert.equal((await job.run()).error, undefined)
  await query('BEGIN; LOCK TABLE mends_left IN ACCESS EXCLUSIVE MODE')
  await other.query('UPDATE mends SET n = n + 1')
  await query('UPDATE mends SET n = n + 1')
  const notes: string[] = []
  const note = (text: string) => {
    notes.push(text)
    if (/failed and is resumed in/.test(text)) void query('COMMIT')
  }
  const mended = await job.run({ progress: { started() {}, advanced() {}, finished() {}, note } })
  assert.deepEqual([mended.status, mended.resumed], ['SUCCESS', true], notes.join('\n'))
  assert.ok(notes.includes('extract.a: already done'), notes.join('\n'))
})

test('what a run needs of the machine is checked before it reads', async () => {
  const job = await twoBranches('room', 'retries: { limit: 0 }')
  const file = join(job.folder, 'job.yaml')
  const yaml = readFileSync(file, 'utf8')
  for (const [asked, says] of [
    ['memory: 300MB, temp_disk: 900TB', /temp_disk asks for 900000000 MB, and \d+ MB are free in /],
    ['memory: 90TB', /memory asks for 90000000 MB, and \d+ MB are free/],
  ] as const) {
    writeFileSync(file, yaml.replace('memory: 300MB', asked))
    const { status, error, outcome } = await job.run()
    assert.ok(error instanceof EngineError)
    assert.deepEqual([status, error.code, outcome.extracted], ['FAILED', 'RESOURCE_EXHAUSTED', []])
    assert.match(error.message, says)
  }
})
