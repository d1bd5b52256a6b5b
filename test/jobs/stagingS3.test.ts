import assert from 'node:assert/strict'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { atomicWrite } from '../../engine/staging/store.ts'
import { createLog } from '../../src/cli/log.ts'
import { openMetadata } from '../../src/metadata/open.ts'
import { workplaceOf } from '../../src/runs/environment.ts'
import { collectGarbage } from '../../src/runs/gc.ts'
import { openStaging } from '../../src/runs/staging.ts'
import type { BucketStaging } from '../../src/stores/staging.ts'
import { startS3 } from '../s3.ts'
import { freshPostgres } from '../servers.ts'
import { notesInto, smallJob } from './small.ts'

const server = await startS3()
after(() => server.stop())
await server.bucket('staging')
const { url, query } = await freshPostgres()

const location = (prefix: string, more = '') =>
  `s3://test:test@staging/${prefix}?endpoint=${server.endpoint}${more}`

/** A job of one incremental table whose runs keep what they stage in a bucket. */
async function job(name: string, more = '') {
  await query(`CREATE TABLE ${name} (id int PRIMARY KEY, n int, seen int NOT NULL);
    INSERT INTO ${name} SELECT i, i, i FROM generate_series(1, 50) AS i`)
  const made = await smallJob({ after }, name, {
    'job.yaml': `connections: { db: "${url}" }
extract: { items: { from: db, table: ${name}, key: id, incremental: { column: seen } } }
load: { ${name}_out: { to: db, from: out, key: id } }
resources: { memory: 300MB, threads: 1 }
retries: { limit: 0 }
`,
    'out.sql': 'SELECT id, n, (SELECT count(*) FROM items)::INTEGER AS seen FROM items',
  })
  const env = { STAGING_URL: location(name, more) }
  const machine = (letter: string) => ({ env, home: join(made.home, letter) })
  return {
    made,
    env,
    machine,
    lose: (letter: string) => rmSync(join(made.home, letter), { recursive: true }),
  }
}

const sum = async (table: string) =>
  (await query<{ n: number; ids: number }>(`SELECT sum(n)::int AS n, count(*)::int AS ids FROM ${table}`))[0]!

for (const until of ['plan', 'extract.db', 'model.out', 'diff.%_out'])
  test(`begun on one machine up to ${until}, whose disk is lost; the other goes on with the bucket alone`, async () => {
    const name = `moved_${until.replace(/\W/g, '_')}`.toLowerCase()
    const { made, machine, lose } = await job(name)
    const first = await made.run({ ...machine('a'), until: until.replace('%', name) })
    assert.equal(first.error, undefined)
    lose('a')
    const second = await made.run({ ...machine('b'), resume: first.run })
    assert.equal(second.error, undefined)
    assert.deepEqual(await sum(`${name}_out`), { n: 1275, ids: 50 })
    // The next night builds on images and states that this machine never had.
    await query(`UPDATE ${name} SET n = 0, seen = 51 WHERE id = 50; DELETE FROM ${name} WHERE id = 1`)
    lose('b')
    const night = await made.run(machine('c'))
    assert.equal(night.error, undefined)
    assert.equal(night.outcome.extracted[0]!.rows, 1, 'from the watermark on')
    assert.deepEqual(night.outcome.changes[0]!.counts.updates, 1)
    assert.deepEqual(await sum(`${name}_out`), { n: 1225, ids: 50 })
  })

