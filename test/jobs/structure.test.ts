import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../servers.ts'
import { notesInto, type SmallJob, smallJob } from './small.ts'

// A circle (the best book of an author), a table that refers to itself, unique and other indexes.
const TABLES = [
  `CREATE TABLE author (id int PRIMARY KEY, name varchar(20) NOT NULL, best int, mentor int, code varchar(8) NOT NULL UNIQUE)`,
  'CREATE TABLE book (id int PRIMARY KEY, author int NOT NULL, shelf smallint NOT NULL, title varchar(30) NOT NULL, UNIQUE (shelf, title))',
  'ALTER TABLE book ADD FOREIGN KEY (author) REFERENCES author (id)',
  'ALTER TABLE author ADD FOREIGN KEY (mentor) REFERENCES author (id)',
  'CREATE INDEX by_title ON book (title, author)',
  `INSERT INTO author VALUES (2, 'Bob', NULL, NULL, 'B'), (1, 'Ada', 20, 2, 'A')`,
  `INSERT INTO book VALUES (10, 2, 1, 'first'), (20, 1, 1, 'second')`,
  'ALTER TABLE author ADD CONSTRAINT best_book FOREIGN KEY (best) REFERENCES book (id)',
]

const CHANGES = {
  postgres: [
    'ALTER TABLE author ALTER COLUMN name DROP NOT NULL, ADD COLUMN born date',
    'ALTER TABLE author ALTER COLUMN code TYPE varchar(300)',
    'ALTER TABLE book ALTER COLUMN id TYPE bigint',
    'ALTER TABLE author ALTER COLUMN best TYPE bigint',
  ],
  mariadb: [
    'ALTER TABLE author MODIFY COLUMN name varchar(20) NULL, ADD COLUMN born date',
    'ALTER TABLE author MODIFY COLUMN code varchar(300) NOT NULL',
    'SET foreign_key_checks = 0',
    'ALTER TABLE book MODIFY COLUMN id bigint NOT NULL',
    'ALTER TABLE author MODIFY COLUMN best bigint',
  ],
}
const ROWS = [
  'UPDATE author SET best = NULL, name = NULL, code = concat(code, repeat(code, 250))',
  'DELETE FROM book WHERE id = 20',
  `INSERT INTO author VALUES (3, 'Cyd', NULL, 1, 'C', '2000-01-01')`,
  `INSERT INTO book VALUES (5000000000, 3, 2, 'third')`,
  'UPDATE author SET best = 5000000000, mentor = 3 WHERE id = 1',
]

const SELECTS = [
  'SELECT id, name, best, mentor, code FROM author ORDER BY id',
  'SELECT id, author, shelf, title FROM book ORDER BY id',
]
const plain = (rows: object[]) =>
  rows.map(row => Object.values(row).map(value => (value === null ? null : String(value))))

/** What a table has: key, unique indexes, other indexes, foreign keys. */
const KEPT: Record<string, (database: FreshDatabase | Duck) => Promise<unknown>> = {
  async postgres(database) {
    const { query } = database as FreshDatabase
    const indexes = await query(
      `SELECT regexp_replace(indexdef, '^CREATE (UNIQUE )?INDEX .* ON [^ ]+ USING btree ', '\\1') AS text FROM pg_indexes
        WHERE tablename IN ('author', 'book') AND schemaname = 'public' ORDER BY tablename, 1`,
    )
    const keys = await query(
      `SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) AS text FROM pg_constraint WHERE contype = 'f' ORDER BY 1`,
    )
    return [...indexes, ...keys].map(({ text }) => text)
  },
  async mariadb(database) {
    const { query } = database as FreshDatabase
    const keys = await query(
      `SELECT CONCAT(table_name, ' ', column_name, ' ', referenced_table_name, ' ', referenced_column_name) AS text
         FROM information_schema.key_column_usage WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL ORDER BY 1`,
    )
    const indexes = await query(
      `SELECT CONCAT(table_name, ' ', GROUP_CONCAT(column_name ORDER BY seq_in_index), ' ', 1 - non_unique) AS text FROM information_schema.statistics
        WHERE table_schema = DATABASE() AND table_name IN ('author', 'book') GROUP BY table_name, index_name, non_unique ORDER BY 1`,
    )
    return [...indexes, ...keys].map(({ text }) => text)
  },
  async duckdb(duck) {
    const rows = await (duck as Duck).rows(
      `SELECT sql FROM duckdb_indexes() UNION ALL SELECT table_name || ' ' || constraint_text FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY' AND schema_name = 'main' ORDER BY 1`,
    )
    return rows.map(row => Object.values(row)[0])
  },
}

