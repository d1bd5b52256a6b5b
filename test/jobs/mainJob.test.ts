import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { applyNightTwo } from '../../src/demo/sample/nightTwo.ts'
import { type FreshDatabase, freshPostgres } from '../servers.ts'
import { loadedBy, runNight, startSystems } from './night.ts'
import { DIM_TEXT, FACT_TEXT, oracleNight } from './oracle.ts'

const MEMBERS = 3000
const SEED = 77
const FIRST = '2025-12-01T02:00:00Z'
const SECOND = '2025-12-02T02:00:00Z'

const counts = ({ inserted, updated }: { inserted: number; updated: number }) => ({ inserted, updated })

test('three nights of the main job equal an independent computation over the sources', async () => {
  const systems = await startSystems({ after }, MEMBERS, SEED)
  const warehouse = await freshPostgres()
  const env = systems.env(warehouse, systems.folder())
  const { legacy, crm, drops, feed } = systems
  const oracle = (runAt: string) =>
    oracleNight({
      legacyUrl: legacy.url,
      query: crm.query,
      feed: [MEMBERS, SEED, feed.night],
      corrections: readCsv(join(drops, 'address_corrections.csv')),
      runAt,
    })

  const first = loadedBy(await runNight(env, FIRST))
  const expected = await oracle(FIRST)
  assert.ok(expected.rejected > 0, 'the sample has rows that must be rejected')
  assert.deepEqual(counts(first.dim_members!), expected.dim_members)
  assert.deepEqual(counts(first.fact_payments!), expected.fact_payments)
  await equalTables(warehouse, crm)

  const before = await everything(warehouse)
  const second = loadedBy(await runNight(env, FIRST))
  assert.deepEqual(second.dim_members, { inserted: 0, updated: 0, unchanged: 0 })
  assert.deepEqual(second.fact_payments, { inserted: 0, updated: 0, unchanged: 0 })
  assert.deepEqual(
    await everything(warehouse),
    before,
    'a night without a change leaves even the time stamps alone',
  )

  await applyNightTwo({ membersUrl: legacy.url, contactsUrl: crm.url, n: MEMBERS, seed: SEED })
  feed.night = 2
  const third = loadedBy(await runNight(env, SECOND))
  const changed = await oracle(SECOND)
  assert.ok(changed.dim_members.inserted > 0 && changed.dim_members.updated > 0)
  assert.deepEqual(counts(third.dim_members!), changed.dim_members)
  assert.deepEqual(counts(third.fact_payments!), changed.fact_payments)
  await equalTables(warehouse, crm)
})

async function equalTables(warehouse: FreshDatabase, oracle: FreshDatabase): Promise<void> {
  for (const sql of [DIM_TEXT, FACT_TEXT]) {
    const actual = await warehouse.query(sql.replace(':schema', 'public'))
    const expected = await oracle.query(sql.replace(':schema', 'oracle'))
    for (const [index, row] of expected.entries()) assert.deepEqual(actual[index], row)
    assert.equal(actual.length, expected.length)
  }
}

const everything = ({ query }: FreshDatabase) =>
  query(`SELECT md5(string_agg(d::text, '|' ORDER BY member_id)) AS hash, count(*) AS rows FROM dim_members d
    UNION ALL SELECT md5(string_agg(f::text, '|' ORDER BY payment_id)), count(*) FROM fact_payments f`)

// Quoted fields hold no line break in the sample.
function readCsv(path: string): Record<string, string | null>[] {
  const [header, ...lines] = readFileSync(path, 'utf8')
    .replace(/^\uFEFF/, '')
    .trim()
    .split(/\r?\n/)
  const names = header!.split(',')
  return lines.map(line => {
    const values = [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
      ([, quoted, bare]) => (quoted?.replaceAll('""', '"') ?? bare) || null,
    )
    return Object.fromEntries(names.map((name, index) => [name, values[index] ?? null]))
  })
}
