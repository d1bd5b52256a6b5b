/** The pages that `nightfreight docs` writes, as files in a real Chromium: a project of 200 models over 50 tables. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import type { Page } from 'playwright-core'
import { type SmallJob, smallJob } from '../jobs/small.ts'
import { openBrowser } from './browser.ts'
import { openSite } from './site.ts'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const TABLES = 50
const MODELS = 200
/** What a page may take to be there, with others at work on the machine. */
const LIMIT_MS = 5000

const hooks = { after }
const browser = await openBrowser(hooks)

/** What axe finds serious on a page, and whether it is wider than the screen. */
async function seriousIn(page: Page): Promise<string[]> {
  await page.evaluate(AXE)
  const found = await page.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: { run(): Promise<{ violations: Finding[] }> } }).axe
    interface Finding {
      id: string
      impact: string
    }
    const { violations } = await axe.run()
    return violations.filter(({ impact }) => /serious|critical/.test(impact)).map(({ id }) => id)
  })
  const root = 'document.documentElement'
  if (await page.evaluate(`${root}.scrollWidth > ${root}.clientWidth`)) found.push('too wide')
  return found
}

/** Each model reads a table, or the model of that table before it. */
async function wideProject(): Promise<SmallJob> {
  const schema =
    '{ id: BIGINT, customer_id: BIGINT, amount: "DECIMAL(12,2)", note: VARCHAR, seen: TIMESTAMP }'
  const extracts = Array.from(
    { length: TABLES },
    (_, i) => `  t${i}: { from: in, files: t${i}.csv, take: all, key: id, schema: ${schema} }`,
  )
  const job = await smallJob(hooks, 'wide', {
    'job.yaml': `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract:
${extracts.join('\n')}
load: { sums: { to: wh, from: m${MODELS - 1}, key: id } }
`,
  })
  for (let i = 0; i < MODELS; i++)
    writeFileSync(
      join(job.folder, `m${i}.sql`),
      `-- Model ${i}, <b>of table</b> ${i % TABLES}.
--
-- @owner team_${i % 7}
-- @tags nightly, wide
-- @column amount  In euros.
SELECT id, customer_id, amount, note, seen FROM ${i < TABLES ? `t${i}` : `m${i - TABLES}`} WHERE amount > ${i}`,
    )
  return job
}

test('the pages of 200 models over 50 tables are found, filtered, and gone through by keys', async t => {
  const job = await wideProject()
  const out = join(job.home, 'pages')
  const began = performance.now()
  const { code, out: said } = await job.cli('docs', job.folder, '--out', out)
  t.diagnostic(`written in ${((performance.now() - began) / 1000).toFixed(1)} s`)
  assert.equal(code, 0)
  assert.match(said, new RegExp(`^${TABLES + MODELS + 2} pages: `))
  const files = readdirSync(join(out, 'tables'))
  assert.equal(files.length, TABLES + MODELS + 1)
  for (const file of files)
    assert.doesNotMatch(readFileSync(join(out, 'tables', file), 'utf8'), /https?:\/\//, file)

  const page = await browser.newPage()
  const asked: string[] = []
  page.on('request', request => asked.push(request.url()))
  const opened = performance.now()
  await page.goto(pathToFileURL(join(out, 'index.html')).href)
  const took = performance.now() - opened
  t.diagnostic(`opened in ${took.toFixed(0)} ms`)
  assert.ok(took < LIMIT_MS, `${took} ms`)
  assert.equal(await page.locator('.graph a').count(), TABLES + MODELS + 1)

  await page.getByRole('searchbox').fill('m15 team_1')
  const names = page.locator('#tables tbody tr:not([hidden]) td:first-child')
  assert.deepEqual(await names.allTextContents(), ['m15', 'm155'])
  assert.equal(await page.locator('#shown').textContent(), '2 shown')
  await page.getByRole('searchbox').fill('')

  await page.locator('.graph a[data-text^="t3,"]').focus()
  await page.keyboard.press('ArrowRight')
  assert.match(String(await page.evaluate('document.activeElement.dataset.text')), /^m3,/)
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('ArrowLeft')
  await page.keyboard.press('Enter')
  await page.waitForURL(/wide-m3\.html$/)
  assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), 'm3')
  assert.equal(await page.locator('.about').textContent(), 'Model 3, <b>of table</b> 3.')
  assert.match((await page.locator('.meta').textContent())!, /owner team_3 · tags nightly, wide/)
  const amount = page.locator('tr', { has: page.locator('#column-amount') })
  assert.match((await amount.textContent())!, /DECIMAL\(12,2\)In euros\.t3\.amountm53\.amount/)
  await amount.getByRole('link', { name: 'm53.amount' }).click()
  await page.waitForURL(/wide-m53\.html#column-amount$/)
  assert.ok(
    asked.every(url => url.startsWith('file:')),
    asked.join('\n'),
  )
})

