/** The pages of connectors: every URL is one that its connector takes, and every setting is named. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { z } from 'zod'
import { connectorFor, connectors } from '../../src/connectors/index.ts'
import { dropOptions } from '../../src/drops/options.ts'

const read = (name: string) =>
  readFileSync(join(import.meta.dirname, `../../docs/connectors/${name}.md`), 'utf8')
const page = read('README')

const named = (text: string) =>
  new Set([...text.matchAll(/`([a-z_]+)(?:: [^`]*)?`/g)].map(([, name]) => name!))
const keysOf = (schema: z.ZodType) => Object.keys((schema as z.ZodObject).shape)
const missing = (keys: string[], text: string) => keys.filter(key => !named(text).has(key))

for (const { name, config, extract, capabilities } of connectors)
  test(`${name}: its URLs, settings and abilities are on the page as they are`, () => {
    const text = read(name)
    const urls = [...text.matchAll(/^\| `([^`]+)`/gm)].map(([, url]) => url!)
    assert.ok(urls.length > 0)
    for (const url of urls) {
      assert.equal(connectorFor(url).name, name)
      assert.deepEqual(config.safeParse({ url }).error?.issues, undefined, url)
    }
    assert.deepEqual(
      missing(
        keysOf(config).filter(key => key !== 'url'),
        text,
      ),
      [],
    )
    const files = keysOf(extract).includes('files')
    assert.deepEqual(missing(keysOf(extract), files ? read('files') : text), [])
    const yes = (able: boolean | undefined) => (able ? 'yes' : 'no')
    const { source, target, incremental, keys, changes } = capabilities
    const line = [`[${name}](${name}.md)`, ...[source, target, incremental, keys, changes].map(yes)].join(
      ' | ',
    )
    assert.ok(page.includes(`| ${line} |`), line)
    const all = ['append', 'merge', 'replace', 'partition', 'scd2']
    assert.deepEqual([...capabilities.modes].sort(), target ? all.sort() : [])
  })

test('the keys of files are named, and no other', () => {
  const text = read('files')
  const others = [...named(text)].filter(key => !keysOf(dropOptions).includes(key))
  assert.deepEqual(others.sort(), ['local', 'sftp'])
})
