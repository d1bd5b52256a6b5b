import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as breathe } from 'node:timers/promises'
import fc from 'fast-check'
import type { EngineError } from '../../engine/errors.ts'
import { type InexactPolicy, typeName } from '../../engine/types/logical.ts'
import { type FreshDatabase, freshMariadb } from '../servers.ts'
import { failsWith, readTable, signal, source, spec, type Value } from './mysqlRead.ts'

// Per type: the column, the logical type, random values as SQL literals, and the server's own exact text of it.
const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
const ints = (min: bigint, max: bigint) =>
  fc
    .oneof(fc.bigInt({ min, max }), fc.constantFrom(min, max, 0n), fc.bigInt({ min: -9n, max: 9n }))
    .map(value => String(value < min ? min : value > max ? max : value))
const decimals = (precision: number, scale: number) =>
  ints(-(10n ** BigInt(precision)) + 1n, 10n ** BigInt(precision) - 1n).map(text => {
    const digits = text.replace('-', '').padStart(scale + 1, '0')
    const cut = digits.length - scale
    return `${text.startsWith('-') ? '-' : ''}${digits.slice(0, cut)}${scale ? `.${digits.slice(cut)}` : ''}`
  })
const moments = (min: string, max: string) =>
  fc
    .tuple(
      fc.date({ min: new Date(min), max: new Date(max), noInvalidDate: true }),
      fc.integer({ min: 0, max: 999 }),
    )
    .map(([date, micros]) => {
      const text = date.toISOString().replace('T', ' ').replace('Z', '')
      return `'${text}${String(micros).padStart(3, '0')}'`
    })
const texts = fc.string({ unit: 'binary', maxLength: 40 }).map(text => quoted(text.replaceAll('\0', ' ')))
const latin = fc.stringMatching(/^[ -~é-ÿ€]{0,30}[!-~]$/).map(quoted)
const blobs = fc.uint8Array({ maxLength: 300 }).map(bytes => `x'${Buffer.from(bytes).toString('hex')}'`)
const f32 = fc.float({ noNaN: true, noDefaultInfinity: true }).filter(v => v === 0 || Math.abs(v) > 1e-37)
const f64 = fc.double({ noNaN: true, noDefaultInfinity: true }).filter(v => v === 0 || Math.abs(v) > 1e-300)

