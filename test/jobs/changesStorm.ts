import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { commandLine } from '../commandLine.ts'
import { randomOf } from '../random.ts'
import { type FreshDatabase, freshMariadb, freshPostgres, type Hooks } from '../servers.ts'
import { dropAfter, reversed } from './following.ts'
import { smallJob } from './small.ts'

export type Kind = 'postgres' | 'mariadb'

/** What a storm was. */
export interface Storm {
  transactions: number
  kills: number
  cuts: number
  runs: number
  changes: number
}

/**
 * Writers make random transactions for so many seconds, while the job that reads their log is killed and its connections
 * are cut at random. Afterwards the tables are equal, and the history has each change once, in the order of each key.
 */
export async function storm(
  hooks: Hooks,
  kind: Kind,
  seconds: number,
  seed: number,
  large: number,
): Promise<Storm> {
  const own = reversed(hooks)
  const source = await (kind === 'postgres' ? freshPostgres(own) : freshMariadb(own))
  const warehouse = await freshPostgres(own)
  await prepare(source, kind)
  const job = await smallJob(own, `storm_${kind}`, {
    'job.yaml': `connections: { s: "${source.url}", w: "${warehouse.url}" }
extract:
  told: { from: s, table: told, mode: changes, history: true }
  now: { from: s, table: told, mode: changes }
  other: { from: s, table: other, mode: changes, drift: { dropped: evolve, incompatible: evolve } }
load:
  told: { to: w, from: told, key: [id, change_number], mode: append }
  now: { to: w, from: now, key: id, deletes: hard, guard: { max_delete_share: 1, allow_empty: true } }
  other: { to: w, from: other, key: id, deletes: hard, guard: { max_delete_share: 1, allow_empty: true } }
resources: { memory: 600MB, threads: 2 }
retries: { limit: 1, delay: 100ms }
`,
  })
  dropAfter(own, job)
  const random = randomOf(seed)
  const found: Storm = { transactions: 0, kills: 0, cuts: 0, runs: 0, changes: 0 }
  const end = Date.now() + seconds * 1000
  const over = () => Date.now() > end
  const writers = [1, 2].map(async writer => {
    const database = await another(own, source, kind)
    // Large ones come by the clock: their number must not grow with the machine's speed.
    let due = Date.now() + (seconds * 1000) / 10
    while (!over()) {
      const isLarge = Date.now() > due
      if (isLarge) due += (seconds * 1000) / 4
      await transaction(database, kind, random, writer, isLarge ? large : 6)
      found.transactions++
      if (random() < 0.3) await delay(20)
    }
  })
  const reading = (async () => {
    while (!over()) {
      let child: ChildProcess | undefined
      const begun = (process: ChildProcess) => {
        child = process
      }
      const gone = new AbortController()
      const ended = commandLine(job.home, ['run', job.folder], { begun }).finally(() => gone.abort())
      const rest = () => delay(300 + random() * 4500, undefined, { signal: gone.signal }).catch(() => {})
      const blows = (async () => {
        for (await rest(); !gone.signal.aborted; await rest())
          if (found.kills > 0 && random() < 0.25) {
            found.cuts++
            await cut(source, kind)
          } else if (child?.exitCode === null) {
            found.kills++
            child.kill('SIGKILL')
          }
      })()
      const { code, output } = await ended
      await blows
      found.runs++
      assert.ok([0, 75, null].includes(code), `a run ended with ${code}:\n${output}`)
    }
  })()
  await Promise.all([...writers, reading])
  // One that was killed may leave a run to be continued, which ends where it was planned to.
  const nights: string[] = []
  for (let night = 0; night < 2; night++) {
    const { code, output } = await commandLine(job.home, ['run', job.folder])
    assert.equal(code, 0, output)
    nights.push(output)
  }
  const said = nights.join('\n')
  await compareRows(said, source, 'told', warehouse, 'now', 'id, n, note, price')
  await compareRows(said, source, 'other', warehouse, 'other', 'id, n')
  found.changes = await compareHistory(source, warehouse)
  return found
}

/** Rows of one comparison: what stands in memory at once, however large the storm was. */
const BLOCK = 100_000

