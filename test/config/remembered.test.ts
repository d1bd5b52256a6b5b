import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { loadJob } from '../../src/config/load.ts'
import { readOutline } from '../../src/config/outline.ts'
import type { RememberedExtract } from '../../src/config/wildcards.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-remembered-'))
after(() => rmSync(folder, { recursive: true }))

const JOB = `job: remembered
connections: { shop: "postgres://u@h/shop", crm: "postgres://u@h/crm", dw: "postgres://u@h/dw" }
environments: { dev: { targets: { dw: "duckdb:dev.duckdb" } } }
extract:
  "sales.*": { from: shop }
  "crm.*": { from: shop, sensitive: [email] }
  people: { from: shop, table: crm.people }
load:
  "raw.s_*": { to: dw, from: "sales.*" }
  "raw.c_*": { to: dw, from: "crm.*" }
`

const table = (schema: string, name: string, more = {}): RememberedExtract => ({
  name,
  key: ['id'],
  catalog: { from: 'shop', name: `${schema}.${name}`, bare: name, schema, target: name, ...more },
})
const KNOWN = [table('sales', 'bills'), table('crm', 'visits'), table('crm', 'people')]

/** What runs of an earlier version have kept of the same. */
const old = (known: RememberedExtract[]) => known.map(({ name, key }) => ({ name, key, catalog: undefined }))

const textOf = (extracts: { name: string; from: string; sensitive?: string[] }[]) =>
  extracts.map(({ name, from, sensitive = [] }) =>
    [from === 'shop' ? name : `${from}.${name}`, ...sensitive].join(' '),
  )
const loadsOf = (loads: { table: string; from: string }[]) =>
  loads.map(({ table, from }) => `${table} ${from}`)

/** What globs of a job in an environment stand for, of what production has read. */
async function expanded(yaml: string, read: RememberedExtract[]) {
  writeFileSync(join(folder, 'job.yaml'), yaml)
  const { extracts, loads } = await loadJob(folder, { NIGHTFREIGHT_ENV: 'dev' }, { read })
  return { extracts: textOf(extracts), loads: loadsOf(loads) }
}

/** The same of a job that is read without its connections. */
async function outlined(yaml: string, read: RememberedExtract[]) {
  writeFileSync(join(folder, 'job.yaml'), yaml)
  const { extracts, loads } = await readOutline(folder, () => read)
  return { extracts: textOf(extracts), loads: loadsOf(loads) }
}

/** A job of these extracts and loads. */
const jobOf = (extract: string[], load: string[]) => `job: remembered
connections: { shop: "postgres://u@h/shop", crm: "postgres://u@h/crm", dw: "postgres://u@h/dw" }
environments: { dev: { targets: { dw: "duckdb:dev.duckdb" } } }
extract:
${extract.map(line => `  ${line}\n`).join('')}load:
${load.map(line => `  ${line}\n`).join('')}`

test('each table is of the glob that finds it where it is; one that is named goes before', async () => {
  assert.deepEqual(await expanded(JOB, KNOWN), {
    extracts: ['people', 'bills', 'visits email'],
    loads: ['raw.s_bills bills', 'raw.c_visits visits', 'raw.c_people people'],
  })
})

test('a glob may be another in an environment, and leave tables out', async () => {
  const narrower = JOB.replaceAll('sales.*', 'sales.b*').replace(
    '"crm.*": { ',
    '"crm.*": { exclude: [people], ',
  )
  assert.deepEqual((await expanded(narrower, KNOWN)).loads, ['raw.s_bills bills', 'raw.c_visits visits'])
  await assert.rejects(
    expanded(JOB.replaceAll('sales.*', 'sales.x*'), KNOWN),
    /job\.yaml:5:3: extract\.sales\.x\*: no run of production has read a table of it/,
  )
})

test('a table is of globs of its own connection alone', async () => {
  const two = jobOf(
    ['"*": { from: shop }', '"public.*": { from: crm, sensitive: [email] }'],
    ['"shop.*": { to: dw, from: "*" }', '"crm.*": { to: dw, from: "public.*" }'],
  )
  const read = [table('public', 'bills'), table('public', 'people', { from: 'crm' })]
  const found = { extracts: ['bills', 'crm.people email'], loads: ['shop.bills bills', 'crm.people people'] }
  assert.deepEqual(await expanded(two, read), found)
  assert.deepEqual(await outlined(two, read), found)
  // Which of them a reference means is not known here.
  const given = two.replaceAll('from: shop', `from: "\${SHOP}"`)
  assert.deepEqual(await outlined(given, read), { extracts: [], loads: [] })
  const same = given.replaceAll('from: crm', `from: "\${SHOP}"`)
  assert.deepEqual((await outlined(same, read)).loads, [
    'shop.bills bills',
    'shop.people people',
    'crm.bills bills',
    'crm.people people',
  ])
})

test('a view is of the glob that names it in full, and left out where it is named in full', async () => {
  const load = ['"raw.s_*": { to: dw, from: "sales.*" }', '"raw.v_*": { to: dw, from: "sales.v_*" }']
  const view = table('sales', 'v_people', { isView: true })
  const read = [table('sales', 'bills'), view, table('sales', 'v_table')]
  const two = jobOf(
    ['"sales.*": { from: shop }', '"sales.v_*": { from: shop, tables: [v_people], sensitive: [email] }'],
    load,
  )
  const found = {
    extracts: ['bills', 'v_table', 'v_people email'],
    loads: ['raw.s_bills bills', 'raw.s_v_table v_table', 'raw.v_v_people v_people'],
  }
  assert.deepEqual(await expanded(two, read), found)
  assert.deepEqual(await outlined(two, read), found)
  const one = jobOf(
    ['"sales.*": { from: shop, tables: ["*", v_people], exclude: ["v_*"] }'],
    load.slice(0, 1),
  )
  assert.deepEqual((await expanded(one, read)).loads, ['raw.s_bills bills', 'raw.s_v_people v_people'])
})