test('a manifest that another machine took back is believed by none: a table that was refused is loaded by the next run', async t => {
  const { query: source, url: shop } = await freshPostgres(t)
  const { query: target, url: dw } = await freshPostgres(t)
  await source(`CREATE TABLE kept (id int PRIMARY KEY); CREATE TABLE refused (id int PRIMARY KEY);
    INSERT INTO kept VALUES (1), (2); INSERT INTO refused VALUES (1), (2), (3)`)
  const made = await smallJob(t, 'taken_back', {
    'job.yaml': `connections: { shop: "${shop}", dw: "${dw}" }
extract: { "*": { from: shop } }
load: { "out_*": { to: dw, from: "*", deletes: hard, guard: { max_delete_share: 1 } } }
resources: { threads: 1 }
`,
  })
  const machine = (letter: string) => ({
    env: { STAGING_URL: location('taken_back') },
    home: join(made.home, letter),
  })
  assert.equal((await made.run(machine('a'))).error, undefined)
  await source('DELETE FROM refused WHERE id = 1; DELETE FROM kept WHERE id = 1')
  await target(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
    CREATE TRIGGER refuse BEFORE DELETE ON out_refused EXECUTE FUNCTION refuse()`)
  const { run } = await made.run({ ...machine('a'), until: 'diff.out_refused' })
  const state = join(made.home, 'a/staging/taken_back', run, 'state/out_refused.json')
  assert.ok(existsSync(state), 'compared here')
  const resumed = await made.run({ ...machine('b'), resume: run })
  assert.match((resumed.error as Error).message, /not now/)
  assert.ok(existsSync(state), 'only the bucket was told')
  await target('DROP TRIGGER refuse ON out_refused')
  assert.equal((await made.run(machine('a'))).error, undefined)
  assert.deepEqual(await target('SELECT id FROM out_refused ORDER BY id'), [{ id: 2 }, { id: 3 }])
  assert.deepEqual(await target('SELECT id FROM out_kept'), [{ id: 2 }])
})

test('a manifest of a bucket of the same name on another server was not taken back there', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nf-servers-'))
  after(() => rmSync(folder, { recursive: true }))
  const file = 'j/r/state/x.json'
  const read = async (url: string) => {
    const staging = openStaging(url, folder)!
    try {
      return await staging.readUnshared(file)
    } finally {
      staging.close()
    }
  }
  const staging = openStaging(location('servers'), folder)!
  await staging.publish([{ file, content: { parts: [], of: 'first server' } }])
  staging.close()
  assert.equal(await read(location('servers')), undefined)
  const endpoint = server.endpoint.replace('//', '//somebody:hidden@')
  assert.equal(
    await read(`s3://test:test@staging/servers?endpoint=${endpoint}/`),
    undefined,
    'the same server',
  )
  const moved = await read('s3://test:test@staging/servers?endpoint=http://elsewhere.example:9000')
  assert.match(moved!, /first server/)
  assert.match(moved!, new RegExp(`"bucket": "${server.endpoint}/staging/servers"`))
})

test('a home that had no bucket brings into it what its images still list', async () => {
  const { made, machine, lose } = await job('brought')
  const alone = { ...machine('a'), env: {} }
  const nextNight = (night: number) =>
    query(`UPDATE brought SET n = 0, seen = ${50 + night} WHERE id = ${night}`)
  for (const night of [1, 2]) {
    assert.equal((await made.run(alone)).error, undefined)
    await nextNight(night)
  }
  const { error, outcome } = await made.run(machine('a'))
  assert.equal(error, undefined)
  assert.equal(outcome.extracted[0]!.rows, 2, 'from the watermark on')
  lose('a')
  await nextNight(3)
  const notes: string[] = []
  const elsewhere = await made.run({ ...machine('b'), progress: notesInto(notes) })
  assert.equal(elsewhere.error, undefined)
  assert.equal(elsewhere.outcome.extracted[0]!.rows, 2, notes.join('\n'))
  assert.equal(elsewhere.outcome.changes[0]!.counts.updates, 1)
  assert.deepEqual(await sum('brought_out'), { n: 1269, ids: 50 })

  const moved = { STAGING_URL: location('brought_on') }
  await nextNight(4)
  assert.equal((await made.run({ ...machine('b'), env: moved })).error, undefined)
  lose('b')
  await nextNight(5)
  const last = await made.run({ ...machine('c'), env: moved })
  assert.equal(last.outcome.extracted[0]!.rows, 2, 'from one bucket to another')
  assert.deepEqual(await sum('brought_out'), { n: 1260, ids: 50 })
})

