import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Duck } from '../../engine/sql/duckdb.ts'
import { exportSql } from '../../src/workbench/exportSql.ts'
import { openShell } from '../../src/workbench/shell.ts'
import { showTable } from '../../src/workbench/show.ts'
import { type SmallJob, smallJob } from '../jobs/small.ts'

const YAML = `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
vars: { least: 5 }
extract:
  orders:
    from: in
    files: orders.csv
    take: all
    key: order_id
    schema: { order_id: BIGINT, amount: "DECIMAL(12,2)", mail: VARCHAR }
load:
  m: { to: wh, from: m, key: order_id }
quality: { max_error_rate: 0.9 }
`
const FILES = {
  'in/orders.csv': 'order_id,amount,mail\n1,12.50,a@x.org\n2,7.00,b@x.org\n3,99.99,\n',
  'm.sql': "SELECT order_id, twice(amount) AS amount, mail FROM big WHERE amount > getvariable('least')",
  'big.sql': 'SELECT * FROM orders',
  'checks/m/dear.sql': "SELECT order_id, 'dear' AS reason FROM m WHERE amount > 100",
  '../macros/t.sql': '-- doubles\nCREATE MACRO twice(x) AS x * 2;',
}

let jobs = 0
async function stagedJob(yaml = YAML, run = true): Promise<SmallJob> {
  const job = await smallJob({ after }, `show_${++jobs}`, { 'job.yaml': yaml, ...FILES })
  if (run) assert.equal((await job.run()).error, undefined)
  return job
}

const show = ({ folder, home }: SmallJob, table: string, options = {}) =>
  showTable({ folder, home, env: {}, table, limit: 20, runAt: new Date(), ...options })

test('a model is shown as its file says now, over what was read last, without the rows that its checks reject', async () => {
  const job = await stagedJob()
  writeFileSync(join(job.folder, 'in/orders.csv'), 'gone')
  const { rows, total, columns } = await show(job, 'm')
  assert.deepEqual(rows, [
    { order_id: '1', amount: '25.00', mail: 'a@x.org' },
    { order_id: '2', amount: '14.00', mail: 'b@x.org' },
  ])
  assert.equal(total, 2)
  assert.deepEqual(columns[0], { name: 'order_id', type: 'BIGINT' })
  writeFileSync(join(job.folder, 'm.sql'), 'SELECT order_id, amount FROM big')
  assert.deepEqual((await show(job, 'm', { where: 'amount < 10', limit: 1 })).rows, [
    { order_id: '2', amount: '7.00' },
  ])
  await assert.rejects(
    show(job, 'm', { where: 'amunt < 10' }),
    /--where:1: .*"amunt".*did you mean "amount"/s,
  )
  await assert.rejects(show(job, 'mm'), /has no model or extract mm/)
  writeFileSync(join(job.folder, 'm.sql'), 'SELECT order_id, mail::INTEGER AS n FROM orders')
  writeFileSync(join(job.folder, 'checks/m/dear.sql'), "SELECT order_id, 'x' AS reason FROM m WHERE false")
  await assert.rejects(
    show(job, 'm'),
    /m\.sql:1: Could not convert string 'a@x\.org' to INT32 \(column mail\): order_id = 1/,
  )
})

test('a profile counts what is there; sensitive values are masked', async () => {
  const { profile } = await show(await stagedJob(), 'orders', { profile: true })
  const [id, amount, mail] = profile!
  assert.deepEqual([id!.distinct, id!.min, id!.max, id!.histogram!.reduce((a, b) => a + b)], [3, '1', '3', 3])
  assert.equal(amount!.histogram![9], 1)
  assert.deepEqual([mail!.nulls, mail!.top![0]], [1, { value: 'a@x.org', rows: 1 }])
  const job = await stagedJob(YAML.replace('key: order_id\n', 'key: order_id\n    sensitive: [mail]\n'))
  const shown = JSON.stringify(await show(job, 'orders', { profile: true }))
  assert.match(shown, /masked-/)
  assert.doesNotMatch(shown, /x\.org/)
})

