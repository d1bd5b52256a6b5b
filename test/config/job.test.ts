// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variable references of job.yaml, not of this file
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadJob } from '../../src/config/load.ts'
import { connectorFor } from '../../src/connectors/index.ts'
import { folder, root } from './folder.ts'
import { ENV, registry } from './registry.ts'

const GOOD = `job: sync
schedule: { cron: "0 2 * * *", depends_on_past: true }
connections: { legacy: \${LEGACY}, warehouse: \${WAREHOUSE}, api: { url: \${API}, headers: { Authorization: Bearer \${TOKEN:-abc,d} } } }
extract:
  members:  { from: legacy, table: members, key: member_id, incremental: { column: updated_at, lag: 5m }, pool: legacy_pool, columns: { joined: null, x: text }, drift: { dropped: ignore } }
  payments: { from: api, path: /payments, key: [a, b], drift: fail, incremental: { column: id, lag: 10, param: since } }
load:
  dim_members: { to: warehouse, from: enriched, key: member_id, mode: merge, newer: updated_at, insert_only: created_at }
sla: { max_duration: 6h, min_quality_score: 0.95 }
resources: { memory: 512MB, threads: 3 }
`
const SQL = {
  'enriched.sql': 'select 1',
  'checks/total.sql': 'select 2',
  'checks/enriched/email.sql': 'select 3',
  '../macros/clean.sql': 'create macro c(x) as x',
}

test('a whole job', async () => {
  const path = await folder(GOOD, SQL)
  const spec = await loadJob(path, ENV, { registry })
  assert.deepEqual(spec.extracts, [
    {
      name: 'members',
      from: 'legacy',
      key: ['member_id'],
      columns: { joined: 'null', x: 'text' },
      drift: { dropped: 'ignore' },
      incremental: { column: 'updated_at', lag: 300e6, nulls: 'read', future: 'read' },
      options: { table: 'members' },
    },
    {
      name: 'payments',
      from: 'api',
      key: ['a', 'b'],
      columns: {},
      drift: { added: 'fail', dropped: 'fail', widened: 'fail', incompatible: 'fail' },
      incremental: { column: 'id', lag: 10, nulls: 'read', future: 'read' },
      options: { path: '/payments', sinceParam: 'since' },
    },
  ])
  assert.deepEqual(spec.loads, [
    {
      table: 'dim_members',
      to: 'warehouse',
      from: 'enriched',
      mode: 'merge',
      key: ['member_id'],
      insertOnly: ['created_at'],
      newer: 'updated_at',
      deletes: 'keep',
      partitionBy: [],
      compare: [],
      ignore: [],
      scd2: { validFrom: 'valid_from', validTo: 'valid_to', current: 'is_current' },
      guard: { maxDeleteShare: 0.1, allowEmpty: false },
      verify: 'changes',
      schema: 'apply-safe',
    },
  ])
  assert.deepEqual(spec.schedule, {
    cron: '0 2 * * *',
    timezone: 'UTC',
    catchup: false,
    maxActiveRuns: 1,
    dependsOnPast: true,
  })
  assert.deepEqual(spec.sla, { maxDuration: 6 * 3600e3, minQualityScore: 0.95 })
  assert.deepEqual(spec.resources, { memory: 512e6, threads: 3 })
  assert.deepEqual(spec.parallelism, {
    maxParallelExtracts: 3,
    maxParallelTransforms: 3,
    maxParallelLoads: 2,
  })
  assert.deepEqual(spec.chunking, { defaultChunkSize: 50_000, maxChunkSize: 500_000 })
  assert.deepEqual(spec.quality, { maxErrorRate: 0.05 })
  assert.deepEqual(spec.pools, { members: 'legacy_pool' })
  assert.deepEqual(spec.models, [{ name: 'enriched', file: 'enriched.sql', sql: 'select 1' }])
  assert.deepEqual(spec.checks, [
    { name: 'total', file: 'checks/total.sql', sql: 'select 2' },
    { name: 'email', file: 'checks/enriched/email.sql', sql: 'select 3', model: 'enriched' },
  ])
  assert.equal(spec.macros[0]?.file, '../macros/clean.sql')
  assert.deepEqual(spec.connections.api?.config, {
    url: 'https://api/x',
    headers: { Authorization: 'Bearer abc,d' },
  })
  const { secrets } = spec
  for (const secret of ['s3cr%40t', 's3cr@t', 'wpass', 'abc,d']) assert.ok(secrets.includes(secret), secret)
  assert.ok(!secrets.includes('https://api/x'))
})

