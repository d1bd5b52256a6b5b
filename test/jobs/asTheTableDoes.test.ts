import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const source = await freshPostgres()
await source.query(`CREATE SCHEMA s; CREATE SCHEMA t; CREATE EXTENSION citext;
  CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)

const rows = async (db: FreshDatabase, sql: string) => (await db.query(sql)).map(row => Object.values(row))

/** A job that loads `s.NAME` into `table`, and sends to the quarantine what that refuses. */
const judged = (name: string, table = `t.${name}`, url = source.url, onBadRow = 'quarantine') =>
  smallJob({ after }, `judged_${name}`, {
    'job.yaml': `connections: { from: "${source.url}", to: "${url}" }
extract: { ${name}: { from: from, table: s.${name}, key: id } }
load: { ${table}: { to: to, from: ${name}, key: id, on_bad_row: ${onBadRow} } }
quality: { max_error_rate: 0.9 }
resources: { memory: 300MB, threads: 1 }
`,
  })

for (const [name, type, parent, child] of [
  ['padded', 'char(5)', 'eu', 'eu'],
  ['cased', 'citext', 'EU', 'eu'],
  ['collated', 'text COLLATE folded', 'EU', 'eu'],
] as const)
  test(`postgres, ${type}: a foreign key is judged by the equality of its columns`, async () => {
    await source.query(`CREATE TABLE s.${name} (id int PRIMARY KEY, region ${type});
      INSERT INTO s.${name} VALUES (1, '${child}'), (2, 'none'), (3, NULL);
      CREATE TABLE t.parents_${name} (region ${type} PRIMARY KEY); INSERT INTO t.parents_${name} VALUES ('${parent}');
      CREATE TABLE t.${name} (id int PRIMARY KEY, region ${type} REFERENCES t.parents_${name})`)
    const { error, outcome } = await (await judged(name)).run()
    assert.equal(error, undefined, String(error))
    assert.equal(outcome.tables.at(-1)!.rejected, 1)
    assert.deepEqual(await rows(source, `SELECT id FROM t.${name} ORDER BY 1`), [[1], [3]])
  })

test('postgres: the blanks of a char(n) are no part of its length, whether bad rows stop the load or not', async () => {
  await source.query(`CREATE TABLE s.short (id int PRIMARY KEY, v char(10)); INSERT INTO s.short VALUES (1, 'ab'), (2, 'abcde');
    CREATE TABLE t.short (id int PRIMARY KEY, v char(5))`)
  for (const onBadRow of ['fail', 'quarantine']) {
    await source.query('DELETE FROM t.short')
    const job = await judged('short', 't.short', source.url, onBadRow)
    const { error, outcome } = await job.run({ fresh: true })
    assert.equal(error, undefined, String(error))
    assert.equal(outcome.tables.at(-1)!.rejected, 0)
    assert.deepEqual(await rows(source, 'SELECT id, rtrim(v) FROM t.short ORDER BY 1'), [
      [1, 'ab'],
      [2, 'abcde'],
    ])
  }
})

test('postgres: a foreign key whose parent rows may not all be read is left to the load', async () => {
  const warehouse = await freshPostgres({ after })
  const role = `judges_${process.pid}`
  await source.query(
    'CREATE TABLE s.unseen (id int PRIMARY KEY, a int, b int); INSERT INTO s.unseen VALUES (1, 1, 1), (2, 1, 1)',
  )
  await warehouse.query(`CREATE TABLE policed (a int PRIMARY KEY); INSERT INTO policed VALUES (1);
    CREATE SCHEMA closed; CREATE TABLE closed.parents (b int PRIMARY KEY); INSERT INTO closed.parents VALUES (1);
    CREATE TABLE unseen (id int PRIMARY KEY, a int REFERENCES policed, b int REFERENCES closed.parents);
    CREATE ROLE ${role} LOGIN PASSWORD 'p'; GRANT CREATE ON DATABASE ${warehouse.name} TO ${role};
    GRANT ALL ON unseen TO ${role}; GRANT SELECT ON policed, closed.parents TO ${role};
    ALTER TABLE policed ENABLE ROW LEVEL SECURITY`)
  const url = Object.assign(new URL(warehouse.url), { username: role, password: 'p' }).href
  const job = await judged('unseen', 'unseen', url)
  const { error, outcome } = await job.run()
  assert.equal(error, undefined, String(error))
  assert.equal(outcome.tables.at(-1)!.rejected, 0)
  assert.deepEqual(await rows(warehouse, 'SELECT id FROM unseen ORDER BY 1'), [[1], [2]])
  await source.query('UPDATE s.unseen SET a = 7 WHERE id = 2')
  assert.equal(((await job.run()).error as { code?: string }).code, 'CONSTRAINT_VIOLATED')
})

test('mariadb: a foreign key whose parent rows may not be read is left to the load', async () => {
  const [mariadb, other] = [await freshMariadb({ after }), await freshMariadb({ after })]
  const user = `judges_${process.pid}`
  await source.query(
    'CREATE TABLE s.hidden (id int PRIMARY KEY, a int); INSERT INTO s.hidden VALUES (1, 1), (2, 1)',
  )
  await other.query('CREATE TABLE parents (a int PRIMARY KEY); INSERT INTO parents VALUES (1)')
  await mariadb.query(
    `CREATE TABLE hidden (id int PRIMARY KEY, a int, CONSTRAINT up FOREIGN KEY (a) REFERENCES ${other.name}.parents (a));
     CREATE USER ${user} IDENTIFIED BY 'p'; GRANT ALL ON ${mariadb.name}.* TO ${user}; GRANT REFERENCES ON ${other.name}.* TO ${user}`,
  )
  const url = Object.assign(new URL(mariadb.url), { username: user, password: 'p' }).href
  const job = await judged('hidden', 'hidden', url)
  const { error, outcome } = await job.run()
  assert.equal(error, undefined, String(error))
  assert.equal(outcome.tables.at(-1)!.rejected, 0)
  assert.deepEqual(await rows(mariadb, 'SELECT id FROM hidden ORDER BY 1'), [[1], [2]])
  await source.query('UPDATE s.hidden SET a = 7 WHERE id = 2')
  assert.equal(((await job.run()).error as { code?: string }).code, 'CONSTRAINT_VIOLATED')
})

test('postgres: columns of a table whose names differ in case only are each themselves', async () => {
  await source.query(`CREATE TABLE s.twins (id int PRIMARY KEY, name text); INSERT INTO s.twins VALUES (1, 'long name'), (2, 'b');
    CREATE TABLE t.twins (id int PRIMARY KEY, "Name" varchar(3) UNIQUE DEFAULT 'x' CHECK ("Name" <> 'y'), name text)`)
  await source.query('ALTER TABLE t.twins ALTER COLUMN "Name" DROP DEFAULT')
  for (const onBadRow of ['fail', 'quarantine']) {
    await source.query('DELETE FROM t.twins')
    const { error, outcome } = await (await judged('twins', 't.twins', source.url, onBadRow)).run({
      fresh: true,
    })
    assert.equal(error, undefined, String(error))
    assert.equal(outcome.tables.at(-1)!.rejected, 0)
    assert.deepEqual(await rows(source, 'SELECT id, "Name", name FROM t.twins ORDER BY 1'), [
      [1, null, 'long name'],
      [2, null, 'b'],
    ])
  }
})
