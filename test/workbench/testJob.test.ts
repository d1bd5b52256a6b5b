import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { caseFaults } from '../../src/workbench/caseFaults.ts'
import { testJob } from '../../src/workbench/testJob.ts'
import { commandLine } from '../commandLine.ts'
import { type Project, project } from './project.ts'

const run = ({ folder, home }: Project, names: string[] = [], write = false) =>
  testJob({ folder, home, names, write })

test('a case is run by the engine: keys, checks, the run time; no connection, no variable', async () => {
  const { cases } = await run(project({ after }))
  assert.deepEqual(
    cases.map(({ name, tables, differences, error }) => ({ name, tables, differences, error })),
    [{ name: 'first', tables: ['findings', 'm'], differences: [], error: undefined }],
  )
})

test('of rows of one key the engine decides, as in a night', async () => {
  const job = project(
    { after },
    { 'tests/cases/first/orders.csv': 'order_id,customer_id,amount\n1,10,12.5\n1,10,13\n,11,7\n' },
  )
  const [result] = (await run(job)).cases
  assert.match((result!.error as EngineError).message, /order_id = 1/)
})

test('a difference is told by row and column, and shown as a table', async () => {
  const job = project(
    { after },
    { 'tests/cases/first/expected/m.csv': 'order_id,amount\n1,12.5\n2,8\n4,1\n' },
  )
  const { differences } = (await run(job)).cases[0]!
  assert.deepEqual(differences, [
    {
      table: 'm',
      difference: {
        columns: ['order_id', 'amount'],
        changed: [{ expected: { order_id: '2', amount: '8.00' }, actual: { order_id: '2', amount: '7.00' } }],
        missing: [{ order_id: '4', amount: '1.00' }],
        surplus: [],
        more: 0,
      },
    },
  ])
  const { code, out } = await commandLine(job.home, ['test', job.folder])
  assert.equal(code, 3)
  assert.match(out, /FAIL {2}first/)
  assert.match(out, /m: 2 rows differ \(- expected, \+ given\)\n +other values in: amount\n/)
  assert.match(out, /- {2}order_id|order_id {2}amount\n/)
  assert.match(out, /- +2 +8\.00\n +\+ +2 +7\.00\n +- +4 +1\.00\n/)
})

test('--write shows what it changes of what was expected', async () => {
  const job = project({ after }, { 'tests/cases/first/expected/m.csv': 'order_id,amount\n1,12.50\n2,8.00\n' })
  const { code, out } = await commandLine(job.home, ['test', job.folder, '--write'])
  assert.equal(code, 0, out)
  assert.match(
    out,
    /wrote .*m\.csv: 2 rows\n +m: 1 row differs \(- as it was, \+ as it is now\)\n[\s\S]*- +2 +8\.00\n +\+ +2 +7\.00\n/,
  )
})

test('limits of a whole night judge no case of a few rows, unless it says so', async () => {
  const job = project({ after })
  const yaml = readFileSync(join(job.folder, 'job.yaml'), 'utf8')
  const checks = 'checks: { m: { rows: { min: 100 } }, orders: { fresh: { column: placed, within: 24h } } }\n'
  job.write({ 'job.yaml': `${yaml}${checks}` })
  const { code, out } = await commandLine(job.home, ['test', job.folder])
  assert.equal(code, 0, out)
  assert.match(
    out,
    /note: rows: and fresh: judge no case .*: m_rows, orders_fresh; night_checks: true in case\.yaml/,
  )
  job.write({ 'tests/cases/first/case.yaml': 'night_checks: true\n' })
  const [first] = (await run(job)).cases
  assert.deepEqual(
    first!.differences.flatMap(({ difference }) => difference.surplus.map(row => row.check_name)),
    ['m_rows', 'orders_fresh'],
  )
})

test('--write writes what the job gives: the columns that are there, or all', async () => {
  const job = project({ after }, { 'tests/cases/first/expected/m.csv': 'order_id,amount\n' })
  rmSync(join(job.folder, 'tests/cases/first/expected/findings.csv'))
  const { written } = (await run(job, ['first'], true)).cases[0]!
  const file = join(job.folder, 'tests/cases/first/expected/m.csv')
  assert.deepEqual(written, [file])
  assert.equal(readFileSync(file, 'utf8'), 'order_id,amount\n1,12.50\n2,7.00\n')
  rmSync(join(job.folder, 'tests/cases/first/expected'), { recursive: true })
  const again = (await run(job, [], true)).cases[0]!
  assert.equal(again.written.length, 2)
  assert.match(readFileSync(file, 'utf8'), /^order_id,name,amount,y\n1,Ada,12\.50,2026\n/)
  assert.deepEqual((await run(job)).cases[0]!.differences, [])
})