/** The ids of a table in stretches `(after, to]` of about BLOCK rows; the last goes on to the highest int. */
async function* stretches({ query }: FreshDatabase, table: string): AsyncGenerator<string> {
  for (let after = -1; ; ) {
    const [next] = await query<{ id: number }>(
      `SELECT id FROM ${table} WHERE id > ${after} ORDER BY id LIMIT 1 OFFSET ${BLOCK - 1}`,
    )
    const to = next?.id ?? 2 ** 31 - 1
    yield `id > ${after} AND id <= ${to}`
    if (!next) return
    after = to
  }
}

/** Fails with the first rows that differ. */
async function compareRows(
  said: string,
  source: FreshDatabase,
  from: string,
  warehouse: FreshDatabase,
  into: string,
  columns: string,
): Promise<void> {
  for await (const stretch of stretches(source, from)) {
    const rows = async ({ query }: FreshDatabase, table: string) =>
      (await query(`SELECT ${columns} FROM ${table} WHERE ${stretch}`)).map(row => JSON.stringify(row))
    const wanted = new Set(await rows(source, from))
    const got = new Set(await rows(warehouse, into))
    const missing = [...wanted].filter(row => !got.has(row))
    const extra = [...got].filter(row => !wanted.has(row))
    assert.deepEqual(
      { missing: missing.length, extra: extra.length, such: [...missing.slice(0, 5), ...extra.slice(0, 5)] },
      { missing: 0, extra: 0, such: [] },
      `${said}\n${from}: ${stretch}`,
    )
  }
}

type Change = { id: number; what: string; n: number | null }

/** Every change of the source's own journal that the snapshot does not hold, once, in order. */
async function compareHistory(source: FreshDatabase, warehouse: FreshDatabase): Promise<number> {
  await source.query('CREATE INDEX journal_id ON journal (id, seq)')
  let changes = 0
  for await (const stretch of stretches(source, 'journal')) {
    const journal = await source.query<Change>(
      `SELECT id, what, n FROM journal WHERE ${stretch} ORDER BY id, seq`,
    )
    const history = await warehouse.query<Change>(
      `SELECT id, change_kind AS what, n FROM told WHERE ${stretch} ORDER BY id, change_number`,
    )
    const wanted = Map.groupBy(journal, ({ id }) => id)
    const got = Map.groupBy(history, ({ id }) => id)
    for (const id of new Set([...wanted.keys(), ...got.keys()]))
      compareChanges(id, wanted.get(id) ?? [], got.get(id) ?? [])
    changes += journal.length
  }
  return changes
}

/** The changes of one key, as its source wrote and as the history tells them. */
function compareChanges(id: number, journal: Change[], history: Change[]): void {
  const text = ({ what, n }: Change) => (what === 'delete' ? what : `${what} ${n}`)
  const [first, ...rest] = history
  const snapshot = first?.what === 'snapshot' ? first : undefined
  const told = (snapshot ? rest : history).map(text)
  const all = journal.map(text)
  const before = all.slice(0, all.length - told.length)
  assert.deepEqual(told, all.slice(before.length), `history of ${id}`)
  const last = before.at(-1)
  if (last === undefined) return
  if (last === 'delete')
    assert.equal(snapshot, undefined, `${id} was there when the table was read, and had been deleted`)
  else assert.equal(`${snapshot?.n}`, last.split(' ')[1], `${id} when the table was read`)
}

async function prepare({ query }: FreshDatabase, kind: Kind): Promise<void> {
  const serial = kind === 'postgres' ? 'bigserial PRIMARY KEY' : 'bigint AUTO_INCREMENT PRIMARY KEY'
  for (const sql of [
    'CREATE TABLE told (id int PRIMARY KEY, n int, note varchar(200), price numeric(12,2))',
    'CREATE TABLE other (id int PRIMARY KEY, n int)',
    `CREATE TABLE journal (seq ${serial}, id int, what varchar(10), n int)`,
    `INSERT INTO told VALUES ${Array.from({ length: 500 }, (_, i) => `(${i}, ${i}, 'first', ${i}.25)`).join(', ')}`,
  ])
    await query(sql)
  const line = (row: 'NEW' | 'OLD', what: string) =>
    `INSERT INTO journal (id, what, n) VALUES (${row}.id, '${what}', ${row}.n);`
  if (kind === 'postgres')
    await query(`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF TG_OP = 'INSERT' THEN ${line('NEW', 'insert')}
      ELSIF TG_OP = 'DELETE' THEN ${line('OLD', 'delete')}
      ELSE IF OLD.id <> NEW.id THEN ${line('OLD', 'delete')} END IF; ${line('NEW', 'update')} END IF;
      RETURN NULL; END $$;
      CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON told FOR EACH ROW EXECUTE FUNCTION note()`)
  else {
    await query(`CREATE TRIGGER ins AFTER INSERT ON told FOR EACH ROW ${line('NEW', 'insert')}`)
    await query(`CREATE TRIGGER del AFTER DELETE ON told FOR EACH ROW ${line('OLD', 'delete')}`)
    await query(`CREATE TRIGGER upd AFTER UPDATE ON told FOR EACH ROW BEGIN
      IF OLD.id <> NEW.id THEN ${line('OLD', 'delete')} END IF; ${line('NEW', 'update')} END`)
  }
}

