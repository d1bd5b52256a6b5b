/** `npm run docs:build [FOLDER]`: the documents as pages that need no server and no network. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { layout, NAVIGATION } from './layout.ts'
import { readSite } from './pages.ts'

const root = join(import.meta.dirname, '../../..')
const folder = process.argv[2] ?? join(root, 'site')

const { pages, assets, broken } = readSite(root, Object.values(NAVIGATION).flatMap(Object.keys))
if (broken.length > 0) {
  console.error(`links that lead nowhere:\n${broken.map(link => `  ${link}`).join('\n')}`)
  process.exit(1)
}

const write = (path: string, text: string) => {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), text)
}
rmSync(folder, { recursive: true, force: true })
for (const page of pages) write(page.path, layout(page))
for (const file of assets) {
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  copyFileSync(join(root, file), join(folder, file))
}
const entries = pages.flatMap(({ path, title, sections }) =>
  sections.map(({ anchor, heading, text }) => ({ path: `${path}#${anchor}`, title, heading, text })),
)
write('search/index.js', `const SEARCH_INDEX = ${JSON.stringify(entries)}\n`)
write('search/search.js', readFileSync(join(import.meta.dirname, 'search.js'), 'utf8'))
const minisearch = fileURLToPath(import.meta.resolve('minisearch'))
write('search/minisearch.js', readFileSync(join(dirname(minisearch), '../umd/index.js'), 'utf8'))
console.log(`${folder}: ${pages.length} pages; open ${join(folder, 'index.html')}`)
