/** Tables that were made by hand: what a column cannot hold is refused by row, all else is held as it was sent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { duckdb } from './openTargets.ts'
import { smallJob } from './small.ts'

interface Case {
  /** The column's type, and what is demanded of it. */
  ddl: string
  /** What is sent, in DuckDB's SQL of its type. */
  type: string
  good: (string | null)[]
  /** Values that the table refuses, by row, and why. */
  bad: [value: string | null, reason: RegExp][]
  /** How the server shows a good value, where that is not how it was written. */
  shown?: Record<string, string>
  /** Statements before the table is made. */
  before?: string
}

const long = (text: string, times: number) => text.repeat(times)
const LENGTH: Omit<Case, 'ddl'> = {
  type: 'VARCHAR',
  good: ['abc', 'äöü', '', '日本語', '😀b', ' a', null],
  bad: [
    ['abcd', /does not fit/],
    ['abc ', /does not fit/],
    ['äöüß', /does not fit/],
  ],
}
const SHORT: Omit<Case, 'ddl'> = {
  type: 'BIGINT',
  good: ['-32768', '32767', '0', null],
  bad: [
    ['32768', /'32768' does not fit/],
    ['-32769', /does not fit/],
  ],
}
const DECIMAL: Omit<Case, 'ddl'> = {
  type: 'DECIMAL(9,2)',
  good: ['999.99', '-999.99', '0.00', '1.10', null],
  bad: [
    ['1000.00', /does not fit/],
    ['-1000.00', /does not fit/],
  ],
}
const REQUIRED: Omit<Case, 'ddl'> = { type: 'INTEGER', good: ['1'], bad: [[null, /may not be NULL/]] }
const CHECKED: Omit<Case, 'ddl'> = { type: 'INTEGER', good: ['1', null], bad: [['-1', /CHECK/]] }
const UNIQUE: Omit<Case, 'ddl'> = {
  type: 'VARCHAR',
  good: ['a', 'b', null, null],
  bad: [['a', /one 'a' is that of another row, too, and one is unique/]],
}
const TAKEN: Omit<Case, 'ddl'> = {
  type: 'VARCHAR',
  good: ['a'],
  bad: [['t', /taken 't' is that of another row that the table has, and taken is unique/]],
}

