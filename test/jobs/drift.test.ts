import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { createLog } from '../../src/cli/log.ts'
import { openMetadata } from '../../src/metadata/open.ts'
import { runJob } from '../../src/runs/runJob.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../servers.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-drift-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const warehouse = await freshPostgres()
const clock = { now: () => new Date() }
const nobody = { started() {}, advanced() {}, finished() {} }

interface Dialect {
  name: string
  database: FreshDatabase
  big: string
  /** Changes a column's type. */
  retype(column: string, type: string): string
}

const dialects: Dialect[] = [
  {
    name: 'mariadb',
    database: await freshMariadb(),
    big: 'bigint',
    retype: (column, type) => `MODIFY ${column} ${type}`,
  },
  {
    name: 'postgres',
    database: await freshPostgres(),
    big: 'bigint',
    retype: (column, type) => `ALTER ${column} TYPE ${type} USING ${column}::${type}`,
  },
]

let jobs = 0

/** A job of one table and one load into a warehouse table of its own, run again and again. */
function job({ database }: Dialect, options: { incremental?: boolean; model?: string } = {}) {
  const name = `drift_${++jobs}`
  const home = join(folder, name)
  const queries = join(home, 'queries')
  mkdirSync(queries, { recursive: true })
  const opened = openMetadata(home, clock, undefined)
  after(async () => (await opened).close())
  const source = `items_${jobs}`
  const target = `loaded_${jobs}`
  const incremental = options.incremental === false ? '' : ', incremental: { column: seen }'
  writeFileSync(join(queries, 'out.sql'), options.model ?? 'SELECT * FROM items')
  return {
    source,
    target,
    async night(drift = '') {
      writeFileSync(
        join(queries, 'job.yaml'),
        `job: ${name}
connections: { from: "${database.url}", to: "${warehouse.url}" }
extract: { items: { from: from, table: ${source}, key: id${incremental}${drift && `, drift: ${drift}`} } }
load: { ${target}: { to: to, from: out, key: id, newer: seen } }
resources: { memory: 300MB, threads: 1 }
`,
      )
      const notes: string[] = []
      const { outcome, error } = await runJob({
        folder: queries,
        env: {},
        home,
        metadata: await opened,
        clock,
        progress: { ...nobody, note: text => notes.push(text) },
        signal: new AbortController().signal,
        log: createLog({ folder: home }),
        secrets: [],
      })
      const read = Object.fromEntries(outcome.extracted.map(({ extract, rows }) => [extract, rows]))
      return { notes: notes.join('\n'), error: error as EngineError | undefined, read: read.items }
    },
    alter: (sql: string) => database.query(`ALTER TABLE ${source} ${sql}`),
    async rows(): Promise<string[]> {
      const found = await warehouse.query<{ row: string }>(
        `SELECT to_jsonb(t)::text AS row FROM ${target} AS t ORDER BY id`,
      )
      return found.map(({ row }) => row.replaceAll('"', ''))
    },
  }
}

