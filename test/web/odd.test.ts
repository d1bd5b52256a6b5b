/** Pages of what nobody thinks of: nothing yet, odd names, runs that were killed or fenced, a hundred tables; without a mouse. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { seenJob } from '../service/seen.ts'
import { fits, inEachLook, LOOKS, looksWell, openBrowser, PHONE } from './browser.ts'
import { openSite, scratch } from './site.ts'

const PICTURES = process.env.SCREENSHOTS
/** The narrowest tells most. */
const looks = PICTURES ? LOOKS : [PHONE]
const PAGES = ['/', '/runs', '/jobs', '/tables', '/lineage', '/errors', '/sla', '/audit']
const LONG = 'x'.repeat(200)
const EVIL = `<img src=x onerror=alert(1)>'"&`
const ODD = ['a/b', '🐟 fish', LONG, EVIL, 'a b?c#d%2F', 'ملفات', 'a;b', ' ']

const hooks = { after }
const browser = await openBrowser(hooks)

test('before anything has run every page says so', async t => {
  const folder = join(scratch(t, 'empty'), 'jobs')
  mkdirSync(join(folder, 'first'), { recursive: true })
  writeFileSync(
    join(folder, 'first', 'job.yaml'),
    `job: first
connections: { drop: "file://${folder}", warehouse: "duckdb:${join(folder, 'w.duckdb')}" }
extract: { people: { from: drop, files: "*.csv", schema: { id: BIGINT } } }
load: { people: { to: warehouse, from: people, key: id } }
`,
  )
  const site = await openSite(t, { jobs: folder })
  await inEachLook(browser, looks, async (view, look) => {
    for (const path of [...PAGES, '/jobs/first']) {
      await view.goto(site.url + path)
      await looksWell(view, `${path}, ${look.name}`)
      if (path !== '/jobs' && path !== '/lineage')
        assert.match(await view.locator('main').innerText(), /\b(no|nothing|none)\b/i, path)
      if (PICTURES)
        await view.screenshot({
          path: join(PICTURES, `empty-${path.slice(1).replace('/', '-') || 'tonight'}-${look.name}.png`),
          fullPage: true,
        })
    }
  })
})

const job = await seenJob(hooks, 'odd')
const { run: good } = await job.run()
const at = new Date(Date.now() - 60_000).toISOString()
const { database } = job.metadata
for (const [n, name] of [...ODD, ...Array.from({ length: 100 }, (_, n) => `table_${n}`)].entries()) {
  const values = { job: name, table: `warehouse.${name}`, run: `run ${n} ${name}`, at }
  const status = n % 3 === 0 ? 'FAILED' : 'SUCCESS'
  const failure = n % 3 === 0 ? JSON.stringify({ code: 'FENCED', message: `another owns ${name}` }) : null
  await database.run(
    `INSERT INTO runs (run, job, status, run_at, started_at, ended_at, spec_hash, owner, error)
     VALUES (:run, :job, :status, :at, :at, :at, '', '', :failure)`,
    { run: values.run, job: name, status, at, failure },
  )
  await database.run(
    `INSERT INTO sync_history (run, job_name, sync_timestamp, status, records_processed, duration_seconds, error_rate)
     VALUES (:run, :job, :at, :status, 9, 1, 0)`,
    { run: values.run, job: name, status, at },
  )
  await database.run(
    `INSERT INTO table_history (job, table_name, run, loaded_at, rows_read, rows_loaded, rows_unchanged, rows_rejected,
       rows_superseded, rows_inserted, rows_updated, rows_deleted, made_from, columns)
     VALUES (:job, :table, :run, :at, 9, 9, 0, 0, 0, 9, 0, 0, :made, :columns)`,
    { ...values, made: JSON.stringify([name]), columns: JSON.stringify([{ name, type: 'VARCHAR' }]) },
  )
}
/** Its process is gone, and its lease is over. */
const killed = 'killed-run'
await database.run(
  `INSERT INTO runs (run, job, status, run_at, started_at, spec_hash, owner) VALUES (:run, 'odd', 'RUNNING', :at, :at, '', :owner)`,
  { run: killed, at, owner: `${hostname()}:4194303:1` },
)
const site = await openSite(hooks, { jobs: job.folder, home: job.home })

test('odd names lead to their pages, and are text there', async () => {
  await inEachLook(browser, looks, async (view, look) => {
    view.on('dialog', dialog => assert.fail(dialog.message()))
    for (const path of PAGES) {
      await view.goto(site.url + path)
      await looksWell(view, `${path}, ${look.name}`)
      if (PICTURES)
        await view.screenshot({
          path: join(PICTURES, `odd-${path.slice(1) || 'tonight'}-${look.name}.png`),
          fullPage: true,
        })
    }
  })
  const view = await browser.newPage({ viewport: { width: PHONE[1], height: 900 } })
  view.on('dialog', dialog => assert.fail(dialog.message()))
  for (const name of ODD) {
    const title = `warehouse.${name}`
    await view.goto(`${site.url}/tables`)
    const links = view.locator('main td:first-child a')
    await links.nth((await links.allTextContents()).indexOf(title)).click()
    assert.equal((await view.locator('h1').textContent())!.trim(), title.trim())
    await fits(view, name)
    await view.locator('main td a[href^="/runs/"]').first().click()
    assert.ok((await view.locator('main').textContent())!.includes(name))
    await fits(view, `the run of ${name}`)
  }
  await view.close()
})

test('a run whose process is gone is no run that goes on; one that was fenced says so', async () => {
  const page = await browser.newPage()
  await page.goto(site.url)
  const text = await page.locator('main').innerText()
  assert.match(text, /Running\s+0/)
  assert.match(text, /Failed\s+36\s+and 1 interrupted/)
  assert.match(text, new RegExp(`Interrupted: their processes are gone[^]*${killed}`))
  await page.goto(`${site.url}/runs?status=RUNNING`)
  assert.equal(await page.locator('main .badge').first().innerText(), 'interrupted')
  await page.getByRole('link', { name: killed }).click()
  assert.equal(await page.locator('main .badge').first().innerText(), 'interrupted')
  await page.getByRole('button', { name: 'Resume', exact: true }).waitFor()
  await page.goto(`${site.url}/runs?status=FAILED`)
  assert.match(await page.locator('main').innerText(), /FENCED: another owns/)
  await page.close()
})

test('all there is to be done can be done by keys', async () => {
  const page = await browser.newPage()
  await page.goto(`${site.url}/tables`)
  const focused = () => page.evaluate('document.activeElement.textContent')
  await page.keyboard.press('Tab')
  assert.equal(await focused(), 'Skip to the content')
  for (const name of ['Nightfreight', 'Tonight', 'Runs', 'Jobs', 'Tables', 'Lineage', 'Errors']) {
    await page.keyboard.press('Tab')
    assert.equal(await focused(), name)
  }
  const ring = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')
  assert.equal(ring, 'solid')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/errors')
  await page.getByLabel('Reason has').focus()
  await page.keyboard.type('name')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/errors?*reason=name*')
  await page.getByLabel('all of these').focus()
  await page.keyboard.press('Space')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  assert.equal(await focused(), 'Discard chosen')
  await page.keyboard.press('Enter')
  await page.getByRole('status').waitFor()
  assert.equal(await page.getByRole('status').innerText(), '10 rows are discarded.')
  await page.goto(`${site.url}/runs/${good}`)
  await page.locator('.log').focus()
  assert.equal(await page.evaluate('document.activeElement.className'), 'log')
  await page.close()
})