const POSTGRES: Record<string, Case> = {
  length: { ddl: 'varchar(3)', ...LENGTH },
  padded: {
    ddl: 'char(3)',
    type: 'VARCHAR',
    good: ['abc', 'a', null],
    bad: [['abcd', /does not fit character\(3\)/]],
  },
  small: { ddl: 'smallint', ...SHORT },
  digits: { ddl: 'numeric(5,2)', ...DECIMAL },
  whole: { ddl: 'integer', type: 'DECIMAL(12,0)', good: ['2147483647'], bad: [['2147483648', /integer/]] },
  no_sign: {
    ddl: 'bigint',
    type: 'UBIGINT',
    good: ['9223372036854775807'],
    bad: [['9223372036854775808', /bigint/]],
  },
  enumerated: {
    before: "CREATE TYPE mood AS ENUM ('sad', 'glad')",
    ddl: 'mood',
    type: 'VARCHAR',
    good: ['sad', 'glad', null],
    bad: [
      ['Sad', /'Sad' does not fit mood/],
      ['', /does not fit mood/],
    ],
  },
  domain: {
    before:
      "CREATE DOMAIN positive AS integer CHECK (VALUE > 0); CREATE DOMAIN code AS varchar(3) NOT NULL CHECK (VALUE ~ '^[a-z]+$')",
    ddl: 'positive',
    type: 'INTEGER',
    good: ['1', null],
    bad: [['-1', /'-1' does not fit positive/]],
  },
  domain_text: {
    ddl: 'code',
    type: 'VARCHAR',
    good: ['abc'],
    bad: [
      ['abcd', /does not fit code/],
      ['ABC', /does not fit code/],
      [null, /may not be NULL/],
    ],
  },
  uuid: {
    ddl: 'uuid',
    type: 'VARCHAR',
    good: ['00000000-0000-0000-0000-00000000abcd', null],
    bad: [['none', /does not fit uuid/]],
  },
  document: {
    ddl: 'json',
    type: 'VARCHAR',
    good: ['{"a":  1}', 'null', null],
    bad: [['{', /does not fit json/]],
  },
  jsonb: {
    ddl: 'jsonb',
    type: 'VARCHAR',
    good: ['{"a":1}'],
    shown: { '{"a":1}': '{"a": 1}' },
    bad: [['{"a":}', /jsonb/]],
  },
  inet: {
    ddl: 'inet',
    type: 'VARCHAR',
    good: ['10.0.0.1'],
    shown: { '10.0.0.1': '10.0.0.1/32' },
    bad: [['10.0.0.999', /inet/]],
  },
  span: { ddl: 'int4range', type: 'VARCHAR', good: ['[1,5)'], bad: [['[5,1)', /int4range/]] },
  list: { ddl: 'integer[]', type: 'VARCHAR', good: ['{1,2}', '{}'], bad: [['{1,x}', /integer\[\]/]] },
  lasting: { ddl: 'interval', type: 'VARCHAR', good: ['1 day', '24:00:00'], bad: [['a while', /interval/]] },
  citext: {
    ddl: 'text COLLATE folding',
    before: "CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    type: 'VARCHAR',
    good: ['A', 'a', null],
    bad: [],
  },
  required: { ddl: 'integer NOT NULL', ...REQUIRED },
  checked: { ddl: 'integer CHECK (checked > 0)', ...CHECKED },
  one: { ddl: 'text UNIQUE', ...UNIQUE },
  taken: { ddl: 'text UNIQUE', ...TAKEN },
  nul: { ddl: 'text', type: 'VARCHAR', good: ['a'], bad: [['a\0b', /NUL/]] },
  day: { ddl: 'date', type: 'DATE', good: ['0001-01-01', '9999-12-31', '12026-01-01', null], bad: [] },
  defaulted: {
    ddl: 'integer NOT NULL DEFAULT 5',
    type: 'INTEGER',
    good: ['1'],
    bad: [[null, /may not be NULL/]],
  },
}

