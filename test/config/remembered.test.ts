import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { loadJob } from '../../src/config/load.ts'
import type { RememberedExtract } from '../../src/config/wildcards.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-remembered-'))
after(() => rmSync(folder, { recursive: true }))

const JOB = `job: remembered
connections: { shop: "postgres://u@h/shop", dw: "postgres://u@h/dw" }
environments: { dev: { targets: { dw: "duckdb:dev.duckdb" } } }
extract:
  "sales.*": { from: shop }
  "crm.*": { from: shop, sensitive: [email] }
  people: { from: shop, table: crm.people }
load:
  "raw.s_*": { to: dw, from: "sales.*" }
  "raw.c_*": { to: dw, from: "crm.*" }
`

const table = (schema: string, name: string): RememberedExtract => ({
  name,
  key: ['id'],
  catalog: { name: `${schema}.${name}`, bare: name, schema, target: name },
})
const KNOWN = [table('sales', 'bills'), table('crm', 'visits'), table('crm', 'people')]

/** What globs of a job in an environment stand for, of what production has read. */
async function expanded(yaml: string, read: RememberedExtract[]) {
  writeFileSync(join(folder, 'job.yaml'), yaml)
  const { extracts, loads } = await loadJob(folder, { NIGHTFREIGHT_ENV: 'dev' }, { read })
  return {
    extracts: extracts.map(({ name, sensitive }) => [name, ...(sensitive ?? [])].join(' ')),
    loads: loads.map(({ table, from }) => `${table} ${from}`),
  }
}

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

test('of runs of an earlier version names alone are known', async () => {
  const old = KNOWN.slice(0, 2).map(({ name, key }) => ({ name, key, catalog: undefined }))
  const one = JOB.replace('  "sales.*": { from: shop }\n', '').replace(
    '  "raw.s_*": { to: dw, from: "sales.*" }\n',
    '',
  )
  assert.deepEqual((await expanded(one, old)).loads, ['raw.c_bills bills', 'raw.c_visits visits'])
})

test('a job with environments takes the names of these only, whatever files of variables there are', async () => {
  writeFileSync(join(folder, '.env.prod'), 'A=1\n')
  const load = (yaml: string) => {
    writeFileSync(join(folder, 'job.yaml'), yaml)
    return loadJob(folder, { NIGHTFREIGHT_ENV: 'prod' })
  }
  await assert.rejects(load(JOB), /prod is no environment of the job/)
  assert.equal((await load('job: plain\nconnections: { dw: "duckdb:dw.duckdb" }\n')).environment, undefined)
})
