import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { duckdb, TARGETS } from './openTargets.ts'
import { smallJob } from './small.ts'

for (const [kind, open] of Object.entries(TARGETS))
  test(`${kind}: columns that a table lacks are added, as the plan says; schema: manual names them all`, async t => {
    const job = await smallJob(t, `shape_${kind}`, {})
    const { url, query } = await open(t, job.home)
    const yaml = (schema: string, columns: string) =>
      job.yaml(`connections: { s: "file:in", w: "${url}" }
extract: { t: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT${columns} } } }
load: { t: { to: w, from: t, key: id, deletes: hard, schema: ${schema}, guard: { max_delete_share: 1 } } }
resources: { memory: 300MB, threads: 1 }
`)
    const file = (text: string) => writeFileSync(join(job.folder, 'in/t.csv'), text)
    mkdirSync(join(job.folder, 'in'))
    yaml('manual', ', a: VARCHAR')
    file('id,a\n1,x\n2,y\n3,z\n')
    assert.equal((await job.run()).error, undefined)

    file('id,a,b,c\n1,x,5,\n2,y,,2026-01-01\n')
    yaml('manual', ', a: VARCHAR, b: INTEGER, c: DATE')
    const refused = (await job.run({ fresh: true })).error as Error & { code: string; hint: string }
    assert.equal(refused.code, 'TARGET_INCOMPATIBLE')
    assert.match(refused.message, /has no column b; .*has no column c/)
    if (kind !== 'lake') assert.match(refused.hint, /ADD COLUMN .b. .*ADD COLUMN .c. /)
    assert.match(refused.hint, /With schema: apply-safe in load\.t the load does what is needed itself\.$/)

    yaml('apply-safe', ', a: VARCHAR, b: INTEGER, c: DATE')
    const { previews } = (await job.run({ fresh: true, goal: 'plan' })).outcome
    assert.match(
      previews[0]!.notes.join('\n'),
      /columns have changed[\s\S]*ADD COLUMN .b.[\s\S]*ADD COLUMN .c./,
    )
    const { inserts, updates, deletes } = previews[0]!.counts
    assert.deepEqual([inserts, updates, deletes], [0, 2, 1])
    const { error, outcome } = await job.run({ fresh: true })
    assert.equal(error, undefined)
    const [{ inserted, updated, deleted } = { inserted: -1, updated: -1, deleted: -1 }] = outcome.loaded
    assert.deepEqual([inserted, updated, deleted], [0, 2, 1])
    const text = kind === 'mariadb' ? 'CAST(c AS CHAR)' : 'CAST(c AS VARCHAR)'
    const rows = await query(`SELECT id, a, b, ${text} AS c FROM t ORDER BY id`)
    assert.deepEqual(
      rows.map(({ id, a, b, c }) => [Number(id), a, b, c]),
      [
        [1, 'x', 5, null],
        [2, 'y', null, '2026-01-01'],
      ],
    )
    const after = await job.run()
    assert.deepEqual([after.error, after.outcome.loaded[0]!.reason], [undefined, undefined])
  })

for (const [kind, open] of Object.entries(TARGETS))
  test(`${kind}: numbers are loaded into a table whose key is of texts, as they are written`, async t => {
    const job = await smallJob(t, `texts_${kind}`, {})
    const { url, query } = await open(t, job.home)
    job.yaml(`connections: { s: "file:in", w: "${url}" }
extract: { n: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT, v: BIGINT } } }
load: { t: { to: w, from: m, key: id } }
resources: { memory: 300MB, threads: 1 }
`)
    const model = (id: string) =>
      writeFileSync(join(job.folder, 'models/m.sql'), `SELECT ${id} AS id, v FROM n`)
    for (const folder of ['in', 'models']) mkdirSync(join(job.folder, folder))
    const night = async (rows: string) => {
      writeFileSync(join(job.folder, 'in/t.csv'), `id,v\n${rows}`)
      const { error, outcome } = await job.run()
      assert.equal(error, undefined)
      const { inserted, updated, deleted } = outcome.loaded[0]!
      return [inserted, updated, deleted]
    }
    model('id::VARCHAR')
    assert.deepEqual(await night('2,1\n10,1\n9,1\n'), [3, 0, 0])
    model('id')
    assert.deepEqual(await night('2,1\n10,5\n11,1\n'), [1, 1, 0])
    const rows = await query('SELECT id, v FROM t ORDER BY id')
    assert.deepEqual(
      rows.map(({ id, v }) => [id, Number(v)]),
      [
        ['10', 5],
        ['11', 1],
        ['2', 1],
        ['9', 1],
      ],
    )
  })

