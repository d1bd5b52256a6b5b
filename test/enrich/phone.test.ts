import assert from 'node:assert/strict'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { phone } from '../../src/enrich/phone.ts'
import { commandLine } from '../commandLine.ts'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'nf-enrich-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const BOOK = 5000

test('every number of the analysts’ own table comes out the same', () => {
  const lines = readFileSync(join(root, 'queries/macros/tests/phone_e164.csv'), 'utf8').trim().split('\n')
  assert.ok(lines.length > 10)
  for (const line of lines.slice(1)) {
    const [raw, country, expected] = line.split(',') as [string, string, string]
    const { e164, valid } = phone(raw, country || null)
    assert.equal(e164 ?? '', expected, line)
    assert.equal(valid, expected !== '', line)
  }
  assert.deepEqual(Object.values(phone('07400 123456', 'gb')), ['+447400123456', 'GB', 'mobile', true])
  assert.deepEqual(Object.values(phone('+41 44 668 18 00', 'GB')), ['+41446681800', 'CH', 'fixed_line', true])
  for (const [value, country] of [
    ['', 'GB'],
    ['020 7946 0123', 'ZZ'],
    ['x'.repeat(10_000), null],
    ['+1'.repeat(500), 'US'],
  ])
    assert.deepEqual(Object.values(phone(value!, country!)), [null, null, null, false])
})

function job(load: string) {
  mkdirSync(join(folder, 'job'), { recursive: true })
  writeFileSync(
    join(folder, 'job', 'job.yaml'),
    `job: book
connections:
  drop: file://${folder}/drop
  warehouse: duckdb:${join(folder, 'w.duckdb')}
extract:
  raw: { from: drop, files: "*.csv", key: id, schema: { id: BIGINT, phone: VARCHAR, home: VARCHAR } }
enrich:
  phones: { kind: phone, from: raw, value: phone, country: home }
load:
  book: { to: warehouse, from: entries, key: id }
  ${load}
resources: { threads: 2 }
`,
  )
  writeFileSync(
    join(folder, 'job', 'entries.sql'),
    `SELECT id, e164, valid FROM raw LEFT JOIN phones ON value = phone AND country IS NOT DISTINCT FROM home`,
  )
}

const run = (command: string) => commandLine(join(folder, 'home'), [command, join(folder, 'job'), '--json'])

async function rows(sql: string) {
  const duck = await Duck.open({ path: join(folder, 'w.duckdb') })
  try {
    return (await duck.rows(sql)).map(row => Object.values(row))
  } finally {
    duck.close()
  }
}

test('a table of phones is made of distinct values in worker threads, and of the new ones only on the next night', async () => {
  job('lookup: { to: warehouse, from: phones, mode: replace }')
  mkdirSync(join(folder, 'drop'))
  const number = (id: number) => `020 7946 ${String(id).padStart(4, '0')}`
  const lines = Array.from({ length: 2 * BOOK }, (_, id) => `${id},${number(id % BOOK)},GB`)
  writeFileSync(join(folder, 'drop', '1.csv'), `id,phone,home\n${lines.join('\n')}\n-1,,GB\n-2,nonsense,\n`)
  const first = await run('run')
  assert.equal(first.code, 0, first.output)
  assert.match(first.output, new RegExp(`phones: ${BOOK + 1} distinct values, ${BOOK + 1} of them new`))
  assert.deepEqual(
    await rows(
      'SELECT count(*), count(e164), count(DISTINCT e164), min(e164), bool_and(valid) FROM book WHERE id >= 0',
    ),
    [[2 * BOOK, 2 * BOOK, BOOK, '+442079460000', true]],
  )
  assert.deepEqual(await rows('SELECT id, e164, valid FROM book WHERE id < 0 ORDER BY id'), [
    [-2, null, false],
    [-1, null, null],
  ])
  assert.deepEqual(
    await rows("SELECT * FROM lookup WHERE e164 = '+442079460123' OR NOT valid ORDER BY value"),
    [
      ['020 7946 0123', 'GB', '+442079460123', 'GB', 'fixed_line', true],
      ['nonsense', null, null, null, null, false],
    ],
  )
  writeFileSync(
    join(folder, 'drop', '2.csv'),
    `id,phone,home\n${2 * BOOK},+33 6 12 34 56 78,\n0,${number(1)},GB\n`,
  )
  const second = await run('run')
  assert.equal(second.code, 0, second.output)
  assert.match(second.output, new RegExp(`phones: ${BOOK + 2} distinct values, 1 of them new`))
  assert.deepEqual(await rows(`SELECT id, e164 FROM book WHERE id IN (0, ${2 * BOOK}) ORDER BY id`), [
    [0, '+442079460001'],
    [2 * BOOK, '+33612345678'],
  ])
  // What an earlier night made is gone: all of it is made again.
  for (const file of globSync('home/staging/book/*/transformed/phones.parquet', { cwd: folder }))
    rmSync(join(folder, file))
  const third = await run('run')
  assert.equal(third.code, 0, third.output)
  assert.match(third.output, new RegExp(`phones: ${BOOK + 2} distinct values, ${BOOK + 2} of them new`))
  assert.deepEqual(
    globSync('home/staging/book/*/enriched', { cwd: folder }).flatMap(at =>
      globSync('*', { cwd: join(folder, at) }),
    ),
    [],
  )
})

test('an enrichment of what is not there is said before anything runs', async () => {
  job('lookup: { to: warehouse, from: phone, mode: replace }')
  const at = join(folder, 'job', 'job.yaml')
  writeFileSync(
    at,
    readFileSync(at, 'utf8')
      .replace('from: raw, value', 'from: row, value')
      .replace('kind: phone', 'kind: fone'),
  )
  const kind = await run('validate')
  assert.equal(kind.code, 2)
  assert.match(kind.output, /enrich.phones.kind: expected phone; found .*fone.*/)
  writeFileSync(at, readFileSync(at, 'utf8').replace('kind: fone', 'kind: phone'))
  const names = await run('validate')
  assert.equal(names.code, 2)
  assert.match(names.output, /enrich.phones.from: no model or extract \\"row\\"; did you mean \\"raw\\"/)
  assert.match(names.output, /load.lookup.from: no model or extract \\"phone\\"; did you mean \\"phones\\"/)
})
