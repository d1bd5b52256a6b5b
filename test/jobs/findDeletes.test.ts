import assert from 'node:assert/strict'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const warehouse = await freshPostgres()

for (const { kind, database, key } of [
  { kind: 'postgres', database: await freshPostgres(), key: 'PRIMARY KEY (id, kind)' },
  { kind: 'mariadb', database: await freshMariadb(), key: 'PRIMARY KEY (id, kind)' },
  { kind: 'postgres_unkeyed', database: await freshPostgres(), key: 'CHECK (id > 0)' },
])
  test(`${kind}: an incremental extract finds what is gone, by its keys`, async () => {
    const { query } = database
    const values = (from: number, to: number, seen: number) =>
      Array.from(
        { length: to - from + 1 },
        (_, i) => `(${from + i}, '${i % 2 ? 'a' : 'b'}', ${from + i}, ${seen})`,
      )
    const insert = (from: number, to: number, seen: number) =>
      query(`INSERT INTO items VALUES ${values(from, to, seen).join(', ')}`)
    await query(
      `CREATE TABLE items (id int NOT NULL, kind varchar(10) NOT NULL, n int, seen int NOT NULL, ${key})`,
    )
    await insert(1, 3000, 1)
    const notes: string[] = []
    const job = await smallJob({ after }, `find_${kind}`, {
      'job.yaml': `connections: { s: "${database.url}", w: "${warehouse.url}" }
extract: { items: { from: s, table: items, key: [id, kind], incremental: { column: seen, find_deletes: true } } }
load:
  ${kind}_hard: { to: w, from: items, key: [id, kind], deletes: hard }
  ${kind}_soft: { to: w, from: doubled, key: [id, kind], deletes: soft }
resources: { memory: 300MB, threads: 2 }
chunking: { default_chunk_size: 1000 }
`,
      'doubled.sql': 'SELECT id, kind, n * 2 AS n FROM items',
    })
    const lines = async (where: string, of: (sql: string) => Promise<unknown[]>) =>
      of(`SELECT id, kind, n FROM ${where} ORDER BY id, kind`)
    const underWay = new Set<string>()
    const progress = {
      started: (task: string) => void underWay.add(task),
      advanced() {},
      finished: (task: string) => void underWay.delete(task),
      note: (text: string) => void notes.push(text),
    }
    const night = async () => {
      notes.length = 0
      const { error, outcome } = await job.run({ progress })
      assert.equal(error, undefined)
      assert.deepEqual([...underWay], [])
      assert.deepEqual(await lines(`${kind}_hard`, warehouse.query), await lines('items', query))
      const there = await warehouse.query(
        `SELECT id, kind, n / 2 AS n FROM ${kind}_soft WHERE deleted_at IS NULL ORDER BY id, kind`,
      )
      assert.deepEqual(there, await lines('items', query))
      const [{ inserted, updated, deleted } = { inserted: 0, updated: 0, deleted: 0 }] = outcome.loaded
      return { read: outcome.extracted[0]!.rows, inserted, updated, deleted }
    }
    assert.deepEqual(await night(), { read: 3000, inserted: 3000, updated: 0, deleted: 0 })

    await query('DELETE FROM items WHERE id % 30 = 7')
    await query('UPDATE items SET n = -n, seen = 2 WHERE id % 100 = 1')
    await insert(3001, 3010, 2)
    assert.deepEqual(await night(), { read: 2910, inserted: 10, updated: 30, deleted: 100 })

    // Back, gone after it came, gone after it changed; one whose key is another's now.
    await query(`INSERT INTO items VALUES (7, 'b', 77, 3)`)
    await query('DELETE FROM items WHERE id IN (3001, 101)')
    await query(`UPDATE items SET kind = 'moved', seen = 3 WHERE id = 11`)
    assert.deepEqual(await night(), { read: 40, inserted: 2, updated: 0, deleted: 3 })
    assert.deepEqual(await night(), { read: 2, inserted: 0, updated: 0, deleted: 0 })
    assert.deepEqual(
      notes.filter(note => note.includes('no night has read')),
      [],
    )

    await query(`INSERT INTO items VALUES (5000, 'late', 1, 0)`)
    await query(`DELETE FROM items WHERE id = 13`)
    // Everything since the least of theirs: all.
    assert.deepEqual(await night(), { read: 2909, inserted: 1, updated: 0, deleted: 1 })
    assert.match(
      notes.join('\n'),
      /s\.items: 1 row that no night has read is there, with a seen older than 3/,
    )
  })

