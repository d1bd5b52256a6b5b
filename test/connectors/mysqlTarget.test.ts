import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import type { LoadCommit, Offload, StagedLoad } from '../../engine/contracts/load.ts'
import { rowsOf } from '../../engine/parquet/read.ts'
import { Workers } from '../../engine/pool/pool.ts'
import { Duck, quote } from '../../engine/sql/duckdb.ts'
import { type Column, typeFromName } from '../../engine/types/logical.ts'
import { MysqlTarget } from '../../src/connectors/mysql/target.ts'
import { loadError } from '../../src/connectors/mysql/targetSession.ts'
import { freshMariadb } from '../servers.ts'
import { PLAIN_LOAD } from './plainLoad.ts'

const signal = new AbortController().signal
let duck: Duck
let workers: Workers
let folder: string
let target: MysqlTarget
let parts = 0

// Before the database's own hook, which counts the connections that are left.
after(async () => {
  await target?.close()
  await workers.close()
  duck.close()
  rmSync(folder, { recursive: true })
})
const database = await freshMariadb()

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nightfreight-mysql-target-'))
  duck = await Duck.open({})
  await duck.run("SET TimeZone = 'UTC'")
  workers = new Workers(2)
})
/** An empty database and a target on it. */
async function fresh(...setup: string[]): Promise<MysqlTarget> {
  await target?.close()
  const { name } = database
  await database.query(`DROP DATABASE ${name}; CREATE DATABASE ${name} CHARACTER SET utf8mb4; USE ${name}`)
  for (const sql of setup) await database.query(sql)
  target = new MysqlTarget({ name: 'w', url: database.url })
  return target
}

/** Writes a query's rows as a part. */
async function part(sql: string): Promise<{ path: string; columns: Column[]; rows: number }> {
  const path = join(folder, `part-${parts++}.parquet`)
  await duck.run(`COPY (${sql}) TO ${quote(path)} (FORMAT parquet)`)
  const columns = (await duck.rows(`DESCRIBE ${sql}`)).map(({ column_name, column_type }): Column => {
    const type = typeFromName(String(column_type))
    assert.ok(type, String(column_type))
    return { name: String(column_name), type, nullable: true, native: String(column_type) }
  })
  return { path, columns, rows: await rowsOf(path) }
}

/** Calls in this thread: a worker's start takes longer than most of these loads. */
const here: Offload = async (module, name, input) => (await import(module))[name](input)
let offload = here

/** A load's rows as SQL, in a second part more of them, and the SQL of its keys where it has some. */
interface Rows {
  rows: string
  more?: string
  keys?: string
}

const of = (sql: string | Rows): Rows => (typeof sql === 'string' ? { rows: sql } : sql)

async function stage(loadId: string, spec: Partial<StagedLoad>, sql: string | Rows): Promise<StagedLoad> {
  const { rows, more, keys } = of(sql)
  const upserts = await part(rows)
  const second = more === undefined ? undefined : await part(more)
  const keyed = keys === undefined ? undefined : await part(keys)
  const load: StagedLoad = {
    ...PLAIN_LOAD,
    guard: { maxDeleteShare: 1, allowEmpty: false },
    ...spec,
    columns: upserts.columns,
  }
  const files = {
    paths: [upserts.path, ...(second ? [second.path] : [])],
    rows: upserts.rows + (second?.rows ?? 0),
    keyPaths: keyed ? [keyed.path] : [],
    keys: keyed?.rows ?? 0,
  }
  const means = { lanes: 2, progress: () => {}, offload }
  await target.stage({ loadId, job: 'j', load, ...files, ...means }, signal)
  return load
}

const commitOf = (loadId: string, ...loads: StagedLoad[]): LoadCommit => ({
  loadId,
  job: 'j',
  run: loadId,
  runAt: new Date('2026-01-31T02:00:00Z'),
  loads,
  syncPoints: [{ extract: 'members', value: `at ${loadId}`, run: loadId }],
})

async function load(loadId: string, spec: Partial<StagedLoad>, sql: string | Rows) {
  const planned = await stage(loadId, spec, sql)
  const { counts } = await target.commit(commitOf(loadId, planned), signal)
  const { inserted, updated, deleted, unchanged } = counts[0]!
  return [inserted, updated, deleted, unchanged].join(' ')
}

