import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { globSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { loadJob } from '../../src/config/load.ts'
import { notesInto, smallJob } from './small.ts'

const SHOP = `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
  orders: { from: in, files: orders.csv, take: all, key: id, schema: { id: BIGINT, amount: "DECIMAL(20,4)", status: VARCHAR } }
load: { paid: { to: wh, from: paid, key: id } }
checks: { paid: { amount: { between: [0, null] } } }
quality: { max_error_rate: 0.5 }
resources: { threads: 1 }
`
const ORDERS = 'id,amount,status\n1,5.0001,paid\n2,7,open\n3,-1,paid\n4,9,paid\n'
const FINANCE = `job: finance
connections: { wh: "duckdb:wh.duckdb" }
extract:
  paid: { from: shop.paid, key: id }
  lists: { from: shop.lists }
load:
  total: { to: wh, from: total, mode: replace }
  lists: { to: wh, from: lists, mode: replace }
resources: { threads: 1 }
`

/** A job, and one beside it that reads its models. */
async function twoJobs(t: TestContext, name: string) {
  const shop = await smallJob(t, name, {
    'job.yaml': SHOP,
    'in/orders.csv': ORDERS,
    'paid.sql': "SELECT id, amount, md5(id::VARCHAR)::UUID AS code FROM orders WHERE status = 'paid'",
    'lists.sql':
      '-- @materialised table\nSELECT [id, id + 1] AS l, id * 1000000000000000000::HUGEINT AS h FROM orders',
    'seen.sql': 'SELECT id FROM orders',
  })
  const folder = join(shop.home, 'finance')
  mkdirSync(folder)
  const write = (file: string, text: string) =>
    writeFileSync(join(folder, file), text.replaceAll('shop.', `${name}.`))
  write('job.yaml', FINANCE)
  write('total.sql', 'SELECT count(*) AS n, sum(amount) AS amount, typeof(any_value(code)) AS type FROM paid')
  const rows = async (table: string) => {
    const duck = await Duck.open({ path: join(folder, 'wh.duckdb'), threads: 1 })
    try {
      return await duck.rows(`SELECT COLUMNS(*)::VARCHAR FROM ${table} ORDER BY ALL`)
    } finally {
      duck.close()
    }
  }
  return { shop, folder, write, rows, run: (...flags: string[]) => shop.cli('run', folder, ...flags) }
}

test('a model of another job is read as its last run that loaded left it', async t => {
  const { shop, folder, run, rows, write } = await twoJobs(t, 'shared')
  const errorNow = async () => String((await shop.run({ folder })).error)
  assert.match(await errorNow(), /shared: no run of a job of that name has loaded yet/)
  const first = await shop.run()
  assert.equal(first.error, undefined)
  const done = await run()
  assert.equal(done.code, 0, done.output)
  assert.match(done.output, new RegExp(`paid.* is shared\\.paid as of \\S+, run ${first.run}`))
  // The row that its check rejects is nobody's.
  assert.deepEqual(await rows('total'), [{ n: '2', amount: '14.0001', type: 'UUID' }])
  assert.deepEqual((await rows('lists'))[1], { l: '[2, 3]', h: '2000000000000000000' })
  const takenNow = async () =>
    (await shop.run({ folder })).outcome.tables.filter(({ taken }) => taken).map(({ name }) => name)
  assert.deepEqual(await takenNow(), ['total'])

  // A plan, and a run that fails, are no news.
  writeFileSync(join(shop.folder, 'in/orders.csv'), `${ORDERS}5,1,paid\n`)
  await shop.run({ goal: 'plan' })
  assert.deepEqual(await takenNow(), ['total'])
  const second = await shop.run()
  const collected = await shop.cli('gc', '--keep-days', '0')
  assert.match(collected.out, new RegExp(first.run))
  const news = await run()
  assert.match(news.output, new RegExp(`run ${second.run}`))
  assert.deepEqual(await rows('total'), [{ n: '3', amount: '15.0001', type: 'UUID' }])

  const lineage = await shop.cli('lineage', folder, 'wh.total.amount')
  assert.match(lineage.out, /orders\.amount/)
  const doctor = await shop.cli('doctor', folder)
  assert.match(doctor.out, /shared\n {2}ok +it can be reached\n {2}ok +paid can be read/)

  write('job.yaml', FINANCE.replace('shop.lists', 'shop.seen'))
  const view = await run()
  assert.equal(view.code, 2)
  assert.match(view.err, /TABLE_MISSING.*kept no rows of a model seen.*-- @materialised table/s)
  write('job.yaml', FINANCE.replace('shop.lists', 'shop.list'))
  assert.match(await errorNow(), /a model list; did you mean "lists"/)
})

test('a job that runs on while its models are read, its older files removed, does not disturb who reads them', async t => {
  const { shop, folder, rows } = await twoJobs(t, 'followed')
  assert.equal((await shop.run()).error, undefined)
  let orders = ORDERS
  /** Reads both models; once `is` says so, the other job runs again and what it staged before is swept away. */
  const readWhile = async (is: (told: string) => boolean) => {
    const notes: string[] = []
    let swept = false
    const tell = (text: string) => {
      notes.push(text)
      if (swept || !is(text)) return
      swept = true
      orders += `${6 + orders.length},1,paid\n`
      writeFileSync(join(shop.folder, 'in/orders.csv'), orders)
      for (const args of [
        ['run', shop.folder],
        ['gc', '--keep-days', '0'],
      ])
        execFileSync(process.execPath, ['src/main.ts', ...args], {
          cwd: join(import.meta.dirname, '../..'),
          env: { ...process.env, NIGHTFREIGHT_HOME: shop.home },
        })
    }
    const progress = { ...notesInto(notes), note: tell, finished: tell }
    const { error, outcome } = await shop.run({ folder, progress })
    assert.equal(error, undefined)
    assert.ok(swept, notes.join('\n'))
    const [total] = await rows('total')
    return { n: total!.n, lists: (await rows('lists')).length, note: outcome.extracted[0]!.note }
  }
  // Planned, and not read yet: of the run that there is.
  const later = await readWhile(text => /is followed\.lists as of/.test(text))
  assert.deepEqual([later.n, later.lists], ['3', 5])
  assert.match(later.note!, /is read as of/)
  // All tables are of one run.
  const between = await readWhile(text => text === 'extract.paid')
  assert.deepEqual([between.n, between.lists], ['3', 5])
  assert.deepEqual(globSync('staging/finance/**/*.tmp', { cwd: shop.home }), [])
})

test('what is wrong with it is said of its line', async t => {
  const { shop, folder, write } = await twoJobs(t, 'shared_wrong')
  await shop.run()
  const named = `connections: { shared_wrong: "file:in", other: "job:shared_wrong", wh: "duckdb:wh.duckdb" }`
  write('job.yaml', FINANCE.replace(/connections: .*/, named))
  await assert.rejects(
    loadJob(folder, {}),
    /job\.yaml:4:\d+: extract\.paid\.from: shared_wrong is a connection here, too; name the job's own/,
  )
  write(
    'job.yaml',
    FINANCE.replace(/connections: .*/, named)
      .replace('shop.paid', 'other')
      .replace('from: shop.lists', 'from: other, model: lists'),
  )
  assert.equal((await shop.run({ folder })).error, undefined)
  write('job.yaml', FINANCE.replaceAll('shop.', 'shared_wrng.'))
  assert.match(
    String((await shop.run({ folder })).error),
    /shared_wrng: no run of .* has loaded yet; did you mean "shared_wrong"/,
  )
  for (const [wrong, says] of [
    ['key: id, incremental: { column: id }', /job reads whole tables only/],
    ['key: id, table: x', /table/],
    ['key: id, mode: changes', /job has no log of changes/],
  ] as const) {
    write('job.yaml', FINANCE.replace('key: id', wrong))
    await assert.rejects(loadJob(folder, {}), says)
  }
})