const CASES: [native: string, logical: string, values: fc.Arbitrary<string>, text?: string][] = [
  ['tinyint(1)', 'TINYINT', ints(-128n, 127n)],
  ['tinyint unsigned', 'UTINYINT', ints(0n, 255n)],
  ['smallint', 'SMALLINT', ints(-32768n, 32767n)],
  ['smallint unsigned', 'USMALLINT', ints(0n, 65535n)],
  ['mediumint', 'INTEGER', ints(-8388608n, 8388607n)],
  ['mediumint unsigned', 'UINTEGER', ints(0n, 16777215n)],
  ['int', 'INTEGER', ints(-2147483648n, 2147483647n)],
  ['int unsigned', 'UINTEGER', ints(0n, 4294967295n)],
  ['bigint', 'BIGINT', ints(-(2n ** 63n), 2n ** 63n - 1n)],
  ['bigint unsigned', 'UBIGINT', ints(0n, 2n ** 64n - 1n)],
  [
    'bigint(30) unsigned zerofill',
    'UBIGINT',
    ints(0n, 2n ** 64n - 1n),
    "coalesce(nullif(trim(leading '0' from ?), ''), if(? is null, null, '0'))",
  ],
  ['decimal(10,2)', 'DECIMAL(10,2)', decimals(10, 2)],
  ['decimal(38,0)', 'DECIMAL(38,0)', decimals(38, 0)],
  ['decimal(38,38)', 'DECIMAL(38,38)', decimals(38, 38)],
  ['decimal(30,10)', 'DECIMAL(30,10)', decimals(30, 10)],
  ['decimal(65,30)', 'VARCHAR', decimals(65, 30)],
  ['float', 'FLOAT', f32.map(v => (Object.is(v, -0) ? '-0e0' : String(v)))],
  ['float(12,3)', 'FLOAT', fc.integer({ min: -9999999, max: 9999999 }).map(v => String(v / 1000))],
  ['double', 'DOUBLE', f64.map(v => (Object.is(v, -0) ? '-0e0' : String(v)))],
  ['double(20,4)', 'DOUBLE', f64.map(v => String(v % 1e9))],
  ['bit(64)', 'UBIGINT', ints(0n, 2n ** 64n - 1n), 'concat(cast(? as unsigned))'],
  ['bit(1)', 'UBIGINT', ints(0n, 1n), 'concat(cast(? as unsigned))'],
  ['year', 'SMALLINT', ints(1901n, 2155n)],
  ['date', 'DATE', moments('0001-01-01', '9999-12-31T23:59:59').map(v => `${v.slice(0, 11)}'`)],
  ['datetime(6)', 'TIMESTAMP', moments('0001-01-01', '9999-12-31T23:59:59')],
  ['datetime', 'TIMESTAMP', moments('1600-01-01', '2200-12-31'), "concat(?, '.000000')"],
  ['datetime(3)', 'TIMESTAMP', moments('1600-01-01', '2200-12-31'), "concat(?, '000')"],
  ['timestamp(6) null', 'TIMESTAMP WITH TIME ZONE', moments('1970-01-02', '2038-01-01')],
  ['time(6)', 'VARCHAR', fc.integer({ min: -838, max: 838 }).map(h => `'${h}:59:58.123456'`)],
  ['varchar(100)', 'VARCHAR', texts],
  ['varchar(100) character set latin1', 'VARCHAR', latin],
  ['char(50) character set utf16', 'VARCHAR', latin],
  ['longtext', 'VARCHAR', fc.integer({ min: 0, max: 70000 }).map(n => `repeat('é', ${n})`)],
  ["enum('a','ü')", 'VARCHAR', fc.constantFrom("'a'", "'ü'")],
  ["set('a','b')", 'VARCHAR', fc.constantFrom("'a'", "'a,b'", "''")],
  ['json', 'VARCHAR', fc.json({ maxDepth: 2 }).map(quoted)],
  ['uuid', 'VARCHAR', fc.uuid().map(quoted)],
  ['inet6', 'VARCHAR', fc.ipV6().map(quoted)],
  ['varbinary(300)', 'BLOB', blobs, 'lower(hex(?))'],
  ['binary(4)', 'BLOB', fc.constantFrom("'ab'", "x'ff00ff00'"), 'lower(hex(?))'],
  ['blob', 'BLOB', blobs, 'lower(hex(?))'],
  ['point', 'BLOB', ints(0n, 90n).map(n => `point(${n}, 1.5)`), 'lower(hex(st_aswkb(?)))'],
]

async function fill(db: FreshDatabase, table: string, count: number): Promise<void> {
  const columns = CASES.map(([native], index) => `c${index} ${native}`)
  await db.query(`create table ${table} (id int primary key, ${columns.join(', ')}) charset utf8mb4`)
  const samples = CASES.map(([, , values]) => fc.sample(fc.option(values, { nil: 'null', freq: 9 }), count))
  for (let at = 0; at < count; at += 50) {
    const rows = Array.from({ length: Math.min(50, count - at) }, (_, row) => {
      return `(${[at + row, ...samples.map(sample => sample[at + row])].join(', ')})`
    })
    await db.query(`insert into ${table} values ${rows.join(', ')}`)
  }
}

