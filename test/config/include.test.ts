// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of job.yaml, not of this file
/** `include:`: what jobs share, below what each says itself; every fault has the file and the line where it stands. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { isGenerated } from '../../engine/sql/parse.ts'
import { neededVariables } from '../../src/alerts/needs.ts'
import { readAlertsAlone } from '../../src/config/alertsAlone.ts'
import { loadJob } from '../../src/config/load.ts'
import { readOutline } from '../../src/config/outline.ts'

const root = mkdtempSync(join(tmpdir(), 'include-'))
after(() => rmSync(root, { recursive: true }))
let made = 0

/** A job's folder `jobs/orders` in a project with these files. */
function project(files: Record<string, string>): string {
  const place = join(root, `${++made}`)
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(place, file)), { recursive: true })
    writeFileSync(join(place, file), text)
  }
  return join(place, 'jobs/orders')
}

/** The faults of a job, without the place of this machine. */
async function faults(folder: string, env: Record<string, string> = {}): Promise<string[]> {
  const error = await loadJob(folder, env).then(
    () => assert.fail('it is valid'),
    (error: Error) => error,
  )
  return error.message.replaceAll(join(folder, '../..'), '').split('\n')
}

const SHARED = `connections: { shop: "\${SHOP_URL}", dw: "duckdb:dw.duckdb" }
defaults: { extract: { from: shop }, load: { to: dw, mode: merge } }
vars: { region: emea, rate: 2 }
extract:
  customers: { key: id }
alerts: { channels: { ops: { command: cat } } }
`
const JOB = `job: orders
include: ../../shared/shop.yaml
vars: { rate: 3 }
alerts: { on: { failure: ops } }
extract:
  orders: { key: id }
  customers:
load:
  orders: { from: orders }
  customers: { from: customers, mode: replace }
`
const ENV = { SHOP_URL: 'postgres://me:s3cret@host/shop' }

test('a default that means nothing in the mode of a load is for the others', async () => {
  const folder = project({
    'jobs/orders/job.yaml': `job: a
connections: { shop: "postgres://h/s", dw: "postgres://h/d" }
defaults: { load: { to: dw, from: x, ignore: [at], scd2: { valid_from: von }, deletes: soft, deleted_at: gone, batch_rows: 5 } }
extract: { x: { from: shop, key: id } }
load: { a: {}, b: { mode: replace }, c: { mode: scd2, deletes: keep }, d: { deletes: keep } }
`,
  })
  const { loads } = await loadJob(folder, {})
  assert.deepEqual(
    loads.map(({ table, ignore, scd2, deletes, deletedAt, batchRows }) => [
      table,
      ignore.length,
      scd2.validFrom,
      deletes,
      deletedAt,
      batchRows,
    ]),
    [
      ['a', 1, 'valid_from', 'soft', 'gone', 5],
      ['b', 0, 'valid_from', 'keep', undefined, undefined],
      ['c', 1, 'von', 'keep', undefined, 5],
      ['d', 1, 'valid_from', 'keep', undefined, 5],
    ],
  )
})

test('mappings are put together, and what the job says itself holds', async () => {
  const folder = project({ 'jobs/orders/job.yaml': JOB, 'shared/shop.yaml': SHARED })
  const job = await loadJob(folder, ENV)
  assert.deepEqual(job.vars, { region: 'emea', rate: 3 })
  assert.deepEqual(
    job.extracts.map(({ name, from, key }) => ({ name, from, key })),
    [
      { name: 'customers', from: 'shop', key: ['id'] },
      { name: 'orders', from: 'shop', key: ['id'] },
    ],
  )
  assert.deepEqual(
    job.loads.map(({ table, to, mode }) => ({ table, to, mode })),
    [
      { table: 'orders', to: 'dw', mode: 'merge' },
      { table: 'customers', to: 'dw', mode: 'replace' },
    ],
  )
  assert.ok(job.secrets.includes('s3cret'))
  assert.deepEqual((await readOutline(folder, () => [])).vars, job.vars)
})

