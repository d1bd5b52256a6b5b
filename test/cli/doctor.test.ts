import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { clockDiagnosis } from '../../src/connectors/wire/clock.ts'
import { commandLine, type Ended } from '../commandLine.ts'
import { reversed } from '../jobs/following.ts'
import { type FreshDatabase, freshMariadb, freshPostgres } from '../servers.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-doctor-'))
after(() => rmSync(folder, { recursive: true }))
const PASSWORD = 'hush-77'

interface Told {
  ok: boolean
  examined: { name: string; findings: { ok: boolean; what: string; fix?: string }[] }[]
}

async function doctor(connections: object, extract: object = {}): Promise<{ ended: Ended; told: Told }> {
  const job = {
    job: 'j',
    connections,
    extract: { members: { from: 'src', table: 'members', key: 'id', ...extract } },
    load: { dim: { to: 'wh', from: 'members', key: 'id' } },
    resources: { memory: '300MB', threads: 1 },
  }
  writeFileSync(join(folder, 'job.yaml'), JSON.stringify(job))
  const ended = await commandLine(join(folder, 'home'), ['doctor', folder, '--json'])
  assert.ok(!ended.output.includes(PASSWORD), ended.output)
  return { ended, told: JSON.parse(ended.out) as Told }
}

/** Types what is told until nothing is missing; gives how many statements that took. */
async function mend(database: FreshDatabase, connections: object, extract?: object): Promise<number> {
  for (let typed = 0; ; ) {
    const { ended, told } = await doctor(connections, extract)
    const fixes = told.examined.flatMap(({ findings }) => findings.filter(({ ok }) => !ok))
    assert.equal(ended.code, fixes.length === 0 ? 0 : 2, ended.output)
    if (fixes.length === 0) return typed
    assert.ok(typed < 10, JSON.stringify(fixes))
    for (const { fix, what } of fixes) {
      assert.ok(fix, what)
      await database.query(fix)
      typed++
    }
  }
}

const apart = (url: string, user: string) => {
  const { protocol, host, pathname } = new URL(url)
  return { url: `${protocol}//${host}${pathname}`, user, password: PASSWORD }
}

test('Postgres: each statement that is told gives what is missing, and a run then does', async () => {
  const database = await freshPostgres()
  const user = `${database.name}_nightly`
  await database.query(`CREATE ROLE ${user} LOGIN PASSWORD '${PASSWORD}';
    CREATE TABLE members (id int PRIMARY KEY, name text); INSERT INTO members VALUES (1, 'a'), (2, 'b')`)
  try {
    const connections = { src: apart(database.url, user), wh: apart(database.url, user) }
    assert.equal(await mend(database, connections), 3)
    const ran = await commandLine(join(folder, 'home'), ['run', folder])
    assert.equal(ran.code, 0, ran.output)
    assert.equal((await doctor(connections)).ended.code, 0)
  } finally {
    await database.query(`DROP OWNED BY ${user} CASCADE; DROP ROLE ${user}`)
  }
})

test('MariaDB: each statement that is told gives what is missing, and a run then does', async () => {
  const database = await freshMariadb()
  await database.query(`CREATE OR REPLACE USER nf_doctor@'%' IDENTIFIED BY '${PASSWORD}'; GRANT USAGE ON ${database.name}.* TO nf_doctor@'%';
    CREATE TABLE members (id int PRIMARY KEY, name text); INSERT INTO members VALUES (1, 'a'), (2, 'b');
    GRANT CREATE ON ${database.name}.* TO nf_doctor@'%'`)
  try {
    const connections = { src: apart(database.url, 'nf_doctor'), wh: apart(database.url, 'nf_doctor') }
    assert.equal(await mend(database, connections), 3)
    const ran = await commandLine(join(folder, 'home'), ['run', folder])
    assert.equal(ran.code, 0, ran.output)
  } finally {
    await database.query(`DROP USER nf_doctor@'%'`)
  }
})