describe('mysql source', async () => {
  const db = await freshMariadb()
  await db.query(`set time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'`)

  it("decodes every type to the server's own value", async () => {
    await fill(db, 'every', 1500)
    await db.query('analyze table every')
    const { rows, columns, key } = await readTable(db.url, 'every')
    assert.deepEqual(key, ['id'])
    assert.deepEqual(
      columns.slice(1).map(column => typeName(column.type)),
      CASES.map(([, logical]) => logical),
    )
    // Text throughout, because mysql2's own float parser is an ulp off now and then.
    const asText = CASES.map(([, logical, , text], index) => {
      const name = `c${index}`
      if (logical === 'FLOAT' || logical === 'DOUBLE') return `concat(${name} * 1e0) as ${name}`
      return `${(text ?? 'concat(?)').replaceAll('?', name)} as ${name}`
    })
    const expected = await db.query(
      `select cast(id as char) as id, ${asText.join(', ')} from every order by every.id`,
    )
    rows.sort((a, b) => Number(a[0]) - Number(b[0]))
    assert.equal(rows.length, 1500)
    for (const [index, row] of rows.entries())
      for (const [at, column] of columns.entries()) {
        const server = expected[index]![column.name]
        const text = column.type.kind === 'float' && server !== null ? floatText(server) : server
        assert.equal(row[at], text, `row ${index}, ${column.name} ${column.native}`)
      }
  })

  it('reads FLOAT back bit for bit', async () => {
    await db.query('create table floats (id int auto_increment primary key, f float, d double)')
    // Adding zero: the server drops the sign of a -0 literal.
    const singles = fc.sample(f32, 3000).map(v => v + 0)
    const doubles = fc.sample(f64, 3000).map(v => v + 0)
    const sql = (v: number) => v.toExponential(17)
    await db.query(
      `insert into floats (f, d) values ${singles.map((f, i) => `(${sql(f)}, ${sql(doubles[i]!)})`)}`,
    )
    const { rows } = await readTable(db.url, 'floats')
    assert.deepEqual(
      rows.map(row => [Number(row[1]), Number(row[2])]),
      singles.map((f, i) => [f, doubles[i]!]),
    )
  })

  it('reads values beyond 16 MB', async () => {
    await db.query('create table large (id int primary key, t longtext)')
    const [size] = await db.query('select @@max_allowed_packet as size')
    const length = Math.min(Number(size!.size) - 1024, 20_000_000)
    await db.query(`insert into large values (1, rpad(_latin1'', ${length}, _latin1'xyz')), (2, 'after')`)
    const { rows } = await readTable(db.url, 'large')
    assert.deepEqual(
      rows.map(row => row[1]?.length),
      [length, 5],
    )
  })

  it('treats zero and partial dates by the policy', async () => {
    await db.query(
      'create table zeros (id int primary key, d date, t datetime, s timestamp not null default 0)',
    )
    await db.query(`insert into zeros values (1, '2026-01-31', '2026-01-31 01:02:03', '2026-01-31 01:02:03'),
      (2, '0000-00-00', '2026-00-00 00:00:00', 0), (3, '2026-02-31', null, 0)`)
    await assert.rejects(
      readTable(db.url, 'zeros'),
      failsWith('VALUE_INEXACT', /legacy\.zeros\.\w+: "0000-00-00/),
    )
    const read = (policy: InexactPolicy) =>
      readTable(db.url, 'zeros', { policies: { d: policy, t: policy, s: policy } })
    const good = ['1', '2026-01-31', '2026-01-31 01:02:03.000000', '2026-01-31 01:02:03.000000']
    assert.deepEqual((await read('null')).rows, [good, ['2', null, null, null], ['3', null, null, null]])
    const { rows } = await read('quarantine')
    assert.deepEqual(rows[0], [...good, null])
    const reasons = JSON.parse(rows[1]![4]!)
    assert.deepEqual(
      reasons.map((reason: { column: string; value: string }) => [reason.column, reason.value]),
      [
        ['d', '0000-00-00'],
        ['t', '2026-00-00 00:00:00'],
        ['s', '0000-00-00 00:00:00'],
      ],
    )
    assert.match(rows[2]![4]!, /2026-02-31.*calendar/)
    assert.deepEqual((await read('text')).rows[2], ['3', '2026-02-31', null, '0000-00-00 00:00:00'])
  })

  it('gives each row once, in one snapshot, while a writer moves values', async () => {
    await db.query('create table accounts (id bigint unsigned primary key, balance bigint, note varchar(40))')
    await db.query(`insert into accounts select seq * 7 + if(seq > 19000, 18000000000000000000, 0), 100, 'x'
      from seq_1_to_20000`)
    await db.query('analyze table accounts')
    let stop = false
    let moves = 0
    const write = async () => {
      for (; !stop; moves++) {
        const [a, b] = [1 + (moves % 9000), 1 + ((moves * 31) % 9000)]
        await db.query(`begin; update accounts set balance = balance - 1 where id = ${a * 7};
          update accounts set balance = balance + 1 where id = ${b * 7};
          delete from accounts where id = ${1000000 + moves};
          insert into accounts values (${1000001 + moves}, 0, 'new') on duplicate key update note = 'again'; commit`)
        await breathe()
      }
    }
    const writer = write()
    try {
      const { rows, chunks, note } = await readTable(db.url, 'accounts', { lanes: 3 })
      assert.equal(note, undefined)
      assert.ok(chunks > 5, `${chunks} chunks`)
      assert.equal(new Set(rows.map(row => row[0])).size, rows.length)
      assert.ok(rows.length === 20000 || rows.length === 20001, `${rows.length}`)
      assert.equal(
        rows.reduce((sum, row) => sum + BigInt(row[1]!), 0n),
        2000000n,
      )
    } finally {
      stop = true
      await writer
    }
    assert.ok(moves > 0)
  })

  it('reads since a watermark', async () => {
    await db.query('create table steps (id int primary key, at timestamp(6) null, v int)')
    await db.query(`insert into steps values (1, '2026-01-31 23:54:59.999999', 1), (2, '2026-01-31 23:55:00', 2),
      (3, '2026-02-01 00:00:00', 3), (4, null, 4)`)
    const since = (column: string, value: string) => readTable(db.url, 'steps', { since: { column, value } })
    const ids = async (column: string, value: string) => (await since(column, value)).rows.map(row => row[0])
    assert.deepEqual(await ids('at', '2026-01-31 23:55:00.000000+00'), ['2', '3'])
    assert.deepEqual(await ids('v', '3'), ['3', '4'])
  })

  it('falls back to one lane without the RELOAD privilege, and says so', async () => {
    const user = `u_${db.name.slice(-8)}`
    await db.query(
      `create user '${user}'@'%' identified by 's3cret!'; grant select on ${db.name}.* to '${user}'@'%'`,
    )
    const url = new URL(db.url)
    url.username = user
    url.password = 's3cret!'
    try {
      const { rows, note } = await readTable(url.href, 'steps')
      assert.equal(rows.length, 4)
      assert.match(note!, /one lane instead of 2: .*RELOAD/)
      url.password = 'wr0ng'
      await assert.rejects(source(url.href).probe(signal), (error: Error) => {
        assert.doesNotMatch(JSON.stringify([error.message, error.stack]), /wr0ng/)
        return failsWith('AUTH_FAILED', /^legacy: /)(error)
      })
    } finally {
      await db.query(`drop user '${user}'@'%'`)
    }
  })

  it('reads a view without privileges on the table behind it', async () => {
    const user = `v_${db.name.slice(-8)}`
    await db.query(`create view few as select id, v from steps;
      create user '${user}'@'%' identified by 'x'; grant select on ${db.name}.few to '${user}'@'%'`)
    const url = new URL(db.url)
    url.username = user
    url.password = 'x'
    try {
      assert.equal((await readTable(url.href, 'few')).rows.length, 4)
    } finally {
      await db.query(`drop user '${user}'@'%'`)
    }
  })

  it("reads a view's computed columns", async () => {
    const expressions: [sql: string, value: Value][] = [
      ['null', null],
      ['count(*)', '4'],
      ['sum(v) / 3', '3.3333'],
      ['avg(v) * 1e0', '2.5'],
      ['max(at)', '2026-02-01 00:00:00.000000'],
      ['date(max(at))', '2026-02-01'],
      ['max(id) > 3', '1'],
      ["cast(b'101' as unsigned)", '5'],
      ["timediff('10:00:00.5', '11:00:00')", '-00:59:59.5'],
      ["group_concat(id order by id separator '-')", '1-2-3-4'],
      ['-cast(max(id) as unsigned)', '-4'],
      ['year(max(at))', '2026'],
    ]
    const columns = expressions.map(([sql], index) => `${sql} as c${index}`)
    await db.query(`create view computed as select ${columns.join(', ')} from steps`)
    const { rows } = await readTable(db.url, 'computed')
    assert.deepEqual(rows, [expressions.map(([, value]) => value)])
  })

  it('names what is wrong', async () => {
    const from = source(db.url)
    await assert.rejects(from.describe(spec('acounts'), signal), (error: EngineError) => {
      assert.match(error.hint!, /accounts/)
      return failsWith('TABLE_MISSING', /^legacy: .*acounts/)(error)
    })
    const url = new URL(db.url)
    url.pathname = '/no_such_database'
    await assert.rejects(source(url.href).probe(signal), failsWith('DATABASE_MISSING', /^legacy: /))
    url.port = '1'
    await assert.rejects(source(url.href).probe(signal), failsWith('CONNECTION_FAILED', /^legacy: /))
    await assert.rejects(from.probe(AbortSignal.abort()), failsWith('INTERRUPTED', /^legacy: /))
    await from.probe(signal)
    await source(db.url.replace(/^mysql:/, 'mariadb:')).probe(signal)
  })

  it('notes tables whose engine has no snapshots', async () => {
    await db.query('create table old (id int primary key) engine = myisam')
    assert.match((await readTable(db.url, 'old')).note!, /old \(MyISAM\)/)
    await db.query(`create table \`sound\` (id int primary key); create view inner_seen as select o.id from sound s join old o on s.id = o.id;
      create view seen as select i.id from (sound s left join inner_seen i on s.id = i.id);
      create view deep as select id, (select max(id) from old) as m from sound`)
    for (const view of ['seen', 'deep']) {
      const { note } = await readTable(db.url, view)
      assert.match(note!, new RegExp(`no snapshot of ${view} \\(through \`\\w+\`\\.\`old\`, MyISAM\\)`))
    }
    assert.equal((await readTable(db.url, 'sound')).note, undefined)
  })
})

const floatText = (server: unknown) => (Object.is(Number(server), -0) ? '-0' : String(Number(server)))

describe('mysql: what a schema has beside plain tables', async () => {
  const db = await freshMariadb()
  it('tables with system versioning are among its tables; shapes and broken views are told', async () => {
    await db.query(`CREATE TABLE kept (id int PRIMARY KEY, p point) WITH SYSTEM VERSIONING; CREATE TABLE base (id int);
      CREATE VIEW lost AS SELECT * FROM base; DROP TABLE base`)
    await db.query('CREATE TABLE Twin (id int PRIMARY KEY); CREATE TABLE twin (no int PRIMARY KEY)')
    const from = source(db.url)
    const listed = await from.tables!(signal)
    assert.deepEqual(
      listed.map(({ name, key }) => `${name} ${key}`).sort(),
      ['Twin id', 'kept id', 'lost ', 'twin no'],
      'of names that differ in case, each has its own key',
    )
    const twin = await from.describe(spec('twin'), signal)
    assert.deepEqual([twin.key, twin.columns.map(({ name }) => name)], [['no'], ['no']])
    const { notes } = await from.describe(spec('kept'), signal)
    assert.match(notes!.join(), /p \(point\): shapes come as WKB, without their spatial reference id/)
    await assert.rejects(from.describe(spec('lost'), signal), (error: EngineError) => {
      assert.match(error.message, /legacy\.lost: cannot be read: .*references invalid table/)
      assert.match(error.hint!, /CREATE OR REPLACE VIEW/)
      return true
    })
  })
})
