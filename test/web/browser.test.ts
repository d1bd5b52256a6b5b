/** What whoever is woken at four does, in a real browser, on a service as people start it. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { freePort } from '../ports.ts'
import { inEachLook, LOOKS, looksWell, openBrowser } from './browser.ts'
import { ORDERS, startOrdersApi } from './ordersApi.ts'
import { openSite, scratch, until } from './site.ts'

const JOB = 'orders_nightly'
/** Where pictures for the documents go: `SCREENSHOTS=docs/dashboard npm test -- web/browser`. */
const PICTURES = process.env.SCREENSHOTS

const hooks = { after }
const { url: api, mood } = await startOrdersApi(hooks)
const place = scratch(hooks, 'browser')
const alerts = join(place, 'alerts.txt')
const folder = join(place, 'jobs', JOB)
mkdirSync(join(folder, 'checks/orders_clean'), { recursive: true })
writeFileSync(
  join(folder, 'job.yaml'),
  `job: ${JOB}
connections:
  shop: { url: "${api}", concurrency: 1 }
  warehouse: "duckdb:${join(place, 'warehouse.duckdb')}"
extract:
  orders:
    from: shop
    path: /orders
    paginate: page
    limit: 50
    records: orders
    total: total
    key: id
    sensitive: city
    schema: { id: BIGINT, city: VARCHAR, amount: BIGINT }
load: { orders: { to: warehouse, from: orders_clean, key: id } }
sla: { max_duration: 1h, min_quality_score: 0.5 }
alerts: { channels: { ops: { command: [sh, -c, "cat >> ${alerts}"] } }, on: { failure: ops } }
resources: { memory: 300MB, threads: 1 }
`,
)
writeFileSync(join(folder, 'orders_clean.sql'), 'SELECT id, city, amount FROM orders')
writeFileSync(
  join(folder, 'checks/orders_clean/city_missing.sql'),
  `SELECT id, 'no city' AS reason FROM orders_clean WHERE city IS NULL`,
)
const port = await freePort()
const site = await openSite(hooks, {
  jobs: join(place, 'jobs'),
  port,
  env: { NIGHTFREIGHT_URL: `http://127.0.0.1:${port}` },
})
const browser = await openBrowser(hooks)
const page = await browser.newPage()
page.on('pageerror', error => assert.fail(error.message))
page.on('console', message => {
  if (message.type() === 'error') assert.fail(`${page.url()}: ${message.text()}`)
})
page.on('dialog', dialog => dialog.accept())

/** Presses a button that leads to a page, and waits for it: else it may arrive after the next one is asked for. */
async function press(name: string): Promise<void> {
  await page.waitForLoadState()
  await Promise.all([page.waitForEvent('load'), page.getByRole('button', { name, exact: true }).click()])
}
const badge = () => page.locator('main .badge').first().innerText()

/** The run that a press of a button begins. */
async function newRun(press: () => Promise<unknown>): Promise<string> {
  const ids = async () => (await site.metadata.runs(99)).map(({ run }) => run)
  const known = await ids()
  await press()
  return until('a new run', async () => (await ids()).find(run => !known.includes(run)))
}

const ended = (run: string, status: string) =>
  until(`${run} ${status}`, async () => {
    const found = await site.metadata.run(run)
    if (found?.ended_at && found.status !== status) assert.fail(`${found.status}: ${found.error}`)
    return found?.ended_at && found.status === status ? found : undefined
  })

test('a run is begun, and watched as it goes', async () => {
  mood.pause = 1200
  await page.goto(`${site.url}/jobs/${JOB}`)
  const run = await newRun(() => press('Run now'))
  await page.goto(`${site.url}/runs/${run}`)
  assert.equal(await badge(), 'running')
  await page.evaluate('globalThis.isSamePage = true')
  const took = () => page.locator('.task', { hasText: 'extract.shop' }).first().innerText()
  await page.locator('.task', { hasText: 'extract.shop' }).first().waitFor()
  const first = await took()
  await until('time goes on', async () => ((await took()) === first ? undefined : true), 20)
  await page.locator('[data-part=live]', { hasText: 'extract.orders' }).waitFor()
  assert.equal(await page.evaluate('globalThis.isSamePage'), true)
  assert.match(await page.locator('.log').innerText(), /extract\.orders: started/)
  mood.pause = 0
  await ended(run, 'COMPLETED_WITH_ERRORS')
  // It loads itself anew once there is no more to watch.
  await until('the page is loaded anew', async () =>
    (await page.evaluate('globalThis.isSamePage').catch(() => true)) === undefined ? true : undefined,
  )
  await page.getByText('Every row').waitFor()
  assert.equal(await badge(), 'completed with errors')
  // Boxes that lead nowhere: arrow keys scroll.
  await page.locator('.graph').first().press('ArrowDown')
  const equation = await page.locator('section', { hasText: 'Every row' }).first().innerText()
  assert.match(equation, new RegExp(`${ORDERS}\\s+${ORDERS - 8}\\s+0\\s+8\\s+0`))
})

