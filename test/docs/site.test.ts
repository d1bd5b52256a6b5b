/** The documents as a site: no link leads nowhere, and a real Chromium searches it from a disk. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { commandLine } from '../../src/cli/program.ts'
import { NAVIGATION } from '../../src/docs/site/layout.ts'
import { readSite } from '../../src/docs/site/pages.ts'
import { openBrowser } from '../web/browser.ts'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'nightfreight-site-'))
after(() => rmSync(folder, { recursive: true }))

test('a link, an anchor or a picture that is not there is said, with its page', () => {
  writeFileSync(
    join(folder, 'a.md'),
    '# A\n[gone](b.md) [part](#nowhere) ![p](p.png) [a](#a) [out](https://example.com)\n',
  )
  assert.deepEqual(readSite(folder, ['a.md']).broken, ['a.md: b.md', 'a.md: p.png', 'a.md: a.md#nowhere'])
})

test('every document is a page, and every page is reached', () => {
  const { pages } = readSite(root, Object.values(NAVIGATION).flatMap(Object.keys))
  const reached = new Set(pages.map(({ file }) => file))
  const written = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`)
  assert.deepEqual(
    written.filter(name => !reached.has(name)),
    [],
  )
})

test('the lines that the README compares are those that were counted', () => {
  const rows = (file: string) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/^\| (\w[^|]*(?:\| [\d–]+ ){4})/gm)].map(
      ([, row]) => row,
    )
  assert.equal(rows('README.md').length, 5)
  assert.deepEqual(rows('README.md'), rows('docs/coming-from.md'))
})

test('guides name commands and flags that there are', () => {
  const { commands } = commandLine()
  for (const name of readdirSync(join(root, 'docs/guides'))) {
    const text = readFileSync(join(root, 'docs/guides', name), 'utf8')
    const lines = [...text.matchAll(/(?<=^|`)nightfreight ([a-z]+)([^`\n#]*)/gm)]
    assert.ok(lines.length > 5)
    for (const [line, first, rest] of lines) {
      let command = commands.find(each => each.name() === first)
      assert.ok(command, line)
      const words = rest!.trim().split(/\s+/)
      command = command.commands.find(each => each.name() === words[0]) ?? command
      for (const flag of words.filter(word => word.startsWith('--')))
        assert.ok(
          command.options.some(({ long }) => long === flag),
          line,
        )
    }
  }
})

test('a browser finds a key of job.yaml, and an error, without a server', async t => {
  const site = join(folder, 'site')
  execFileSync(process.execPath, [join(root, 'src/docs/site/build.ts'), site])
  assert.ok(existsSync(join(site, 'docs/reference/job.html')))
  const page = await (await openBrowser(t)).newPage()
  const failed: string[] = []
  page.on('pageerror', error => failed.push(error.message))
  page.on('requestfailed', request => failed.push(request.url()))
  await page.goto(pathToFileURL(join(site, 'docs/guides/on-call.html')).href)
  await page.keyboard.press('/')
  await page.keyboard.type('max_delete_share')
  const first = page.locator('#found a').first()
  assert.match((await first.textContent())!, /load\.\*\.guard\.max_delete_share/)
  await page.keyboard.press('Enter')
  await page.waitForURL(/reference\/job\.html#load$/)
  assert.match((await page.locator('main').textContent())!, /max_delete_share/)
  assert.equal(await page.locator('nav [aria-current=page]').textContent(), 'Keys of job.yaml')
  await page.fill('#search', 'schema_drift')
  assert.match((await page.locator('#found a').first().textContent())!, /SCHEMA_DRIFT/)
  await page.fill('#search', 'zzzzqqq')
  assert.equal(await page.locator('#found a').count(), 0)
  const shown = await page.evaluate(
    '[...document.images].filter(image => image.complete && image.naturalWidth === 0).map(image => image.src)',
  )
  assert.deepEqual([shown, failed], [[], []])
})