test('a table that loses more rows than the guard allows is not loaded; whoever cannot give keys is refused', async () => {
  const { url, query } = await freshPostgres()
  await query(
    `CREATE TABLE t (id int PRIMARY KEY, seen int); INSERT INTO t SELECT i, 1 FROM generate_series(1, 100) AS i`,
  )
  const yaml = (extract: string) => `connections: { s: "${url}", api: "http://127.0.0.1:1/" }
extract: { t: ${extract} }
load: { copy: { to: s, from: t, key: id, deletes: hard } }
resources: { memory: 300MB, threads: 1 }
`
  const job = await smallJob({ after }, 'find_guard', {
    'job.yaml': yaml('{ from: s, table: t, incremental: { column: seen, find_deletes: true } }'),
  })
  assert.equal((await job.run()).error, undefined)
  await query('DELETE FROM t WHERE id <= 50')
  const stopped = await job.run()
  assert.match(String(stopped.error), /50 of 100/)
  assert.deepEqual(await query('SELECT count(*) AS n FROM copy'), [{ n: '100' }])

  job.yaml(yaml('{ from: s, table: t, incremental: { column: seen } }'))
  await assert.rejects(
    job.run({ fresh: true }).then(({ error }) => Promise.reject(error)),
    {
      code: 'CONFIG_INVALID',
      hint: /find_deletes: true/,
    },
  )
  job.yaml(
    yaml(
      '{ from: api, path: t, schema: { id: int, seen: int }, incremental: { column: seen, find_deletes: true } }',
    ),
  )
  await assert.rejects(job.run({ fresh: true }), /find_deletes: http cannot give the keys alone/)
})

test('what was gone stays gone in a night that is restored from the archive', async () => {
  const { url, query } = await freshPostgres()
  await query('CREATE TABLE t (id int PRIMARY KEY, seen int)')
  const yaml = (loaded: string) => `connections: { s: "${url}" }
extract: { t: { from: s, table: t, incremental: { column: seen, find_deletes: true } } }
load: { ${loaded}: { to: s, from: t, key: id, deletes: hard } }
archive: { to: raw }
resources: { memory: 300MB, threads: 1 }
`
  const job = await smallJob({ after }, 'find_archived', { 'job.yaml': yaml('copy') })
  const ids = async (table: string) =>
    (await query<{ id: number }>(`SELECT id FROM ${table} ORDER BY id`)).map(({ id }) => id)
  const runs: string[] = []
  const wanted: number[][] = []
  for (const night of [1, 2, 3, 4]) {
    await query(`INSERT INTO t SELECT ${night} * 100 + i, ${night} FROM generate_series(1, 20) AS i;
      DELETE FROM t WHERE id % 100 = ${night} AND id < ${night} * 100 AND ${night} < 4`)
    const { run, error, archive } = await job.run()
    assert.equal(error, undefined)
    assert.equal(archive?.failed, undefined)
    assert.deepEqual(await ids('copy'), await ids('t'))
    runs.push(run)
    wanted.push(await ids('t'))
  }
  assert.equal(wanted[3]!.length, 80 - 3)
  for (const [index, run] of runs.entries()) {
    const folder = join(job.home, `then_${index}`)
    cpSync(job.folder, folder, { recursive: true })
    writeFileSync(join(folder, 'job.yaml'), `job: then_${index}\n${yaml(`copy_${index}`)}`)
    const home = join(job.home, `machine_${index}`)
    const { error } = await job.run({ folder, home, restore: { run, of: 'find_archived' } })
    assert.equal(error, undefined)
    assert.deepEqual(await ids(`copy_${index}`), wanted[index])
  }
})