/** One random transaction; what two writers do to each other's rows may end it. */
async function transaction(
  { query }: Pick<FreshDatabase, 'query'>,
  kind: Kind,
  random: () => number,
  writer: number,
  most: number,
): Promise<void> {
  const any = (count: number) => Math.floor(random() * count)
  const statement = () => {
    const id = any(1000)
    const kinds = [
      () =>
        `INSERT INTO told VALUES (${1000 + any(1e6)}, ${any(1e6)}, '${'x'.repeat(any(200))}', ${any(1e4)}.5)`,
      () => `UPDATE told SET n = ${any(1e6)} WHERE id = ${id}`,
      () => `UPDATE told SET n = n + 1, note = 'many' WHERE id BETWEEN ${id} AND ${id + any(40)}`,
      () => `DELETE FROM told WHERE id BETWEEN ${id} AND ${id + any(5)}`,
      () => `UPDATE told SET id = ${2_000_000 + any(1e8)} WHERE id = ${id}`,
      () => `INSERT INTO other VALUES (${any(1e8)}, 1)`,
      () => `UPDATE other SET n = n + 1 WHERE id < ${any(1e8)}`,
      () => `DELETE FROM other WHERE id > ${any(1e9)}`,
    ]
    return kinds[any(kinds.length)]!()
  }
  const last = random()
  if (last < 0.01) {
    await attempt(query, 'TRUNCATE TABLE other')
    return
  }
  if (writer === 1 && last < 0.02) {
    await attempt(query, `ALTER TABLE other ADD COLUMN c${any(1e6)} int`)
    return
  }
  await query('BEGIN')
  try {
    if (most > 100)
      await query(
        kind === 'postgres'
          ? `INSERT INTO told SELECT 500000000 + ${any(1e9)} + i, i, 'large', 1 FROM generate_series(1, ${most}) AS i ON CONFLICT DO NOTHING`
          : `INSERT IGNORE INTO told SELECT 500000000 + ${any(1e9)} + seq, seq, 'large', 1 FROM seq_1_to_${most}`,
      )
    for (let left = 1 + any(Math.min(most, 6)); left > 0; left--) {
      if (random() < 0.2) {
        await query('SAVEPOINT here')
        await query(statement())
        await query('ROLLBACK TO SAVEPOINT here')
      }
      await query(statement())
    }
    await query(random() < 0.15 ? 'ROLLBACK' : 'COMMIT')
  } catch {
    // A key that is there already, or a deadlock.
    await attempt(query, 'ROLLBACK')
  }
}

const attempt = (query: FreshDatabase['query'], sql: string) => query(sql).catch(() => {})

/** Ends whatever reads the log; of Postgres, all of the job's connections. */
async function cut({ query, name }: FreshDatabase, kind: Kind): Promise<void> {
  if (kind === 'postgres')
    await query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'nightfreight'`,
    )
  else {
    const dumps = await query<{ id: string }>(
      `SELECT id FROM information_schema.processlist WHERE db = '${name}' AND command = 'Binlog Dump'`,
    )
    for (const { id } of dumps) await query(`KILL ${id}`).catch(() => {})
  }
}

async function another(
  hooks: Hooks,
  { url }: FreshDatabase,
  kind: Kind,
): Promise<Pick<FreshDatabase, 'query'>> {
  if (kind === 'postgres') {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    await client.connect()
    hooks.after(() => client.end().catch(() => {}))
    return { query: async (sql: string) => (await client.query(sql)).rows }
  }
  const client = await mysql.createConnection({ uri: url })
  hooks.after(() => client.end().catch(() => {}))
  return { query: async (sql: string) => (await client.query(sql))[0] as never }
}