test('a difference names rows that changed, came and went', async () => {
  const job = await stagedJob()
  writeFileSync(
    join(job.folder, 'm.sql'),
    'SELECT CASE order_id WHEN 2 THEN 4 ELSE order_id END AS order_id, amount, 1 AS one FROM big WHERE amount < 99',
  )
  // A plan is of the model as it is now: nothing would differ from it.
  const planned = await job.cli('plan', job.folder)
  assert.equal(planned.code, 0, planned.output)
  const { diff } = await show(job, 'm', { diff: true })
  const { run, isPlan, samples, ...counts } = diff!
  assert.equal(isPlan, false)
  assert.deepEqual(counts, {
    addedColumns: ['one'],
    removedColumns: ['mail'],
    key: ['order_id'],
    changed: 1,
    added: 1,
    removed: 1,
    unchanged: 0,
    columns: [{ name: 'amount', rows: 1 }],
  })
  assert.deepEqual(samples[0], {
    before: { order_id: '1', amount: '25.00' },
    after: { order_id: '1', amount: '12.50' },
  })
  assert.equal(samples.length, 3)
})

test('a difference is of the rows of which the condition is true, as many as are asked for', async () => {
  const job = await stagedJob()
  writeFileSync(
    join(job.folder, 'm.sql'),
    'SELECT order_id, amount + 1 AS amount, upper(mail) AS mail, 1 AS one FROM big WHERE amount < 99',
  )
  const { diff } = await show(job, 'm', { diff: true, where: 'order_id = 2', limit: 1 })
  assert.deepEqual([diff!.changed, diff!.added, diff!.removed, diff!.samples.length], [1, 0, 0, 1])
  const few = await show(job, 'm', { diff: true, limit: 1 })
  assert.deepEqual([few.diff!.changed, few.diff!.samples.length], [2, 1])
  await assert.rejects(
    show(job, 'm', { diff: true, where: 'one = 1' }),
    /--where cannot be asked of the rows that run \S+ made of m/,
  )
  const both = await job.cli('show', job.folder, 'm', '--diff', '--profile')
  assert.deepEqual([both.code, /two answers/.test(both.err)], [2, true])
})

async function collected<T>(from: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const each of from) all.push(each)
  return all
}

test('the shell has models, macros, variables and the quarantine, and reaches nothing else', async () => {
  const { folder, home } = await stagedJob()
  await using stack = new AsyncDisposableStack()
  const shell = await openShell({ folder, home, env: {}, runAt: new Date(), reveal: false }, stack)
  assert.deepEqual(shell.tables, ['big', 'm', 'orders', 'quarantine'])
  const answers = await collected(
    shell.run(
      "SELECT twice(getvariable('least')) AS t; SELECT check_name, reason FROM quarantine; SELECT count(*) FROM m",
    ),
  )
  assert.deepEqual(
    answers.map(({ rows }) => rows),
    [[['10']], [['dear', 'dear']], [['2']]],
  )
  for (const sql of [
    "FROM read_csv('/etc/passwd')",
    "COPY (SELECT 1) TO '/tmp/x.csv'",
    'SET enable_external_access = true',
  ])
    await assert.rejects(collected(shell.run(sql)), sql)
})

test('a job with sensitive columns opens no shell unless they may be shown', async () => {
  const { folder, home } = await stagedJob(
    YAML.replace('key: order_id\n', 'key: order_id\n    sensitive: [mail]\n'),
  )
  await using stack = new AsyncDisposableStack()
  const options = { folder, home, env: {}, runAt: new Date() }
  await assert.rejects(openShell({ ...options, reveal: false }, stack), /sensitive columns \(mail\)/)
  assert.ok((await openShell({ ...options, reveal: true }, stack)).tables.includes('m'))
})

test('an exported job runs in a DuckDB of its own, before a run and after', async () => {
  for (const run of [false, true]) {
    const { folder, home } = await stagedJob(YAML, run)
    const duck = await Duck.open({ threads: 1 })
    try {
      await duck.run(await exportSql(folder, home, new Date('2026-01-01')))
      assert.equal((await duck.rows('FROM m')).length, run ? 2 : 0)
      assert.equal((await duck.rows('FROM "m before its checks"')).length, run ? 3 : 0)
      assert.equal((await duck.rows('FROM "checks/m/dear"')).length, run ? 1 : 0)
    } finally {
      duck.close()
    }
  }
})

