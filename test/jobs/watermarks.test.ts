import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../servers.ts'
import { notesInto, smallJob } from './small.ts'

const FOREVER = "'9999-12-31'"

/** A column that rows are read by: its values of three nights, and one to come (moments) or the last that sorts (others). */
interface Mark {
  type: string
  nights: [string, string, string]
  last: string
}

const MARKS: Record<'postgres' | 'mariadb', Record<string, Mark>> = {
  postgres: {
    instant: {
      type: 'timestamptz',
      nights: ["'0044-03-15 BC'", "'2026-01-02'", "'2026-01-03'"],
      last: "'12026-01-01'",
    },
    clock: { type: 'timestamp', nights: ["'2026-01-01'", "'2026-01-02'", "'2026-01-03'"], last: FOREVER },
    day: { type: 'date', nights: ["'2026-01-01'", "'2026-01-02'", "'2026-01-03'"], last: FOREVER },
    amount: { type: 'numeric(20,3)', nights: ['-5.125', '0.004', '1.5'], last: '1.499' },
    word: { type: 'text', nights: ["'B'", "'a'", "'ä '"], last: "'ä'" },
    padded: { type: 'char(12)', nights: ["'B'", "'a'", "'ä'"], last: "'a'" },
  },
  mariadb: {
    instant: {
      type: 'timestamp(6) NULL',
      nights: ["'2026-01-01'", "'2026-01-02'", "'2026-01-03'"],
      last: "'2038-01-01'",
    },
    clock: { type: 'datetime', nights: ["'0001-01-01'", "'2026-01-02'", "'2026-01-03'"], last: FOREVER },
    day: { type: 'date', nights: ["'2026-01-01'", "'2026-01-02'", "'2026-01-03'"], last: FOREVER },
    amount: { type: 'decimal(20,3)', nights: ['-5.125', '0.004', '1.5'], last: '1.499' },
    word: { type: 'varchar(20) CHARACTER SET latin1', nights: ["'B'", "'a'", "'ä '"], last: "'ä'" },
    padded: { type: 'char(12)', nights: ["'B'", "'a'", "'ä'"], last: "'a'" },
  },
}

async function jobOf(
  kind: 'postgres' | 'mariadb',
  { url }: FreshDatabase,
  warehouse: FreshDatabase,
  policy: string,
) {
  const tables = Object.keys(MARKS[kind])
  return smallJob({ after }, `marks_${kind}`, {
    'job.yaml': `connections: { s: "${url}", w: "${warehouse.url}" }
extract:
${tables.map(table => `  ${table}: { from: s, table: ${table}, key: id, incremental: { column: mark${policy} } }`).join('\n')}
load:
${tables.map(table => `  ${table}: { to: w, from: ${table}, key: id }`).join('\n')}
resources: { memory: 300MB, threads: 1 }
`,
  })
}

for (const kind of ['postgres', 'mariadb'] as const)
  test(`${kind}: every row that changes arrives, whatever a watermark's type, with NULLs and values to come`, async () => {
    const [source, warehouse] = [
      await (kind === 'postgres' ? freshPostgres() : freshMariadb()),
      await freshPostgres(),
    ]
    const marks = Object.entries(MARKS[kind])
    const each = async (sql: (table: string, mark: Mark) => string[]) => {
      for (const [table, mark] of marks)
        for (const statement of sql(table, mark)) await source.query(statement)
    }
    await each((table, { type, nights, last }) => [
      `CREATE TABLE ${table} (id int PRIMARY KEY, n int, mark ${type})`,
      `INSERT INTO ${table} VALUES (1, 1, ${nights[0]}), (2, 1, NULL), (3, 1, ${last}), (4, 1, ${nights[0]})`,
    ])
    const job = await jobOf(kind, source, warehouse, '')
    const notes: string[] = []
    const progress = notesInto(notes)
    const night = async () => {
      notes.length = 0
      const { error, outcome } = await job.run({ progress })
      assert.equal(error, undefined)
      for (const [table] of marks) {
        const rows = `SELECT id, n FROM ${table} ORDER BY id`
        assert.deepEqual(await warehouse.query(rows), await source.query(rows), table)
      }
      return outcome.extracted.map(({ rows }) => rows)
    }
    await night()
    for (const table of ['instant', 'clock', 'day'])
      assert.match(
        notes.join('\n'),
        new RegExp(`s.${table}: mark lies in the future: \\d+-\\S+.* where id 3`),
      )
    assert.match(notes.join('\n'), /s\.amount: read 1 row whose mark is NULL/)
    assert.match(notes.join('\n'), /s\.word: no lag/)
    // A row to come is read again; it is no moment for the last three, where it marks how far the first night read.
    await each((table, { nights }) => [
      `INSERT INTO ${table} VALUES (5, 2, NULL), (6, 2, ${['amount', 'word', 'padded'].includes(table) ? nights[2] : nights[1]})`,
      `UPDATE ${table} SET n = 2 WHERE id IN (2, 3)`,
    ])
    assert.deepEqual(await night(), [6, 6, 6, 4, 4, 4])
    await each((table, { nights }) => [`UPDATE ${table} SET n = 3, mark = ${nights[2]} WHERE id IN (1, 5)`])
    await night()

    const strict = await jobOf(kind, source, warehouse, ', nulls: fail')
    const refused = await strict.run()
    assert.match(String(refused.error), /mark is NULL in 1 row\b/)
    await each(table => [`DELETE FROM ${table} WHERE mark IS NULL`])
    const future = await jobOf(kind, source, warehouse, ', nulls: fail, future: fail')
    const { error } = await future.run()
    assert.match(String(error), /s\.(instant|clock|day): mark lies in the future: .* where id 3/)
  })

