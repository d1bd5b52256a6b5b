import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { quote } from '../../engine/sql/duckdb.ts'
import { database, duck, fresh, load, read, stage } from './mysqlLoading.ts'

const EXACT: Record<string, string[]> = {
  BOOLEAN: ['1', '0'],
  TINYINT: ['-128', '127'],
  SMALLINT: ['-32768', '32767'],
  INTEGER: ['-2147483648', '2147483647'],
  BIGINT: ['-9223372036854775808', '9223372036854775807', '-1', '4294967296', '-9007199254740993'],
  UTINYINT: ['255'],
  USMALLINT: ['65535'],
  UINTEGER: ['4294967295'],
  UBIGINT: ['0', '18446744073709551615', '9007199254740993'],
  'DECIMAL(38,0)': ['99999999999999999999999999999999999999', '-99999999999999999999999999999999999999', '0'],
  'DECIMAL(38,37)': ['9.9999999999999999999999999999999999999', '-0.0000000000000000000000000000000000001'],
  'DECIMAL(38,38)': ['0.99999999999999999999999999999999999999', '0.00000000000000000000000000000000000000'],
  'DECIMAL(20,17)': ['0.09007199254740991', '-1.00000000000000001', '999.99999999999999999'],
  'DECIMAL(10,2)': ['0.00', '-0.01', '12345678.90', '99999999.99', '10000.00'],
  'DECIMAL(18,3)': ['999999999999999.999', '-1.001', '9007199254740.993'],
  'DECIMAL(4,4)': ['0.0001', '-0.9999'],
  VARCHAR: ['', 'é🙂', 'tab\tnewline\nback\\slash\\N\r"quoted"', `${'long '.repeat(20)}`],
  DATE: ['1970-01-01', '0001-01-01', '9999-12-31', '1999-12-31', '2000-02-29', '1900-03-01'],
  TIME: ['00:00:00.000000', '23:59:59.999999'],
  TIMESTAMP: ['1970-01-01 00:00:00.000000', '1899-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999'],
  'TIMESTAMP WITH TIME ZONE': ['2000-01-01 00:00:00.000000', '1969-12-31 23:59:59.999999'],
}

const TYPES: Record<string, string> = {
  b: 'BOOLEAN',
  i8: 'TINYINT',
  u16: 'USMALLINT',
  i32: 'INTEGER',
  i64: 'BIGINT',
  u64: 'UBIGINT',
  f32: 'FLOAT',
  f64: 'DOUBLE',
  d9: 'DECIMAL(9,4)',
  d38: 'DECIMAL(38,20)',
  d30: 'DECIMAL(30,30)',
  s: 'VARCHAR',
  x: 'BLOB',
  d: 'DATE',
  c: 'TIME',
  w: 'TIMESTAMP',
  z: 'TIMESTAMP WITH TIME ZONE',
}