const values = (columns: string, ...rows: string[]) =>
  `SELECT * FROM (VALUES ${rows.join(', ')}) AS v(${columns})`

async function read(sql: string): Promise<string[]> {
  const rows = await database.query(sql)
  return rows.map(row =>
    Object.values(row)
      .map(value => value ?? 'NULL')
      .join(' '),
  )
}

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

describe('mysql target loads', () => {
  test('texts differ by their bytes: case, accents and spaces at the end, in keys and values', async () => {
    await fresh()
    await load('L1', {}, values('id, x', "('a', 'x')", "('A', 'x')", "('á', 'x')"))
    assert.equal(await load('L2', {}, values('id, x', "('a', 'X')", "('A', 'x ')", "('á', 'x')")), '0 2 0 1')
    assert.equal(await load('L3', {}, values('id, x', "('a ', 'y')")), '1 0 0 0')
    assert.deepEqual(await read('SELECT id, x FROM t ORDER BY id'), ['A x ', 'a X', 'a  y', 'á x'])
  })

  test('a repeated load id does nothing; its sync point came with it; a second attempt waits for the first', async () => {
    await fresh()
    assert.deepEqual(await target.syncPoints('j', signal), [])
    assert.equal(await target.committed('L1', signal), undefined)
    const planned = await stage('L1', {}, values('id, x', '(1, 1)'))
    const other = new MysqlTarget({ name: 'w', url: database.url })
    const [first, second] = await Promise.all(
      [target, other].map(each =>
        each.commit(commitOf('L1', planned), signal).catch((error: Error) => error),
      ),
    )
    await other.close()
    const results = [first, second].filter(result => !(result instanceof Error))
    assert.ok(results.some(result => !(result as { repeated: boolean }).repeated))
    const again = await target.commit(commitOf('L1', planned), signal)
    assert.equal(again.repeated, true)
    assert.deepEqual(await target.committed('L1', signal), again)
    assert.deepEqual(await target.syncPoints('j', signal), [
      { extract: 'members', value: 'at L1', run: 'L1' },
    ])
    assert.deepEqual(await read('SELECT id, x FROM t'), ['1 1'])
    assert.deepEqual(await read("SHOW TABLES LIKE 'nightfreight\\_stg%'"), [])
  })

  test('a load that died between staging and commit leaves nothing after the next', async () => {
    await fresh()
    await stage(
      'dead',
      { deletes: 'hard', whole: true },
      { rows: values('id, x', '(1, 1)'), keys: values('id', '(2)') },
    )
    assert.equal((await read("SHOW TABLES LIKE 'nightfreight\\_stg%'")).length, 2)
    await load('L1', {}, values('id, x', '(3, 3)'))
    assert.deepEqual(await read("SHOW TABLES LIKE 'nightfreight\\_stg%'"), [])
    assert.deepEqual(await read('SELECT id FROM t'), ['3'])
  })

  test('the load says what it found gone, and stops over its limit', async () => {
    await fresh()
    await load('L1', {}, 'SELECT i::INTEGER AS id, i::INTEGER AS x FROM range(10) r(i)')
    const spec = { deletes: 'hard' as const, whole: true, guard: { maxDeleteShare: 0.2, allowEmpty: false } }
    const seven = 'SELECT i::INTEGER AS id, i::INTEGER AS x FROM range(7) r(i)'
    await assert.rejects(load('L2', spec, seven), { code: 'GUARD_STOPPED', message: /w\.t: 3 of 10 rows/ })
    assert.deepEqual(await read('SELECT COUNT(*) FROM t'), ['10'])
    assert.equal(await load('L3', spec, { rows: seven, keys: values('id', '(8)') }), '0 0 2 7')
    assert.deepEqual(await read('SELECT id FROM t WHERE id > 6'), ['8'])
  })

  test('random edits: every mode gives what the mode means', async () => {
    await fresh()
    const row = fc.record({
      id: fc.integer({ min: 1, max: 30 }),
      p: fc.constantFrom('x', 'X', '', null),
      v: fc.integer({ min: 0, max: 3 }),
    })
    const table = fc.uniqueArray(row, { selector: ({ id }) => id, minLength: 1, maxLength: 20 })
    type Table = { id: number; p: string | null; v: number }[]
    const sqlOf = (rows: Table, columns = 'id, p, v') =>
      `SELECT ${columns} FROM (SELECT id::INTEGER AS id, p::VARCHAR AS p, v::INTEGER AS v FROM (VALUES ${rows
        .map(({ id, p, v }) => `(${id}, ${p === null ? 'NULL' : quote(p)}, ${v})`)
        .join(', ')}) AS w(id, p, v))`
    const textOf = (rows: Table) =>
      rows.toSorted((a, b) => a.id - b.id).map(({ id, p, v }) => `${id} ${p ?? 'NULL'} ${v}`)
    const modes = [
      'append',
      'merge',
      'merge hard',
      'merge soft',
      'whole hard',
      'whole soft',
      'replace',
      'partition',
    ]
    let turn = 0
    await fc.assert(
      fc.asyncProperty(table, table, table, fc.constantFrom(...modes), async (first, second, gone, mode) => {
        await database.query('DROP TABLE IF EXISTS t')
        const loadId = `R${turn++}`
        const soft = mode.endsWith('soft')
        const spec: Partial<StagedLoad> = {
          mode: mode.split(' ')[0]!.replace('whole', 'merge') as StagedLoad['mode'],
          deletes: mode.endsWith('hard') ? 'hard' : soft ? 'soft' : 'keep',
          whole: mode.startsWith('whole') || mode === 'replace',
          ...(soft && { deletedAt: 'deleted_at' }),
          partitionBy: mode === 'partition' ? ['p'] : [],
        }
        await load(`${loadId}a`, spec, sqlOf(first))
        const listed = gone.filter(({ id }) => !second.some(other => other.id === id))
        const parted = [...first.filter(({ id }) => second.some(other => other.id === id)), ...second]
        const keys =
          mode === 'partition'
            ? sqlOf(parted, 'DISTINCT p')
            : listed.length > 0 && !/append|replace/.test(mode)
              ? sqlOf(listed, 'id')
              : undefined
        const half = second.length >> 1
        const rows =
          half > 0
            ? { rows: sqlOf(second.slice(0, half)), more: sqlOf(second.slice(half)) }
            : { rows: sqlOf(second) }
        const counts = await load(`${loadId}b`, spec, { ...rows, ...(keys !== undefined && { keys }) })

        const has = (rows: Table, id: number) => rows.find(other => other.id === id)
        const kept = first.filter(({ id, p }) => {
          if (has(second, id)) return false
          if (mode === 'append' || mode === 'merge') return true
          if (mode === 'replace') return false
          if (mode === 'partition') return !parted.some(other => other.p === p)
          return mode.startsWith('whole') === (has(listed, id) !== undefined)
        })
        const inserted = second.filter(({ id }) => !has(first, id))
        const updated = second.filter(({ id, p, v }) => {
          const old = has(first, id)
          return mode !== 'append' && old && (old.p !== p || old.v !== v)
        })
        const now = second.map(row => (mode === 'append' && has(first, row.id)) || row)
        const deleted = first.length - kept.length - (second.length - inserted.length)
        assert.equal(
          counts,
          [inserted.length, updated.length, deleted, second.length - inserted.length - updated.length].join(
            ' ',
          ),
        )
        const live = soft ? ' WHERE deleted_at IS NULL' : ''
        assert.deepEqual(await read(`SELECT id, p, v FROM t${live} ORDER BY id`), textOf([...kept, ...now]))
        if (soft) assert.equal((await read('SELECT id FROM t')).length, kept.length + now.length + deleted)
      }),
      { numRuns: 16, endOnFailure: true },
    )
  })

  test('columns that do not decide are written with those that do, not for themselves', async () => {
    await fresh()
    await load('L1', {}, values('id, x, seen', '(1, 1, 1)', '(2, 2, 1)'))
    const again = values('id, x, seen', '(1, 1, 2)', '(2, 3, 2)')
    assert.equal(await load('L2', { ignore: ['seen'] }, again), '0 1 0 1')
    assert.equal(await load('L3', { compare: ['x'] }, again), '0 0 0 2')
    assert.deepEqual(await read('SELECT id, x, seen FROM t ORDER BY id'), ['1 1 1', '2 3 2'])
  })

  test('a row marked as deleted that comes back is there again', async () => {
    await fresh()
    const spec = { deletes: 'soft' as const, deletedAt: 'gone', newer: 'v', stamp: 'at' }
    await load('L1', spec, values('id, v', '(1, 5)', '(2, 5)'))
    assert.equal(
      await load('L2', spec, { rows: values('id, v', '(2, 6)'), keys: values('id', '(1)') }),
      '0 1 1 0',
    )
    assert.deepEqual(await read('SELECT id, gone = at FROM t ORDER BY id'), ['1 1', '2 NULL'])
    assert.equal(await load('L3', spec, values('id, v', '(1, 5)')), '0 1 0 0')
    assert.deepEqual(await read('SELECT id, gone FROM t ORDER BY id'), ['1 NULL', '2 NULL'])
  })
})