for (const kind of ['postgres', 'mariadb'] as const)
  test(`${kind}: a source that goes back behind a watermark is read whole, once`, async () => {
    const [source, warehouse] = [
      await (kind === 'postgres' ? freshPostgres() : freshMariadb()),
      await freshPostgres(),
    ]
    for (const table of ['plain', 'scanned'])
      await source.query(`CREATE TABLE ${table} (id int PRIMARY KEY, n int, mark timestamp NULL)`)
    const job = await smallJob({ after }, `marks_back_${kind}`, {
      'job.yaml': `connections: { s: "${source.url}", w: "${warehouse.url}" }
extract:
  plain: { from: s, table: plain, key: id, incremental: { column: mark, lag: 1h } }
  scanned: { from: s, table: scanned, key: id, incremental: { column: mark, find_deletes: true } }
load:
  plain: { to: w, from: plain, key: id }
  scanned: { to: w, from: scanned, key: id, deletes: hard, guard: { max_delete_share: 1 } }
resources: { memory: 300MB, threads: 1 }
`,
    })
    const notes: string[] = []
    const night = async (...rows: string[]) => {
      notes.length = 0
      for (const table of ['plain', 'scanned']) {
        await source.query(`DELETE FROM ${table}`)
        await source.query(`INSERT INTO ${table} VALUES ${rows.join(', ')}`)
      }
      const { error, outcome } = await job.run({ progress: notesInto(notes) })
      assert.equal(error, undefined)
      const held = async (table: string) =>
        (await warehouse.query(`SELECT id, n FROM ${table} ORDER BY id`)).map(({ id, n }) => `${id}:${n}`)
      const read = outcome.extracted.map(({ rows }) => rows)
      return { read, plain: await held('plain'), scanned: await held('scanned') }
    }
    const old = "(2, 1, '2026-01-02 10:00')"
    await night("(1, 1, '2026-01-01')", old, "(3, 1, '2026-01-03')")
    assert.deepEqual(await night("(1, 5, '2026-01-01')", old), {
      read: [2, 2],
      // Nobody asks what of it is gone.
      plain: ['1:5', '2:1', '3:1'],
      scanned: ['1:5', '2:1'],
    })
    assert.match(notes.join('\n'), /s\.plain: no row is there with a mark of 2026-01-03 00:00:00/)
    assert.match(notes.join('\n'), /s\.scanned: no row is there with a mark of 2026-01-03/)
    assert.deepEqual(await night("(1, 6, '2026-01-02 11:00')", old), {
      read: [2, 2],
      plain: ['1:6', '2:1', '3:1'],
      scanned: ['1:6', '2:1'],
    })
    assert.doesNotMatch(notes.join('\n'), /no row is there/)
    // Without a row, nobody knows of anything new; what comes then may be older.
    await source.query('DELETE FROM plain')
    assert.equal((await job.run({ progress: notesInto(notes) })).error, undefined)
    assert.match(notes.join('\n'), /no row is there with a mark of 2026-01-02 11:00/)
    assert.deepEqual((await night("(1, 7, '2025-01-01')", old)).plain, ['1:7', '2:1', '3:1'])
  })