test('what references gave is secret, whatever its key is called; places and small numbers are not', async () => {
  const path = await folder(
    `job: j
connections:
  api: { url: "https://\${HOST}/v1", headers: { X-Auth: "k-\${KEY}", Accept: plain-text } }
  legacy: "postgres://\${USER_NAME}:\${PASSWORD}@\${HOST}:\${PORT}/\${DB}"
extract:
  a: { from: api, path: "/items?sig=\${SIG}&size=\${SIZE}" }
  b: { from: legacy, table: "\${TABLE}", where: "\${file:secret.txt}" }
archive: { to: "\${FOLDER}" }
`,
    { 'secret.txt': 'from-a-file\n' },
  )
  const given = { KEY: 'abc1', PASSWORD: 'p@ss', USER_NAME: 'reader', SIG: 's+g=', TABLE: 'legacy' }
  const places = { HOST: 'example.org', PORT: '5433', DB: 'shop', FOLDER: root, SIZE: '100' }
  const { secrets, extracts } = await loadJob(path, { ...given, ...places }, { registry })
  for (const secret of ['abc1', 'p@ss', 'p%40ss', 'reader', 's+g=', 'from-a-file', 'k-abc1', 'plain-text'])
    assert.ok(secrets.includes(secret), secret)
  // `legacy` stands in job.yaml for everybody to read.
  for (const place of [...Object.values(places), 'legacy']) assert.ok(!secrets.includes(place), place)
  assert.deepEqual(extracts[1]!.options, { table: 'legacy', where: 'from-a-file' })
})

test('a reference alone takes the type that is wanted; what it holds else is refused by its name', async () => {
  const yaml = `${HEAD}extract: { m: { from: legacy, table: "\${TABLE}" } }
load: { x: { to: legacy, from: m, key: a, guard: { allow_empty: "\${EMPTY}" } } }
archive: { to: x, level: "\${LEVEL}" }
retries: { limit: "\${RETRIES:-3}" }
`
  const env = { ...ENV, EMPTY: 'true', LEVEL: '7', TABLE: '12' }
  const spec = await loadJob(await folder(yaml), env, { registry })
  assert.equal(spec.loads[0]!.guard.allowEmpty, true)
  assert.equal(spec.archive!.level, 7)
  assert.equal(spec.retries.limit, 3)
  assert.deepEqual(spec.extracts[0]!.options, { table: '12' })
  for (const LEVEL of ['seven', '07', '1e1', ''])
    await assert.rejects(
      loadJob(await folder(yaml), { ...env, LEVEL }, { registry }),
      /job.yaml:5:26: archive.level: expected a number; found "\$\{LEVEL\}"/,
    )
  await assert.rejects(loadJob(await folder(yaml), { ...env, LEVEL: '99' }, { registry }), /archive.level/)
})

test('the hash follows every file', async () => {
  const hashes = new Set<string>()
  for (const change of [
    {},
    { 'enriched.sql': 'select 9' },
    { '../macros/clean.sql': '' },
    { 'checks/total.sql': '' },
  ])
    hashes.add((await loadJob(await folder(GOOD, { ...SQL, ...change }), ENV, { registry })).hash)
  assert.equal(hashes.size, 4)
  assert.ok(hashes.has((await loadJob(await folder(GOOD, SQL), ENV, { registry })).hash))
})

const HEAD = 'job: j\nconnections: { legacy: "${LEGACY}", api: "${API}" }\n'

test('syntax errors and duplicate keys have a line', async () => {
  await assert.rejects(
    loadJob(await folder('job: j\njob: k\n'), {}, { registry }),
    /job\.yaml:2:1: Map keys must be unique/,
  )
  await assert.rejects(loadJob(await folder('job: [j\n'), {}, { registry }), /job\.yaml:\d+:\d+: /)
  await assert.rejects(
    loadJob(await folder(''), {}, { registry }),
    /job\.yaml:1:1: the file needs "(job|connections)"/,
  )
  await assert.rejects(loadJob(join(root, 'none'), {}, { registry }), /job\.yaml cannot be read/)
})

test('files whose names clash are refused', async () => {
  const yaml = `${HEAD}extract: { m: { from: legacy, table: t } }\n`
  await assert.rejects(
    loadJob(await folder(yaml, { 'M.sql': '' }), ENV, { registry }),
    /M\.sql: model "M" has the name of/,
  )
  await assert.rejects(
    loadJob(await folder(yaml, { 'people.sql': '', 'checks/peple/a.sql': '' }), ENV, { registry }),
    /checks\/peple\/a\.sql: no model or extract "peple" to check; did you mean "people"\?/,
  )
})

test('secrets cannot break the YAML', async () => {
  const LEGACY = 'postgres://u:"}: [#\n@h/db'
  const spec = await loadJob(await folder(`${HEAD}`), { ...ENV, LEGACY }, { registry })
  assert.deepEqual(spec.connections.legacy?.config, { url: LEGACY })
})

test('a connector is chosen by scheme', () => {
  assert.equal(connectorFor('POSTGRES://x', registry).name, 'postgres')
  assert.throws(() => connectorFor('./x', registry), /must begin with a scheme/)
})