describe('mysql target tables made by others', () => {
  test('replace leaves indexes, counter, comments, triggers, grants and foreign keys as they were', async () => {
    await fresh(
      `CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, email varchar(50) COMMENT 'unique', UNIQUE KEY (email)) COMMENT 'people'`,
      'CREATE TABLE child (id int PRIMARY KEY, t_id int, FOREIGN KEY (t_id) REFERENCES t (id) ON DELETE CASCADE)',
      "INSERT INTO t VALUES (0, 'a'), (7, 'b'), (8, 'c')",
      'UPDATE t SET id = 0 WHERE id = 1',
      'INSERT INTO child VALUES (1, 7), (2, 8)',
      'CREATE TABLE log (n int)',
      'CREATE TRIGGER noted AFTER INSERT ON t FOR EACH ROW INSERT INTO log VALUES (new.id)',
    )
    const before = await read('SHOW CREATE TABLE t')
    const spec = { mode: 'replace' as const, whole: true }
    // 0 stays 0, the unique value of a row that goes is free for a new one, and equal rows are not written.
    const rows = values('id, email', "(0, 'a')", "(7, 'b')", "(3, 'c')")
    assert.equal(await load('L1', spec, rows), '1 0 1 2')
    assert.deepEqual(await read('SELECT id, email FROM t ORDER BY id'), ['0 a', '3 c', '7 b'])
    assert.deepEqual(await read('SELECT id FROM child'), ['1'])
    assert.deepEqual(await read('SELECT n FROM log'), ['3'])
    assert.deepEqual(await read('SHOW CREATE TABLE t'), before)
  })

  test('replace without a key exchanges all rows', async () => {
    await fresh()
    const spec = { mode: 'replace' as const, key: [], whole: true }
    assert.equal(await load('L1', spec, values('a', '(1)', '(1)', '(NULL)')), '3 0 0 0')
    assert.equal(await load('L2', spec, values('a', '(2)', '(2)', '(3)')), '3 0 3 0')
    assert.deepEqual(await read('SELECT a FROM t ORDER BY a'), ['2', '2', '3'])
  })

  test('other character sets and collations, char, binary, enum, json, uuid, timestamp take exact values', async () => {
    await fresh(`CREATE TABLE t (id varchar(20) CHARACTER SET latin1 COLLATE latin1_german1_ci PRIMARY KEY, c char(3), b binary(2),
      e enum('ok', 'bad'), j json, u uuid, z timestamp(6) NULL, l varchar(20) CHARACTER SET latin1, n decimal(12,4), y year DEFAULT 2020)`)
    const sql = (z: string, l = 'é', c = 'ab', b = '0001') =>
      `SELECT 'ä' AS id, ${quote(c)} AS c, unhex('${b}') AS b, 'ok' AS e, '{"a": 1}' AS j, '00000000-0000-0000-0000-000000000001' AS u,
        TIMESTAMPTZ '${z}' AS z, '${l}' AS l, 1.25::DECIMAL(10,2) AS n`
    const at = '2026-03-29 01:30:00.000001+00'
    assert.equal(await load('L1', {}, sql(at)), '1 0 0 0')
    assert.equal(await load('L2', {}, sql(at)), '0 0 0 1')
    assert.equal(await load('L3', {}, sql(at, 'É')), '0 1 0 0')
    assert.deepEqual(await read('SELECT HEX(id), c, HEX(b), HEX(l), n FROM t'), ['E4 ab 0001 C9 1.2500'])
    await database.query("SET time_zone = '+00:00'")
    assert.deepEqual(await read('SELECT CAST(z AS CHAR) FROM t'), ['2026-03-29 01:30:00.000001'])
    await assert.rejects(load('L4', {}, sql('2050-01-01 00:00:00+00')), { code: 'DATA_INVALID' })
    await assert.rejects(load('L5', {}, sql(at, '🙂')), { code: 'DATA_INVALID' })
    await assert.rejects(load('L6', {}, sql(at, 'é', 'a ')), {
      code: 'DATA_INVALID',
      message: /w\.t\.c: row 1 .*space/,
    })
    await assert.rejects(load('L7', {}, sql(at, 'é', 'a', '00')), {
      code: 'DATA_INVALID',
      message: /exactly 2/,
    })
    assert.deepEqual(await read('SELECT HEX(l) FROM t'), ['C9'])
  })

  test('what a table cannot take exactly is refused before a row is staged, with the statement that helps', async () => {
    const refused: [string, string][] = [
      ['decimal(10,1)', '1.25::DECIMAL(10,2)'],
      ['int', '1.25::DECIMAL(10,2)'],
      ['float', '1.5::DOUBLE'],
      ['double(10,2)', '1.5::DOUBLE'],
      ['double', '5::BIGINT'],
      ['timestamp(6)', "TIMESTAMP '2020-01-01 00:00:00'"],
      ['datetime(3)', "TIMESTAMP '2020-01-01 00:00:00'"],
      ['decimal(5,1)', "'1.25'"],
      ['int AS (id + 1)', '2'],
    ]
    await fresh()
    for (const [native, value] of refused) {
      await database.query(`DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, x ${native})`)
      await assert.rejects(
        stage('L1', {}, `SELECT 1 AS id, ${value} AS x`),
        { code: 'TARGET_INCOMPATIBLE', message: /^w\.t\.x: / },
        native,
      )
    }
    const helps = async (definition: string, message: RegExp) => {
      await database.query(`DROP TABLE IF EXISTS t; CREATE TABLE t ${definition}`)
      const sql = `SELECT 1 AS id, 1.25::DECIMAL(10,2) AS x`
      let statement = ''
      await assert.rejects(stage('L1', {}, sql), (error: Error & { code: string; hint: string }) => {
        assert.equal(error.code, 'TARGET_INCOMPATIBLE')
        assert.match(error.message, message)
        statement = /ALTER TABLE [^;]+/.exec(error.hint)![0]
        return true
      })
      await database.query(statement)
      assert.equal(await load(`L${parts}`, {}, sql), '1 0 0 0')
    }
    await helps('(id int PRIMARY KEY)', /w\.t: has no column x/)
    await helps('(id int PRIMARY KEY, x decimal(4,1))', /DECIMAL\(10,2\) does not fit decimal\(4,1\)/)
    await helps('(id int, x decimal(10,2))', /no unique index on id/)
    await helps('(id int PRIMARY KEY, x decimal(10,2)) ENGINE = MyISAM', /MyISAM/)
  })

  const violations: [string, string, string, string?][] = [
    ['a value out of range', 'id int PRIMARY KEY, x tinyint', '(2, 300)', 'DATA_INVALID'],
    ['a text too long', 'id int PRIMARY KEY, x varchar(2)', "(2, 'abc')", 'DATA_INVALID'],
    ['spaces too long', 'id int PRIMARY KEY, x varchar(2)', "(2, 'ab ')", 'DATA_INVALID'],
    ['an unknown enum value', "id int PRIMARY KEY, x enum('a')", "(2, 'b')", 'DATA_INVALID'],
    ['a key twice', 'id int PRIMARY KEY, x int', '(2, 1), (2, 2)'],
    ['NULL', 'id int PRIMARY KEY, x int NOT NULL', '(2, NULL)'],
    ['another unique index', 'id int PRIMARY KEY, x int UNIQUE', '(2, 1)'],
    ['a CHECK', 'id int PRIMARY KEY, x int CHECK (x < 5)', '(2, 9)'],
    ['a foreign key', 'id int PRIMARY KEY, x int, FOREIGN KEY (x) REFERENCES parent (id)', '(2, 2)'],
    ['not JSON', 'id int PRIMARY KEY, x json', "(2, '{')"],
  ]
  test('a row that the table refuses takes the whole commit back', async () => {
    for (const [what, definition, row, code = 'CONSTRAINT_VIOLATED'] of violations) {
      await fresh('CREATE TABLE parent (id int PRIMARY KEY)', 'INSERT INTO parent VALUES (1)')
      await database.query(
        `CREATE TABLE t (${definition}); INSERT INTO t VALUES (1, ${/enum|json/.test(definition) ? 'NULL' : '1'})`,
      )
      const good = await stage('L1', { table: 'made' }, values('id', '(1)'))
      const bad = await stage('L1', {}, values('id, x', row))
      await assert.rejects(
        target.commit(commitOf('L1', good, bad), signal),
        { code, message: /^w\.t: / },
        what,
      )
      await target.abandon('L1')
      assert.equal(await target.committed('L1', signal), undefined, what)
      assert.deepEqual(await target.syncPoints('j', signal), [], what)
      assert.deepEqual(await read('SELECT id FROM t'), ['1'], what)
      assert.deepEqual(
        await read(
          'SHOW TABLES WHERE Tables_in_' +
            database.name +
            " NOT LIKE 'nightfreight\\_loads' AND Tables_in_" +
            database.name +
            " NOT LIKE 'nightfreight\\_sync%' AND Tables_in_" +
            database.name +
            " NOT LIKE 'nightfreight\\_tables'",
        ),
        ['parent', 't'],
        what,
      )
    }
  })
})