describe('mysql target encodes', () => {
  test('the ends of every type, and NULL', async () => {
    await fresh()
    const types = Object.keys(EXACT)
    const count = Math.max(...types.map(type => EXACT[type]!.length)) + 1
    const rows = Array.from({ length: count }, (_, row) => {
      const cells = types.map((type, i) => {
        const value = EXACT[type]![row]
        return `CAST(${value === undefined ? 'NULL' : quote(value)} AS ${type}) AS c${i}`
      })
      return `SELECT ${row} AS id, ${cells.join(', ')}`
    })
    await load('L1', {}, rows.join(' UNION ALL '))
    const texts = types.map((_, i) => `CAST(c${i} AS CHAR) AS c${i}`)
    const found = await database.query<Record<string, string | null>>(
      `SELECT ${texts.join(', ')} FROM t ORDER BY id`,
    )
    for (const [i, type] of types.entries())
      assert.deepEqual(
        found.map(row => row[`c${i}`]),
        Array.from({ length: count }, (_, row) => EXACT[type]![row] ?? null),
        type,
      )
  })

  test('random values of every type', async () => {
    const finite = (float: boolean) =>
      fc.oneof(
        float
          ? fc.float({ noNaN: true, noDefaultInfinity: true })
          : fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.integer({ min: -1_000_000, max: 1_000_000 }).map(n => (float ? Math.fround(n / 4) : n / 100)),
      )
    const integer = (bits: number, signed: boolean) =>
      signed
        ? fc.bigInt({ min: -(2n ** BigInt(bits - 1)), max: 2n ** BigInt(bits - 1) - 1n })
        : fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n })
    const scaled = (precision: number, scale: number) =>
      fc.bigInt({ min: -(10n ** BigInt(precision)) + 1n, max: 10n ** BigInt(precision) - 1n }).map(value => {
        const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0')
        const point = digits.length - scale
        const fraction = scale > 0 ? `.${digits.slice(point)}` : ''
        return `'${value < 0n ? '-' : ''}${digits.slice(0, point)}${fraction}'::DECIMAL(${precision},${scale})`
      })
    const moment = fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n })
    const bytes = fc.uint8Array({ maxLength: 90 }).map(value => Buffer.from(value).toString('hex'))
    const cells = {
      b: fc.boolean().map(value => `${value}`),
      i8: integer(8, true).map(value => `'${value}'::TINYINT`),
      u16: integer(16, false).map(value => `'${value}'::USMALLINT`),
      i32: integer(32, true).map(value => `'${value}'::INTEGER`),
      i64: integer(64, true).map(value => `'${value}'::BIGINT`),
      u64: integer(64, false).map(value => `'${value}'::UBIGINT`),
      f32: finite(true).map(value => `'${value}'::FLOAT`),
      f64: finite(false).map(value => `'${Object.is(value, -0) ? '-0' : value}'::DOUBLE`),
      d9: scaled(9, 4),
      d38: scaled(38, 20),
      d30: scaled(30, 30),
      s: fc
        .string({ unit: 'binary', maxLength: 60 })
        .map(value => `decode(unhex('${Buffer.from(value).toString('hex')}'))`),
      x: bytes.map(value => `unhex('${value}')`),
      d: fc.integer({ min: -719_162, max: 2_932_896 }).map(value => `DATE '1970-01-01' + ${value}::INTEGER`),
      c: fc
        .bigInt({ min: 0n, max: 86_399_999_999n })
        .map(value => `make_time(0, 0, 0) + to_microseconds(${value})`),
      w: moment.map(value => `make_timestamp(${value})`),
      z: moment.map(value => `make_timestamp(${value})::TIMESTAMPTZ`),
    }
    const names = Object.keys(cells) as (keyof typeof cells)[]
    const row = fc.tuple(...names.map(name => fc.option(cells[name], { freq: 8 })))
    const ours = {
      b: 'b::INT::VARCHAR',
      d30: "regexp_replace(d30::VARCHAR, '^(-?)[.]', '\\10.')",
      s: 'hex(s)',
      x: 'hex(x)',
      f32: 'f32::DOUBLE',
      f64: 'f64',
      c: "strftime(DATE '2000-01-01' + c, '%H:%M:%S.%f')",
      w: "printf('%04d', year(w)) || strftime(w, '-%m-%d %H:%M:%S.%f')",
      z: "printf('%04d', year(z)) || strftime(z, '-%m-%d %H:%M:%S.%f')",
      d: "printf('%04d', year(d)) || strftime(d, '-%m-%d')",
    } as Record<string, string>
    const theirs = { s: 'HEX(s)', x: 'HEX(x)', f32: 'f32 * 1e0', f64: 'f64' } as Record<string, string>
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 60 }), async rows => {
        await fresh()
        const list = rows.map((row, id) => `(${[id, ...row.map(value => value ?? 'NULL')].join(', ')})`)
        const typed = names.map((name, i) => `CAST(v.c${i} AS ${TYPES[name]}) AS ${name}`)
        const columns = names.map((_, i) => `c${i}`)
        const sql = `SELECT id, ${typed.join(', ')} FROM (VALUES ${list.join(', ')}) AS v(id, ${columns.join(', ')})`
        assert.equal(await load('L1', {}, sql), `${rows.length} 0 0 0`)
        const mine = await duck.rows(
          `SELECT ${names.map(name => `CAST(${ours[name] ?? name} AS VARCHAR) AS ${name}`).join(', ')} FROM (${sql}) ORDER BY id`,
        )
        const found = await database.query<Record<string, string | null>>(
          `SELECT ${names.map(name => `CAST(${theirs[name] ?? name} AS CHAR) AS ${name}`).join(', ')} FROM t ORDER BY id`,
        )
        const same = (name: string, value: unknown) =>
          // MariaDB stores -0 as 0.
          value === null ? null : name.startsWith('f') ? Number(value) + 0 : String(value)
        for (const name of names)
          assert.deepEqual(
            found.map(row => same(name, row[name])),
            mine.map(row => same(name, row[name])),
            name,
          )
      }),
      { numRuns: 3, endOnFailure: true },
    )
  })

  test('every byte in binary, every kind of character in text, and a value of 20 MB', async () => {
    await fresh()
    const all = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join('')
    const pairs = `SELECT 256 + i AS id, unhex(printf('%02x%02x%02x', i, 92, i)) AS x, chr(0) || 'a' || chr(92) || chr(128578) AS s FROM range(256) r(i)`
    await load('L1', {}, `SELECT 1 AS id, unhex('${all}') AS x, NULL AS s UNION ALL ${pairs}`)
    const [first] = await read('SELECT HEX(x) FROM t WHERE id = 1')
    assert.equal(first, all.toUpperCase())
    const [wrong] = await read(
      `SELECT COUNT(*) FROM t WHERE id >= 256 AND (HEX(x) <> CONCAT(LPAD(HEX(id - 256), 2, '0'), '5C', LPAD(HEX(id - 256), 2, '0')) OR HEX(s) <> '00615CF09F9982')`,
    )
    assert.equal(wrong, '0')
    await load('L2', {}, `SELECT 2 AS id, NULL::BLOB AS x, repeat('é\t\\', 5000000) AS s`)
    assert.deepEqual(await read("SELECT LENGTH(s), s = REPEAT('é\\t\\\\', 5000000) FROM t WHERE id = 2"), [
      '20000000 1',
    ])
  })

  test('what MySQL cannot hold is refused before commit, with column and row', async () => {
    const refused: [string, string, RegExp][] = [
      ["'NaN'::DOUBLE", 'DATA_INVALID', /w\.t\.x: row 2 of the part is NaN/],
      ["'-infinity'::FLOAT", 'DATA_INVALID', /w\.t\.x: row 2 of the part is -Infinity/],
      ["DATE '10000-01-01'", 'DATA_INVALID', /w\.t\.x: row 2 of the part/],
      ["TIMESTAMP 'infinity'", 'DATA_INVALID', /w\.t\.x: row 2 of the part/],
      ["TIMESTAMP '0001-01-01 00:00:00' - INTERVAL 1 SECOND", 'DATA_INVALID', /w\.t\.x: row 2 of the part/],
    ]
    await fresh()
    for (const [value, code, message] of refused)
      await assert.rejects(stage('L1', {}, `SELECT 1 AS id, NULL AS x UNION ALL SELECT 2, ${value}`), {
        code,
        message,
      })
    await assert.rejects(load('L1', {}, `SELECT 1 AS id, 2 AS x UNION ALL SELECT NULL, 2`), {
      code: 'CONSTRAINT_VIOLATED',
      message: /w\.t\.id: row 2 of the part has no key/,
    })
    await assert.rejects(load('L1', {}, `SELECT repeat('k', 256) AS id, 2 AS x`), { code: 'DATA_INVALID' })
    assert.deepEqual(await read("SHOW TABLES LIKE 't'"), [])
  })
})
