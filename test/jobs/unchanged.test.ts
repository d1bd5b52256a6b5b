import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { Duck } from '../../engine/sql/duckdb.ts'
import type { RunResult } from '../../src/runs/result.ts'
import { type SmallJob, smallJob } from './small.ts'

const YAML = `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
  orders: { from: in, files: orders.csv, take: all, key: id, schema: { id: BIGINT, customer: BIGINT, amount: "DECIMAL(12,2)", status: VARCHAR } }
  customers: { from: in, files: customers.csv, take: all, key: id, schema: { id: BIGINT, name: VARCHAR } }
vars: { least: 1, other: 1 }
load:
  spent: { to: wh, from: spent, key: id, guard: { max_delete_share: 1, allow_empty: true } }
  names: { to: wh, from: names, key: id, mode: replace, guard: { max_delete_share: 1, allow_empty: true } }
quality: { max_error_rate: 1 }
resources: { threads: 1 }
`
const ORDERS = 'id,customer,amount,status\n1,1,5.00,paid\n2,2,7.00,open\n3,1,-1.00,paid\n'
const FILES = {
  'job.yaml': YAML,
  'in/orders.csv': ORDERS,
  'in/customers.csv': 'id,name\n1,Ada\n2,Blaise\n',
  '../macros/shout.sql': 'CREATE MACRO shout(x) AS upper(x);',
  // A view, since one model reads it and nobody checks it.
  'named.sql': 'SELECT id, shout(name) AS name FROM customers',
  'paid.sql':
    "-- @materialised table\nSELECT id, customer, amount FROM orders WHERE status = 'paid' AND amount > getvariable('least') - 10",
  'spent.sql': 'SELECT customer AS id, sum(amount)::DECIMAL(12,2) AS spent FROM paid GROUP BY ALL',
  'names.sql': 'SELECT id, name FROM named',
}

/** Why each model was computed; the run whose rows were taken, where they were. */
const madeOf = ({ error, outcome }: RunResult) => {
  assert.equal(error, undefined)
  const models = outcome.tables.filter(({ parts }) => parts)
  return Object.fromEntries(models.map(({ name, taken, computed }) => [name, taken ?? computed]))
}

async function jobOf(t: TestContext, name: string, files: Record<string, string> = {}) {
  const job = await smallJob(t, name, { ...FILES, ...files })
  const write = (file: string, text: string) => writeFileSync(join(job.folder, file), text)
  return { ...job, write, made: async () => madeOf(await job.run()), rows: rowsOf(job) }
}

const rowsOf =
  ({ folder }: Pick<SmallJob, 'folder'>) =>
  async (table: string) => {
    const duck = await Duck.open({ path: join(folder, 'wh.duckdb'), threads: 1 })
    try {
      return await duck.rows(`SELECT COLUMNS(*)::VARCHAR FROM ${table} ORDER BY ALL`)
    } finally {
      duck.close()
    }
  }