test('1,500 columns go into a table, verified; a server that takes fewer says how many', async t => {
  const names = Array.from({ length: 1500 }, (_, index) => `c${index}`)
  const job = await smallJob(t, 'wide', {
    'wide.sql': `SELECT id, ${names.map((name, index) => `v || '${index}' AS ${name}`).join(', ')} FROM t`,
  })
  mkdirSync(join(job.folder, 'in'))
  writeFileSync(join(job.folder, 'in/t.csv'), 'id,v\n1,a\n2,\n')
  const into = async (url: string) => {
    job.yaml(`connections: { s: "file:in", w: "${url}" }
extract: { t: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT, v: VARCHAR } } }
load: { wide: { to: w, from: wide, key: id } }
resources: { memory: 500MB, threads: 1 }
`)
    return job.run({ fresh: true })
  }
  const done = await into('duckdb:w.duckdb')
  assert.equal(done.error, undefined)
  assert.equal(done.outcome.verifications[0]!.equal, 2)
  const { error } = await into((await freshMariadb(t)).url)
  assert.match(String(error), /w\.wide: has 1501 columns, and a table of the server at most 1017/)
})

test('a history takes no run from before its last; its first load asks nothing of the table', async t => {
  const { url, query } = await freshPostgres(t)
  const job = await smallJob(t, 'clock', {
    'job.yaml': `connections: { w: "${url}" }
extract: { t: { from: w, table: t } }
load: { history: { to: w, from: t, key: id, mode: scd2 } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  await query(
    'CREATE TABLE t AS SELECT i AS id, i AS v FROM generate_series(1, 30000) AS i; ALTER TABLE t ADD PRIMARY KEY (id)',
  )
  const begun = Date.now()
  assert.equal((await job.run()).error, undefined)
  assert.ok(Date.now() - begun < 60_000, 'the square of the rows would take minutes')
  await query('UPDATE t SET v = -v WHERE id = 1')
  const { error } = await job.run({ runAt: new Date(begun - 86_400_000) })
  assert.match(
    String(error),
    /the run's time, .* lies before .*, that of run .*, which loaded this history last/,
  )
  assert.equal((await job.run({ fresh: true })).error, undefined)
  assert.deepEqual(await query('SELECT v FROM history WHERE id = 1 ORDER BY valid_from'), [
    { v: 1 },
    { v: -1 },
  ])
})

for (const [kind, open] of Object.entries(TARGETS))
  test(`${kind}: a column whose source was widened is widened with it, as the plan says`, async t => {
    const job = await smallJob(t, `wider_${kind}`, {})
    const { url, query } = await open(t, job.home)
    const yaml = (id: string, n: string, d: string) =>
      job.yaml(`connections: { s: "file:in", w: "${url}" }
extract: { t: { from: s, files: t.csv, take: all, key: id, schema: { id: ${id}, n: ${n}, d: "${d}" } } }
load: { t: { to: w, from: t, key: id } }
resources: { memory: 300MB, threads: 1 }
`)
    mkdirSync(join(job.folder, 'in'))
    const file = (text: string) => writeFileSync(join(job.folder, 'in/t.csv'), text)
    yaml('INTEGER', 'SMALLINT', 'DECIMAL(5,2)')
    file('id,n,d\n1,7,1.25\n2,,\n')
    assert.equal((await job.run()).error, undefined)
    yaml('INTEGER', 'BIGINT', 'DECIMAL(12,4)')
    file('id,n,d\n1,1099511627776,12345678.1234\n2,,\n')
    const { previews } = (await job.run({ fresh: true, goal: 'plan' })).outcome
    assert.match(previews[0]!.notes.join('\n'), /the load changes the table: .*\bn\b[\s\S]*\bd\b/)
    const { error } = await job.run({ fresh: true })
    assert.equal(error, undefined, String(error))
    const rows = await query('SELECT id, n, d FROM t ORDER BY id')
    assert.deepEqual(
      rows.map(({ id, n, d }) => [Number(id), n === null ? null : String(n), d === null ? null : String(d)]),
      [
        [1, '1099511627776', '12345678.1234'],
        [2, null, null],
      ],
    )
  })

for (const [kind, open] of Object.entries(TARGETS))
  test(`${kind}: a type that holds neither is refused, the other table is loaded; schema: evolve finds one that holds both`, async t => {
    const job = await smallJob(t, `evolve_${kind}`, {
      'in/t.csv': 'id,n,k,d\n1,7,1,2026-01-31\n2,,2,\n',
      'in/u.csv': 'id,v\n1,a\n',
    })
    const { url, query } = await open(t, job.home)
    const yaml = (load: string, columns: string) =>
      job.yaml(`connections: { s: "file:in", w: "${url}" }
defaults: { load: { ${load} } }
extract:
  t: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT, ${columns} } }
  u: { from: s, files: u.csv, take: all, key: id, schema: { id: BIGINT, v: VARCHAR } }
load: { t: { to: w, from: t, key: id }, u: { to: w, from: u, key: id } }
resources: { memory: 300MB, threads: 1 }
`)
    const text = (column: string) =>
      kind === 'mariadb' ? `CAST(${column} AS CHAR)` : `CAST(${column} AS VARCHAR)`
    const rows = async (select: string) =>
      (await query(select)).map(row =>
        Object.values(row)
          .map(value => (value === null ? '-' : String(value)))
          .join(' '),
      )
    yaml('schema: apply-safe', 'n: INTEGER, k: UINTEGER, d: DATE')
    const first = await job.run()
    assert.equal(first.error, undefined, String(first.error))

    writeFileSync(join(job.folder, 'in/t.csv'), 'id,n,k\n1,seven,-1\n2,8,4000000000\n3,9,\n')
    writeFileSync(join(job.folder, 'in/u.csv'), 'id,v\n1,b\n2,c\n')
    yaml('schema: apply-safe', 'n: VARCHAR, k: BIGINT')
    const { error, outcome } = await job.run({ fresh: true })
    const refused = error as Error & { code: string; hint: string }
    // What text a column of text may get is for each row to say.
    assert.equal(refused.code, 'TARGET_INCOMPATIBLE', String(error))
    assert.match(refused.message, /w\.t\.n: VARCHAR does not fit/)
    assert.match(refused.hint, /With schema: evolve in load\.t the load does what is needed itself\.$/)
    assert.deepEqual(
      outcome.loaded.map(({ table, inserted, updated }) => [table, inserted, updated]),
      [['u', 1, 1]],
    )
    assert.deepEqual(await rows('SELECT v FROM u ORDER BY id'), ['b', 'c'])
    assert.deepEqual(await rows(`SELECT id, n, k, ${text('d')} FROM t ORDER BY id`), [
      '1 7 1 2026-01-31',
      '2 - 2 -',
    ])

    yaml('schema: evolve', 'n: VARCHAR, k: BIGINT')
    const planned = (await job.run({ fresh: true, goal: 'plan' })).outcome.previews
    assert.match(
      planned[0]!.notes.join('\n'),
      /the load changes the table: .*\bn\b[\s\S]*t has no column d any more/,
    )
    const done = await job.run({ fresh: true })
    assert.equal(done.error, undefined, String(done.error))
    assert.deepEqual(await rows(`SELECT id, n, k FROM t ORDER BY id`), [
      '1 seven -1',
      '2 8 4000000000',
      '3 9 -',
    ])
    if (kind !== 'lake')
      assert.deepEqual(await rows(`SELECT ${text('d')} FROM t ORDER BY id`), ['2026-01-31', '-', '-'])
    const after = await job.run()
    assert.deepEqual(
      [after.error, after.outcome.loaded.map(({ reason, staged }) => [reason, staged])],
      [
        undefined,
        [
          [undefined, 0],
          [undefined, 0],
        ],
      ],
    )

    // Numbers again: text holds them.
    yaml('schema: apply-safe', 'n: INTEGER, k: BIGINT')
    writeFileSync(join(job.folder, 'in/t.csv'), 'id,n,k\n1,71,-1\n2,8,4000000000\n3,9,\n')
    const back = await job.run()
    assert.equal(back.error, undefined, String(back.error))
    assert.deepEqual(await rows('SELECT n FROM t ORDER BY id'), ['71', '8', '9'])
  })

test('a table that is refused is loaded once it is changed by hand', async t => {
  const job = await smallJob(t, 'by_hand', { 'in/t.csv': 'id,n\n1,1.5\n', 'in/u.csv': 'id,v\n1,a\n' })
  const { url, query } = await duckdb(t, job.home)
  await query('CREATE TABLE t (id BIGINT PRIMARY KEY, n BLOB)')
  job.yaml(`connections: { s: "file:in", w: "${url}" }
extract:
  t: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT, n: DOUBLE } }
  u: { from: s, files: u.csv, take: all, key: id, schema: { id: BIGINT, v: VARCHAR } }