describe('mysql target lacks', () => {
  test('a permission: it is named, and nothing is changed', async () => {
    await fresh('CREATE TABLE t (id int PRIMARY KEY, x int)')
    const { name, url } = database
    const user = `loader_${Date.now() % 1e6}`
    await database.query(`CREATE USER '${user}'@'%' IDENTIFIED BY 'secret-of-loader';
      GRANT SELECT, CREATE, DROP, ALTER, INDEX ON ${name}.* TO '${user}'@'%'`)
    try {
      for (const table of ['t', 'nightfreight'])
        assert.equal((await read(`SHOW TABLES LIKE '${table}%'`)).length, table === 't' ? 1 : 0)
      await target.close()
      const own = new URL(url)
      own.username = user
      own.password = 'secret-of-loader'
      target = new MysqlTarget({ name: 'w', url: own.href })
      await assert.rejects(load('L1', {}, values('id, x', '(1, 1)')), (error: Error & { code: string }) => {
        assert.equal(error.code, 'PERMISSION_DENIED')
        assert.match(error.message, /^w\.t: .*denied/)
        assert.doesNotMatch(error.message, /secret/)
        return true
      })
      await target.abandon('L1')
      assert.deepEqual(await read('SELECT * FROM t'), [])
      assert.deepEqual(await read("SHOW TABLES LIKE 'nightfreight\\_stg%'"), [])
    } finally {
      await database.query(`DROP USER '${user}'@'%'`)
    }
  })

  // MariaDB ends itself where the disk of a tablespace is full, so that no load can be tried.
  test('space: the server says so by these numbers', () => {
    for (const errno of [3, 1021, 1114]) {
      const error = loadError(Object.assign(new Error("The table 't' is full"), { errno }), 'w.t')
      assert.deepEqual(
        [(error as { code: string }).code, (error as Error).message],
        ['RESOURCE_EXHAUSTED', "w.t: The table 't' is full"],
      )
    }
  })
})

