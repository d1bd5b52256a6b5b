import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Catalog } from '../../src/service/catalog.ts'

const job = (name: string, cron = '0 2 * * *') => `job: ${name}
schedule: { cron: "${cron}" }
connections: { drops: "file:///tmp", warehouse: "duckdb:w.duckdb" }
extract: { items: { from: drops, files: "items*.csv", key: id, schema: { id: BIGINT } } }
load: { items: { to: warehouse, from: items, key: id } }
`

test('jobs that cannot be used are named for as long as that lasts, whether or not they were known before', async t => {
  const home = mkdtempSync(join(tmpdir(), 'nightfreight-catalog-'))
  t.after(() => rmSync(home, { recursive: true, force: true }))
  const write = (place: string, text: string) => {
    mkdirSync(join(home, place), { recursive: true })
    writeFileSync(join(home, place, 'job.yaml'), text)
  }
  write('a/own', job('good'))
  write('a/bad', job('bad', '0 25 * * *'))
  write('b/worse', job('worse', 'never'))
  const catalog = new Catalog([join(home, 'a'), join(home, 'b')], {})
  const names = async () => {
    const told: string[] = []
    await catalog.load(name => told.push(name))
    assert.deepEqual(
      catalog.failures.map(({ name }) => name),
      told,
    )
    return told
  }
  assert.deepEqual(await names(), ['bad', 'worse'])
  assert.deepEqual([...catalog.jobs.keys()], ['good'])
  write('a/bad', job('bad'))
  write('a/own', job('good', 'never'))
  assert.deepEqual(await names(), ['good', 'worse'])
  write('a/own', 'schedule: never\n')
  assert.deepEqual(await names(), ['good', 'worse'], 'one that no longer says its name')
  write('a/own', job('good'))
  renameSync(join(home, 'b'), join(home, 'away'))
  assert.deepEqual(await names(), ['b'], 'a folder of jobs that never could be used')
  renameSync(join(home, 'a'), join(home, 'gone'))
  assert.deepEqual((await names()).sort(), ['b', 'bad', 'good'])
})