test('--write begins what a case gives inputs for, and says what of it is empty or rejected', async () => {
  const job = project({ after })
  rmSync(join(job.folder, 'tests/cases/first'), { recursive: true })
  const yaml = readFileSync(join(job.folder, 'job.yaml'), 'utf8')
  job.write({
    'job.yaml': `${yaml}  own: { to: wh, from: customers, key: customer_id }\n  names: { to: wh, from: names, key: name }\n`,
    'names.sql': 'SELECT name FROM customers',
    'tests/cases/first/orders.csv': 'order_id,customer_id,amount\n1,10,99.99\n,11,2\n',
  })
  const { out } = await commandLine(job.home, ['test', job.folder, '--write'])
  assert.deepEqual(readdirSync(join(job.folder, 'tests/cases/first/expected')).sort(), [
    'findings.csv',
    'm.csv',
  ])
  assert.match(out, /m\.csv: no row: is that meant\?\n.*findings\.csv: 2 findings: rows that checks reject/)
})

test('case.yaml says when the run is', async () => {
  const job = project({ after }, { 'tests/case.yaml': 'run_at: 2031-05-01\n' })
  const [result] = (await run(job)).cases
  assert.equal(result!.differences[0]!.difference.changed[0]!.actual.y, '2031')
})

/** What is wrong in a case, and what is said. */
const WRONG: [what: string, files: Record<string, string>, says: RegExp][] = [
  [
    'an input of no extract',
    { 'tests/cases/first/order.csv': 'order_id\n1\n' },
    /order\.csv: is no input: no extract has this name; did you mean "orders"\?/,
  ],
  [
    'a column that is not there',
    { 'tests/cases/first/orders.csv': 'order_id,amont\n1,2\n' },
    /orders\.csv:1:10: orders has no column amont; did you mean "amount"\?/,
  ],
  [
    'a value of another type',
    { 'tests/cases/first/orders.csv': 'order_id,amount\n1,much\n' },
    /orders\.csv:2:3: amount: much is no DECIMAL\(12,2\)/,
  ],
  [
    'a line that is too short',
    { 'tests/cases/first/orders.csv': 'order_id,amount\n1\n' },
    /orders\.csv:2:1: 1 value where the first line has 2/,
  ],
  [
    'an expectation of no table',
    { 'tests/cases/first/expected/mm.csv': 'x\n1\n' },
    /expected\/mm\.csv: no model or extract is called mm/,
  ],
  [
    'an expectation of a column that is not there',
    { 'tests/cases/first/expected/m.csv': 'order_id,nme\n1,Ada\n' },
    /expected\/m\.csv:1:10: m has no column nme; did you mean "name"\?/,
  ],
  ['an empty expectation', { 'tests/cases/first/expected/m.csv': '' }, /expected\/m\.csv is empty/],
  [
    'a query that does not parse',
    { 'tests/cases/first/customers.sql': 'SELEC 1' },
    /customers\.sql:1: syntax error at or near "SELEC"/,
  ],
  [
    'a model that fails on a row',
    {
      'm.sql': 'SELECT order_id, note::INTEGER AS n FROM orders',
      'checks/m/dear.sql': "SELECT order_id, 'x' AS reason FROM m WHERE false",
      'tests/cases/first/orders.csv': 'order_id,note\n1,a\n',
    },
    /m\.sql:1: Could not convert string 'a' to INT32 \(column note\): order_id = 1/,
  ],
  [
    'settings that are none',
    { 'tests/case.yaml': 'night_checks: true\nrun_att: 2031-05-01\n' },
    /case\.yaml:2:1: unknown key "run_att"; did you mean "run_at"\?/,
  ],
  [
    'a time that is none',
    { 'tests/cases/first/case.yaml': 'run_at: tonight\n' },
    /first\/case\.yaml:1:9: run_at: expected a time such as 2026-01-31T02:00:00Z; found "tonight"/,
  ],
  [
    'values parted by semicolons',
    { 'tests/cases/first/orders.csv': 'order_id;amount\n1;2\n' },
    /orders\.csv:1:1: its columns are parted by ;, those of a test by commas\n {4}order_id;amount\n {4}\^/,
  ],
  [
    'several faults, below a byte order mark and a value of two lines',
    {
      'tests/cases/first/orders.csv':
        '\ufefforder_id,note,amount\n1,"a\nb",2\n2,東京,much\n3,x,3\nfour,y,4\n',
    },
    /orders\.csv:4:6: amount: much is no DECIMAL\(12,2\)\n {4}2,東京,much\n {11}\^\n.*orders\.csv:6:1: order_id: four is no BIGINT\n {4}four,y,4\n {4}\^$/,
  ],
  [
    'a column that is named twice',
    { 'tests/cases/first/expected/m.csv': 'order_id,ORDER_ID\n1,1\n' },
    /expected\/m\.csv:1:10: names the column ORDER_ID twice/,
  ],
  [
    'a query of a column that is not there',
    { 'tests/cases/first/customers.sql': 'SELECT 1 AS customer_id,\n  2 AS nme' },
    /customers\.sql:2:8: customers has no column nme/,
  ],
]