describe('mysql target connections', () => {
  before(() => {
    offload = workers.offload
  })

  const running = async (what: string) => {
    for (;;) {
      const [row] = await database.query<{ id: number }>(
        `SELECT id FROM information_schema.processlist WHERE db = '${database.name}' AND info LIKE '${what}%' AND id <> CONNECTION_ID()`,
      )
      if (row) return row.id
    }
  }
  const kill = async (what: string) => database.query(`KILL ${await running(what)}`)

  test('killed in LOAD DATA: the load fails as lost, and can be staged again', async () => {
    await fresh()
    const sql = "SELECT i AS id, repeat('x', 100) AS x FROM range(200000) r(i)"
    const killed = kill('LOAD DATA')
    await assert.rejects(stage('L1', {}, sql), { code: 'CONNECTION_LOST' })
    await killed
    await target.abandon('L1')
    assert.equal(await load('L1', {}, values('id, x', "(1, 'x')")), '1 0 0 0')
  })

  test('killed in the transaction: nothing of it remains, and the same target goes on', async () => {
    await fresh()
    const planned = await stage('L1', {}, "SELECT i AS id, repeat('x', 100) AS x FROM range(60000) r(i)")
    const killed = kill('INSERT INTO `t`')
    await assert.rejects(target.commit(commitOf('L1', planned), signal), { code: 'CONNECTION_LOST' })
    await killed
    assert.equal(await target.committed('L1', signal), undefined)
    assert.equal((await target.commit(commitOf('L1', planned), signal)).counts[0]!.inserted, 60_000)
  })

  test('an abort ends the load at once', async () => {
    await fresh()
    const planned = await stage('L1', {}, "SELECT i AS id, repeat('x', 100) AS x FROM range(60000) r(i)")
    const controller = new AbortController()
    const aborted = running('INSERT INTO `t`').then(() => controller.abort())
    await assert.rejects(target.commit(commitOf('L1', planned), controller.signal), { code: 'INTERRUPTED' })
    await aborted
    await target.abandon('L1')
    assert.equal(await target.committed('L1', signal), undefined)
  })

  test('a server without local_infile is told how to get it', () => {
    const refusal = Object.assign(new Error('the local infile capability is disabled'), { errno: 4166 })
    const error = loadError(refusal, 'w.t') as Error & { code: string; hint: string }
    assert.equal(error.code, 'PERMISSION_DENIED')
    assert.match(error.hint, /SET GLOBAL local_infile = 1/)
  })
})