describe('a model of which nothing has changed is taken from the run that computed it', () => {
  test('its SQL, macros, views, variables and rows decide, and each says so', async t => {
    const job = await jobOf(t, 'unchanged')
    const first = await job.run()
    const all = (what: string) => ({ paid: what, spent: what, names: what })
    assert.deepEqual(madeOf(first), all('no earlier run made it'))
    assert.deepEqual(await job.made(), all(first.run))
    // What is said is of the run that computed the rows, however many have taken them since.
    assert.deepEqual(await job.made(), all(first.run))
    const steps: [change: () => void, made: Record<string, string>][] = [
      [
        () => {
          job.write('names.sql', '-- Whom we know.\nselect id ,name FROM named')
          job.yaml(YAML.replace('other: 1', 'other: 2'))
        },
        { names: 'its SQL changed' },
      ],
      [
        () => {
          job.write('names.sql', '-- Whom we know, now said.\nselect id, name   FROM named -- all')
          // In another order, and so in other files.
          job.write(
            'in/orders.csv',
            'id,customer,amount,status\n3,1,-1.00,paid\n2,2,7.00,open\n1,1,5.00,paid\n',
          )
        },
        {},
      ],
      [
        () => {
          job.write('../macros/shout.sql', 'CREATE MACRO shout(x) AS lower(x);')
          job.yaml(YAML.replace('least: 1', 'least: 2'))
        },
        { names: 'macro shout changed', paid: 'variable least changed' },
      ],
      [
        () => {
          job.write('named.sql', 'SELECT id, shout(name) AS name FROM customers WHERE id > 0')
          // What a model leaves out concerns nobody behind it.
          job.write('in/orders.csv', ORDERS.replace('7.00,open', '8.00,open'))
        },
        { names: 'view named changed', paid: 'rows of orders changed' },
      ],
      [
        () => {
          job.write('in/orders.csv', ORDERS.replace('5.00', '6.00'))
          job.write('in/customers.csv', 'id,name\n1,Ada\n2,Carl\n')
        },
        {
          paid: 'rows of orders changed',
          spent: 'rows of paid changed',
          names: 'rows of customers changed',
        },
      ],
    ]
    for (const [change, made] of steps) {
      change()
      const found = await job.made()
      const reasons = Object.entries(found).filter(([, what]) => what!.includes(' '))
      assert.deepEqual(Object.fromEntries(reasons), made)
    }
    assert.deepEqual(await job.rows('spent'), [{ id: '1', spent: '5.00' }])
    assert.deepEqual(await job.rows('names'), [
      { id: '1', name: 'ada' },
      { id: '2', name: 'carl' },
    ])
    assert.deepEqual(madeOf(await job.run({ fullRefresh: ['spent'] })).paid, 'a full refresh was asked for')
    const renewed = madeOf(await job.run({ fullRefresh: ['names'] }))
    assert.equal(renewed.names, 'a full refresh was asked for')
    assert.doesNotMatch(renewed.paid!, / /)
  })

  test('run, plan, JSON and report name them', async t => {
    const job = await jobOf(t, 'unchanged_told')
    const { run } = await job.run()
    job.write('spent.sql', `${FILES['spent.sql']} HAVING count(*) > 0`)
    const plan = await job.cli('plan', job.folder)
    assert.match(plan.out, new RegExp(`unchanged 2 models, taken from run ${run}: names, paid\\n`))
    assert.match(plan.out, /computed {2}spent: its SQL changed\n/)
    const markdown = await job.cli('plan', job.folder, '--markdown')
    assert.match(markdown.out, /3 models unchanged, taken from earlier runs/)
    const text = await job.cli('run', job.folder)
    assert.match(
      text.out,
      /unchanged 2 models, taken from run .*: names, paid\n {2}unchanged 1 model, taken from run .*: spent\n/,
    )
    const { out } = await job.cli('run', job.folder, '--json')
    const told = JSON.parse(out.trim().split('\n').at(-1)!)
    assert.equal(told.unchanged.paid, run)
    assert.deepEqual(told.computed, {})
    const page = readFileSync(told.report, 'utf8')
    assert.match(page, new RegExp(`unchanged, taken from run ${run}`))
  })

  test('never where it gives another answer each time', async t => {
    const job = await jobOf(t, 'unchanged_volatile', {
      'paid.sql': 'SELECT id, customer, amount, random() AS r FROM orders',
      'spent.sql':
        "SELECT customer AS id, sum(amount)::DECIMAL(12,2) AS spent, getvariable('run_at')::DATE AS day FROM paid GROUP BY ALL",
      'names.sql': "SELECT id, name, getvariable(concat('oth', 'er')) AS other FROM named",
      'until.sql':
        "SELECT id, coalesce(NULL::DATE + getvariable('least')::INTEGER, today()) AS until FROM orders",
    })
    job.yaml(YAML.replace('load:', 'load:\n  until: { to: wh, from: until, key: id }'))
    await job.run()
    assert.deepEqual(await job.made(), {
      paid: 'random gives another answer each time',
      spent: 'variable run_at changed',
      names: 'variable run_at changed',
      until: 'today gives another answer each time',
    })
  })

  test('its checks judge it again, and what they reject concerns what reads it', async t => {
    const job = await jobOf(t, 'unchanged_checked')
    const { run } = await job.run()
    job.yaml(`${YAML}checks: { paid: { amount: { between: [0, null] } } }\n`)
    const checked = await job.run()
    assert.deepEqual(madeOf(checked), { paid: run, spent: 'rows of paid changed', names: run })
    assert.equal(checked.outcome.tables.find(({ name }) => name === 'paid')!.rejected, 1)
    assert.deepEqual(await job.rows('spent'), [{ id: '1', spent: '5.00' }])
    assert.deepEqual(madeOf(await job.run()), { paid: run, spent: checked.run, names: run })
    job.yaml(YAML)
    assert.equal(madeOf(await job.run()).spent, 'rows of paid changed')
    assert.deepEqual(await job.rows('spent'), [{ id: '1', spent: '4.00' }])
  })

  test('not where its file is damaged; it stays where the run that wrote it is collected', async t => {
    const job = await jobOf(t, 'unchanged_kept')
    const first = await job.run()
    const second = await job.run()
    const collected = await job.cli('gc', '--keep-days', '0')
    assert.match(collected.out, new RegExp(first.run))
    const staged = (run: string, file: string) => join(job.home, 'staging/unchanged_kept', run, file)
    assert.ok(!existsSync(staged(first.run, 'transformed/paid.parquet')))
    assert.ok(existsSync(staged(second.run, 'transformed/paid.parquet')))
    const third = await job.run()
    assert.deepEqual(madeOf(third), { paid: first.run, spent: first.run, names: first.run })
    // Its state is what the second run compared, which nothing had changed since the first.
    assert.deepEqual(
      third.outcome.changes.map(({ whole, counts: { updates, inserts } }) => [whole, updates + inserts]),
      [
        [false, 0],
        [false, 0],
      ],
    )
    job.write('in/orders.csv', ORDERS.replace('5.00', '6.00'))
    const fourth = await job.run()
    const [change] = fourth.outcome.changes
    assert.deepEqual([change!.whole, change!.counts.updates], [false, 1])
    const file = staged(fourth.run, 'transformed/names.parquet')
    const bytes = readFileSync(file)
    bytes[20]! ^= 1
    writeFileSync(file, bytes)
    assert.match(madeOf(await job.run()).names!, /staged is gone or damaged/)
    rmSync(staged(fourth.run, 'transformed'), { recursive: true })
  })

  test('a run that is interrupted, and one by steps, take the same', async t => {
    const job = await jobOf(t, 'unchanged_resumed')
    const { run } = await job.run()
    const half = await job.run({ until: 'model.paid' })
    const whole = await job.run({ resume: half.run })
    assert.equal(whole.run, half.run)
    assert.deepEqual(madeOf(whole), { paid: run, spent: run, names: run })
    for (const step of ['check', 'plan', 'extract.in', 'models', 'load.wh']) await job.step('night', step)
    const { result } = await job.step('night', 'finish')
    assert.deepEqual(madeOf(result!), { paid: run, spent: run, names: run })
    const again = await job.run()
    const files = readdirSync(join(job.home, 'staging/unchanged_resumed', again.run), { recursive: true })
    // Nothing is compared that is known to be the same.
    assert.deepEqual(
      files.filter(file => /^state\/.*parquet$/.test(String(file))),
      [],
    )
  })
})