test('a run that failed is opened from its alert, and resumed', async () => {
  mood.refuses = true
  await page.goto(`${site.url}/jobs/${JOB}`)
  const run = await newRun(() => press('Run now'))
  await ended(run, 'FAILED')
  const link = await until('an alert', async () => {
    const text = readFileSync(alerts, { encoding: 'utf8', flag: 'a+' })
    return /http:\/\/\S+\/runs\/[\w-]+/.exec(text)?.[0]
  })
  await page.goto(link)
  assert.equal(await badge(), 'failed')
  const error = await page.getByRole('alert').innerText()
  assert.match(error, /AUTH_FAILED/)
  assert.match(error, new RegExp(`nightfreight (resume ${run}|run )`))
  mood.refuses = false
  await press('Resume')
  await until('it is done', async () =>
    (await site.metadata.run(run))!.status === 'COMPLETED_WITH_ERRORS' ? true : undefined,
  )
  await page.goto(link)
  assert.equal(await badge(), 'completed with errors')
})

test('a rejected row is found, corrected in place and reprocessed', async () => {
  await page.goto(site.url)
  await page.getByRole('link', { name: 'Errors', exact: true }).click()
  await page.getByLabel('Reason has').fill('city')
  await press('Show')
  await page.getByRole('link', { name: '57', exact: true }).click()
  await page.getByLabel('city', { exact: true }).fill('Ulm')
  await page.getByLabel('NULL').nth(1).uncheck()
  await press('Correct and reprocess')
  assert.equal(await page.getByRole('status').innerText(), 'The corrected row joins the next run.')
  assert.equal(await badge(), 'queued')
  // Whoever looks at it is not shown what a sensitive column holds.
  assert.doesNotMatch(await page.locator('main').innerText(), /Ulm/)
  const path = page.url().replace(/\?.*/, '')
  const run = await newRun(() => press('Run the job now'))
  await ended(run, 'COMPLETED_WITH_ERRORS')
  await page.goto(path)
  assert.equal(await badge(), 'reprocessed')
  await correctsOneLetter('a\nb\u200ec\u0085', 'a\nB\u200ec\u0085')
  await correctsOneLetter('a\r\nb\rc\r\n', 'a\r\nB\rc\r\n')
  await page.goto(`${site.url}/errors`)
  await page.getByLabel('all of these').check()
  await press('Discard chosen')
  assert.equal(await page.getByRole('status').innerText(), '7 rows are discarded.')
})

/** A value of which one letter is corrected keeps all else. */
async function correctsOneLetter(was: string, corrected: string): Promise<void> {
  const { database, errors } = site.metadata
  const [record] = await errors.list({ limit: 1, state: 'open' })
  const { id } = record!
  const values = { record: JSON.stringify({ ...record!.record, city: was }), none: '[]' }
  await database.run('UPDATE error_records SET record = :record, sensitive = :none WHERE id = :id', {
    ...values,
    id,
  })
  await page.goto(`${site.url}/errors/${id}`)
  const city = page.locator('.field', { hasText: 'city' }).locator('textarea')
  await city.fill((await city.inputValue()).replace('b', 'B'))
  await press('Correct and reprocess')
  assert.deepEqual((await errors.find(id))!.correction, { city: corrected })
  await database.run(
    `UPDATE error_records SET state = 'open', correction = NULL, record = :record, sensitive = :sensitive WHERE id = :id`,
    { id, record: JSON.stringify(record!.record), sensitive: JSON.stringify(record!.sensitive) },
  )
}

test('one table is read and compared whole', async () => {
  const [latest] = await site.metadata.runs(1)
  await page.goto(`${site.url}/runs/${latest!.run}`)
  await page.getByRole('combobox', { name: 'Table' }).selectOption('orders')
  const run = await newRun(() => press('Full refresh'))
  await ended(run, 'COMPLETED_WITH_ERRORS')
  await page.goto(`${site.url}/runs/${run}`)
  assert.match(
    await page.locator('section', { hasText: 'Loaded' }).first().innerText(),
    /all rows were compared/,
  )
  const { text } = await site.ask('/audit')
  for (const action of ['run job', 'resume run', 'correct row', 'discard rows', 'refresh job'])
    assert.match(text, new RegExp(`${action}</td>`))
})

test('every page: light, dark, a phone; nothing serious for axe, nothing too wide', async () => {
  const [latest] = await site.metadata.runs(1)
  const [record] = await site.metadata.errors.list({ limit: 1 })
  const paths = {
    tonight: '/',
    runs: '/runs',
    run: `/runs/${latest!.run}`,
    report: `/runs/${latest!.run}/report.html`,
    jobs: '/jobs',
    job: `/jobs/${JOB}`,
    tables: '/tables',
    table: `/tables/${JOB}/warehouse.orders`,
    errors: '/errors?state=all',
    error: `/errors/${record!.id}`,
    sla: '/sla',
    lineage: '/lineage',
    lineageTable: `/lineage/${JOB}/warehouse.orders`,
    audit: '/audit',
    login: '/login',
    nothing: '/nothing',
  }
  await inEachLook(browser, LOOKS, async (view, look) => {
    for (const [name, path] of Object.entries(paths)) {
      await view.goto(site.url + path)
      await looksWell(view, `${name}, ${look.name}`)
      if (PICTURES)
        await view.screenshot({ path: join(PICTURES, `${name}-${look.name}.png`), fullPage: true })
    }
  })
})

test('all that a page asks for is ours and small', async () => {
  const asked: { url: string; bytes: number }[] = []
  const view = await browser.newPage()
  view.on('response', async response => {
    const body = await response.body().catch(() => Buffer.alloc(0))
    asked.push({ url: response.url(), bytes: body.length })
  })
  await view.goto(site.url)
  await view.waitForLoadState('load')
  await view.close()
  assert.ok(asked.every(({ url }) => url.startsWith(site.url)))
  assert.ok(asked.reduce((sum, { bytes }) => sum + bytes, 0) < 200_000)
})
