import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { validateJob } from '../../src/runs/validateJob.ts'
import { jobWith } from './declared.ts'

describe('what changes from run to run is measured, kept and limited', () => {
  const ROWS = (n: number, amount: string) =>
    `order_id,customer_id,amount,status,placed\n${Array.from({ length: n }, (_, i) => `${i},10,${amount},paid,\n`).join('')}`
  const nights = async (checks: string) => {
    const job = await jobWith({ after }, checks)
    const night = async (n: number, amount = '10.00') => {
      writeFileSync(join(job.folder, 'in/orders.csv'), ROWS(n, amount))
      const { error } = await job.run({ fresh: true })
      return error === undefined ? 'loaded' : (error as EngineError).message
    }
    return { job, night }
  }

  test('the number of rows', async () => {
    const { job, night } = await nights('m: { rows: { change: 20% } }')
    assert.equal(await night(10), 'loaded')
    assert.equal(await night(12), 'loaded')
    assert.equal(
      await night(9),
      'check m_rows_change: rows of m: 9, was 12 in the last run; it may change by 20 %',
    )
    // What did not load is not what the next is compared with.
    assert.equal(await night(11), 'loaded')
    const { out } = await job.cli('history', job.name, '--checks')
    assert.match(out, /m_rows_change +pass +10 {2}12 {2}9 {2}11$/m)
    const later = await job.cli('history', job.name, '--checks', '--since', '2100-01-01')
    assert.match(later.out, /No runs of declared_\d+ in that time/)
  })

  test('the distribution of a column', async () => {
    const { night } = await nights('m: { amount: { drift: 10%, severity: stop } }')
    assert.equal(await night(10), 'loaded')
    assert.equal(await night(10, '10.50'), 'loaded')
    assert.equal(
      await night(10, '12.50'),
      'check m.amount_drift_mean: mean of m.amount: 12.5, was 10.5 in the last run; it may change by 10 %',
    )
    assert.match(await night(10, ''), /^check m\.amount_drift_(mean|nulls|distinct): /)
  })

  test('a table that is empty, and a column without values, are told: nothing is measured any more', async () => {
    const { night } = await nights('m: { amount: { drift: 1000%, severity: stop } }')
    assert.equal(await night(10), 'loaded')
    const gone = /mean of m\.amount: none, was 10 in the last run/
    assert.match(await night(0), gone)
    assert.match(await night(10, ''), gone)
    assert.equal(await night(10, '11.00'), 'loaded')
  })

  test('columns of tables whose names join to the same name are two', async () => {
    const job = await jobWith(
      { after },
      'm: { order_id: { drift: 10% } }\nm_order: { id: { drift: 10%, severity: stop } }',
    )
    writeFileSync(join(job.folder, 'm_order.sql'), 'SELECT 1000 + order_id AS id FROM orders')
    assert.equal((await job.run()).error, undefined)
    const { error } = await job.run({ fresh: true })
    assert.equal(error, undefined)
  })

  test('the checks of a table stand together, whether it is named by itself or by its load', async () => {
    const job = await jobWith({ after }, 'm: { order_id: unique }\nfacts: { rows: { min: 1 } }')
    job.yaml(
      readFileSync(join(job.folder, 'job.yaml'), 'utf8')
        .replace(/^job: .*\n/, '')
        .replace('  orders: { to:', '  facts: { to:'),
    )
    await assert.rejects(
      validateJob(job.folder, {}, job.home),
      /job\.yaml:14:3: checks\.facts: is of the rows of m, as checks\.m is: write all its rules there/,
    )
  })

  test('columns that are called as what a check says are checked, too', async () => {
    const job = await jobWith(
      { after },
      'm: { Reason: [not_null, unique], severity: { one_of: [low], severity: warn } }',
    )
    writeFileSync(
      join(job.folder, 'm.sql'),
      `SELECT order_id, amount, nullif(order_id, 4) AS "Reason", status AS severity FROM orders`,
    )
    const { outcome, error } = await job.run()
    assert.equal(error, undefined)
    assert.deepEqual(
      outcome.checks.map(({ name, level, rows, samples }) => [name, level, rows, samples[0]?.reason]),
      [
        ['Reason_not_null', 'reject', 1, 'Reason is NULL'],
        ['Reason_unique', 'reject', 2, 'Reason = 2 stands in several rows'],
        ['severity_one_of', 'warn', 4, 'severity = paid is none of low'],
      ],
    )
  })

  test('before the first run, what could not be bound is told once; a program gets file and line', async () => {
    const job = await jobWith({ after }, 'm: { order_id: [unique, not_null] }')
    const yaml = readFileSync(join(job.folder, 'job.yaml'), 'utf8').replace(/^job: .*\n/, '')
    job.yaml(yaml.replace(/ {4}schema: .*\n/, ''))
    const { out } = await job.cli('validate', job.folder)
    assert.match(
      out,
      /^warning: m\.sql, 2 declared checks could not be bound: the columns of orders are not known before the first run\n.* is valid/,
    )
    const { diagnostics } = JSON.parse((await job.cli('validate', job.folder, '--format', 'json')).out)
    assert.deepEqual(
      diagnostics.map(({ file, line }: { file: string; line: number }) => [file, line]),
      [
        ['m.sql', 1],
        ['job.yaml', 12],
        ['job.yaml', 12],
      ],
    )
    job.yaml(yaml.replace('order_id: [unique', 'order_idd: [unique'))
    const wrong = JSON.parse((await job.cli('validate', job.folder, '--format', 'json')).out)
    assert.deepEqual(
      [wrong.valid, wrong.diagnostics[0].file, wrong.diagnostics[0].line],
      [false, 'job.yaml', 13],
    )
    assert.match(
      wrong.diagnostics[0].message,
      /^checks\.m\.order_idd\.(unique|not_null): m has no column order_idd/,
    )
  })

  test('a file is not called as a declared check is', async () => {
    const job = await jobWith({ after }, 'm: { rows: { min: 1 }, order_id: not_null }')
    mkdirSync(join(job.folder, 'checks/m'), { recursive: true })
    writeFileSync(join(job.folder, 'checks/m_rows.sql'), `SELECT 'pass' AS level, '' AS message`)
    writeFileSync(
      join(job.folder, 'checks/m/order_id_not_null.sql'),
      `SELECT order_id, 'none' AS reason FROM m WHERE order_id IS NULL`,
    )
    await assert.rejects(validateJob(job.folder, {}, job.home), (error: Error) => {
      const called = (name: string, what: string) =>
        new RegExp(
          `${name}: is called .*, as job\\.yaml:13: checks\\.m\\.${what} is: give the file another name`,
        )
      assert.match(error.message, called('checks/m_rows\\.sql', 'rows'))
      assert.match(error.message, called('checks/m/order_id_not_null\\.sql', 'order_id\\.not_null'))
      return true
    })
  })

  test('a night without the table is not what the next is compared with, nor is one of earlier', async () => {
    const { job, night } = await nights('m: { rows: { change: 20% } }\ncustomers: { rows: { change: 100% } }')
    job.yaml(
      readFileSync(join(job.folder, 'job.yaml'), 'utf8')
        .replace(/^job:.*\n/, '')
        .replace('from: m,', 'from: m, on_error: continue,')
        .replace('checks:', '  customers: { to: wh, from: customers, mode: replace }\nchecks:'),
    )
    assert.equal(await night(10), 'loaded')
    const model = join(job.folder, 'm.sql')
    const sql = readFileSync(model, 'utf8')
    writeFileSync(model, sql.replace('order_id,', "CAST('none' || status AS BIGINT) AS order_id,"))
    // The other table goes on, and is compared with the night before.
    for (const customers of [4, 8]) {
      writeFileSync(
        join(job.folder, 'in/customers.csv'),
        `customer_id\n${Array.from({ length: customers }, (_, i) => `${10 + i}\n`).join('')}`,
      )
      const { error, outcome } = await job.run({ fresh: true })
      assert.match(String(error), /m\.sql:1: Could not convert/)
      assert.deepEqual(
        outcome.loaded.map(({ table, rows }) => [table, rows]),
        [['customers', customers]],
      )
    }
    writeFileSync(model, sql)
    assert.match(await night(4), /rows of m: 4, was 10 in the last run/)
    // A backfill is of an earlier night; the next one is compared with what was before it.
    assert.equal(await night(11), 'loaded')
    writeFileSync(join(job.folder, 'in/orders.csv'), ROWS(9, '1.00'))
    const { run } = await job.run({ fresh: true })
    await job.metadata.database.run(`UPDATE runs SET trigger = 'backfill' WHERE run = :run`, { run })
    assert.match(await night(8), /rows of m: 8, was 11 in the last run/)
  })

  test('what a check of its own measures', async () => {
    const job = await jobWith({ after }, 'm: { order_id: not_null }')
    mkdirSync(join(job.folder, 'checks'))
    writeFileSync(
      join(job.folder, 'checks/total.sql'),
      `SELECT if(total < getvariable('last_values')['total'], 'stop', 'pass') AS level, 'total is ' || total AS message, total AS value
FROM (SELECT sum(amount) AS total FROM m)`,
    )
    assert.equal((await job.run()).error, undefined)
    writeFileSync(join(job.folder, 'in/orders.csv'), ROWS(1, '1.00'))
    assert.match(String((await job.run()).error), /check total: total is 1\.00/)
    const { out } = await job.cli('history', job.name, '--checks', '--json')
    const { scores } = JSON.parse(out) as {
      scores: { check?: string; column?: string; nights: { score: number; value?: number }[] }[]
    }
    assert.deepEqual(
      scores.find(({ check }) => check === 'total')!.nights.map(({ value }) => value),
      [23.5, 1],
    )
    assert.deepEqual(
      scores
        .find(({ check, column }) => check === undefined && column === 'order_id')!
        .nights.map(({ score }) => score),
      [1, 1],
    )
  })

  test('a value that cannot be kept is told', async () => {
    const job = await jobWith({ after }, 'm: { order_id: not_null }')
    mkdirSync(join(job.folder, 'checks'))
    writeFileSync(
      join(job.folder, 'checks/share.sql'),
      `SELECT 'pass' AS level, '' AS message, sum(amount)::DOUBLE / count(*) FILTER (WHERE order_id < 0) AS value FROM m`,
    )
    writeFileSync(
      join(job.folder, 'checks/some.sql'),
      `SELECT 'pass' AS level, '' AS message, unnest([7, 'nan'::DOUBLE, NULL]) AS value FROM m`,
    )
    const notes: string[] = []
    const progress = { started() {}, advanced() {}, finished() {}, note: (text: string) => notes.push(text) }
    assert.equal((await job.run({ progress })).error, undefined)
    const told = notes.filter(note => note.startsWith('check '))
    assert.deepEqual(told, [
      'check share: its value is Infinity, which is not kept: the next run has none to compare with',
      'check some: its value is NaN, which is not kept: that of its other rows is',
    ])
    const { out } = await job.cli('history', job.name, '--checks')
    assert.match(out, /some +pass +7$/m)
  })

  test('a value that is no number is refused', async () => {
    const job = await jobWith({ after }, 'm: { order_id: not_null }')
    mkdirSync(join(job.folder, 'checks'))
    writeFileSync(join(job.folder, 'checks/total.sql'), "SELECT 'pass' AS level, '' AS message, 'x' AS value")
    const { code, err } = await job.cli('validate', job.folder)
    assert.equal(code, 2)
    assert.match(err, /checks\/total\.sql.*value is VARCHAR; a set check returns it as a number/)
  })
})