/** What may happen between two nights; `n`: of what. */
const EVENTS = {
  row: (n: number) => ({
    'in/orders.csv': `${ORDERS}${n + 4},${n % 3},${n}.50,${n % 2 ? 'paid' : 'open'}\n`,
  }),
  order: () => ({ 'in/orders.csv': ORDERS.trim().split('\n').toSpliced(1, 0, '9,2,1.00,paid').join('\n') }),
  names: (n: number) => ({ 'in/customers.csv': `id,name\n1,Ada${n}\n${n % 2 ? '2,Blaise\n3,Carl\n' : ''}` }),
  macro: (n: number) => ({
    '../macros/shout.sql': `CREATE MACRO shout(x) AS ${n % 2 ? 'lower' : 'upper'}(x);`,
  }),
  view: (n: number) => ({
    'named.sql': `SELECT id, shout(name) AS name FROM customers WHERE id <> ${n % 4}`,
  }),
  model: (n: number) => ({ 'paid.sql': `${FILES['paid.sql']} AND id <> ${n % 4}` }),
  vars: (n: number) => ({ 'job.yaml': YAML.replace('least: 1', `least: ${n + 8}`) }),
  check: (n: number) => ({
    'job.yaml': `${YAML}checks: { paid: { amount: { between: [${n - 2}, null] } }, orders: { id: { between: [0, ${n}] } } }\n`,
  }),
  nothing: () => ({}),
} satisfies Record<string, (n: number) => Record<string, string>>

const nights = fc.array(
  fc.tuple(fc.constantFrom(...(Object.keys(EVENTS) as (keyof typeof EVENTS)[])), fc.nat({ max: 5 })),
  { minLength: 4, maxLength: 4 },
)

let number = 0

test('night after night, the targets hold what they do where everything is computed', async t => {
  const property = fc.asyncProperty(nights, async events => {
    const name = `unchanged_nights_${++number}`
    const [own, whole] = [await jobOf(t, name), await jobOf(t, `${name}_whole`)]
    for (const [event, n] of [['nothing', 0] as const, ...events]) {
      for (const job of [own, whole])
        for (const [file, text] of Object.entries<string>(EVENTS[event](n)))
          file === 'job.yaml' ? job.yaml(text) : job.write(file, text)
      const found = madeOf(await own.run())
      rmSync(join(whole.home, 'staging'), { recursive: true, force: true })
      assert.ok(Object.values(madeOf(await whole.run())).every(what => (what ?? ' ').includes(' ')))
      for (const table of ['spent', 'names'])
        assert.deepEqual(await own.rows(table), await whole.rows(table), JSON.stringify(found))
    }
  })
  await fc.assert(property, { numRuns: 1, endOnFailure: true })
})
