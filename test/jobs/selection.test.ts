/** What of a table is read: where, select, omit, at each database that has tables. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { commandLine } from '../commandLine.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'

const root = mkdtempSync(join(tmpdir(), 'nightfreight-selection-'))
after(() => rmSync(root, { recursive: true }))

for (const [kind, database] of [
  ['postgres', await freshPostgres()],
  ['mysql', await freshMariadb()],
] as const) {
  const home = join(root, kind)
  const target = join(root, `${kind}.duckdb`)
  const rows = async (sql: string) => {
    const duck = await Duck.open({ path: target })
    try {
      return (await duck.rows(sql)).map(row => Object.values(row))
    } finally {
      duck.close()
    }
  }
  await database.query(`
    CREATE TABLE orders (id int NOT NULL PRIMARY KEY, status varchar(9), secret varchar(9), changed int NOT NULL);
    INSERT INTO orders VALUES (1, 'paid', 'x', 1), (2, 'void', 'y', 2), (3, NULL, 'z', 3), (4, 'paid', 'w', 4);
    CREATE TABLE big (id int NOT NULL PRIMARY KEY, odd int);
    INSERT INTO big VALUES ${Array.from({ length: 3000 }, (_, n) => `(${n}, ${n % 2})`).join(', ')}`)

  test(`${kind}: copy takes the rows and columns that are asked for`, async () => {
    const copy = (...args: string[]) => commandLine(home, ['copy', database.url, `duckdb:${target}`, ...args])
    const one = await copy(
      '--tables',
      'orders',
      '--where',
      "status = 'paid' OR status IS NULL -- a remark",
      '--columns',
      'id,status',
    )
    assert.equal(one.code, 0, one.err)
    assert.deepEqual(await rows('SELECT * FROM orders ORDER BY id'), [
      [1, 'paid'],
      [3, null],
      [4, 'paid'],
    ])
    const half = await copy('--tables', 'big', '--where', 'odd = 1')
    assert.equal(half.code, 0, half.err)
    assert.deepEqual(await rows('SELECT count(*)::INTEGER, sum(odd)::INTEGER FROM big'), [[1500, 1500]])
  })

  test(`${kind}: an incremental read is a whole one where another condition is given; deletes are of it`, async () => {
    const folder = join(root, `${kind}-job`)
    mkdirSync(folder)
    const night = async (keys: string) => {
      writeFileSync(
        join(folder, 'job.yaml'),
        `job: selected_${kind}
connections: { db: "${database.url}", dw: "duckdb:${target}" }
extract: { orders: { from: db, incremental: { column: changed, find_deletes: true }, ${keys} } }
load: { kept: { to: dw, from: orders, key: id, deletes: hard, guard: { max_delete_share: 1 } } }
`,
      )
      const ended = await commandLine(home, ['run', folder])
      assert.equal(ended.code, 0, ended.err)
      return ended
    }
    await night('where: "status = \'paid\'", omit: secret')
    assert.deepEqual(await rows('SELECT id FROM kept ORDER BY id'), [[1], [4]])
    const other = await night("where: \"status IN ('paid', 'void')\", omit: secret")
    assert.match(other.err, /reads the whole table: what the job asks of it is another than before/)
    assert.deepEqual(await rows('SELECT id FROM kept ORDER BY id'), [[1], [2], [4]])
    await database.query("UPDATE orders SET status = 'open' WHERE id = 4")
    await night("where: \"status IN ('paid', 'void')\", omit: secret")
    assert.deepEqual(await rows('SELECT * FROM kept ORDER BY id'), [
      [1, 'paid', 1],
      [2, 'void', 2],
    ])
  })

  test(`${kind}: what cannot be read so is said before a row is`, async () => {
    const folder = join(root, `${kind}-wrong`)
    mkdirSync(folder)
    for (const [keys, code, message] of [
      [
        'where: "statuss = 1"',
        2,
        /CONFIG_INVALID: extract\.orders\.where: .*statuss[\s\S]*hint: It is a condition/,
      ],
      ['where: "1 = 1) OR (1 = 1"', 2, /CONFIG_INVALID: extract\.orders\.where: /],
      [
        'omit: secrte',
        2,
        /COLUMN_MISSING: db\.orders: secrte is not a column of the table; did you mean "secret"\?/,
      ],
      ['select: [status]', 2, /CONFIG_INVALID: db\.orders: id is of the key, and is not read/],
      ['mode: changes, where: "id = 1"', 2, /extract\.orders\.where: the log of changes/],
    ] as const) {
      writeFileSync(
        join(folder, 'job.yaml'),
        `job: wrong_${kind}
connections: { db: "${database.url}", dw: "duckdb:${target}" }
extract: { orders: { from: db, ${keys} } }
load: { kept_wrong: { to: dw, from: orders, mode: replace } }
`,
      )
      const { code: ended, err } = await commandLine(home, ['run', folder])
      assert.equal(ended, code, `${keys}\n${err}`)
      assert.match(err, message)
    }
  })
}