test('an environment works on what production has in the bucket, with the tables that its globs stood for', async t => {
  const { query: read, url: source } = await freshPostgres(t)
  await read(
    'CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (3)',
  )
  const made = await smallJob(t, 'globs_apart', {
    'job.yaml': `connections: { db: "${source}", file: duckdb:production.duckdb }
environments: { dev: { targets: { file: "duckdb:dev.duckdb" } } }
extract: { "*": { from: db } }
load: { "out_*": { to: file, from: "*" } }
resources: { threads: 1 }
`,
    'both.sql': 'SELECT a.id FROM a UNION ALL SELECT b.id FROM b',
  })
  const env = { STAGING_URL: location('apart') }
  const home = join(made.home, 'machine')
  assert.equal((await made.run({ env, home })).error, undefined)
  rmSync(home, { recursive: true })
  await read('DROP TABLE a')
  const place = workplaceOf('dev', { ...env, NIGHTFREIGHT_ENV: 'dev' }, made.home)
  mkdirSync(place.home, { recursive: true })
  const metadata = await openMetadata(place.home, { now: () => new Date() }, undefined)
  t.after(() => metadata.close())
  const ran = await made.run({ ...place, metadata })
  assert.equal(ran.error, undefined)
  assert.deepEqual(ran.outcome.loaded.map(({ table, inserted }) => [table, inserted]).sort(), [
    ['out_a', 2],
    ['out_b', 1],
  ])
  // With an environment's state, production is not run.
  await assert.rejects(
    made.run({ home: place.home, metadata }),
    /is where the environment dev works, and this command works on production/,
  )
})

