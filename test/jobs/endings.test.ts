import assert from 'node:assert/strict'
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EngineError } from '../../engine/errors.ts'
import { stepLease } from '../../src/metadata/runs.ts'
import { commandLine } from '../commandLine.ts'
import { notesInto, type SmallJob, smallJob } from './small.ts'

const yaml = (more = '') => `
connections:
  drop: { url: "file:in" }
  wh: { url: "duckdb:wh.duckdb" }
extract:
  t: { from: drop, files: "*.csv", take: all, key: id, schema: { id: BIGINT } }
load:
  t: { to: wh, from: t, key: id }
resources: { memory: 300MB, threads: 1 }
retries: { limit: 0 }
alerts:
  channels: { note: { command: ["sh", "-c", "cat >> alerts.txt; echo >> alerts.txt"] } }
  on: { failure: [note] }
${more}`

async function made(hooks: Parameters<typeof smallJob>[0], name: string, more?: string): Promise<SmallJob> {
  const job = await smallJob(hooks, name, { 'job.yaml': yaml(more) })
  mkdirSync(join(job.folder, 'in'))
  writeFileSync(join(job.folder, 'in', 'a.csv'), 'id\n1\n2\n')
  return job
}

/** The alerts that were sent. */
const alertsOf = ({ folder }: SmallJob): { cause: string; command: string; title: string }[] => {
  const file = join(folder, 'alerts.txt')
  return existsSync(file)
    ? readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map(line => JSON.parse(line))
    : []
}

/** What may be wrong before a run's first task. */
const WRONG: [
  name: string,
  code: string,
  more: string,
  env: Record<string, string>,
  (job: SmallJob) => void,
][] = [
  ['staging_setting', 'CONFIG_INVALID', '', { STAGING_URL: 's3://b/p?compression=bogus' }, () => {}],
  ['disk', 'RESOURCE_EXHAUSTED', 'resources: { memory: 300MB, threads: 1, temp_disk: 900TB }', {}, () => {}],
  ['no_staging', 'CONFIG_INVALID', '', {}, ({ home }) => writeFileSync(join(home, 'staging'), 'a file')],
  ['no_temp', 'CONFIG_INVALID', '', {}, ({ home }) => writeFileSync(join(home, 'tmp'), 'a file')],
]

for (const [name, code, more, env, spoil] of WRONG)
  test(`a run that cannot open what it works with ends as FAILED, told and reported: ${name}`, async t => {
    const job = await made(t, name)
    if (more) job.yaml(yaml().replace('resources: { memory: 300MB, threads: 1 }', more))
    spoil(job)
    const { status, error, report, run } = await job.run({ env })
    assert.deepEqual([status, (error as { code?: string }).code], ['FAILED', code])
    const record = (await job.metadata.run(run))!
    assert.equal(record.status, 'FAILED')
    assert.ok(record.ended_at)
    assert.equal((await job.metadata.history({ limit: 1 }))[0]!.status, 'FAILED')
    assert.deepEqual(
      alertsOf(job).map(({ cause }) => cause),
      [code],
    )
    if (name !== 'no_staging') assert.match(readFileSync(report, 'utf8'), new RegExp(code))
  })

test('a key of masks that cannot be read is told before anything is begun; a damaged one is made anew, and that is told', async t => {
  const job = await made(t, 'mask_key')
  job.yaml(yaml().replace('key: id, schema', 'key: id, sensitive: [id], schema'))
  const path = join(job.home, 'mask.key')
  mkdirSync(path)
  await assert.rejects(job.run(), { code: 'CONFIG_INVALID', message: /mask\.key/ })
  assert.equal((await job.metadata.history({ limit: 1 }))[0]!.status, 'FAILED')
  assert.deepEqual(
    alertsOf(job).map(({ cause }) => cause),
    ['CONFIG_INVALID'],
  )
  rmSync(path, { recursive: true })
  for (const damaged of ['', 'f'.repeat(40), undefined]) {
    if (damaged !== undefined) writeFileSync(path, damaged)
    const notes: string[] = []
    const progress = { started() {}, advanced() {}, finished() {}, note: (text: string) => notes.push(text) }
    assert.equal((await job.run({ progress })).error, undefined)
    assert.match(readFileSync(path, 'utf8'), /^[0-9a-f]{64}$/)
    assert.equal(
      notes.filter(note => /mask\.key was damaged/.test(note)).length,
      damaged === undefined ? 0 : 1,
    )
  }
})