test('a change of what is included is a change of the job; its variables are needed, its alerts told', async () => {
  const files = { 'jobs/orders/job.yaml': JOB, 'shared/shop.yaml': SHARED }
  const before = await loadJob(project(files), ENV)
  const folder = project({ ...files, 'shared/shop.yaml': `${SHARED}# changed\n` })
  const later = await loadJob(folder, ENV)
  assert.notEqual(later.hash, before.hash)
  assert.ok(later.files['../../shared/shop.yaml'])
  assert.deepEqual(neededVariables({ folder, env: ENV }), ['SHOP_URL'])
  assert.deepEqual(Object.keys((await readAlertsAlone(folder, root, {})).alerts?.channels ?? {}), ['ops'])
})

test('of several files the later one holds; those that they include come before them, and each once', async () => {
  const folder = project({
    'jobs/orders/job.yaml': JOB.replace('include: ../../shared/shop.yaml', 'include: [../a.yaml, ../b.yaml]'),
    'jobs/a.yaml': `include: base.yaml\nvars: { region: a }\n${SHARED.replace(/vars: .*\n/, '')}`,
    'jobs/b.yaml': 'include: [base.yaml]\nvars: { zone: b }\n',
    'jobs/base.yaml': 'vars: { region: base, zone: base, only: 1 }\n',
  })
  const { vars } = await loadJob(folder, ENV)
  assert.deepEqual(vars, { region: 'a', zone: 'b', only: 1, rate: 3 })
})

test('every fault is told where it stands, in whichever file, and no secret with it', async () => {
  const job = (shared: string, own = JOB) =>
    project({ 'jobs/orders/job.yaml': own, 'shared/shop.yaml': shared })
  assert.deepEqual(
    await faults(
      job(`${SHARED}quality: { max_error_rate: 5 }\n`, `${JOB}resources: { memory: lots }\n`),
      ENV,
    ),
    [
      '/jobs/orders/job.yaml:11:22: resources.memory: expected a size such as 512MB or 1GB; found "lots"',
      '/shared/shop.yaml:7:28: quality.max_error_rate: expected a number from 0 to 1; found 5',
    ],
  )
  assert.match(
    (await faults(job(SHARED.replace('key: id', 'kee: id')), ENV))[0]!,
    /^\/shared\/shop\.yaml:5:16: .*"kee".*; did you mean "key"/,
  )
  assert.match((await faults(job(SHARED)))[0]!, /^\/shared\/shop\.yaml:1:\d+: .*SHOP_URL is not set/)
  assert.match(
    (await faults(job(`job: x\n${SHARED}`), ENV))[0]!,
    /^\/shared\/shop\.yaml:1:1: job: each job has a name/,
  )
  assert.match((await faults(job('a: [', JOB), ENV))[0]!, /^\/shared\/shop\.yaml:1:/)
  assert.deepEqual(await faults(job(SHARED, JOB.replace('shop.yaml', 'shp.yaml')), ENV), [
    '/jobs/orders/job.yaml:2:10: include: ../../shared/shp.yaml cannot be read; its path starts at the folder of this file',
  ])
  assert.match(
    (await faults(job(`include: shop.yaml\n${SHARED}`), ENV))[0]!,
    /^\/shared\/shop\.yaml:1:10: include: shop\.yaml includes itself/,
  )
  assert.match(
    (await faults(job(SHARED, JOB.replace(/include: .*/, 'include: 7')), ENV))[0]!,
    /job\.yaml:2:10: include: expected/,
  )
})

test('what would include nothing, or hold against the order in which it is named, is refused', async () => {
  const fault = async (own: string, files: Record<string, string> = {}) =>
    (
      await faults(
        project({
          'shared/shop.yaml': SHARED,
          ...files,
          'jobs/orders/job.yaml': JOB.replace(/include: .*/, own),
        }),
        { ...ENV, ROOT: '/shared' },
      )
    )[0]!
  for (const [text, holds] of [
    ['- shop\n', 'a list'],
    ['shop\n', 'a text'],
    ['# nothing yet\n', 'nothing'],
  ])
    assert.equal(
      await fault('include: ../../shared/shop.yaml', { 'shared/shop.yaml': text! }),
      `/shared/shop.yaml:1:1: an included file holds keys, as job.yaml does: vars: { region: emea }; found ${holds}`,
    )
  assert.match(
    await fault('include: ${ROOT}/shop.yaml'),
    /job\.yaml:2:10: include: \$\{ROOT\}\/shop\.yaml takes its place from a variable, .* write the path itself/,
  )
  assert.match(await fault('include: [[../../shared/shop.yaml]]'), /job\.yaml:2:11: include: expected a file/)
  assert.match(
    await fault('include: ../../shared/shop.yaml', { 'shared/shop.yaml': `include: 7\n${SHARED}` }),
    /shared\/shop\.yaml:1:10: include: expected a file/,
  )
  const chain = { 'jobs/a.yaml': SHARED, 'jobs/b.yaml': 'include: a.yaml\nvars: { region: b }\n' }
  assert.match(
    await fault('include: [../b.yaml, ../a.yaml]', chain),
    /job\.yaml:2:22: include: \.\.\/a\.yaml would hold over \.\.\/b\.yaml, which includes it: name it before, or leave it out/,
  )
  assert.match(
    await fault('include: [../b.yaml, ../b.yaml]', chain),
    /job\.yaml:2:22: include: .* is named twice/,
  )
})