for (const dialect of dialects)
  describe(dialect.name, () => {
    const { query } = dialect.database
    const table = async (name: string) => {
      await query(
        `CREATE TABLE ${name} (id int NOT NULL PRIMARY KEY, n int, d decimal(6,2), label varchar(20), seen int NOT NULL)`,
      )
      await query(`INSERT INTO ${name} VALUES (1, 10, 1.25, 'one', 1), (2, 20, 2.50, 'two', 2)`)
    }
    /** The run fails so, and the warehouse holds what it held. */
    const refuses = async (
      { night, rows }: ReturnType<typeof job>,
      code: string,
      message: RegExp,
      hint: RegExp,
      drift = '',
    ) => {
      const before = await rows()
      const { error, read } = await night(drift)
      assert.equal(error?.code, code, String(error))
      assert.match(error!.message, message)
      assert.match(error!.hint!, hint)
      assert.deepEqual(await rows(), before)
      return read
    }
    const loads = async ({ night }: ReturnType<typeof job>, drift = '') => {
      const result = await night(drift)
      assert.equal(result.error, undefined, `${result.error?.message} ${result.error?.hint}`)
      return result
    }

    test('an added column: refused or not read where the job says so, else added to the target, and every old row gets its value', async () => {
      const one = job(dialect)
      await table(one.source)
      await loads(one)
      await one.alter(`ADD extra varchar(9) DEFAULT 'old'`)
      await query(`INSERT INTO ${one.source} VALUES (3, 30, 3, 'three', 3, 'new')`)
      const read = await refuses(one, 'SCHEMA_DRIFT', /column extra .* is new/, /added: evolve/, 'fail')
      assert.equal(read, undefined, 'no row is read')
      const ignored = await loads(one, '{ added: ignore }')
      assert.match(ignored.notes, /column extra .* is new and not read/)
      assert.equal((await one.rows()).at(-1), '{d: 3.00, n: 30, id: 3, seen: 3, label: three}')

      const evolved = await loads(one)
      assert.match(
        evolved.notes,
        /column extra .* is new: models see it\n[\s\S]*whole table: column extra is new/,
      )
      assert.equal(evolved.read, 3)
      assert.deepEqual(await one.rows(), [
        '{d: 1.25, n: 10, id: 1, seen: 1, extra: old, label: one}',
        '{d: 2.50, n: 20, id: 2, seen: 2, extra: old, label: two}',
        '{d: 3.00, n: 30, id: 3, seen: 3, extra: new, label: three}',
      ])
      const quiet = await loads(one)
      assert.equal(quiet.read, 1, 'the next night is incremental again')
      assert.doesNotMatch(quiet.notes, /column/)
    })

    test('a dropped column: refused; kept as NULL; or seen no more, from an image that has it', async () => {
      const one = job(dialect)
      await table(one.source)
      await loads(one)
      await one.alter('DROP COLUMN label')
      await query(`INSERT INTO ${one.source} VALUES (3, 30, 3, 3)`)
      await refuses(one, 'SCHEMA_DRIFT', /from\.items: column label .* is gone since/, /dropped: evolve/)
      const ignored = await loads(one, '{ dropped: ignore }')
      assert.match(ignored.notes, /column label .* is gone: models see NULL/)
      assert.equal(ignored.read, 2)
      assert.deepEqual(await one.rows(), [
        '{d: 1.25, n: 10, id: 1, seen: 1, label: null}',
        '{d: 2.50, n: 20, id: 2, seen: 2, label: null}',
        '{d: 3.00, n: 30, id: 3, seen: 3, label: null}',
      ])
      await refuses(one, 'SCHEMA_DRIFT', /column label .* is gone/, /dropped: evolve/)
      const evolved = await loads(one, '{ dropped: evolve }')
      assert.match(evolved.notes, /column label .* is gone: models see it no more/)
      assert.equal(evolved.read, 1)
      assert.doesNotMatch((await loads(one)).notes, /label/)
    })

    test('a widened column: earlier nights are read as the wider type, and the target is widened', async () => {
      const one = job(dialect, { model: 'SELECT *, typeof(n) AS kind FROM items' })
      await table(one.source)
      await loads(one)
      await one.alter(dialect.retype('n', dialect.big))
      await one.alter(dialect.retype('d', 'decimal(10,2)'))
      await query(`INSERT INTO ${one.source} VALUES (3, 9007199254740993, 12345678.75, 'three', 3)`)
      await refuses(one, 'SCHEMA_DRIFT', /column n changed from int.* to bigint/, /widened: evolve/, 'fail')
      const evolved = await loads(one)
      assert.match(evolved.notes, /column n widened from int.* to bigint/)
      assert.equal(evolved.read, 2)
      assert.deepEqual(await one.rows(), [
        '{d: 1.25, n: 10, id: 1, kind: BIGINT, seen: 1, label: one}',
        '{d: 2.50, n: 20, id: 2, kind: BIGINT, seen: 2, label: two}',
        '{d: 12345678.75, n: 9007199254740993, id: 3, kind: BIGINT, seen: 3, label: three}',
      ])
      const types = await warehouse.query<{ type: string }>(
        `SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute
         WHERE attrelid = '${one.target}'::regclass AND attname IN ('n', 'd') ORDER BY attname`,
      )
      assert.deepEqual(
        types.map(({ type }) => type),
        ['numeric(10,2)', 'bigint'],
      )
    })

    test('an incompatible type: refused, or the whole table is read anew', async () => {
      const one = job(dialect, { model: 'SELECT id, n::VARCHAR AS n, seen FROM items' })
      await table(one.source)
      await loads(one)
      await one.alter(dialect.retype('n', 'varchar(5)'))
      await query(`UPDATE ${one.source} SET n = '007' WHERE id = 1`)
      const message = /column n changed from int.* to (varchar|character varying)\(5\)/
      await refuses(one, 'SCHEMA_DRIFT', message, /incompatible: evolve/)
      const evolved = await loads(one, '{ incompatible: evolve }')
      assert.match(evolved.notes, /whole table: column n changed its type/)
      assert.equal(evolved.read, 2)
    })

    test('a key column: where it widens, but never where it goes or becomes another', async () => {
      const one = job(dialect)
      await table(one.source)
      await loads(one)
      await one.alter(dialect.retype('id', dialect.big))
      const policy = '{ dropped: evolve, widened: evolve, incompatible: evolve }'
      await loads(one, policy)
      await one.alter(dialect.retype('id', 'varchar(9)'))
      await refuses(one, 'SCHEMA_DRIFT', /key column id changed from bigint/, /another name/, policy)
      await one.alter('DROP COLUMN id')
      await refuses(one, 'SCHEMA_DRIFT', /key column id .* is gone/, /key: of extract items/, policy)
    })

    test('a table read whole every night is compared as well; NULL and NOT NULL are only told', async () => {
      const one = job(dialect, { incremental: false, model: 'SELECT id, label, seen FROM items' })
      await table(one.source)
      await loads(one)
      const required = dialect.name === 'mariadb' ? 'MODIFY n int NOT NULL' : 'ALTER n SET NOT NULL'
      await one.alter(required)
      assert.match((await loads(one)).notes, /column n cannot be NULL any more/)
      await one.alter('DROP COLUMN label')
      await refuses(one, 'SCHEMA_DRIFT', /column label .* is gone/, /dropped: evolve/)
      await loads(one, '{ dropped: ignore }')
      assert.equal((await one.rows())[0], '{id: 1, seen: 1, label: null}')
      await one.alter(`ADD label varchar(9) DEFAULT 'back'`)
      assert.match((await loads(one)).notes, /column label .* is new/)
      assert.equal((await one.rows())[0], '{id: 1, seen: 1, label: back}')
    })
  })