test('a table of two globs is loaded by the second under the name that models have for it', async () => {
  const two = jobOf(
    ['"sales.*": { from: shop }', '"sales.o*": { from: shop, sensitive: [email] }'],
    ['"raw.*": { to: dw, from: "sales.*" }', '"raw2.*": { to: dw, from: "sales.o*", mode: merge }'],
  )
  const odd = { ...table('sales', 'odd-name'), name: 'odd_name' }
  assert.deepEqual(await expanded(two, [odd]), {
    extracts: ['odd_name'],
    loads: ['raw.odd-name odd_name', 'raw2.odd_name odd_name'],
  })
})

test('an extract that has a name of its own has the key by which it was read', async () => {
  const merged = jobOf(
    ['"*": { from: shop }', 'people: { from: shop, table: crm.people }'],
    ['"raw.*": { to: dw, from: "*", mode: merge }'],
  )
  assert.deepEqual((await expanded(merged, KNOWN)).loads, [
    'raw.bills bills',
    'raw.visits visits',
    'raw.people people',
  ])
  // Nobody has asked the source for it.
  assert.deepEqual(loadsOf((await loadJob(folder, {})).loads), [])
})

test('so has one that globs of its connection leave out, which is loaded, or refused where it has none', async () => {
  const load = ['"raw.*": { to: dw, from: "*", mode: merge }', 'own: { to: dw, from: orders, mode: merge }']
  const orders = { name: 'orders', key: ['id'], catalog: null }
  for (const extract of [
    ['"*": { from: shop, exclude: [orders] }', 'orders: { from: shop }'],
    ['"*": { from: shop }', 'orders: { from: shop, query: "SELECT * FROM orders" }'],
  ]) {
    const found = {
      extracts: ['orders', 'bills'],
      loads: ['own orders', 'raw.bills bills', 'raw.orders orders'],
    }
    for (const read of [expanded, outlined]) {
      assert.deepEqual(await read(jobOf(extract, load), [table('sales', 'bills'), orders]), found)
      await assert.rejects(
        read(jobOf(extract, load.slice(0, 1)), [table('sales', 'bills'), { ...orders, key: [] }]),
        /load\.raw\.\*: mode merge needs a key, and orders has none/,
      )
    }
  }
})

const ONE = JOB.replace('  "sales.*": { from: shop }\n', '').replace(
  '  "raw.s_*": { to: dw, from: "sales.*" }\n',
  '',
)

test('of runs of an earlier version names alone are known', async () => {
  const found = {
    extracts: ['people', 'bills email', 'visits email'],
    loads: ['raw.c_bills bills', 'raw.c_visits visits', 'raw.c_people people'],
  }
  assert.deepEqual(await expanded(ONE, old(KNOWN)), found)
  // Some may have failed since.
  const mixed = [...old(KNOWN.slice(0, 1)), ...KNOWN.slice(1)]
  assert.deepEqual(await outlined(ONE, mixed), found)
  const others = ['rates: { from: crm }', 'totals: { from: shop, query: "SELECT 1 AS n" }']
  const besides = ONE.replace('extract:\n', `extract:\n${others.map(line => `  ${line}\n`).join('')}`)
  const { loads } = await expanded(besides, old([table('', 'rates'), table('', 'totals'), ...KNOWN]))
  assert.deepEqual(loads, found.loads)
})

test('where names do not tell what a glob stood for, nothing is taken for it, and an environment is refused', async () => {
  const none = { extracts: ['people'], loads: ['raw.c_people people'] }
  const refused =
    /job\.yaml:5:3: extract\.sales\.\*: the last run of production is of an earlier version, which did not keep what it stands for: run the job once without --env/
  // Of a version that kept neither connections nor which are views, too.
  const { from: _, ...catalog } = table('crm', 'visits').catalog!
  const before = [{ name: 'visits', key: ['id'], catalog: catalog as RememberedExtract['catalog'] }]
  for (const read of [old(KNOWN), [...before, ...old(KNOWN.slice(2))]]) {
    assert.deepEqual(await outlined(JOB, read), none)
    await assert.rejects(expanded(JOB, read), refused)
  }
  // Its schema is the source's word.
  const bare = ONE.replace('table: crm.people', 'table: people')
  await assert.rejects(expanded(bare, old(KNOWN)), /extract\.crm\.\*: the last run of production is of an/)
  assert.deepEqual((await outlined(bare, old(KNOWN))).loads, ['raw.c_bills bills', 'raw.c_visits visits'])
})

test('an extract for which no glob stood in the last run is none that a glob finds', async () => {
  const rates = { name: 'rates', key: [], catalog: null }
  assert.deepEqual((await expanded(ONE, [rates, ...KNOWN])).extracts, ['people', 'visits email'])
  const named = ONE.replace('extract:\n', 'extract:\n  rates: { from: shop }\n')
  assert.deepEqual((await expanded(named, [rates, ...KNOWN])).loads, [
    'raw.c_visits visits',
    'raw.c_people people',
  ])
})
