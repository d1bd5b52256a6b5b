import assert from 'node:assert/strict'
import type { InexactPolicy } from '../../engine/types/logical.ts'
import { typeName } from '../../engine/types/logical.ts'
import type { FreshDatabase } from '../servers.ts'
import { followed, readTable } from './mysqlRead.ts'

/** A column type and how the server makes random values of it, all in SQL. */
interface TypeCase {
  native: string
  logical: string
  /** Random values, over the sequence's `seq`. */
  random: string
  /** Values that always come along, as literals. */
  extremes?: string[]
  /** The server's own exact text of `v`, in {@link textOf}'s notation. Default: what the driver gives for it. */
  text?: string
  policy?: InexactPolicy
}

// RAND(n) has 30 random bits; MD5 of it spreads them over as many as are wanted.
const hex = (seed: number, digits: number) => `substr(md5(rand(${seed})), 1, ${digits})`
const word = `(cast(conv(${hex(1, 16)}, 16, 10) as unsigned) >> floor(rand(2) * 64))`
const unsigned = (bits: number) => `${word} & ${2n ** BigInt(bits) - 1n}`
const signed = (bits: number) => `cast(${unsigned(bits - 1)} as signed) * if(rand(3) < 0.5, 1, -1)`
const integer = (native: string, logical: string, bits: number, minus: boolean): TypeCase => {
  const half = 2n ** BigInt(bits - 1)
  const extremes = minus ? [-half, half - 1n, 0n] : [0n, 2n * half - 1n]
  return {
    native,
    logical,
    random: minus ? signed(bits) : unsigned(bits),
    extremes: extremes.map(String),
    text: 'concat(v + 0)',
  }
}
const decimal = (precision: number, scale: number): TypeCase => {
  const digits = [4, 5, 6, 7, 8].map(seed => `lpad(conv(${hex(seed, 12)}, 16, 10), 15, '0')`)
  const number = `lpad(right(concat(${digits.join(', ')}), 1 + floor(rand(9) * ${precision})), ${precision}, '0')`
  const whole = precision - scale
  const nines = `${'9'.repeat(whole)}.${'9'.repeat(scale)}`
  return {
    native: `decimal(${precision},${scale})`,
    logical: precision > 38 ? 'VARCHAR' : `DECIMAL(${precision},${scale})`,
    random: `concat(if(rand(3) < 0.5, '-', ''), left(${number}, ${whole}), '.', right(${number}, ${scale}))`,
    extremes: [nines, `-${nines}`, '0'].map(text => `'${text}'`),
    text: 'concat(v)',
  }
}
const float = (native: string, logical: string, exponents: number, extremes: string[]): TypeCase => {
  const fraction = '(rand(1) + rand(2) * 1e-9) * if(rand(3) < 0.5, 1, -1)'
  return {
    native,
    logical,
    random: `${fraction} * pow(10, floor(rand(4) * ${exponents}) - ${exponents >> 1})`,
    extremes,
    text: 'concat(v * 1e0)',
  }
}
const day = "date_add('0001-01-01', interval floor(rand(1) * 3652059) day)"
const moment = `timestamp(${day}) + interval floor(rand(2) * 86400) second + interval floor(rand(3) * 1000000) microsecond`
const datetime = (digits: number): TypeCase => ({
  native: `datetime(${digits})`,
  logical: 'TIMESTAMP',
  // Cut, not rounded: the last day has none behind it.
  random: `left(${moment}, 19) + interval floor(rand(4) * 1000000) microsecond - interval 1 second`,
  extremes: ["'0000-01-01 00:00:00'", "'9999-12-31 23:59:59'", "'1969-12-31 23:59:59'"],
  text: "date_format(v, '%Y-%m-%d %H:%i:%s.%f')",
})
const seconds = 'sec_to_time(cast((rand(1) * 2 - 1) * 3020399.999999 as decimal(16, 6)))'
const sliceOf = (characters: string) =>
  `substr('${characters}', 1 + floor(rand(1) * ${[...characters].length}), floor(rand(2) * 12))`
const text = (native: string, characters: string): TypeCase => ({
  native,
  logical: 'VARCHAR',
  random: sliceOf(characters),
  extremes: ["''", "' '", "'\\\\'", `'${characters}'`],
})
const bytes = (native: string): TypeCase => ({
  native,
  logical: 'BLOB',
  random: `concat(left(unhex(md5(rand(1))), floor(rand(2) * 16)), left(x'0000', floor(rand(3) * 3)))`,
  extremes: ["x''", "x'00'", "x'ff00'", "x'2020'"],
  text: 'lower(hex(v))',
})
const asText = (of: TypeCase): TypeCase => ({ ...of, logical: 'VARCHAR', policy: 'text', text: 'concat(v)' })