const JUDGED = {
  'in/orders.csv':
    'order_id,amount,mail\n1,12.50,a@x.org\n2,7.00,b@x.org\n3,99.99,\n4,-1,\n5,8,x\n6,9,y\n,3,z\n7,60,\n',
  'm.sql': 'SELECT CASE WHEN order_id <> 6 THEN order_id END AS order_id, amount, mail FROM orders',
  'n.sql': 'SELECT order_id, twice(amount) AS amount FROM m WHERE amount < 100',
  'total.sql': 'SELECT count(*) AS n, sum(amount) AS amount FROM n',
  'checks/m/dear.sql': `WITH dear AS (FROM m WHERE amount > 50)
SELECT order_id, mail, CASE WHEN amount > 90 THEN 'reject' ELSE 'warn' END AS severity, 'dear' AS reason FROM dear`,
  'checks/n/odd.sql': "SELECT amount, 'odd' AS reason FROM n WHERE amount % 2 = 1 -- said at the end",
  'checks/orders/negative.sql': "SELECT order_id, 'negative' AS reason FROM orders WHERE amount < 0",
  'checks/few.sql':
    "SELECT CASE WHEN count(*) < 9 THEN 'warn' ELSE 'pass' END AS level, 'few' AS message FROM n",
}

test('what is shown, exported and in the shell has the rows that a run has', async () => {
  const yaml = `${YAML}checks:\n  m: { mail: { not_null: true, severity: warn } }\n`
  const { folder, home, run } = await smallJob({ after }, 'show_judged', {
    'job.yaml': yaml.replace('load:\n', 'load:\n  n: { to: wh, from: n, key: order_id }\n'),
    ...FILES,
    ...JUDGED,
  })
  const { outcome, error } = await run()
  assert.equal(error, undefined)
  const runAt = new Date()
  const duck = await Duck.open({ threads: 1 })
  try {
    await duck.run(await exportSql(folder, home, runAt))
    await using stack = new AsyncDisposableStack()
    const shell = await openShell({ folder, home, env: {}, runAt, reveal: false }, stack)
    const { found } = await showTable({ folder, home, env: {}, table: 'm', limit: 1, runAt })
    assert.deepEqual(found, {
      rejected: 2,
      warned: 1,
      checks: [
        { check: 'mail_not_null', severity: 'warn', rows: 2 },
        { check: 'dear', severity: 'reject', rows: 1 },
        { check: 'dear', severity: 'warn', rows: 1 },
        { check: 'key is present', severity: 'reject', rows: 1 },
      ],
    })
    const some = await showTable({ folder, home, env: {}, table: 'm', limit: 1, runAt, where: 'amount > 90' })
    assert.deepEqual([some.total, some.found!.rejected, some.found!.checks.length], [0, 1, 2])
    const [tables] = await collected(shell.run('SHOW TABLES'))
    assert.deepEqual(tables!.rows.flat(), ['big', 'm', 'n', 'orders', 'quarantine', 'total'])
    for (const [table, rows] of [
      ['orders', 6],
      ['m', 4],
      ['n', 3],
      ['total', 1],
    ] as const) {
      const shown = await showTable({ folder, home, env: {}, table, limit: 20, runAt })
      assert.equal(shown.total, rows, table)
      const texts = `SELECT COLUMNS(*)::VARCHAR FROM ${table} ORDER BY ALL`
      const sorted = shown.rows.map(row => Object.values(row).join()).sort()
      const exported = (await duck.rows(texts)).map(row => Object.values(row).join())
      assert.deepEqual(exported.sort(), sorted, table)
      const [answer] = await collected(shell.run(texts))
      assert.deepEqual(answer!.rows.map(row => row.join()).sort(), sorted, table)
      const made = outcome.tables.findLast(({ name }) => name === table)
      if (made && table !== 'orders') assert.equal(made.rows - made.rejected, rows, table)
    }
  } finally {
    duck.close()
  }
})

test('what was never run says what to type', async () => {
  await assert.rejects(show(await stagedJob(YAML, false), 'm'), /nothing is staged/)
})

test('--watch shows a model again when its file is saved', async () => {
  const job = await stagedJob()
  const child = spawn(process.execPath, ['src/main.ts', 'show', job.folder, 'm', '--watch'], {
    cwd: join(import.meta.dirname, '../..'),
    env: { ...process.env, NIGHTFREIGHT_HOME: job.home },
  })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  try {
    const until = async (pattern: RegExp) => {
      for (let i = 0; i < 600 && !pattern.test(out); i++) await delay(50)
      assert.match(out, pattern)
    }
    await until(/m: 2 rows[\s\S]*watching/)
    writeFileSync(join(job.folder, 'm.sql'), 'SELECT order_id, amount, 7 AS seven FROM big')
    await until(/seven[\s\S]*m: 3 rows[\s\S]*watching/)
    writeFileSync(join(job.folder, 'm.sql'), 'SELECT order_id, amunt FROM big')
    await delay(1500)
    writeFileSync(join(job.folder, 'm.sql'), 'SELECT order_id, amount, 8 AS eight FROM big')
    await until(/eight/)
  } finally {
    child.kill()
  }
})