const WANTED: Record<string, string[]> = {
  postgres: [
    'UNIQUE (code)',
    'UNIQUE (id)',
    '(title, author)',
    'UNIQUE (id)',
    'UNIQUE (shelf, title)',
    'author FOREIGN KEY (best) REFERENCES book(id) DEFERRABLE',
    'author FOREIGN KEY (mentor) REFERENCES author(id) DEFERRABLE',
    'book FOREIGN KEY (author) REFERENCES author(id) DEFERRABLE',
  ],
  duckdb: [
    'CREATE INDEX book_title_author_idx ON book(title, author);',
    'CREATE UNIQUE INDEX author_code_idx ON author(code);',
    'CREATE UNIQUE INDEX book_shelf_title_idx ON book(shelf, title);',
    'author PRIMARY KEY(id)',
    'book PRIMARY KEY(id)',
  ],
}
const MARIADB = {
  // InnoDB gives a foreign key an index of its own where there is none.
  indexes: [
    'author best 0',
    'author code 1',
    'author id 1',
    'author mentor 0',
    'book author 0',
    'book id 1',
    'book shelf,title 1',
    'book title,author 0',
  ],
  keys: ['author best book id', 'author mentor author id', 'book author author id'],
}
WANTED.mariadb = [...MARIADB.indexes, ...MARIADB.keys]
WANTED['mariadb of InnoDB'] = WANTED.mariadb
WANTED['postgres of InnoDB'] = ['(best)', '(mentor)', ...WANTED.postgres!].toSpliced(4, 0, '(author)')
WANTED['duckdb of InnoDB'] = [
  'CREATE INDEX author_best_idx ON author(best);',
  'CREATE INDEX author_mentor_idx ON author(mentor);',
  'CREATE INDEX book_author_idx ON book(author);',
  ...WANTED.duckdb!,
]

for (const from of ['postgres', 'mariadb'] as const)
  for (const to of ['postgres', 'mariadb', 'duckdb'] as const)
    test(`${from} to ${to}: keys, indexes and foreign keys go along, and follow a second night of changes`, async t => {
      const fresh = { postgres: freshPostgres, mariadb: freshMariadb }
      const source = await fresh[from](t)
      const target = to === 'duckdb' ? undefined : await fresh[to](t)
      for (const sql of TABLES) await source.query(sql)
      const keys = to === 'duckdb' ? '' : ', foreign_keys: source'
      const job = await smallJob(t, `structure_${from}_${to}`, {
        'job.yaml': `connections: { s: "${source.url}", w: "${target?.url ?? 'duckdb:w.duckdb'}" }
extract:
  books: { from: s, table: book }
  authors: { from: s, table: author }
load:
  book: { to: w, from: books, key: id, mode: replace, indexes: source, guard: { max_delete_share: 1 }${keys} }
  author: { to: w, from: authors, key: id, mode: replace, indexes: source${keys} }
resources: { memory: 300MB, threads: 1 }
`,
      })
      const check = async () => {
        const { error } = await job.run()
        assert.equal(error, undefined)
        const held = target ?? (await Duck.open({ path: join(job.folder, 'w.duckdb'), threads: 1 }))
        const query = (sql: string) => (held instanceof Duck ? held.rows(sql) : held.query(sql))
        assert.deepEqual(await KEPT[to]!(held), WANTED[from === 'mariadb' ? `${to} of InnoDB` : to])
        for (const sql of SELECTS) assert.deepEqual(plain(await query(sql)), plain(await source.query(sql)))
        if (held instanceof Duck) held.close()
      }
      await check()
      await source.query('ALTER TABLE author DROP CONSTRAINT best_book')
      // MariaDB widens no column of a foreign key.
      const wide = to !== 'mariadb'
      for (const sql of CHANGES[from]) if (wide || !/bigint/.test(sql)) await source.query(sql)
      for (const sql of ROWS) await source.query(wide ? sql : sql.replace('5000000000', '30'))
      await check()
      if (wide) return
      for (const sql of CHANGES[from]) if (/bigint/.test(sql)) await source.query(sql)
      const { error } = await job.run()
      assert.equal((error as EngineError).code, 'TARGET_INCOMPATIBLE')
      const { hint = '' } = error as EngineError
      for (const statement of hint.slice(hint.indexOf('ALTER')).split(/(?<=;) /))
        if (!/MODIFY/.test(statement)) await target!.query(statement)
        else {
          await target!.query(statement)
          await target!.query('ALTER TABLE author MODIFY COLUMN best bigint NULL')
        }
      await check()
    })

