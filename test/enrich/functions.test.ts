import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { exportSql } from '../../src/workbench/exportSql.ts'
import { showTable } from '../../src/workbench/show.ts'
import { commandLine } from '../commandLine.ts'

const folder = mkdtempSync(join(tmpdir(), 'nf-functions-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** A job of its own: `enrich/geo.ts` over a table, loaded into a DuckDB file. */
class Job {
  readonly place: string
  readonly name: string

  constructor(name: string, code: string, { from = 'raw' } = {}) {
    this.name = name
    this.place = join(folder, name)
    this.write('enrich/geo.ts', code)
    this.write(
      'job.yaml',
      `job: ${name}
connections: { drop: "file:${this.place}/drop", warehouse: "duckdb:${this.place}/w.duckdb" }
extract:
  raw: { from: drop, files: "*.csv", key: id, schema: { id: BIGINT, zip: VARCHAR } }
enrich:
  places: { file: enrich/geo.ts, from: ${from} }
load:
  places: { to: warehouse, from: places, key: id }
resources: { threads: 1 }
`,
    )
  }

  write(file: string, text: string): this {
    const path = join(this.place, file)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    return this
  }

  rows(...lines: string[]): this {
    return this.write('drop/rows.csv', ['id,zip', ...lines, ''].join('\n'))
  }

  run(...args: [string, ...string[]]) {
    const [command, ...others] = args
    return commandLine(join(this.place, 'home'), [command, this.place, ...others])
  }

  /** A model's rows over what was read last. */
  async show(table: string) {
    const home = join(this.place, 'home')
    const shown = await showTable({ folder: this.place, home, env: {}, table, limit: 10, runAt: new Date() })
    return shown.rows.map(row => ({ ...row }))
  }

  /** What is loaded. */
  async loaded(sql: string): Promise<unknown[][]> {
    const duck = await Duck.open({ path: join(this.place, 'w.duckdb') })
    try {
      return (await duck.rows(sql)).map(row => Object.values(row))
    } finally {
      duck.close()
    }
  }
}

const REGION = `import type { Enrich } from 'nightfreight'
import { regionOf } from './regions.ts'

export const takes = { zip: 'VARCHAR' } as const
export const gives = { region: 'VARCHAR' } as const

export const enrich: Enrich<typeof takes, typeof gives> = ({ zip }) => ({ region: zip.map(regionOf) })
`
const regions = (letters: number) =>
  `export const regionOf = (zip: string | null) => zip && zip.slice(0, ${letters})\n`

/** Values of a type, in SQL: its extremes among them. */
const VALUES: Record<string, string[]> = {
  BOOLEAN: ['true', 'false'],
  TINYINT: ['-128', '127'],
  SMALLINT: ['-32768', '32767'],
  INTEGER: ['-2147483648', '2147483647', '0'],
  BIGINT: ['-9223372036854775808', '9223372036854775807', '9007199254740993'],
  UTINYINT: ['0', '255'],
  USMALLINT: ['0', '65535'],
  UINTEGER: ['0', '4294967295'],
  UBIGINT: ['0', '18446744073709551615'],
  FLOAT: ["'nan'", "'-inf'", "'-0.0'", '0.1', '0'],
  DOUBLE: ["'nan'", "'inf'", "'-0.0'", '0.1', '5e-324', '0'],
  'DECIMAL(4,1)': ['-999.9', '0.1', '0'],
  'DECIMAL(18,18)': ['-0.999999999999999999', '0.000000000000000001'],
  'DECIMAL(38,10)': ['-9999999999999999999999999999.9999999999', '1234567890123456789012345678.9012345678'],
  'DECIMAL(38,0)': ['99999999999999999999999999999999999999', '-1'],
  VARCHAR: ["''", "'ä€😀'", "chr(0) || 'x'", "repeat('long', 50)"],
  BLOB: ["''", "'\\x00\\xFF\\x80'"],
  DATE: [
    "'1969-12-31'",
    "'0001-01-01'",
    "'5881580-07-10'",
    "'0044-03-15 (BC)'",
    "'infinity'",
    "'-infinity'",
    "'2024-02-29'",
  ],
  TIME: ["'00:00:00'", "'23:59:59.999999'", "'24:00:00'"],
  TIMESTAMP: [
    "'1969-12-31 23:59:59.999999'",
    "'294247-01-10 04:00:54.775806'",
    "'0044-03-15 (BC) 01:02:03.5'",
    "'infinity'",
  ],
  TIMESTAMPTZ: ["'2026-03-29 01:30:00.000001+00'", "'1700-01-01 00:00:00+00'", "'-infinity'"],
}

const TYPES = Object.keys(VALUES)
const column = (index: number) => `c${index}`

test('each type goes in and out as it is: as values, as the column itself, and as an Arrow vector', async () => {
  const declared = (prefix: string) => TYPES.map((type, index) => `${prefix}${index}: '${type}'`).join(', ')
  const code = `export const takes = { ${declared('c')}, n: 'JSON' }
export const gives = { ${declared('v')}, ${declared('s')}, ${declared('a')}, j: 'JSON', k: 'JSON', rows: 'BIGINT' }
export function enrich(columns, rows) {
  const given = { j: columns.n, k: columns.n.map(text => text && JSON.parse(text)), rows: Array(rows).fill(rows) }
  for (let index = 0; index < ${TYPES.length}; index++) {
    given['v' + index] = [...columns['c' + index]]
    given['s' + index] = columns['c' + index]
    given['a' + index] = columns['c' + index].arrow
  }
  return given
}
`
  const job = new Job('types', code, { from: 'typed' }).rows('1,x')
  const lines = Math.max(...Object.values(VALUES).map(values => values.length)) + 1
  const typed = Array.from({ length: lines }, (_, line) => {
    const values = TYPES.map(
      (type, index) => `CAST(${VALUES[type]![line] ?? 'NULL'} AS ${type}) AS ${column(index)}`,
    )
    const nested = line === 0 ? "{'a': [1, NULL], 'b': 'x''y'}" : 'NULL'
    return `SELECT ${line} AS id, ${values.join(', ')}, ${nested}::STRUCT(a INTEGER[], b VARCHAR) AS n`
  })
  // Twice: rows that are alike are given once.
  job.write(
    'typed.sql',
    `SELECT * FROM (${typed.join('\nUNION ALL ')})\nUNION ALL BY NAME\nSELECT * REPLACE (id + 100 AS id) FROM (${typed.join('\nUNION ALL ')})`,
  )
  const { code: ended, output } = await job.run('run')
  assert.equal(ended, 0, output)
  // By their text: 0.0 is not -0.0, and NaN is itself.
  const wrong = TYPES.map(
    (type, index) =>
      `'${type} ' || count(*) FILTER (NOT (${['v', 's', 'a'].map(each => `${each}${index}::VARCHAR IS NOT DISTINCT FROM c${index}::VARCHAR AND typeof(${each}${index}) = typeof(c${index})`).join(' AND ')}))`,
  )
  const [found] = await job.loaded(`SELECT count(*), max(rows), ${wrong.join(', ')} FROM places`)
  assert.deepEqual(found, [2 * lines, lines, ...TYPES.map(type => `${type} 0`)])
  const given = await job.loaded(
    `SELECT ${TYPES.map((_, index) => `count(c${index})::INTEGER`).join(', ')} FROM places`,
  )
  assert.deepEqual(given, [TYPES.map(type => 2 * VALUES[type]!.length)])
  assert.deepEqual(await job.loaded('SELECT DISTINCT n::VARCHAR, j, k FROM places ORDER BY ALL'), [
    [`{'a': [1, NULL], 'b': 'x\\'y'}`, '{"a":[1,null],"b":"x\'y"}', '{"a":[1,null],"b":"x\'y"}'],
    [null, null, null],
  ])
})

test('only rows that no night has given are given; another file that it loads makes all anew', async () => {
  const job = new Job('nights', REGION).write('enrich/regions.ts', regions(2))
  job.rows('1,AB1', '2,AB1', '3,XY2', '4,')
  const first = await job.run('run')
  assert.equal(first.code, 0, first.output)
  assert.match(first.output, /places: 3 distinct values, 3 of them new/)
  const all = 'SELECT id, zip, region FROM places ORDER BY id'
  assert.deepEqual(await job.loaded(all), [
    [1, 'AB1', 'AB'],
    [2, 'AB1', 'AB'],
    [3, 'XY2', 'XY'],
    [4, null, null],
  ])
  job.write('drop/more.csv', 'id,zip\n5,ZZ9\n1,XY2\n')
  const second = await job.run('run')
  assert.match(second.output, /places: 4 distinct values, 1 of them new/)
  // As a model says it by itself.
  job.write('fifth.sql', '-- @enrich enrich/geo.ts\nSELECT id, zip FROM raw WHERE id = 5\n')
  job.write('named.sql', 'SELECT id, lower(region) AS low FROM fifth')
  assert.deepEqual(await job.show('named'), [{ id: '5', low: 'zz' }])
  job.write('enrich/regions.ts', regions(1))
  assert.deepEqual(await job.show('named'), [{ id: '5', low: 'z' }])
  const outdated = await job.run('plan')
  assert.match(outdated.output, /region {2}ZZ → Z/)
  assert.match(outdated.output, /places: 4 distinct values, 4 of them new/)
  const lineage = await job.run('lineage', 'places.region')
  assert.match(lineage.output, /made of\n {2}raw\.zip /)
  assert.doesNotMatch(lineage.output, /raw\.id/)
  const exported = await exportSql(job.place, join(job.place, 'home'), new Date())
  assert.match(exported, /-- What enrich\/geo\.ts makes of values is not SQL: NULL here, and not judged\./)
})

test('a night that is killed between two batches goes on, and gives no row twice', async () => {
  const marks = join(folder, 'calls')
  const code = `import { appendFileSync, existsSync, readFileSync } from 'node:fs'
export const takes = { id: 'BIGINT' }
export const gives = { twice: 'BIGINT' }
export function enrich({ id }, rows) {
  const calls = existsSync('${marks}') ? readFileSync('${marks}', 'utf8').trim().split('\\n').length : 0
  appendFileSync('${marks}', rows + '\\n')
  if (calls === 2) process.kill(process.pid, 'SIGKILL')
  return { twice: id.map(value => value * 2n) }
}
`
  const job = new Job('killed', code)
  const COUNT = 40_000
  job.rows(...Array.from({ length: COUNT }, (_, id) => `${id},x`))
  const killed = await job.run('run')
  assert.equal(killed.signal, 'SIGKILL', killed.output)
  const resumed = await job.run('run')
  assert.equal(resumed.code, 0, resumed.output)
  const calls = readFileSync(marks, 'utf8').trim().split('\n').map(Number)
  const before = calls.slice(0, 2).reduce((sum, rows) => sum + rows, 0)
  assert.ok(before > 0 && before < COUNT)
  assert.match(resumed.output, new RegExp(`${COUNT} distinct values, ${COUNT - before} of them new`))
  assert.equal(
    calls.slice(3).reduce((sum, rows) => sum + rows, 0),
    COUNT - before,
  )
  assert.deepEqual(
    await job.loaded('SELECT count(*), sum(twice)::VARCHAR, bool_and(twice = 2 * id) FROM places'),
    [[COUNT, String(COUNT * (COUNT - 1)), true]],
  )
})

test('a function that never ends is ended by cancel --now', async () => {
  const begun = join(folder, 'begun')
  const code = `import { writeFileSync } from 'node:fs'
export const takes = { id: 'BIGINT' }
export const gives = { x: 'BIGINT' }
export function enrich() {
  writeFileSync('${begun}', '')
  while (true);
}
`
  const job = new Job('endless', code).rows('1,x')
  const ended = job.run('run')
  while (!existsSync(begun)) await new Promise(resolve => setTimeout(resolve, 20))
  const home = join(job.place, 'home')
  const status = await commandLine(home, ['status', '--json'])
  const [id] = /\d{8}T\d{9}-[0-9a-f]{6}/.exec(status.out)!
  const asked = performance.now()
  const cancelled = await commandLine(home, ['cancel', id, '--now'])
  assert.equal(cancelled.code, 0, cancelled.output)
  const { code: exit, output } = await ended
  assert.equal(exit, 130, output)
  assert.ok(performance.now() - asked < 10_000)
})