test('all that cannot be reached is told together, and what is wrong with tables and clocks', async () => {
  const away = await doctor({
    src: { url: 'postgres://u@127.0.0.1:1/x', password: PASSWORD },
    wh: { url: 'mysql://u@127.0.0.1:1/x', password: PASSWORD },
  })
  assert.equal(away.ended.code, 2)
  const wrong = away.told.examined.flatMap(({ name, findings }) =>
    findings.filter(({ ok }) => !ok).map(() => name),
  )
  assert.deepEqual(wrong, ['src', 'wh'])
  const database = await freshPostgres()
  const { told } = await doctor({ src: database.url, wh: 'duckdb:wh.duckdb' })
  const missing = told.examined.flatMap(({ findings }) => findings.filter(({ ok }) => !ok))
  assert.deepEqual(
    missing.map(({ what }) => what),
    ['there is no table members'],
  )
  assert.deepEqual(
    [clockDiagnosis(10_000, 0).ok, clockDiagnosis(-10_000, 0).ok, clockDiagnosis(4000, 0).ok],
    [false, false, true],
  )
  assert.match(clockDiagnosis(10_000, 0).what, /10 s ahead of/)
})

test('what a job runs without, only slower, is told and is no failure', async t => {
  const own = reversed(t)
  const database = await freshMariadb(own)
  const user = `u_${database.name.slice(-8)}_plain`
  await database.query('CREATE TABLE members (id int PRIMARY KEY)')
  await database.query(`CREATE USER ${user} IDENTIFIED BY '${PASSWORD}'`)
  await database.query(`GRANT SELECT ON \`${database.name}\`.* TO ${user}`)
  own.after(async () => {
    await database.query(`DROP USER ${user}`)
  })
  const job = join(folder, 'plain')
  mkdirSync(job)
  writeFileSync(
    join(job, 'job.yaml'),
    `job: plain
connections: { src: ${JSON.stringify(apart(database.url, user))}, wh: "duckdb:${join(folder, 'plain.duckdb')}" }
extract: { members: { from: src, key: id } }
load: { members: { to: wh, from: members, key: id } }
`,
  )
  const { code, output } = await commandLine(join(folder, 'home'), ['doctor', job])
  assert.equal(code, 0, output)
  assert.match(
    output,
    /better .*tables are read by one lane\n +GRANT RELOAD ON[\s\S]*nothing is missing, 1 could be better/,
  )
})

for (const { kind, fresh, take } of [
  {
    kind: 'Postgres',
    fresh: freshPostgres,
    take: (user: string) => [
      `CREATE ROLE ${user} LOGIN PASSWORD '${PASSWORD}'`,
      'ALTER TABLE members REPLICA IDENTITY NOTHING',
    ],
  },
  {
    kind: 'MariaDB',
    fresh: freshMariadb,
    take: (user: string) => [
      `CREATE USER ${user} IDENTIFIED BY '${PASSWORD}'`,
      `GRANT SELECT ON \`t_doctor%\`.* TO ${user}`,
    ],
  },
])
  test(`${kind}: what reading the log needs is told with the statement that gives it`, async t => {
    const own = reversed(t)
    const database = await fresh(own)
    const user = `u_${database.name.slice(-8)}_log`
    await database.query('CREATE TABLE members (id int PRIMARY KEY, name text)')
    await database.query(`INSERT INTO members VALUES (1, 'a')`)
    for (const sql of take(user)) await database.query(sql)
    own.after(async () => {
      if (kind === 'Postgres') {
        await database.query(
          'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()',
        )
        await database.query(`DROP OWNED BY ${user}`)
      }
      await database.query(`DROP USER ${user}`)
    })
    const connections = { src: apart(database.url, user), wh: `duckdb:${join(folder, `${user}.duckdb`)}` }
    const typed = await mend(database, connections, { mode: 'changes' })
    assert.ok(typed >= 2, String(typed))
    const run = await commandLine(join(folder, 'home'), ['run', folder, '--fresh'])
    assert.equal(run.code, 0, run.output)
  })