test('what cannot be made is told, and a table that has no such rows is named with both tables', async t => {
  const [source, target] = [await freshPostgres(t), await freshPostgres(t)]
  await source.query(`CREATE EXTENSION pg_trgm; CREATE EXTENSION btree_gin; CREATE TABLE a (id int PRIMARY KEY, t text, CHECK (id > 0)); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a (id));
    CREATE INDEX part ON a (t) WHERE id > 3; CREATE INDEX words ON a (lower(t)); CREATE INDEX hashed ON a USING hash (t); CREATE INDEX near ON a USING gin (t gin_trgm_ops); CREATE INDEX usual ON a USING gin (t);
    CREATE TYPE mood AS ENUM ('low', 'high'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); ALTER TABLE b ADD COLUMN m mood, ADD COLUMN q positive; INSERT INTO a VALUES (1, 'x'), (2, 'y'); INSERT INTO b VALUES (7, 2, 'low', 3)`)
  const notes: string[] = []
  const yaml = (extract: string, load: string) => `connections: { s: "${source.url}", w: "${target.url}" }
extract: { b: { from: s, table: b }${extract} }
load: { b: { to: w, from: b, key: id, indexes: [[a]], foreign_keys: source }${load} }
resources: { memory: 300MB, threads: 1 }
`
  const run = async (job: SmallJob) => {
    const progress = notesInto(notes)
    return (await job.run({ progress })).error as Error | undefined
  }
  const alone = await smallJob(t, 'alone', { 'job.yaml': yaml('', '') })
  assert.equal(await run(alone), undefined)
  assert.ok(
    notes.includes('w.b: not made: foreign key of a to public.a: the job does not load that table'),
    notes.join('\n'),
  )
  for (const what of [
    'type mood of column m, which is text where the target has no type of that name',
    'domain positive of column q, which is integer',
  ])
    assert.ok(notes.includes(`w.b: not made: ${what}`), notes.join('\n'))
  await target.query('DROP TABLE b')
  const both = await smallJob(t, 'both', {
    'job.yaml': yaml(
      ', a: { from: s, table: a }, few: { from: s, table: a }',
      ', a: { to: w, from: m, key: id }, c: { to: w, from: a, key: id, indexes: source }',
    ),
    'm.sql': 'SELECT * FROM few WHERE id = 1',
  })
  assert.equal(await run(both), undefined)
  for (const what of [
    'index part: of a part of the rows',
    'index words: of an expression',
    'index near: gin',
    // By an operator class that is the default, of an extension.
    'index usual: gin',
    'constraint a_id_check: a CHECK',
  ])
    assert.ok(notes.includes(`w.c: not made: ${what}`), notes.join('\n'))
})
