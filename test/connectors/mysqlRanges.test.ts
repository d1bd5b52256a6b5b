import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Read } from '../../engine/contracts/source.ts'
import { mysql } from '../../src/connectors/mysql/index.ts'
import { within } from '../../src/connectors/mysql/keys.ts'
import { chunkSql, type RangePayload } from '../../src/connectors/mysql/lane.ts'
import { freshMariadb } from '../servers.ts'
import { readShared, type Sharing } from '../sharing.ts'
import { readTable } from './mysqlRead.ts'

const quoted = (text: string) => `_utf8mb4 x'${Buffer.from(text, 'utf8').toString('hex')}'`
const clustered = (min: bigint, max: bigint) =>
  fc.oneof(
    fc.bigInt(min, max),
    fc.integer({ min: 0, max: 99 }).map(BigInt),
    fc.bigInt(max - 50n, max),
    fc.constantFrom(min, max),
  )
const integers = (min: bigint, max: bigint) => clustered(min, max).map(String)
// What collations treat in odd ways: case, accents, padding, ignorable and control characters, pairs of letters.
const odd = fc.constantFrom(
  ...'aAbBzZ09áÁäßſ ñ中😀\0\x01\t_%\\\'"ǆ\u00ad\uffff'.split(/(?:)/u),
  'ss',
  'ch',
  '  ',
)
const strings = fc.oneof(
  fc.array(odd, { maxLength: 6 }).map(parts => parts.join('')),
  fc.integer({ min: 0, max: 400 }).map(number => `member-${number}`),
)
const latin = fc
  .array(fc.constantFrom(...'aAbÄäéß 1\0\x01~'), { maxLength: 6 })
  .map(parts => quoted(parts.join('')))
const bytes = fc
  .array(fc.constantFrom(0, 1, 0x20, 0x41, 0x61, 0x7f, 0x80, 0xff), { maxLength: 5 })
  .map(list => `x'${Buffer.from(list).toString('hex')}'`)
const moments = (min: string, max: string) =>
  fc.date({ min: new Date(`${min}Z`), max: new Date(`${max}Z`), noInvalidDate: true }).map(date => {
    return `'${date.toISOString().replace('T', ' ').slice(0, 23)}'`
  })
const text = strings.map(quoted)

/** Key columns and their values. */
const KEYS: [type: string, values: fc.Arbitrary<string>][][] = [
  [['bigint', integers(-(2n ** 63n), 2n ** 63n - 1n)]],
  [['bigint unsigned', integers(0n, 2n ** 64n - 1n)]],
  [['int(8) zerofill', integers(0n, 99999n)]],
  [['decimal(30,10)', clustered(-(10n ** 29n), 10n ** 29n).map(value => `${value}e-10`)]],
  [['date', fc.oneof(moments('1000-01-01', '9999-01-01'), fc.constant("'0000-00-00'"))]],
  [['datetime(6)', fc.oneof(moments('2020-01-01', '2020-01-02'), moments('1000-01-01', '9999-01-01'))]],
  [['timestamp', moments('1971-01-01', '2037-01-01')]],
  ...[
    'utf8mb4_general_ci',
    'utf8mb4_unicode_ci',
    'utf8mb4_bin',
    'utf8mb4_unicode_nopad_ci',
    'utf8mb4_nopad_bin',
    'utf8mb4_uca1400_as_cs',
    'utf8mb4_swedish_ci',
  ].map((collation): [string, fc.Arbitrary<string>][] => [[`varchar(40) collate ${collation}`, text]]),
  [['char(30) collate utf8mb4_unicode_ci', text]],
  [['varchar(40) character set latin1 collate latin1_german2_ci', latin]],
  [['varchar(40) character set latin1 collate latin1_bin', latin]],
  [['varchar(40) character set ucs2', latin]],
  [['varchar(40) character set sjis', fc.stringMatching(/^[a-c~＼ソ表 ]{0,6}$/u).map(quoted)]],
  [['varbinary(40)', bytes]],
  [['binary(4)', bytes]],
  [['uuid', fc.uuid().map(uuid => `'${uuid}'`)]],
  [
    ['int', fc.constantFrom('1', '2', '50', '51', '1000000')],
    ['varchar(40) collate utf8mb4_unicode_ci', text],
  ],
  [
    ['varchar(40) collate utf8mb4_general_ci', fc.constantFrom("'a'", "'B'", "'c '")],
    ['datetime(3)', moments('2020-01-01', '2020-01-03')],
    ['bigint', integers(-5n, 5n)],
  ],
]
const FORMS = ['primary key', 'unique', 'primary key on two partitions']