const LATIN = 'Grüße à Łódź'.replace('Łódź', 'naïve ÿþ€')
const WIDE = 'añb 漢字かな한글 Привет €ſ𝄞'
const FLOATS = ['0', '-1', '16777217', '3.402823466e38', '-3.402823466e38', '1.175494351e-38', '0.1', '1e-45']
const DOUBLES = [
  '0',
  '1.7976931348623157e308',
  '-1.7976931348623157e308',
  '2.2250738585072014e-308',
  '0.1',
  '5e-324',
]
const DOUBLE = float('double', 'DOUBLE', 600, DOUBLES)
const DATE: TypeCase = {
  native: 'date',
  logical: 'DATE',
  random: day,
  extremes: ["'0000-01-01'", "'9999-12-31'", "'2000-02-29'", "'1969-12-31'"],
  text: 'concat(v)',
}
const TIME = (digits: number): TypeCase => ({
  native: `time(${digits})`,
  logical: 'VARCHAR',
  random: seconds,
  extremes: ["'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'"],
  text: 'concat(v)',
})
const BIT = (bits: number): TypeCase => ({
  native: `bit(${bits})`,
  logical: 'UBIGINT',
  random: unsigned(bits),
  extremes: ['0', String(2n ** BigInt(bits) - 1n)],
  text: 'concat(cast(v as unsigned))',
})

/** Every type of MySQL and MariaDB, and what is staged as text on demand. */
export const CASES: TypeCase[] = [
  integer('tinyint(1)', 'TINYINT', 8, true),
  integer('tinyint unsigned', 'UTINYINT', 8, false),
  integer('smallint', 'SMALLINT', 16, true),
  integer('smallint unsigned', 'USMALLINT', 16, false),
  integer('mediumint', 'INTEGER', 24, true),
  integer('mediumint unsigned', 'UINTEGER', 24, false),
  integer('int', 'INTEGER', 32, true),
  integer('int unsigned', 'UINTEGER', 32, false),
  integer('bigint', 'BIGINT', 64, true),
  integer('bigint unsigned', 'UBIGINT', 64, false),
  integer('bigint(30) unsigned zerofill', 'UBIGINT', 64, false),
  ...[1, 8, 9, 33, 64].map(BIT),
  decimal(1, 0),
  decimal(10, 2),
  decimal(15, 15),
  decimal(16, 2),
  decimal(38, 0),
  decimal(38, 38),
  decimal(30, 10),
  decimal(39, 1),
  decimal(65, 30),
  float('float', 'FLOAT', 74, FLOATS),
  { ...float('float(12,3)', 'FLOAT', 10, []), random: 'round((rand(1) - 0.5) * 1e6, 3)' },
  DOUBLE,
  { ...float('double(20,4)', 'DOUBLE', 10, []), random: 'round((rand(1) - 0.5) * 1e9, 4)' },
  {
    native: 'year',
    logical: 'SMALLINT',
    random: '1901 + floor(rand(1) * 255)',
    extremes: ['0', '1901', '2155'],
    text: 'concat(v + 0)',
  },
  DATE,
  ...[0, 3, 6].map(datetime),
  {
    native: 'timestamp(6) null',
    logical: 'TIMESTAMP WITH TIME ZONE',
    random: 'from_unixtime(1 + rand(1) * 2147483640) + interval floor(rand(2) * 1000000) microsecond',
    extremes: ["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999999'"],
    text: "date_format(v, '%Y-%m-%d %H:%i:%s.%f')",
  },
  ...[0, 1, 6].map(TIME),
  text('char(20)', LATIN),
  text('varchar(100)', WIDE),
  text('varchar(100) character set latin1', LATIN),
  text('char(40) character set utf8mb3', WIDE.replace('𝄞', '')),
  text('varchar(100) character set ucs2', WIDE.replace('𝄞', '')),
  text('varchar(100) character set utf16', WIDE),
  text('varchar(100) character set utf32', WIDE),
  text('varchar(100) character set sjis', 'abc 漢字表ソ能ｶﾅかな'),
  text('varchar(100) character set cp1251', 'Привет ёж'),
  text('varchar(100) character set gbk', '汉字誠乗'),
  text('tinytext', WIDE),
  text('mediumtext', WIDE),
  {
    ...text('longtext', WIDE),
    random: `repeat(${sliceOf(WIDE)}, if(seq mod 997 = 0, 20000, 1 + seq mod 40))`,
  },
  {
    native: "enum('a','ü','')",
    logical: 'VARCHAR',
    random: '1 + floor(rand(1) * 3)',
    extremes: ["'no such'"],
  },
  { native: "set('a','ü','c')", logical: 'VARCHAR', random: 'floor(rand(1) * 8)', extremes: ["''"] },
  {
    native: 'json',
    logical: 'VARCHAR',
    random: `json_object('a', rand(3), ${sliceOf(WIDE)}, json_array(1, null, ${sliceOf(LATIN)}))`,
    extremes: ["'null'", '\'""\'', "'[]'"],
    // The driver parses JSON, whatever string function it has gone through.
    text: 'hex(v)',
  },
  {
    native: 'uuid',
    logical: 'VARCHAR',
    random:
      "insert(insert(md5(rand(1)), 13, 1, '4'), 17, 1, elt(1 + floor(rand(2) * 4), '8', '9', 'a', 'b'))",
    extremes: ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    text: 'concat(v)',
  },
  {
    native: 'inet4',
    logical: 'VARCHAR',
    random: `inet_ntoa(${unsigned(32)})`,
    extremes: ["'0.0.0.0'", "'255.255.255.255'"],
    text: 'concat(v)',
  },
  {
    native: 'inet6',
    logical: 'VARCHAR',
    random: 'inet6_ntoa(unhex(md5(rand(1))))',
    extremes: ["'::'", "'::ffff:1.2.3.4'"],
    text: 'concat(v)',
  },
  ...['binary(20)', 'varbinary(20)', 'tinyblob', 'blob', 'mediumblob', 'longblob'].map(bytes),
  {
    native: 'point',
    logical: 'BLOB',
    random: 'point(rand(1) * 360 - 180, rand(2) * 180 - 90)',
    text: 'lower(hex(st_aswkb(v)))',
  },
  {
    native: 'geometry',
    logical: 'BLOB',
    random:
      "if(seq mod 2, linestring(point(rand(1), 1), point(2, rand(2))), st_geomfromtext('polygon((0 0,0 1,1 1,0 0))'))",
    extremes: ["st_geomfromtext('geometrycollection(point(1 2),multipoint(3 4))')"],
    text: 'lower(hex(st_aswkb(v)))',
  },
  ...[integer('bigint', '', 64, true), decimal(20, 5), DATE, TIME(3)].map(asText),
  { ...asText(DOUBLE), text: 'concat(v * 1e0)' },
  { ...asText(BIT(64)), text: 'concat(cast(v as unsigned))' },
  { ...asText(datetime(3)), extremes: ["'0000-00-00'", "'2026-00-00 01:02:03.5'"] },
]