const TARGETS = {
  postgres: async () => {
    const { url, query } = await freshPostgres()
    return { url, rows: query }
  },
  mariadb: async () => {
    const { url, query } = await freshMariadb()
    return { url, rows: query }
  },
  duckdb: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nightfreight-emptied-'))
    after(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'dw.duckdb')
    const rows = async (sql: string) => {
      const duck = await Duck.open({ path })
      try {
        return await duck.rows(sql)
      } finally {
        duck.close()
      }
    }
    return { url: `duckdb:${path}`, rows }
  },
}

for (const [kind, make] of Object.entries(TARGETS))
  test(`${kind}: a source that is empty for a night loses no watermark, and what was loaded stays`, async () => {
    const [source, { url, rows }] = [await freshPostgres(), await make()]
    await source.query('CREATE TABLE t (id int PRIMARY KEY, n int, mark timestamp)')
    const job = await smallJob({ after }, `emptied_${kind}`, {
      'job.yaml': `connections: { s: "${source.url}", w: "${url}" }
extract: { t: { from: s, table: t, key: id, incremental: { column: mark, lag: 1h } } }
load:
  merged: { to: w, from: t, key: id }
  replaced: { to: w, from: t, key: id, mode: replace }
resources: { memory: 300MB, threads: 1 }
`,
    })
    const notes: string[] = []
    const night = async () => {
      notes.length = 0
      const { error, outcome } = await job.run({ progress: notesInto(notes) })
      assert.equal(error, undefined, String(error))
      const held = async (table: string) =>
        (await rows(`SELECT id, n FROM ${table} ORDER BY id`)).map(({ id, n }) => `${id}:${n}`)
      const { rows: read, note } = outcome.extracted[0]!
      return { read, note, merged: await held('merged'), replaced: await held('replaced') }
    }
    const holds = (read: number, ...all: string[]) => ({ read, note: undefined, merged: all, replaced: all })
    await source.query(
      `INSERT INTO t SELECT n, n, timestamp '2026-01-01' + n * interval '1 day' FROM generate_series(1, 5) n`,
    )
    assert.deepEqual(await night(), holds(5, '1:1', '2:2', '3:3', '4:4', '5:5'))
    await source.query('TRUNCATE t')
    for (const _ of [1, 2]) {
      const { note, ...empty } = await night()
      const { note: __, ...same } = holds(0, '1:1', '2:2', '3:3', '4:4', '5:5')
      assert.deepEqual(empty, same)
      assert.match(
        note!,
        /has no row: its watermark stays 2026-01-06 00:00:00, for the night that finds rows again/,
      )
      assert.match(notes.join('\n'), /s\.t: has no row: its watermark stays/)
    }
    // It is being filled again: what is older was read before.
    await source.query(
      `INSERT INTO t SELECT n, n, timestamp '2026-01-01' + n * interval '1 day' FROM generate_series(3, 5) n; INSERT INTO t VALUES (6, 6, '2026-01-07')`,
    )
    assert.deepEqual(await night(), holds(2, '1:1', '2:2', '3:3', '4:4', '5:5', '6:6'))
    await source.query("UPDATE t SET n = 60, mark = '2026-01-08' WHERE id = 6")
    assert.deepEqual(await night(), holds(1, '1:1', '2:2', '3:3', '4:4', '5:5', '6:60'))
    // Rows that tell no moment are no reason to begin anew either.
    await source.query('TRUNCATE t; INSERT INTO t VALUES (7, 7, NULL)')
    for (const _ of [1, 2])
      assert.deepEqual(await night(), holds(1, '1:1', '2:2', '3:3', '4:4', '5:5', '6:60', '7:7'))
  })

test('a column whose text is a notation, a number without an order, and a lag of text, are refused', async () => {
  const { url, query } = await freshPostgres()
  await query('CREATE TABLE t (id int PRIMARY KEY, wide numeric, json jsonb, word text, x xid, c cid)')
  const refused = async (incremental: string) => {
    const job = await smallJob({ after }, 'marks_refused', {
      'job.yaml': `connections: { s: "${url}" }
extract: { t: { from: s, table: t, incremental: { ${incremental} } } }
load: { copy: { to: s, from: t, key: id } }
`,
    })
    return String((await job.run()).error)
  }
  assert.match(await refused('column: wide'), /wide cannot be a watermark: its type is numeric/)
  assert.match(await refused('column: json'), /json cannot be a watermark/)
  assert.match(await refused('column: x'), /x cannot be a watermark: its type is xid/)
  assert.match(await refused('column: c'), /c cannot be a watermark: its type is cid/)
  assert.match(await refused('column: word, lag: 5m'), /text has no lag/)
})