test('a report that cannot be written changes nothing of the end', async t => {
  const job = await made(t, 'no_report')
  const notes: string[] = []
  const progress = {
    started() {},
    advanced() {},
    note: (text: string) => notes.push(text),
    finished(task: string) {
      if (task !== 'extract.t') return
      const [run] = readdirSync(join(job.home, 'staging', 'no_report'))
      mkdirSync(join(job.home, 'staging', 'no_report', run!, 'report.html'))
    },
  }
  const { status } = await job.run({ progress })
  assert.equal(status, 'SUCCESS')
  assert.deepEqual(alertsOf(job), [])
  assert.match(notes.join('\n'), /no report: .*report\.html/)
})

test('every system that does not answer is told at once, asked again by the rules of tasks', async t => {
  const job = await smallJob(t, 'unreachable', {
    'job.yaml': `
connections:
  one: { url: "postgres://nobody@127.0.0.1:9/one" }
  two: { url: "mysql://nobody@127.0.0.1:9/two" }
  wh: { url: "duckdb:wh.duckdb" }
extract:
  a: { from: one, table: a, key: id }
  b: { from: two, table: b, key: id }
load:
  a: { to: wh, from: a, key: id }
  b: { to: wh, from: b, key: id }
resources: { memory: 300MB, threads: 1 }
retries: { limit: 1, delay: 10ms }
`,
  })
  const notes: string[] = []
  const progress = { started() {}, advanced() {}, finished() {}, note: (text: string) => notes.push(text) }
  const { error, status } = await job.run({ progress })
  assert.ok(error instanceof EngineError)
  assert.deepEqual([status, error.code, error.exitCode], ['FAILED', 'CONNECTION_FAILED', 75])
  assert.match(error.message, /^one: .*\ntwo: /)
  assert.equal(notes.filter(note => note.startsWith('probe: ')).length, 1)
})

test('status and history say the same of a run, and status shows one by its id', async t => {
  const job = await made(t, 'told')
  const { run } = await job.run()
  await job.metadata.startRun({ run: 'gone', job: 'told', run_at: 'at', spec_hash: '', owner: 'here:1:' })
  await job.metadata.database.run(`UPDATE leases SET expires_at = '2000-01-01T00:00:00.000Z'`)
  const status = JSON.parse((await job.cli('status', '--json')).out) as {
    runs: { run: string; state: string }[]
  }
  const history = JSON.parse((await job.cli('history', '--json')).out) as typeof status
  const states = ({ runs }: typeof status) => runs.map(each => [each.run, each.state])
  assert.deepEqual(states(status), [
    ['gone', 'INTERRUPTED'],
    [run, 'SUCCESS'],
  ])
  assert.deepEqual(states(history), states(status))
  const one = await job.cli('status', run)
  assert.match(one.out, new RegExp(`^${run}  told  SUCCESS .*\\n\\nTasks of ${run}:\\n.*plan`))
  assert.equal((await job.cliIn({ NIGHTFREIGHT_HOME: '' }, 'status')).code, 2)
})

test('state is for nobody else to read', async t => {
  const job = await made(t, 'hidden')
  const home = join(job.home, 'state')
  const { code } = await job.cliIn({ NIGHTFREIGHT_HOME: home }, 'run', job.folder)
  assert.equal(code, 0)
  const open = ['', 'metadata.db', 'nightfreight.log', 'staging', 'tmp'].filter(
    name => (statSync(join(home, name)).mode & 0o077) !== 0,
  )
  assert.deepEqual(open, [])
})

test('memory below what a run needs is refused, with what that is', async t => {
  const job = await made(t, 'small')
  job.yaml(yaml().replace('memory: 300MB', 'memory: 150MB'))
  const refused = await job.cli('validate', job.folder)
  assert.equal(refused.code, 2)
  assert.match(refused.err, /resources\.memory: .*at least 235MB/)
})

test('a run whose process is gone is ended by cancel, and its data interval is not run again by itself', async t => {
  const { cli, metadata } = await smallJob(t, 'left', { 'job.yaml': '' })
  const leader = (await metadata.leases.acquire('scheduler', 'me'))!
  const [start, end] = [new Date('2026-02-01T02:00Z'), new Date('2026-02-02T02:00Z')]
  await metadata.intervals.plan([{ job: 'left', start, end }], leader)
  const [claim] = await metadata.intervals.take(await metadata.intervals.list('left', 1))
  const own = {
    run: 'r1',
    job: 'left',
    run_at: end.toISOString(),
    spec_hash: '',
    owner: `${hostname()}:1:never`,
  }
  const interval = { interval_start: start.toISOString(), interval_end: end.toISOString() }
  await metadata.startRun({ ...own, ...interval, trigger: 'schedule' }, 1, claim)
  const ended = await cli('cancel', 'r1')
  assert.deepEqual([ended.code, ended.out], [0, 'r1: ended; the process that ran it was gone\n'], ended.err)
  assert.equal((await metadata.run('r1'))!.status, 'FAILED')
  assert.equal((await metadata.intervals.list('left', 1))[0]!.state, 'FAILED')
  assert.equal((await cli('cancel', 'r1')).out, 'r1: has failed, and is not resumed by itself\n')
})

