import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { parentsFirst } from '../../src/connectors/sql/references.ts'
import { PLAIN_LOAD } from '../connectors/plainLoad.ts'
import { type FreshDatabase, freshMariadb, freshPostgres, type Hooks } from '../servers.ts'
import { smallJob } from './small.ts'

const loadsOf = (...tables: string[]) => tables.map(table => ({ ...PLAIN_LOAD, table, columns: [] }))

test('parents come first, else the order of the job; a circle is named', () => {
  const { ordered, circle } = parentsFirst(loadsOf('c', 'x', 'b', 'a'), [
    { child: 'c', parent: 'b' },
    { child: 'b', parent: 'a' },
    { child: 'x', parent: 'not loaded' },
  ])
  assert.deepEqual([ordered.map(({ table }) => table), circle], [['x', 'a', 'b', 'c'], []])
  const round = parentsFirst(loadsOf('a', 'b', 'c'), [
    { child: 'a', parent: 'b' },
    { child: 'b', parent: 'a' },
  ])
  assert.deepEqual(
    [round.ordered.map(({ table }) => table), round.circle],
    [
      ['c', 'a', 'b'],
      ['a', 'b'],
    ],
  )
})

async function libraryOf(hooks: Hooks, { url, query }: FreshDatabase, kind: string, ddl: string[]) {
  for (const sql of ddl) await query(sql)
  const job = await smallJob(hooks, `library_${kind}`, {
    'job.yaml': `connections: { s: "file:in", w: "${url}" }
extract:
  books: { from: s, files: books.csv, take: all, key: id, schema: { id: BIGINT, author: BIGINT } }
  authors: { from: s, files: authors.csv, take: all, key: id, schema: { id: BIGINT, best: BIGINT } }
load:
  book: { to: w, from: books, key: id, deletes: hard, guard: { max_delete_share: 1 } }
  author: { to: w, from: authors, key: id, deletes: hard, guard: { max_delete_share: 1 } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  mkdirSync(join(job.folder, 'in'))
  return {
    async night(books: string, authors: string) {
      writeFileSync(join(job.folder, 'in/books.csv'), `id,author\n${books}`)
      writeFileSync(join(job.folder, 'in/authors.csv'), `id,best\n${authors}`)
      return (await job.run({ fresh: true })).error as (Error & { code: string; hint: string }) | undefined
    },
    left: async () => [
      await query('SELECT id, author FROM book ORDER BY id'),
      await query('SELECT id, best FROM author ORDER BY id'),
    ],
  }
}

const AUTHOR = 'CREATE TABLE author (id bigint PRIMARY KEY, best bigint)'
const BOOK =
  'CREATE TABLE book (id bigint PRIMARY KEY, author bigint, CONSTRAINT by_author FOREIGN KEY (author) REFERENCES author (id))'
const BEST = 'ALTER TABLE author ADD CONSTRAINT of_book FOREIGN KEY (best) REFERENCES book (id)'

for (const { kind, fresh } of [
  { kind: 'postgres', fresh: freshPostgres },
  { kind: 'mariadb', fresh: freshMariadb },
])
  test(`${kind}: what is new comes parents first, what is gone leaves children first; a circle is told`, async t => {
    const library = await libraryOf(t, await fresh(t), kind, [AUTHOR, BOOK])
    assert.equal(await library.night('10,1\n20,2\n', '1,\n2,\n'), undefined)
    assert.equal(await library.night('20,2\n30,3\n', '2,\n3,\n'), undefined)
    const numbers = JSON.parse(JSON.stringify(await library.left()), (_, value) =>
      typeof value === 'string' ? Number(value) : value,
    )
    assert.deepEqual(numbers, [
      [
        { id: 20, author: 2 },
        { id: 30, author: 3 },
      ],
      [
        { id: 2, best: null },
        { id: 3, best: null },
      ],
    ])
    const round = await libraryOf(t, await fresh(t), `${kind}_round`, [AUTHOR, BOOK, BEST])
    const error = await round.night('10,1\n', '1,10\n')
    if (kind === 'mariadb') return assert.equal(error, undefined)
    assert.equal(error?.code, 'CONSTRAINT_VIOLATED')
    assert.match(error!.hint, /book, author refer to each other in a circle/)
  })

test('mariadb: rows that refer to none are named with both tables, in a circle and without one', async t => {
  const message = 'w.book: author refers to id of author, which has no such row: author = 7; author = 8'
  const plain = await libraryOf(t, await freshMariadb(t), 'orphans', [AUTHOR, BOOK])
  assert.equal((await plain.night('10,1\n11,7\n12,8\n', '1,\n'))?.message, message)
  const round = await libraryOf(t, await freshMariadb(t), 'orphans_round', [AUTHOR, BOOK, BEST])
  const error = await round.night('10,1\n11,7\n12,8\n', '1,10\n')
  assert.equal(error?.code, 'CONSTRAINT_VIOLATED')
  assert.equal(error?.message, message)
  assert.deepEqual(await round.left(), [[], []])
})

test('postgres: what is deferrable is checked at the end, also in a circle', async t => {
  const library = await libraryOf(t, await freshPostgres(t), 'deferred', [AUTHOR, BOOK, `${BEST} DEFERRABLE`])
  assert.equal(await library.night('10,1\n', '1,10\n'), undefined)
  const error = await library.night('10,1\n', '1,11\n')
  assert.equal(error?.code, 'CONSTRAINT_VIOLATED')
  assert.match(error!.message, /\(best\)=\(11\) is not present in table "book"/)
})

test('postgres: where rows refer to others of their own table and load, what helps is said, and helps', async t => {
  const itself = 'CONSTRAINT "best of" FOREIGN KEY (best) REFERENCES author (id)'
  const database = await freshPostgres(t)
  const library = await libraryOf(t, database, 'itself', [`${AUTHOR.slice(0, -1)}, ${itself})`, BOOK])
  assert.equal(await library.night('10,1\n', '1,\n2,1\n'), undefined)
  const [books, authors] = ['10,1\n', '1,3\n2,1\n3,\n']
  const error = await library.night(books, authors)
  const [, statement] = /own load: (.*) DEFERRABLE\./.exec(error?.hint ?? '') ?? []
  assert.equal(statement, 'ALTER TABLE "public"."author" ALTER CONSTRAINT "best of"')
  await database.query(`${statement} DEFERRABLE`)
  assert.equal(await library.night(books, authors), undefined)
  assert.deepEqual((await library.left())[1], [
    { id: '1', best: '3' },
    { id: '2', best: '1' },
    { id: '3', best: null },
  ])
})

test('duckdb: what is new comes parents first; why a row cannot go with those that refer to it is said', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'nightfreight-library-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'w.duckdb')
  const query = async <R extends object>(sql: string) => {
    const duck = await Duck.open({ path })
    try {
      return (await duck.rows(sql)) as R[]
    } finally {
      duck.close()
    }
  }
  const target = { url: `duckdb://${path}`, name: 'w', query }
  const library = await libraryOf(t, target, 'duckdb', [AUTHOR, BOOK])
  assert.equal(await library.night('10,1\n20,2\n', '1,\n2,\n'), undefined)
  assert.equal(await library.night('10,1\n20,3\n', '1,\n2,\n3,\n'), undefined)
  assert.deepEqual(await query('SELECT id::INTEGER AS id, author::INTEGER AS author FROM book ORDER BY id'), [
    { id: 10, author: 1 },
    { id: 20, author: 3 },
  ])
  const error = await library.night('10,1\n', '1,\n2,\n')
  assert.equal(error?.code, 'CONSTRAINT_VIOLATED')
  assert.match(error!.hint, /DuckDB lets no row go in the transaction in which others cease to refer to it/)
})
