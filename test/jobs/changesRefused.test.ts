/** Tables whose log cannot be followed, and rights that reading it lacks: what is wrong and what mends it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readerOf } from '../../engine/plan/prepare.ts'
import { loadJob } from '../../src/config/load.ts'
import { dropLogs } from '../../src/runs/changeLogs.ts'
import { type FreshDatabase, freshMariadb, freshPostgres, type Hooks } from '../servers.ts'
import { follow, reversed } from './following.ts'
import { smallJob } from './small.ts'

const warehouse = await freshPostgres()

test('tables whose log does not tell all of their rows are refused', async t => {
  const refused = async (
    fresh: (hooks: Hooks) => Promise<FreshDatabase>,
    table: string,
    statements: string[],
    message: RegExp,
  ) => {
    const { job } = await follow(t, { fresh, warehouse, table, statements })
    const { error } = await job.run()
    assert.match(String(error), message)
    assert.equal((error as { code: string }).code, 'CONFIG_INVALID')
  }
  await refused(
    freshPostgres,
    'computed',
    ['CREATE TABLE computed (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) VIRTUAL)'],
    /computed has virtual columns \(twice\), which the log does not tell/,
  )
  await refused(
    freshPostgres,
    'parent',
    ['CREATE TABLE parent (id int PRIMARY KEY)', 'CREATE TABLE heir (n int) INHERITS (parent)'],
    /parent has tables that inherit from it \(heir\)/,
  )
  await refused(
    freshPostgres,
    'leafy',
    [
      'CREATE TABLE leafy (id int PRIMARY KEY, code text NOT NULL) PARTITION BY RANGE (id)',
      'CREATE TABLE leafy_1 PARTITION OF leafy FOR VALUES FROM (0) TO (100)',
      'CREATE UNIQUE INDEX leafy_1_code ON leafy_1 (code)',
      'ALTER TABLE leafy_1 REPLICA IDENTITY USING INDEX leafy_1_code',
    ],
    /leafy has a replica identity without id in partition leafy_1: its log does not say which row is deleted/,
  )
  await refused(
    freshMariadb,
    'versioned',
    ['CREATE TABLE versioned (id int PRIMARY KEY, n int) WITH SYSTEM VERSIONING'],
    /versioned keeps its own history/,
  )
})

test('a right that reading the log lacks, or forgetting it, is named with what gives it', async t => {
  const user = `reader_${process.pid}`
  const asUser = (url: string) => {
    const own = new URL(url)
    own.username = user
    own.password = 'secret'
    return own.href
  }
  const yamlOf = (kind: string, url: string, more = '', key = 'id') =>
    `connections: { s: "${asUser(url)}", w: "${warehouse.url}" }
extract: { rights: { from: s, table: rights, mode: changes${more} } }
load: { rights_${kind}: { to: w, from: rights, key: ${key} } }
`
  const jobOf = (hooks: Hooks, kind: string, url: string) =>
    smallJob(hooks, `rights_${kind}`, { 'job.yaml': yamlOf(kind, url) })
  const made = ['CREATE TABLE rights (id int PRIMARY KEY)', 'INSERT INTO rights VALUES (1)']

  const own = reversed(t)
  const mariadb = await freshMariadb(own)
  for (const sql of [
    ...made,
    `CREATE USER ${user}@'%' IDENTIFIED BY 'secret'`,
    `GRANT SELECT ON rights TO ${user}@'%'`,
    `GRANT RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO ${user}@'%'`,
  ])
    await mariadb.query(sql)
  own.after(async () => void (await mariadb.query(`DROP USER ${user}@'%'`)))
  const { run, yaml } = await jobOf(own, 'mariadb', mariadb.url)
  assert.equal((await run()).error, undefined)
  await mariadb.query(`REVOKE REPLICATION SLAVE ON *.* FROM ${user}@'%'`)
  await mariadb.query('INSERT INTO rights VALUES (2)')
  const { error } = await run({ fresh: true })
  assert.equal((error as { code?: string } | undefined)?.code, 'PERMISSION_DENIED', String(error))
  assert.match((error as { hint: string }).hint, /^GRANT REPLICATION SLAVE/)

  await mariadb.query(`GRANT REPLICATION SLAVE ON *.* TO ${user}@'%'`)
  await mariadb.query(`REVOKE RELOAD ON *.* FROM ${user}@'%'`)
  assert.equal((await run({ fresh: true })).error, undefined)
  // Its log goes over rows of a later view again, and leaves what they are last.
  assert.equal((await run({ fresh: true, fullRefresh: [] })).error, undefined)
  // A history has them twice, and a comparison tells them as missed.
  const unlocked = async (options: Parameters<typeof run>[0]) => {
    const { error } = await run({ fresh: true, ...options })
    assert.equal((error as { code?: string } | undefined)?.code, 'PERMISSION_DENIED', String(error))
    assert.match((error as unknown as { hint: string }).hint, /^GRANT RELOAD/)
  }
  await unlocked({ reconcile: true })
  yaml(yamlOf('mariadb', mariadb.url, ', history: true', '[id, change_number], mode: append'))
  await unlocked({ fullRefresh: [] })

  const postgres = await freshPostgres(own)
  const publication = readerOf('rights_postgres', 's')
  for (const sql of [
    ...made,
    `CREATE ROLE ${user} LOGIN REPLICATION PASSWORD 'secret'`,
    `GRANT SELECT ON rights TO ${user}`,
    `CREATE PUBLICATION "${publication}" FOR TABLE rights WITH (publish_via_partition_root = true)`,
  ])
    await postgres.query(sql)
  own.after(async () => {
    await postgres.query(`DROP OWNED BY ${user}`)
    await postgres.query(`DROP ROLE ${user}`)
  })
  const job = await jobOf(own, 'postgres', postgres.url)
  assert.equal((await job.run()).error, undefined)
  await assert.rejects(
    dropLogs(await loadJob(job.folder, {}), new AbortController().signal),
    (error: Error & { hint?: string }) =>
      /must be owner.*removed replication slot/.test(error.message) &&
      error.hint === `Have its owner run: DROP PUBLICATION "${publication}";`,
  )
})