describe('keys that are one for the target', () => {
  const clashing = values('code, v', "('a', 1)", "('a ', 2)", "('A', 3)", "('é', 4)", "('e\u0301', 5)")

  test('a table that a load makes tells all of them apart', async () => {
    await fresh()
    const spec = { key: ['code'], deletes: 'hard' as const, whole: true }
    assert.equal(await load('L1', spec, clashing), '5 0 0 0')
    assert.equal(await load('L2', spec, values('code, v', "('a ', 2)", "('A', 9)")), '0 1 3 1')
    assert.deepEqual(await read("SELECT concat('[', code, ']'), v FROM t ORDER BY v"), ['[a ] 2', '[A] 9'])
  })

  for (const [collation, one, other] of [
    ['utf8mb4_bin', 'a', 'a '],
    ['utf8mb4_general_ci', 'A', 'a'],
  ] as const)
    test(`${collation}: refused with both keys, whether both are staged or one is there`, async () => {
      await fresh(`CREATE TABLE t (code varchar(20) COLLATE ${collation} PRIMARY KEY, v int)`)
      const spec = { key: ['code'] }
      const refusal = {
        code: 'CONSTRAINT_VIOLATED',
        message: new RegExp(
          `w\\.t: code '(${one}|${other})' and code '(${one}|${other})' are one key .* code \\(${collation}\\)`,
        ),
      }
      const rows = values('code, v', `('${one}', 1)`, `('${other}', 2)`)
      await assert.rejects(load('L1', spec, rows), refusal)
      assert.deepEqual(await read('SELECT * FROM t'), [])
      await load('L2', spec, values('code, v', `('${other}', 2)`))
      await assert.rejects(load('L3', spec, values('code, v', `('${one}', 1)`)), refusal)
    })
})