const MARIADB: Record<string, Case> = {
  length: { ddl: 'varchar(3)', ...LENGTH },
  bytes: {
    ddl: 'varbinary(3)',
    type: 'BLOB',
    good: ['abc', ''],
    bad: [['abcd', /does not fit varbinary\(3\)/]],
  },
  exactly: { ddl: 'binary(3)', type: 'BLOB', good: ['abc'], bad: [['ab', /does not fit binary\(3\)/]] },
  padded: {
    ddl: 'char(3)',
    type: 'VARCHAR',
    good: ['abc', 'a', null],
    bad: [
      ['a ', /does not fit char\(3\)/],
      ['abcd', /does not fit/],
    ],
  },
  tiny_text: {
    ddl: 'tinytext',
    type: 'VARCHAR',
    good: [long('é', 127)],
    bad: [[long('é', 128), /does not fit tinytext/]],
  },
  latin: {
    ddl: 'varchar(9) CHARACTER SET latin1',
    type: 'VARCHAR',
    good: ['é€', null],
    bad: [['ж', /does not fit/]],
  },
  tiny: { ddl: 'tinyint', type: 'INTEGER', good: ['127', '-128'], bad: [['128', /does not fit tinyint/]] },
  no_sign: {
    ddl: 'tinyint unsigned',
    type: 'INTEGER',
    good: ['255', '0'],
    bad: [
      ['-1', /unsigned/],
      ['256', /unsigned/],
    ],
  },
  small: { ddl: 'smallint', ...SHORT },
  medium: { ddl: 'mediumint', type: 'INTEGER', good: ['8388607'], bad: [['8388608', /mediumint/]] },
  big: {
    ddl: 'bigint',
    type: 'UBIGINT',
    good: ['9223372036854775807'],
    bad: [['9223372036854775808', /bigint/]],
  },
  digits: { ddl: 'decimal(5,2)', ...DECIMAL },
  day: {
    ddl: 'date',
    type: 'DATE',
    good: ['0001-01-01', '9999-12-31', null],
    bad: [
      ['10000-01-01', /years 1 to 9999/],
      ['0001-12-31 (BC)', /years/],
    ],
  },
  moment: {
    ddl: 'timestamp(6) NULL',
    type: 'TIMESTAMPTZ',
    good: ['1970-01-01 00:00:01+00', null],
    shown: { '1970-01-01 00:00:01+00': '1970-01-01 00:00:01.000000' },
    bad: [
      ['1970-01-01 00:00:00+00', /does not fit timestamp\(6\)/],
      ['2038-01-19 03:14:08+00', /does not fit/],
    ],
  },
  enumerated: {
    ddl: "enum('sad', 'glad', 'it''s')",
    type: 'VARCHAR',
    good: ['sad', 'glad', "it's", null],
    bad: [
      ['Sad', /'Sad' does not fit enum/],
      ['', /does not fit enum/],
      ['sad ', /does not fit enum/],
    ],
  },
  members: {
    ddl: "set('a', 'b', 'c')",
    type: 'VARCHAR',
    good: ['', 'a', 'a,c', null],
    bad: [
      ['c,a', /'c,a' does not fit set/],
      ['A', /does not fit set/],
      ['d', /does not fit set/],
    ],
  },
  document: {
    ddl: 'json',
    type: 'VARCHAR',
    good: ['{"a":  1}', null],
    bad: [['{', /does not fit json|violates/]],
  },
  uuid: {
    ddl: 'uuid',
    type: 'VARCHAR',
    good: ['00000000-0000-0000-0000-00000000abcd'],
    bad: [['none', /uuid/]],
  },
  inet: { ddl: 'inet6', type: 'VARCHAR', good: ['::1'], bad: [['x', /inet6/]] },
  text_of_number: {
    ddl: 'varchar(3)',
    type: 'INTEGER',
    good: ['123', '-12', null],
    bad: [['1234', /does not fit/]],
  },
  required: { ddl: 'int NOT NULL', ...REQUIRED },
  checked: { ddl: 'int CHECK (checked > 0)', ...CHECKED },
  one: {
    ddl: 'varchar(9) UNIQUE',
    ...UNIQUE,
    bad: [...UNIQUE.bad, ['A', /one 'A' is that of another row, too/]],
  },
  taken: { ddl: 'varchar(9) UNIQUE', ...TAKEN },
}

const DUCKDB: Record<string, Case> = {
  tiny: {
    ddl: 'TINYINT',
    type: 'INTEGER',
    good: ['127', '-128', null],
    bad: [['128', /tiny: '128' does not fit TINYINT/]],
  },
  no_sign: { ddl: 'UTINYINT', type: 'INTEGER', good: ['255'], bad: [['-1', /UTINYINT/]] },
  small: { ddl: 'SMALLINT', ...SHORT },
  digits: { ddl: 'DECIMAL(5,2)', ...DECIMAL },
  enumerated: {
    ddl: "ENUM ('sad', 'glad')",
    type: 'VARCHAR',
    good: ['sad', null],
    bad: [
      ['Sad', /does not fit ENUM/],
      ['', /ENUM/],
    ],
  },
  uuid: {
    ddl: 'UUID',
    type: 'VARCHAR',
    good: ['00000000-0000-0000-0000-00000000abcd'],
    bad: [['none', /UUID/]],
  },
  lasting: { ddl: 'INTERVAL', type: 'VARCHAR', good: ['1 day'], bad: [['a while', /INTERVAL/]] },
  list: { ddl: 'INTEGER[]', type: 'VARCHAR', good: ['[1, 2]'], bad: [['[1, x]', /INTEGER\[\]/]] },
  required: { ddl: 'INTEGER NOT NULL', ...REQUIRED },
  checked: { ddl: 'INTEGER CHECK (checked > 0)', ...CHECKED },
  one: { ddl: 'VARCHAR UNIQUE', ...UNIQUE },
  taken: { ddl: 'VARCHAR UNIQUE', ...TAKEN },
  folded: { ddl: 'VARCHAR COLLATE NOCASE', type: 'VARCHAR', good: ['A', 'a', null], bad: [] },
}