test('what ran before the machine was started anew is gone, whatever its clock said then', async t => {
  const job = await made(t, 'rebooted')
  const run = (owner: string) =>
    job.metadata.startRun({ run: `of ${owner}`, job: 'rebooted', run_at: '', spec_hash: '', owner })
  const ahead = () =>
    job.metadata.database.run(`UPDATE leases SET expires_at = '2999-01-01T00:00:00.000Z' WHERE owner <> ''`)
  const earlier = `${hostname()}/00000000.11111111:1:1`
  await run(earlier)
  await job.metadata.leases.acquire('scheduler', earlier)
  await ahead()
  const next = await job.cli('run', job.folder)
  assert.equal(next.code, 0, next.output)
  assert.match(next.output, /was interrupted and is abandoned/)
  assert.equal(await job.metadata.leases.holder('scheduler'), undefined)

  // One that says of no start may be of another machine.
  await run(`${hostname()}/00000000:1:1`)
  await ahead()
  assert.match((await job.cli('run', job.folder)).output, /RUN_CONFLICT.* is still running/)
})

test('a run that is to be resumed by itself is not, once it is cancelled', async t => {
  const job = await made(t, 'recovers', 'recovery: { auto: true, delay: 40s, limit: 2 }')
  job.yaml(
    yaml('recovery: { auto: true, delay: 40s, limit: 2 }').replace('file:in', 'sftp://ada:x@127.0.0.1:9/in'),
  )
  const notes: string[] = []
  const running = job.run({ progress: notesInto(notes) })
  while (!notes.some(note => /is resumed in/.test(note))) await delay(50)
  const { run } = (await job.metadata.runs(1))[0]!
  const begun = performance.now()
  assert.equal((await job.cli('cancel', run)).out, `${run}: has failed, and is not resumed by itself\n`)
  assert.equal((await running).run, run)
  assert.ok(performance.now() - begun < 15_000)
  assert.equal((await job.metadata.run(run))!.attempt, 1)
})

test('a run leaves nothing in the folder for temporary files', async t => {
  const job = await made(t, 'tidy')
  assert.equal((await job.run()).error, undefined)
  writeFileSync(join(job.folder, 'in', 'a.csv'), 'id\nx\n')
  assert.notEqual((await job.run()).error, undefined)
  assert.deepEqual(readdirSync(join(job.home, 'tmp')), [])
})

test('what a killed run had spilled goes with its resume, or with gc, and not what a step has that goes on', async t => {
  const job = await made(t, 'spilled')
  const temps = () => globSync('tmp/*/*', { cwd: job.home })
  const killed = () =>
    commandLine(job.home, ['run', job.folder], {
      begun: child => {
        const timer = setInterval(() => {
          const [folder] = temps()
          if (folder === undefined) return
          clearInterval(timer)
          writeFileSync(join(job.home, folder, 'spilled'), 'rows')
          child.kill('SIGKILL')
        }, 5)
      },
    })
  assert.equal((await killed()).signal, 'SIGKILL')
  const { run } = (await job.metadata.runs(1))[0]!
  assert.equal(temps().length, 1)
  const resumed = await job.cli('run', job.folder)
  assert.equal(resumed.code, 0, resumed.output)
  assert.match(resumed.output, new RegExp(`continuing run ${run}`))
  assert.deepEqual(temps(), [])

  assert.equal((await killed()).signal, 'SIGKILL')
  const { run: second } = (await job.metadata.runs(1))[0]!
  // Of processes in other containers nobody here can tell whether they live: of two of them, one does a step.
  const [gone, there] = ['gone', 'there'].map(name => {
    const folder = join('tmp', second, `1@${encodeURIComponent(`${name}/1.2:3:4`)}`)
    mkdirSync(join(job.home, folder))
    return folder
  }) as [string, string]
  await job.metadata.leases.acquire(stepLease(second, 'models'), 'there/1.2:3:4')
  const would = await job.cli('gc', '--dry-run')
  assert.match(
    would.out,
    new RegExp(`spilled  ${second}  1 file, .*temporary files of a process that is gone\n`),
  )
  assert.equal(temps().length, 3)
  assert.equal((await job.cli('gc')).out, would.out.replace('Would remove', 'Removed'))
  assert.deepEqual(temps(), [there])
  assert.ok(!existsSync(join(job.home, gone)))
})