/** Fills a table with `rows` values of a type, a tenth of them NULL, and compares each with the server's own text. */
export async function compareType(db: FreshDatabase, index: number, rows: number): Promise<void> {
  const { native, logical, random, extremes = [], text = 'v', policy } = CASES[index]!
  const table = `type${index}`
  await db.query(`set time_zone = '+00:00', sql_mode = ''`)
  await db.query(`create table ${table} (id int primary key, v ${native}) charset utf8mb4`)
  const log = await followed(db.url, table, policy ? { v: policy } : {})
  await db.query(`insert into ${table} select seq, if(seq mod 10 = 0, null, ${random}) from seq_1_to_${rows}`)
  for (const [at, value] of extremes.entries())
    await db.query(`insert into ${table} values (${rows + at + 1}, ${value})`)
  await db.query(`analyze table ${table}`)
  const read = await readTable(db.url, table, policy ? { policies: { v: policy } } : {})
  assert.equal(typeName(read.columns[1]!.type), logical)
  const ours = read.rows.sort((a, b) => Number(a[0]) - Number(b[0]))
  if (UNLOGGED.test(native) || (policy === 'text' && floatingType(native)))
    await assert.rejects(log.read(), { code: 'TYPE_UNSUPPORTED' })
  else {
    const logged = (await log.read()).sort((a, b) => Number(a[0]) - Number(b[0]))
    assert.equal(logged.length, ours.length)
    for (const [row, values] of ours.entries())
      if (logged[row]![1] !== values[1])
        assert.equal(logged[row]![1], values[1], `${native}, row ${values[0]} of the log`)
  }
  const floating = read.columns[1]!.type.kind === 'float'
  const theirs = await db.query<{ v: string | null }>(`select ${text} as v from ${table} order by id`)
  assert.equal(ours.length, rows + extremes.length)
  assert.equal(theirs.length, ours.length)
  let nulls = 0
  const distinct = new Set<string | null>()
  for (const [row, { v }] of theirs.entries()) {
    const expected = v === null ? v : floating ? floatText(v) : native === 'json' ? fromHex(v) : v
    if (ours[row]![1] !== expected) assert.equal(ours[row]![1], expected, `${native}, row ${ours[row]![0]}`)
    if (expected === null) nulls++
    else if (distinct.size < 3) distinct.add(expected)
  }
  // What the server could not make would be NULL, or all the same.
  assert.ok(nulls <= rows / 9 && distinct.size >= 2, `${native}: ${nulls} NULLs, ${[...distinct]}`)
  await db.query(`drop table ${table}`)
}

/** Sets of characters whose bytes only the server converts; the log has them as they lie. */
const UNLOGGED = /character set (sjis|gbk)/
const floatingType = (native: string) => /^(float|double)/.test(native)
const fromHex = (server: string) => Buffer.from(server, 'hex').toString('utf8')
const floatText = (server: string) => (Object.is(Number(server), -0) ? '-0' : String(Number(server)))