test('what a run commits is in the bucket before: parts packed, manifests last; gc clears both places', async () => {
  const { made, machine, env } = await job('ordered', '&compression=gzip&level=1')
  server.requests.length = 0
  const { run, error } = await made.run(machine('a'))
  assert.equal(error, undefined)
  const puts = server.requests.flatMap(line => /^PUT \/staging\/ordered\/([^?]+)/.exec(line)?.[1] ?? [])
  const last = (text: string) => puts.findLastIndex(path => path.includes(text))
  assert.ok(last('/raw/items/part-') >= 0 && last('/raw/items/part-') < last('/image/items.json'))
  assert.ok(last('/state/now/ordered_out/') < last('/state/ordered_out.json'))
  const parts = puts.filter(path => !path.endsWith('.json'))
  assert.ok(parts.length > 0 && parts.every(path => path.endsWith('.parquet.gz')), puts.join('\n'))
  assert.ok(last('/changes/ordered_out/upserts') >= 0)

  const staging = openStaging(env.STAGING_URL, join(made.home, 'b/staging'))!
  after(() => staging.close())
  const before = await staging.list(`ordered/${run}`)
  assert.ok(before.size >= 6)
  await made.run({ ...machine('a'), fresh: true })
  await made.run({ ...machine('a'), fresh: true })
  const removed = await collectGarbage({
    metadata: made.metadata,
    home: join(made.home, 'a'),
    staging: env.STAGING_URL,
    clock: { now: () => new Date(Date.now() + 1000) },
    log: createLog({ folder: made.home }),
    keepDays: 0,
    dryRun: false,
  })
  assert.deepEqual(removed.map(({ run }) => run).slice(0, 1), [run])
  const again = openStaging(env.STAGING_URL, join(made.home, 'b/staging'))!
  after(() => again.close())
  const kept = [...(await again.list(`ordered/${run}`)).keys()]
  assert.ok(
    // What the next runs found unchanged is theirs, too.
    kept.every(file => /\/(raw|state)\//.test(file)),
    kept.join('\n'),
  )
  const { error: none } = await made.run(machine('c'))
  assert.equal(none, undefined)
})

test('a job says itself how its staged files are packed; where there is no bucket, that it means nothing', async () => {
  const { made, machine, lose } = await job('packed', '&compression=zstd&level=19')
  appendFileSync(join(made.folder, 'job.yaml'), 'compression: { staging_files: gzip }\n')
  server.requests.length = 0
  const first = await made.run({ ...machine('a'), until: 'diff.packed_out' })
  assert.equal(first.error, undefined)
  const puts = server.requests.flatMap(line => /^PUT \/staging\/packed\/([^?]+)/.exec(line)?.[1] ?? [])
  const parts = puts.filter(path => path.includes('.parquet'))
  assert.ok(parts.length > 0 && parts.every(path => path.endsWith('.parquet.gz')), puts.join('\n'))
  lose('a')
  const { error } = await made.run({ ...machine('b'), resume: first.run })
  assert.equal(error, undefined)
  assert.deepEqual(await sum('packed_out'), { n: 1275, ids: 50 })
  const notes: string[] = []
  const progress = { started() {}, advanced() {}, finished() {}, note: (text: string) => notes.push(text) }
  await made.run({ progress })
  assert.deepEqual(
    notes.filter(note => note.includes('staging_files')),
    [
      'compression.staging_files: nothing is packed by gzip: STAGING_URL names no bucket, and staging on this machine is plain',
    ],
  )
})

test('a stale owner cannot put its manifest over its successor', async () => {
  const late = openStaging(location('fence'), '/nowhere', { run: 'r', fence: 1 })!
  const folder = mkdtempSync(join(tmpdir(), 'nf-fence-'))
  const next = openStaging(location('fence'), folder, { run: 'r', fence: 2 })!
  after(() => {
    late.close()
    next.close()
    rmSync(folder, { recursive: true })
  })
  await next.publish([{ file: 'j/r/image/x.json', content: { parts: [], of: 'successor' } }])
  await assert.rejects(late.publish([{ file: 'j/r/image/x.json', content: { parts: [], of: 'late' } }]), {
    code: 'FENCED',
  })
  assert.match((await late.read('j/r/image/x.json'))!, /successor/)
  // What runs have in common is the latest writer's, whatever fence another run had.
  const other = openStaging(location('fence'), folder, { run: 's', fence: 1 })!
  after(() => other.close())
  await other.publish([{ file: 'j/r/image/x.json', content: { parts: [], of: 'other run' } }])
  assert.match((await late.read('j/r/image/x.json'))!, /other run/)
  await other.withdraw('j/r/image/x.json')
  assert.equal(await late.read('j/r/image/x.json'), undefined)
})

test('a server that asks to slow down, and bodies that break, delay a run and do not fail it', async () => {
  const { made, machine, lose } = await job('slow')
  const told = new Map<string, number>()
  server.mischief = (method, path) => {
    const times = (told.get(`${method} ${path}`) ?? 0) + 1
    told.set(`${method} ${path}`, times)
    if (times > 1 || !path.includes('/raw/')) return undefined
    return method === 'PUT' ? { code: 'SlowDown', status: 503 } : method === 'GET' ? 'cut' : undefined
  }
  try {
    const first = await made.run({ ...machine('a'), until: 'model.out' })
    assert.equal(first.error, undefined)
    lose('a')
    assert.equal((await made.run({ ...machine('b'), resume: first.run })).error, undefined)
  } finally {
    server.mischief = undefined
  }
  assert.deepEqual(await sum('slow_out'), { n: 1275, ids: 50 })
})

test('a part that is nowhere is read again; a URL that is none is said', async () => {
  const { made, machine, lose, env } = await job('lost')
  const first = await made.run({ ...machine('a'), until: 'extract.db' })
  const staging = openStaging(env.STAGING_URL, join(made.home, 'b/staging'))!
  await staging.remove([...(await staging.list(`lost/${first.run}`)).keys()])
  staging.close()
  lose('a')
  const { error } = await made.run({ ...machine('b'), resume: first.run })
  assert.equal(error, undefined)
  assert.deepEqual(await sum('lost_out'), { n: 1275, ids: 50 })
  for (const [bad, says] of [
    ['s4://x', /STAGING_URL: url: expected a URL such as s3:/],
    ['s3://x?compression=lzo', /STAGING_URL: compression/],
    ['s3://x?regoin=eu', /STAGING_URL.*regoin/],
  ] as const)
    assert.throws(() => openStaging(bad, '/'), { code: 'CONFIG_INVALID', message: says })
})

test('what another process of the run has staged since its folder was listed is there', async () => {
  const [reader, writer] = ['a', 'b'].map(name => {
    const root = mkdtempSync(join(tmpdir(), `nightfreight-staging-${name}-`))
    after(() => rmSync(root, { recursive: true }))
    return { root, staging: openStaging(location('since'), root)! }
  }) as [{ root: string; staging: BucketStaging }, { root: string; staging: BucketStaging }]
  const put = async (name: string) => {
    const file = `job/run/${name}`
    await atomicWrite(join(writer.root, file), path => writeFileSync(path, name))
    await writer.staging.keep([file])
    return { file, bytes: name.length }
  }
  assert.equal(await reader.staging.bring([await put('first')]), true)
  assert.equal(await reader.staging.bring([await put('second')]), true)
  assert.equal(await reader.staging.bring([{ file: 'job/run/third', bytes: 5 }]), false)
  for (const { staging } of [reader, writer]) staging.close()
})
