// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variable references of job.yaml, not of this file
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { EngineError } from '../../engine/errors.ts'
import { loadJob } from '../../src/config/load.ts'
import { draftOutline } from '../../src/config/outline.ts'
import { type Connector, defineConnector } from '../../src/connectors/declare/define.ts'
import { connectorFor } from '../../src/connectors/index.ts'
import { folder, root } from './folder.ts'

const capabilities = {
  source: true,
  target: true,
  incremental: true,
  modes: ['merge'] as const,
}
const registry: Connector[] = [
  defineConnector({
    name: 'postgres',
    schemes: ['postgres', 'postgresql'],
    config: z.object({ url: z.string(), schema: z.string().optional() }),
    extract: z.object({ table: z.string(), where: z.string().optional() }),
    capabilities,
    types: [],
  }),
  defineConnector({
    name: 'http',
    schemes: ['http', 'https'],
    config: z.object({ url: z.string(), headers: z.record(z.string(), z.string()).optional() }),
    extract: z.object({ path: z.string(), sinceParam: z.string().optional() }),
    capabilities: { ...capabilities, target: false },
    types: [],
  }),
]

const ENV = {
  LEGACY: 'postgres://u:s3cr%40t@h/db',
  WAREHOUSE: 'postgres://w:wpass@h/dw',
  API: 'https://api/x',
}

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
const bad: [name: string, yaml: string, messages: string[]][] = [
  [
    'an unknown key',
    `${HEAD}extract:\n  members: { from: legacy, table: t, incrementel: { column: a } }\n`,
    ['job.yaml:4:38: unknown key "incrementel" in extract.members; did you mean "incremental"?'],
  ],
  [
    'an unknown key at the top',
    `${HEAD}extracts: {}\n`,
    ['job.yaml:3:1: unknown key "extracts"; did you mean "extract"?'],
  ],
  [
    'a wrong type',
    `${HEAD}extract:\n  m: { from: legacy, table: 12 }\n`,
    ['job.yaml:4:29: extract.m.table: expected a string; found 12'],
  ],
  [
    'a missing key',
    `${HEAD}extract:\n  m: { table: members }\n`,
    ['job.yaml:4:3: extract.m needs "from": a string'],
  ],
  [
    'several at once',
    `${HEAD}quality: { max_error_rate: 5 }\nresources: { memory: lots }\nsla: { max_duration: 6x }\n`,
    [
      'job.yaml:3:28: quality.max_error_rate: expected a number from 0 to 1; found 5',
      'job.yaml:4:22: resources.memory: expected a size such as 512MB or 1GB; found "lots"',
      'job.yaml:5:22: sla.max_duration: expected a duration such as 30s, 5m or 6h; found "6x"',
    ],
  ],
  [
    'a kind of drift, or a policy of it, that is none',
    `${HEAD}extract:\n  m: { from: legacy, table: t, drift: { droped: fail } }\n  n: { from: legacy, table: t, drift: { widened: ignore } }\n  o: { from: legacy, table: t, drift: ignore }\n`,
    [
      'job.yaml:4:41: unknown key "droped" in extract.m.drift; did you mean "dropped"?',
      'job.yaml:5:50: extract.n.drift.widened: expected evolve, fail; found "ignore"',
      'job.yaml:6:39: extract.o.drift: expected fail or a mapping; found "ignore"',
    ],
  ],
  [
    'a largest chunk below the smallest',
    `${HEAD}chunking: { default_chunk_size: 500, max_chunk_size: 400 }\n`,
    ['job.yaml:3:54: chunking.max_chunk_size: expected at least default_chunk_size; found 400'],
  ],
  [
    'an extract with one wrong value, and not the loads of it',
    `${HEAD}extract:\n  m: { from: legacy, table: t, key: id, sensitive: id, incremental: { column: a, lag: 0.5 } }
  n: { from: legacy, table: t, key: 5, mode: changes }\nload:\n  m: { to: legacy, from: m }\n  n: { to: legacy, from: n }\nschedule: { follow: {} }\n`,
    [
      "job.yaml:4:87: extract.m.incremental.lag: expected a duration such as 5m, or a whole number for an integer column's units; found 0.5",
      'job.yaml:5:37: extract.n.key: expected a string or a list; found 5',
    ],
  ],
  [
    'an unknown connection',
    `${HEAD}extract:\n  m: { from: legcy, table: t, key: id }\nload: { m: { to: legacy, from: m } }\n`,
    ['job.yaml:4:14: extract.m.from: no connection "legcy"; did you mean "legacy"?'],
  ],
  [
    'a load from nothing, into what cannot be loaded',
    `${HEAD}extract:\n  m: { from: legacy, table: t }\nload:\n  x: { to: api, from: n, key: [] }\n`,
    [
      'job.yaml:6:12: load.x.to: http cannot be loaded into',
      'job.yaml:6:23: load.x.from: no model or extract "n"',
      'job.yaml:6:31: load.x.key: mode merge needs a key',
    ],
  ],
  [
    'options that have no meaning in the mode of a load',
    `${HEAD}extract:\n  m: { from: legacy, table: t, key: id }\ndefaults: { load: { to: legacy, from: m } }\nload:
  a: { mode: merge, scd2: { valid_from: since } }
  b: { mode: replace, compare: v }
  c: { mode: partition, partition_by: id, ignore: v }
  d: { mode: scd2, deletes: soft, deleted_at: gone }\n`,
    [
      'job.yaml:7:27: load.a.scd2: goes with mode scd2, not merge',
      'job.yaml:8:14: load.b.mode: postgres knows merge, not replace',
      'job.yaml:8:32: load.b.compare: has no meaning in mode replace; take it away',
      'job.yaml:9:14: load.c.mode: postgres knows merge, not partition',
      'job.yaml:9:51: load.c.ignore: has no meaning in mode partition; take it away',
      'job.yaml:10:14: load.d.mode: postgres knows merge, not scd2',
      'job.yaml:10:47: load.d.deleted_at: goes with mode merge and deletes: soft',
    ],
  ],
  [
    'a key that has a column twice',
    `${HEAD}extract:\n  m: { from: legacy, table: t }\nload:\n  x: { to: legacy, from: m, key: [id, ID] }\n`,
    ['job.yaml:6:34: load.x.key: names one twice; found ["id", "ID"]'],
  ],
  [
    'a table without a name',
    `${HEAD}extract:\n  m: { from: legacy, table: t }\nload:\n  "": { to: legacy, from: m, key: id }\n`,
    ['job.yaml:6:3: load: a table needs a name'],
  ],
  [
    'a second document',
    `${HEAD}---\na: 1\n`,
    ['job.yaml:3:1: a second document begins here (---): a file is one'],
  ],
  [
    'a tag, an anchor that is not there, and keys that are one text',
    `${HEAD}vars: { a: !vault x, b: *none, 1: x, "1": y, c: !!timestamp 2026-01-31 }\n? [d]\n: e\n`,
    [
      'job.yaml:3:12: Unresolved tag: !vault: a tag means nothing here; a value from elsewhere is a reference, such as ${NAME}',
      'job.yaml:3:25: there is no &none before *none',
      'job.yaml:3:38: the key 1 stands there twice',
      'job.yaml:3:49: Unresolved tag: tag:yaml.org,2002:timestamp: a tag means nothing here; a value from elsewhere is a reference, such as ${NAME}',
      'job.yaml:4:3: expected a text for a key',
    ],
  ],
  [
    'an alias that comes back to where it stands',
    `${HEAD}extract: { m: { from: legacy, table: t, columns: &v { x: *v } }, n: { <<: [*v, 5] } }\n`,
    [
      'job.yaml:3:58: *v stands within &v, which it is: that would have no end',
      'job.yaml:3:71: extract.n: << needs a mapping, or a list of them: *NAME of an anchor &NAME',
    ],
  ],
  [
    'a variable that is rounded, or that another is to SQL',
    `${HEAD}vars: { id: 9007199254740993, a: 1, A: 2, RUN_AT: x, last_values: y }\n`,
    [
      'job.yaml:3:13: vars.id: expected a number of at most 15 digits; one that has more is exact in quotes: "9007199254740993"; found 9007199254740992',
      'job.yaml:3:40: vars.A: expected another name: a is the same to SQL; found 2',
      'job.yaml:3:51: vars.RUN_AT: expected another name: run_at is the run\'s own time; found "x"',
      'job.yaml:3:67: vars.last_values: expected another name: last_values is what checks gave in the last run; found "y"',
    ],
  ],
  [
    'a variable that is not set',
    'job: j\nconnections:\n  legacy: ${NOPE}\n',
    [
      'job.yaml:3:11: connections.legacy: environment variable NOPE is not set: export it, or give a default, ${NOPE:-default}',
    ],
  ],
  [
    'an unknown scheme',
    'job: j\nconnections: { a: "postgrs://u:pw@h/d" }\n',
    [
      'job.yaml:2:19: connections.a: no connector for scheme "postgrs"; did you mean "postgres"?; known schemes: postgres, postgresql, http, https',
    ],
  ],
  [
    'a value from a variable shows the variable',
    `${HEAD}load: { x: { to: legacy, from: m, key: a, mode: "\${LEGACY}" } }\n`,
    ['job.yaml:3:49: load.x.mode: expected append, merge, replace, partition, scd2; found "${LEGACY}"'],
  ],
  [
    'a parameter where the connector has none',
    `${HEAD}extract:\n  m: { from: legacy, table: t, incremental: { column: a, param: s } }\n`,
    ['job.yaml:4:58: extract.m.incremental.param: a postgres connection takes no parameter'],
  ],
]
for (const [name, yaml, messages] of bad)
  test(`refuses ${name}`, async () => {
    const path = await folder(yaml)
    await assert.rejects(loadJob(path, ENV, { registry }), (error: unknown) => {
      assert.ok(error instanceof EngineError)
      assert.equal(error.code, 'CONFIG_INVALID')
      assert.deepEqual(
        error.message.split('\n'),
        messages.map(message => join(path, message)),
      )
      return true
    })
  })

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

test('what SQL needs of a job tells of an extract with one wrong value once, too', async () => {
  const path = await folder(
    'job: j\nextract: { m: { key: id, incremental: { column: a, lag: 0.5 } } }\nload: { m: { to: dw, from: m } }\nconnections: { dw: "duckdb:x" }\n',
  )
  const { faults } = await draftOutline(path, () => [])
  assert.deepEqual(
    faults.map(({ message }) => message.split(':')[0]),
    ['extract.m.incremental.lag'],
  )
})