test('paths of a connection start at the file that says its URL, as in connections.yaml', async () => {
  const folder = project({ 'jobs/orders/job.yaml': JOB, 'shared/shop.yaml': SHARED })
  const { connections } = await loadJob(folder, ENV)
  assert.equal(connections.dw!.context.baseDir, join(folder, '../../shared'))
  const own = JOB.replace('vars:', 'connections: { dw: "duckdb:dw.duckdb" }\nvars:')
  const mine = project({ 'jobs/orders/job.yaml': own, 'shared/shop.yaml': SHARED })
  assert.equal((await loadJob(mine, ENV)).connections.dw!.context.baseDir, mine)
  const [first, other] = await Promise.all([
    readOutline(folder, () => []),
    readOutline(join(folder), () => []),
  ])
  assert.equal(first.identities.dw, `duckdb:${join(folder, '../../shared/dw.duckdb')}`)
  assert.equal(first.identities.dw, other.identities.dw)
})

test('checks and loads that an included file says are told with its line', async () => {
  const more = `${SHARED}checks:
  customers:
    id: [not_null, unique]
    rows: { min: 1 }
load:
  bad: { from: customers, key: nowhere }
`
  const folder = project({ 'jobs/orders/job.yaml': JOB, 'shared/shop.yaml': more })
  const { checks, places } = await loadJob(folder, ENV)
  assert.deepEqual(
    checks.map(({ file }) => file),
    [
      '../../shared/shop.yaml:9: checks.customers.id.not_null',
      '../../shared/shop.yaml:9: checks.customers.id.unique',
      '../../shared/shop.yaml:10: checks.customers.rows',
    ],
  )
  assert.ok(checks.every(({ file }) => isGenerated(file)))
  const { file, place } = places['load.bad']!
  assert.deepEqual([file, place.line], ['../../shared/shop.yaml', 12])
  assert.deepEqual(places['load.orders']!.file, 'job.yaml')
})

test('an anchor or a merged mapping may say what is included', async () => {
  const path = '../../shared/shop.yaml'
  for (const head of [
    `vars: { rate: 3, at: &shared ${path} }\ninclude: *shared\n`,
    `vars: { rate: 3, at: &shared ${path} }\ninclude: [*shared]\n`,
    `<<: { include: ${path} }\nvars: { rate: 3 }\n`,
  ]) {
    const own = JOB.replace(/include: .*\nvars: .*\n/, head)
    const job = await loadJob(project({ 'jobs/orders/job.yaml': own, 'shared/shop.yaml': SHARED }), ENV)
    assert.equal(job.vars.region, 'emea')
  }
})

test('where a file is missing, its job is still told of as far as the others and the job itself say', async () => {
  const own = 'alerts: { channels: { own: { command: cat } }, on: { failure: own } }'
  const alone = async (job: string) => {
    const folder = project({ 'jobs/orders/job.yaml': job, 'shared/shop.yaml': SHARED })
    return {
      channels: Object.keys((await readAlertsAlone(folder, root, {})).alerts?.channels ?? {}),
      needs: neededVariables({ folder, env: ENV }),
    }
  }
  assert.deepEqual(await alone(`job: orders\ninclude: ../gone.yaml\n${own}\n`), {
    channels: ['own'],
    needs: [],
  })
  assert.deepEqual(
    await alone(
      `job: orders\ninclude: [../gone.yaml, ../../shared/shop.yaml]\nalerts: { on: { failure: ops } }\n`,
    ),
    { channels: ['ops'], needs: ['SHOP_URL'] },
  )
})