load: { t: { to: w, from: t, key: id }, u: { to: w, from: u, key: id } }
resources: { memory: 300MB, threads: 1 }
`)
  const first = await job.run()
  assert.match(String(first.error), /w\.t\.n: DOUBLE does not fit BLOB exactly/)
  assert.deepEqual(
    first.outcome.loaded.map(({ table }) => table),
    ['u'],
  )
  await query('ALTER TABLE t ALTER COLUMN n TYPE DOUBLE USING NULL')
  const second = await job.run({ fresh: true })
  assert.equal(second.error, undefined, String(second.error))
  assert.deepEqual(await query('SELECT n FROM t'), [{ n: 1.5 }])
  const after = await job.run()
  assert.deepEqual(
    after.outcome.loaded.map(({ staged }) => staged),
    [0, 0],
  )
})
for (const [kind, open] of Object.entries(TARGETS).filter(([kind]) => kind !== 'lake'))
  test(`${kind}: a column that was taken from a table stops the loads that cannot give rows its values again, until it is there`, async t => {
    const job = await smallJob(t, `lacked_${kind}`, {})
    const { url, query } = await open(t, job.home)
    const tables = { appended: 'mode: append', kept: 'insert_only: [v]', history: 'mode: scd2' }
    const load = (name: string, mode: string) => `  ${name}: { to: w, from: t, key: id, ${mode} }`
    const yaml = (names: string[]) =>
      job.yaml(`connections: { s: "file:in", w: "${url}" }