describe('mysql ranges', async () => {
  const db = await freshMariadb()
  await db.query("set sql_mode = '', time_zone = '+00:00'")
  const read = (table: string, sharing: Sharing) =>
    readShared(mysql.source!({ url: db.url }, { name: 'legacy', baseDir: '.' }), table, sharing)
  const ordered = async (key: string[]) => {
    const rows = await db.query<{ n: number }>(`select n from t order by ${key.join(', ')}`)
    return rows.map(({ n }) => n)
  }
  let serial = 0
  const create = async (columns: string[], values: string[][], index: string, rest = '') => {
    const names = columns.map((_, position) => `k${position}`)
    const types = names.map((name, position) => `${name} ${columns[position]} not null`)
    await db.query(
      `drop table if exists t; create table t (n int, ${types.join(', ')}, v varchar(20), ${index} (${names})) charset utf8mb4 ${rest}`,
    )
    const rows = values.map(row => `(${serial++}, ${row.join(', ')}, 'value')`)
    if (rows.length > 0) await db.query(`insert ignore into t values ${rows.join(', ')}`)
    await db.query('analyze table t')
    return names
  }

  it('hold every row once, in the order of the key, whatever the key', async () => {
    for (const key of KEYS) {
      const values = fc.array(fc.tuple(...key.map(([, value]) => value)), { maxLength: 150 })
      const form = fc.constantFrom(...FORMS)
      await fc.assert(
        fc.asyncProperty(
          values,
          form,
          fc.integer({ min: 1, max: 3 }),
          fc.integer({ min: 4, max: 60 }),
          async (rows, form, lanes, limit) => {
            const partitioned = form.includes('partitions') ? 'partition by key (k0) partitions 2' : ''
            const names = await create(
              key.map(([type]) => type),
              rows,
              form === 'unique' ? 'unique' : 'primary key',
              partitioned,
            )
            const result = await read('t', { lanes, limit })
            assert.deepEqual(result.rows, await ordered(names))
          },
        ),
        { numRuns: 2 },
      )
    }
  })

  it('are cut in about equal halves, also where keys are skewed, and paged in the order of the index', async () => {
    const tables = {
      even: ['id bigint', 'select seq * 10, seq from seq_1_to_10000'],
      skewed: ['id bigint', 'select seq + if(seq % 2000 = 0, seq << 40, 0), seq from seq_1_to_10000'],
      names: [
        'id varchar(40) collate utf8mb4_unicode_ci',
        "select concat('Member-', seq), seq from seq_1_to_10000",
      ],
      amounts: ['id decimal(20,4)', 'select seq * 1.5 - 100, seq from seq_1_to_10000'],
      hashes: ['id varbinary(32)', 'select unhex(md5(seq)), seq from seq_1_to_10000'],
      codes: [
        'id varchar(20) character set latin1',
        'select conv(seq * 7919, 10, 36), seq from seq_1_to_10000',
      ],
      tenants: ['tenant int, id bigint', 'select if(seq % 50 = 0, seq, 7777), seq, seq from seq_1_to_10000'],
      days: [
        'at datetime, id int',
        "select '2026-01-01' + interval seq div 900 day, seq, seq from seq_1_to_10000",
      ],
    }
    for (const [table, [columns, rows]] of Object.entries(tables)) {
      const names = columns!.split(', ').map(column => column.split(' ')[0]!)
      await db.query(`create table ${table} (${columns}, n int, v varchar(100) default repeat('v', 100),
        primary key (${names}), index (n)); insert into ${table} (${names}, n) ${rows}; analyze table ${table}`)
      const from = mysql.source!({ url: db.url }, { name: 'legacy', baseDir: '.' })
      const { signal } = new AbortController()
      const options = { table }
      const { columns: staged } = await from.describe(
        { name: table, from: 'legacy', key: [], columns: {}, options },
        signal,
      )
      const limits = { rows: 100, bytes: 1e6 }
      const plan: Read = { extract: table, where: table, columns: staged, key: names, options, limits }
      const snapshot = await from.open(1, signal, [plan])
      try {
        const [whole] = await snapshot.ranges(plan)
        const halves = await snapshot.split(plan, whole!)
        const quarters = await snapshot.split(plan, halves![1])
        const counts: number[] = []
        for (const range of [halves![0], ...quarters!]) {
          const payload = range.payload as RangePayload
          const where = within(payload.key!, payload.bounds!).join(' and ')
          const [count] = await db.query<{ c: number }>(`select count(*) as c from ${table} where ${where}`)
          counts.push(Number(count!.c))
          const [step] = await db.query<{ type: string; key: string; Extra: string }>(
            `explain ${chunkSql(plan, payload, 1000)}`,
          )
          assert.deepEqual([table, step!.type, step!.key], [table, 'range', 'PRIMARY'])
          assert.doesNotMatch(step!.Extra, /filesort|temporary/)
        }
        const [half, third, fourth] = counts as [number, number, number]
        assert.equal(half + third + fourth, 10000)
        assert.ok(half > 1700 && third > 400 && fourth > 400, `${table}: ${counts}`)
      } finally {
        await snapshot.close()
      }
    }
  })

  it('use the index of a date that may be NULL, and find dates without a month or day where there are any', async () => {
    await db.query(`create table dated (id int primary key, d date null, v varchar(100) default repeat('v', 100), index (d));
      insert into dated (id, d) select seq, '2020-01-01' + interval seq div 100 day from seq_1_to_20000; analyze table dated`)
    const from = mysql.source!({ url: db.url }, { name: 'legacy', baseDir: '.' })
    const { signal } = new AbortController()
    const options = { table: 'dated' }
    const { columns } = await from.describe(
      { name: 'dated', from: 'legacy', key: [], columns: {}, options },
      signal,
    )
    const limits = { rows: 100, bytes: 1e6 }
    const since = { column: 'd', value: '2020-07-18', nulls: true }
    const plan: Read = { extract: 'd', where: 'd', columns, key: ['id'], options, limits, since }
    const chunk = async () => {
      const snapshot = await from.open(1, signal, [plan])
      try {
        const [range] = await snapshot.ranges(plan)
        const sql = chunkSql(plan, range!.payload as RangePayload, 10000)
        const [step] = await db.query<{ key: string | null }>(`explain ${sql}`)
        return { key: step!.key, rows: (await db.query(sql)).length }
      } finally {
        await snapshot.close()
      }
    }
    assert.deepEqual(await chunk(), { key: 'd', rows: 101 })
    await db.query(`set sql_mode = ''; insert into dated (id, d) values (0, '2010-00-00'), (-1, '2010-05-00'), (-2, null), (-3, '0000-00-00');
      set sql_mode = default`)
    assert.equal((await chunk()).rows, 105)
  })

  it('hold every row once, whatever the key can be used for', async () => {
    await db.query(`create table heap (n int, k int null unique); insert into heap select seq, null from seq_1_to_500;
      create table prefixed (n int, k varchar(200), primary key (k(3))); insert into prefixed values (1, 'abcd'), (2, 'b');
      create view seen as select n from heap; create table none (n int primary key);
      create table unpadded (n int, k char(30) collate utf8mb4_nopad_bin primary key);
      insert into unpadded values (1, ''); insert into unpadded select seq, concat(char(1), seq) from seq_2_to_100;
      create table myisam (n int, k char(12) character set latin7 collate latin7_estonian_cs primary key) engine=MyISAM;
      insert into myisam values (1, ''); insert into myisam select seq + 1, concat(char(seq), if(seq % 2, 'a', '')) from seq_1_to_31;
      insert into myisam select seq + 32, concat('dzs', seq) from seq_1_to_20;
      create table one (n int, k int primary key) engine=MyISAM; insert into one select seq, seq from seq_1_to_60;
      create table two (n int, k int primary key) engine=MyISAM; insert into two select seq + 60, seq from seq_1_to_60;
      create table merged (n int, k int primary key) engine=MERGE union=(one, two);
      create table ignored (n int, k int not null, j int not null, unique key b (j), unique key a (k));
      alter table ignored alter index a ignored; insert into ignored select seq, seq, seq from seq_1_to_100;
      create table \`accents\` (n int, \`ma\` int primary key, \`mã\` varchar(10) not null);
      insert into accents select seq, seq, concat('v', seq) from seq_1_to_50`)
    for (const [table, count] of [
      ['heap', 500],
      ['prefixed', 2],
      ['seen', 500],
      ['none', 0],
      ['unpadded', 100],
      ['myisam', 52],
      ['merged', 120],
      ['ignored', 100],
      ['accents', 50],
    ] as const) {
      const { rows, schema } = await read(table, { lanes: 2, limit: 4 })
      assert.equal(schema.keyRepeats, table === 'merged' ? true : undefined)
      assert.deepEqual(
        rows.sort((a, b) => a - b),
        Array.from({ length: count }, (_, index) => index + 1),
      )
    }
  })

  it('go on after a key that cannot be staged', { timeout: 60_000 }, async () => {
    await db.query(`create table surrogates (n int, k varchar(10) character set utf8mb4 primary key);
      insert into surrogates select seq, concat('m', lpad(seq, 3, '0')) from seq_1_to_49;
      insert into surrogates select 1000 + seq, concat(_utf8mb4 x'EDA080', lpad(seq, 4, '0')) from seq_1_to_4000`)
    for (const policy of ['quarantine', 'null'] as const) {
      const { rows, chunks } = await readTable(db.url, 'surrogates', { policies: { k: policy }, lanes: 1 })
      assert.deepEqual([rows.length, new Set(rows.map(([n]) => n)).size, chunks], [4049, 4049, 3])
    }
  })

  it('read since a value of the key itself are paged all the same', async () => {
    await db.query(`drop table if exists t; create table t (n int primary key);
      insert into t select seq from seq_1_to_3000; analyze table t`)
    const since = { column: 'n', value: '2000' }
    const { rows, chunks } = await read('t', { lanes: 2, limit: 100, since })
    assert.deepEqual(
      rows,
      Array.from({ length: 1001 }, (_, index) => 2000 + index),
    )
    assert.ok(chunks > 9, `${chunks}`)
  })

  it('read since a watermark, with an index on it or without', async () => {
    for (const index of ['', ', index (at)']) {
      await db.query(`drop table if exists t; create table t (n int primary key, at datetime(6)${index});
        insert into t select seq, '2026-01-01' + interval seq second from seq_1_to_3000; analyze table t`)
      const since = { column: 'at', value: '2026-01-01 00:45:00.000000' }
      const { rows, chunks } = await read('t', { lanes: 2, limit: 100, since })
      if (index) assert.equal(chunks, 1)
      else assert.ok(chunks > 4)
      assert.deepEqual(
        rows.sort((a, b) => a - b),
        Array.from({ length: 301 }, (_, index) => 2700 + index),
      )
    }
  })
})