test('an environment is one however job.yaml says it: by an alias, a merge, or in an included file', async () => {
  const dev = 'dev: { targets: { dw: "duckdb:dev.duckdb" } }'
  for (const environments of [
    `environments: { ${dev} }`,
    `<<: { environments: { ${dev} } }`,
    `<<: { environments: &e { ${dev} } }\nenvironments: *e`,
    `environments: { <<: { ${dev} } }`,
    `include: ../../shared/e.yaml`,
  ]) {
    const folder = project({
      'jobs/orders/job.yaml': `job: o\nconnections: { dw: "duckdb:dw.duckdb" }\nload: { a: { to: dw, from: a, key: id } }\n${environments}\n`,
      'jobs/orders/a.sql': 'SELECT 1 AS id',
      'jobs/orders/.env.dev': 'A=1\n',
      'shared/e.yaml': `environments: { <<: { ${dev} } }`,
    })
    const { environment, connections } = await loadJob(folder, { NIGHTFREIGHT_ENV: 'dev' })
    assert.equal(environment, 'dev', environments)
    assert.match(JSON.stringify(connections.dw!.config), /dev\.duckdb/)
  }
})

test('of the connections that are shared, those that the job uses are read, whatever they are written by', async () => {
  const folder = (connections: string) =>
    project({
      'jobs/orders/job.yaml': 'job: o\nextract: { a: { from: shop } }\n',
      'jobs/connections.yaml': `connections:\n  ${connections.replaceAll('\n', '\n  ')}\n`,
    })
  const shop = async (connections: string) => {
    const { connections: found } = await loadJob(folder(connections), { P: 's3cret' })
    assert.deepEqual(Object.keys(found), ['shop'])
    return found.shop!.config as { url: string; password?: string }
  }
  const base = 'base: &base { url: "postgres://h/db", password: "${P}" }'
  assert.equal((await shop(`${base}\nshop: { <<: *base, user: me }`)).password, 's3cret')
  assert.equal(
    (await shop(`<<: { shop: { url: "postgres://u@h/db" }, lake: "\${NOBODY}" }`)).password,
    undefined,
  )
  // A reference may stand unquoted within braces, and is another's to give.
  assert.equal(
    (await shop('dw: { url: "postgres://h/x", password: ${NOBODY} }\nshop: postgres://u@h/db')).password,
    undefined,
  )
  assert.deepEqual(await faults(folder('dw: { url: "postgres://h/x", password: ${NOBODY} }\nshp: ${P}')), [
    '/jobs/orders/job.yaml:2:23: extract.a.from: no connection "shop"; did you mean "shp"?',
  ])
})

test('a reference in an anchor is resolved where it is used, and only there', async () => {
  const folder = project({
    'jobs/orders/job.yaml': `job: o
environments: { other: { targets: { shop: &shop { url: "postgres://u@h/db", password: "\${P}" }, dw: "\${NOBODY}" } } }
connections: { shop: *shop }
`,
  })
  const { connections } = await loadJob(folder, { P: 's3cret' })
  assert.equal((connections.shop!.config as { password: string }).password, 's3cret')
  assert.deepEqual(await faults(folder), [
    '/jobs/orders/job.yaml:2:87: connections.shop.password: environment variable P is not set: export it, or give a default, ${P:-default}',
  ])
})

test('alerts of a job that is not valid are its own, also by an alias, a merge or unquoted references', async () => {
  for (const alerts of [
    'vars: { c: &c { ops: { command: cat } } }\nalerts: { channels: *c, on: { failure: ops } }',
    'vars: { ops: &o { command: cat } }\nalerts: { channels: { <<: { ops: *o } }, on: { failure: ops } }',
    'alerts: { channels: { ops: { webhook: ${HOOK:-http://h/"x"} } } }',
  ]) {
    const folder = project({ 'jobs/orders/job.yaml': `${alerts}\nload: !x [\n` })
    assert.deepEqual(
      Object.keys((await readAlertsAlone(folder, root, {})).alerts?.channels ?? {}),
      ['ops'],
      alerts,
    )
  }
})