const quote = (value: string | null) => (value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`)
/** A value in DuckDB's SQL: no literal holds a NUL byte. */
const literal = (value: string | null, type: string) =>
  `CAST(${value?.includes('\0') ? value.split('\0').map(quote).join(' || chr(0) || ') : quote(value)} AS ${type})`

/** One table with a column a case: rows of good values, and a row for each bad one. */
for (const [kind, cases] of Object.entries({ postgres: POSTGRES, mariadb: MARIADB, duckdb: DUCKDB }))
  test(`${kind}: what a column cannot hold is refused by row, the rest is held as it was sent`, async t => {
    const names = Object.keys(cases)
    const columns = Object.values(cases)
    // What a column has where another is tried.
    const plain = columns.map(({ good, bad }) => (bad.some(([value]) => value === null) ? good[0]! : null))
    const most = Math.max(...columns.map(({ good }) => good.length))
    const goodRows = Array.from({ length: most }, (_, row) =>
      columns.map(({ good }, column) => (row < good.length ? good[row]! : plain[column]!)),
    )
    const badRows = columns.flatMap(({ bad }, at) =>
      bad.map(([value, reason]) => ({ row: plain.with(at, value), what: `${names[at]}: ${value}`, reason })),
    )
    const rows = [...goodRows, ...badRows.map(({ row }) => row)].map(
      (row, index) =>
        `(${[index + 1, ...row.map((value, at) => literal(value, columns[at]!.type))].join(', ')})`,
    )
    const job = await smallJob(t, `by_hand_${kind}`, {
      'given.sql': `SELECT id::INTEGER AS id, ${names.join(', ')} FROM (VALUES ${rows.join(', ')}) AS v(id, ${names.join(', ')})`,
    })
    const { url, query } =
      kind === 'postgres'
        ? await freshPostgres(t)
        : kind === 'mariadb'
          ? await freshMariadb(t)
          : await duckdb(t, job.home)
    for (const { before } of columns) if (before) await query(before)
    await query(
      `CREATE TABLE made (id int PRIMARY KEY, ${columns.map(({ ddl }, at) => `${names[at]} ${ddl}`).join(', ')})`,
    )
    const required = names.filter((_, at) => plain[at] !== null)
    const filled = plain.filter(value => value !== null).map(quote)
    await query(
      `INSERT INTO made (id, taken, ${required.join(', ')}) VALUES (999, 't', ${filled.join(', ')})`,
    )
    job.yaml(`connections: { w: "${url}" }
load: { made: { to: w, from: given, key: id, on_bad_row: quarantine, verify: all } }
quality: { max_error_rate: 1 }
resources: { memory: 300MB, threads: 1 }
`)
    const { error, outcome } = await job.run()
    assert.equal(error, undefined, String(error))
    const text = (name: string) => (kind === 'mariadb' ? `CAST(${name} AS CHAR)` : `${name}::text`)
    const held = await query(
      `SELECT id, ${names.map((name, at) => `${text(name)} AS v${at}`).join(', ')} FROM made WHERE id < 999 ORDER BY id`,
    )
    const expected = goodRows.map((row, index) => [
      index + 1,
      ...row.map((value, at) => (value === null ? null : (columns[at]!.shown?.[value] ?? value))),
    ])
    assert.deepEqual(
      held.map(({ id, ...values }) => [Number(id), ...Object.values(values)]),
      expected,
    )
    const records = await job.metadata.errors.list({ limit: 1000 })
    const reasons = new Map(records.map(({ record, reason }) => [Number(record.id), reason]))
    for (const [index, { what, reason }] of badRows.entries())
      assert.match(reasons.get(most + 1 + index) ?? 'is not refused', reason, what)
    assert.equal(records.length, badRows.length)
    assert.deepEqual(
      outcome.verifications.map(({ wrong }) => wrong.rows),
      [0],
    )
    const { inserted, updated, deleted } = (await job.run()).outcome.loaded[0]!
    assert.deepEqual([inserted, updated, deleted], [0, 0, 0])
  })