test('the dashboard has the same lineage, by column, and follows what is saved', async t => {
  const job = await wideProject()
  const site = await openSite(hooks, { jobs: job.folder, home: join(job.home, 'served') })
  const page = await browser.newPage()
  page.on('pageerror', error => assert.fail(error.message))
  await page.goto(`${site.url}/`)
  await page.getByRole('link', { name: 'Lineage' }).click()
  await page.waitForURL(/\/lineage$/)
  assert.equal(await page.locator('.graph a').count(), TABLES + MODELS + 1)
  const opened = performance.now()
  await page.reload()
  const took = performance.now() - opened
  t.diagnostic(`opened again in ${took.toFixed(0)} ms`)
  assert.ok(took < LIMIT_MS, `${took} ms`)

  await page.getByRole('searchbox').fill('m15 model')
  assert.match(String(await page.locator('#shown').textContent()), /^11 shown$/)
  await page.locator('.graph a[data-text^="m3,"]').focus()
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press('Enter')
  await page.waitForURL(/\/lineage\/wide\/m53$/)
  const amount = page.locator('tbody tr', { hasText: 'DECIMAL(12,2)' })
  assert.match((await amount.textContent())!, /^amountDECIMAL\(12,2\)m3\.amountm103\.amount$/)
  await amount.getByRole('link', { name: 'm3.amount' }).click()
  await page.waitForURL(/\/lineage\/wide\/m3\/amount$/)
  const main = (await page.locator('main').textContent())!
  assert.match(main, /Made of.*t3\.amount.*Made of it.*m53\.amount.*m103\.amount.*m153\.amount/s)
  assert.match(main, /Without it.*m53\.sql:6:25/s)
  assert.equal(await page.locator('.graph a').count(), 5)
  assert.deepEqual(await seriousIn(page), [])

  writeFileSync(join(job.folder, 'm3.sql'), 'SELECT id, 0.5 AS amount FROM t3')
  assert.equal((await site.ask('/lineage/wide/m3')).text.includes('m53.note'), false)
  assert.match((await site.ask('/lineage')).text, /job: m53\.sql:6/)
  assert.equal((await site.ask('/lineage/wide/nothing')).status, 404)
})

test('checks and runs are shown, and no values; light, dark and on a phone, nothing serious for axe', async () => {
  const job = await smallJob(hooks, 'pages', {
    'job.yaml': `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract: { t: { from: in, files: t.csv, take: all, key: id, schema: { id: BIGINT, "a b": VARCHAR } } }
load: { m: { to: wh, from: m, key: id } }
checks: { m: { id: [unique], "a b": { one_of: [y], severity: warn } } }
`,
    'm.sql': '-- @column "a b" Words.\nSELECT id, "a b" FROM t',
    'in/t.csv': 'id,a b\n1,private words\n',
  })
  await job.run()
  const out = join(job.home, 'pages')
  assert.equal((await job.cli('docs', job.folder, '--out', out)).code, 0)
  const text = readFileSync(join(out, 'tables/pages-m.html'), 'utf8')
  assert.doesNotMatch(text, /private words/)
  assert.match(text, /<b>a b_one_of<\/b>.*>warn<.*Last runs of pages.*>(success|completed with errors)</s)
  const screens = [
    ['light', 1200],
    ['dark', 390],
  ] as const
  for (const [colorScheme, width] of screens) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } })
    const page = await context.newPage()
    for (const file of ['index.html', 'tables/pages-m.html', 'tables/pages-wh.m.html']) {
      await page.goto(pathToFileURL(join(out, file)).href)
      const found = await seriousIn(page)
      assert.deepEqual(found, [], `${file}, ${colorScheme}, ${width}`)
    }
    await context.close()
  }
})

test('files of others are left alone', async () => {
  const job = await smallJob(hooks, 'others', {
    'job.yaml': `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract: { t: { from: in, files: t.csv, take: all, key: id, schema: { id: BIGINT } } }
load: { t: { to: wh, from: t, key: id } }
`,
  })
  const { code, err } = await job.cli('docs', job.folder, '--out', job.folder)
  assert.equal(code, 2)
  assert.match(err, /holds files that are no such pages\nhint: /)
})