describe('what is wrong in a case is said of the file', () => {
  for (const [what, files, says] of WRONG)
    test(what, async () => {
      const [result] = (await run(project({ after }, files))).cases
      assert.match((result!.error as EngineError).message, says)
      assert.doesNotMatch((result!.error as EngineError).message, /nightfreight-try/)
    })
})

test('validate tells what is wrong in cases, all at once, and runs none', async () => {
  const job = project(
    { after },
    {
      'tests/case.yaml': 'run_att: 2031-05-01\n',
      'tests/cases/first/order.csv': 'order_id\n1\n',
      'tests/cases/first/orders.csv': 'order_id,amont\n1,2\n',
      'tests/cases/first/expected/findings.csv': 'check,record\n',
      'tests/cases/first/expected/mm.csv': 'x\n1\n',
    },
  )
  const faults = await caseFaults(job.folder, job.home)
  assert.deepEqual(
    faults.map(({ file, place, message }) => [file.split('/').at(-1), place?.line, message.split(';')[0]]),
    [
      ['case.yaml', 1, 'unknown key "run_att"'],
      ['order.csv', undefined, 'is no input: no extract has this name'],
      ['orders.csv', 1, 'orders has no column amont'],
      ['findings.csv', 1, 'findings has no column check'],
      ['mm.csv', undefined, 'no model or extract is called mm'],
    ],
  )
})

test('columns that nobody knows are asked for, with the line to write', async () => {
  const yaml = readFileSync(join(project({ after }).folder, 'job.yaml'), 'utf8')
  const job = project({ after }, { 'job.yaml': yaml.replace(/ {4}schema: .*placed.*\n/, '') })
  const [result] = (await run(job)).cases
  const { message, hint } = result!.error as EngineError
  assert.match(message, /orders\.csv: the columns of orders are not known/)
  assert.match(hint!, /tests\/tables\.sql: CREATE TABLE orders \("order_id" VARCHAR, /)
  job.write({
    'tests/tables.sql': 'CREATE TABLE orders (order_id BIGINT, customer_id BIGINT, amount DECIMAL(12,2));',
  })
  assert.deepEqual((await run(job)).cases[0]!.differences, [])
})

test('a job without tests says how to begin one', async () => {
  const job = project({ after })
  rmSync(join(job.folder, 'tests'), { recursive: true })
  await assert.rejects(run(job), /has no tests/)
  await assert.rejects(run(project({ after }), ['frist']), /has no case frist; did you mean "first"\?/)
})

test("a macro's test is a file of its name", async () => {
  const job = project(
    { after },
    {
      '../macros/m.sql': 'CREATE MACRO twice(x) AS x * 2;',
      '../macros/tests/twice.csv': 'x:INTEGER,expected\n1,2\n2,5\n',
    },
  )
  const { macros } = await run(job)
  assert.deepEqual(macros, [
    {
      macro: 'twice',
      rows: 2,
      failures: [{ line: 3, call: "twice('2'::INTEGER)", expected: '5', actual: '4' }],
    },
  ])
  job.write({ '../macros/tests/twic.csv': 'x,expected\n' })
  await assert.rejects(run(job), /no macro is called twic; did you mean "twice"\?/)
})
