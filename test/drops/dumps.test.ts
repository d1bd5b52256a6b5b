import assert from 'node:assert/strict'
import { chmodSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { quote } from '../../engine/sql/duckdb.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { readerIn, testFolder } from './places.ts'

const folder = testFolder()
chmodSync(folder, 0o777)
const read = readerIn(folder)
const mariadb = await freshMariadb()
const postgres = await freshPostgres()

const options = { quote: '', escape: '\\', header: false, schema: { id: 'INTEGER', x: 'VARCHAR' } }
const MARKS = ['a', '\\', '\t', '\n', '\r', '"', 'N', 'x', '.', 'é', '0', '1', '7']
const texts = (marks: string[]) =>
  fc.array(fc.option(fc.string({ unit: fc.constantFrom(...marks), maxLength: 6 })), { maxLength: 6 })

/** What a server writes of rows with these texts, the first of them plain. */
async function written(server: 'mariadb' | 'postgres', values: (string | null)[], ending = '\\n') {
  const path = join(folder, 'dump.tsv')
  rmSync(path, { force: true })
  const { query } = server === 'mariadb' ? mariadb : postgres
  await query('DROP TABLE IF EXISTS texts')
  await query('CREATE TABLE texts (id int PRIMARY KEY, x text)')
  const mark = server === 'mariadb' ? '?' : '$1'
  for (const [id, value] of values.entries())
    await query(`INSERT INTO texts VALUES (${id}, ${mark})`, [value])
  await query(
    server === 'mariadb'
      ? `SELECT * INTO OUTFILE '${path}' CHARACTER SET utf8mb4 LINES TERMINATED BY '${ending}' FROM texts ORDER BY id`
      : `COPY (SELECT * FROM texts ORDER BY id) TO ${quote(path)}`,
  )
  return readFileSync(path)
}

const textsOf = async (dump: Buffer) => {
  const { rows, rejected } = await read({ 'x.tsv': dump }, options)
  assert.deepEqual(rejected, [])
  return rows.map(([, x]) => x)
}

for (const server of ['mariadb', 'postgres'] as const)
  test(`${server}: every text is read as it stands in the table that was dumped`, async () => {
    const values = texts(server === 'mariadb' ? [...MARKS, '\0'] : MARKS)
    await fc.assert(
      fc.asyncProperty(values, async some => {
        const all = ['plain', ...some]
        assert.deepEqual(await textsOf(await written(server, all)), all)
      }),
      { numRuns: 40, examples: server === 'mariadb' ? [[['a\x001b', 'abc\r', '\r', '\x00\x00017']]] : [] },
    )
  })

test('mariadb: lines that end in CR and LF are read as written, and refused where an end is not told from a text', async () => {
  const all = ['plain', 'a\rb', 'abc\r', 'a\x001']
  assert.deepEqual(await textsOf(await written('mariadb', all, '\\r\\n')), all)
  const refused = /x.tsv: line [23] ends in a line feed alone/
  await assert.rejects(textsOf(await written('mariadb', ['abc\r', 'plain'])), refused)
  await assert.rejects(textsOf(await written('mariadb', ['plain', 'a\nb'], '\\r\\n')), refused)
})

test('the first row tells how lines end, not the header; what stands at the end of others is told', async () => {
  const named = { ...options, header: true }
  const cases: [what: string, text: string, texts: string[], note?: RegExp][] = [
    ['a header of another', 'id\tx\n1\ta\r\n2\tb\r\n', ['a', 'b']],
    ['a header of a program', 'id\tx\r\n1\ta\n2\tb\r\n', ['a', 'b\r'], /1 row that end in a carriage return/],
    ['an empty line and an end', 'id\tx\r\n1\ta\r\n\n2\tb\r\n\\.\n', ['a', 'b']],
    ['an empty line first', '\r\nid\tx\r\n\r\n1\ta\r\n', ['a']],
    ['one after another', 'id\tx\n1\ta\n2\tb\r\n3\tc\r\n', ['a', 'b\r', 'c\r'], /2 rows that end/],
  ]
  for (const [what, text, texts, note] of cases) {
    const { rows, rejected, notes } = await read({ 'x.tsv': text }, named)
    assert.deepEqual([rows.map(([, x]) => x), rejected], [texts, []], what)
    assert.match(notes.join('\n'), note ?? /^$/, what)
  }
})