extract: { t: { from: s, files: t.csv, take: all, key: id, schema: { id: BIGINT, v: VARCHAR } } }
load:
${Object.entries(tables)
  .filter(([name]) => names.includes(name))
  .map(([name, mode]) => load(name, mode))
  .join('\n')}
resources: { memory: 300MB, threads: 1 }
`)
    mkdirSync(join(job.folder, 'in'))
    writeFileSync(join(job.folder, 'in/t.csv'), 'id,v\n1,a\n2,b\n')
    const all = Object.keys(tables)
    yaml(all)
    assert.equal((await job.run()).error, undefined)
    for (const name of all) await query(`ALTER TABLE ${name} RENAME COLUMN v TO formerly`)
    for (const name of all) {
      yaml([name])
      const refused = (await job.run({ fresh: true })).error as Error & { code: string; hint: string }
      assert.equal(refused.code, 'TARGET_INCOMPATIBLE')
      assert.match(
        refused.message,
        new RegExp(
          `^w\\.${name}: has no column v, which run .* loaded: .*cannot give the rows that are there`,
        ),
      )
      await query(/To go on without those values: (ALTER TABLE .*;)$/.exec(refused.hint)![1]!)
    }
    yaml(all)
    const { error, outcome } = await job.run({ fresh: true })
    assert.equal(error, undefined)
    assert.deepEqual(
      outcome.loaded.map(({ inserted }) => inserted),
      [0, 0, 2],
    )
  })
