import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freshPostgres } from '../servers.ts'
import { night } from './night.ts'

const yaml = (url: string, more = '') => `connections: { shop: "${url}", wh: "${url}" }
extract: { members: { from: shop, table: members, key: id } }
load: { loaded: { to: wh, from: m, key: id${more} } }
retries: { limit: 0 }`

const MODEL = { 'm.sql': 'SELECT id, name FROM members' }
const GOOD = `CREATE TABLE members (id int PRIMARY KEY, name text);
  INSERT INTO members SELECT i, 'member ' || i FROM generate_series(1, 500) AS i`
const CONTENTS = `SELECT count(*)::int AS rows, count(*) FILTER (WHERE name = 'member ' || id)::int AS good FROM loaded`
const ALL = [{ rows: 500, good: 500 }]

test('8 % of the rows are bad', async t => {
  const { url, query } = await freshPostgres(t)
  await query(`${GOOD}; UPDATE members SET name = NULL WHERE id % 25 < 2`)
  const at = await night(t, 'bad', {
    yaml: yaml(url),
    files: {
      ...MODEL,
      'checks/m/name.sql': `SELECT *, 'reject' AS severity, 'no name' AS reason FROM m WHERE name IS NULL`,
    },
  })
  at.serve()
  const alert = await at.alert('failure', /^QUALITY_GATE/)
  assert.match(alert.what, /8(\.0+)? ?%/)
  assert.match(alert.rows.join(), /check name: 40 rows, such as: no name/)
  assert.deepEqual(alert.targets, ['wh: untouched'])
  await query(`UPDATE members SET name = 'member ' || id WHERE name IS NULL`)
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  await at.goesOn()
  assert.deepEqual(await query(CONTENTS), ALL)
  assert.equal(
    (await at.ask(({ errors }) => errors.list({ state: 'open', limit: 100 }))).length,
    0,
    'no record stays open',
  )
})

test('a check that stops', async t => {
  const { url, query } = await freshPostgres(t)
  await query(`${GOOD}; DELETE FROM members WHERE id > 100`)
  const at = await night(t, 'stops', {
    yaml: yaml(url),
    files: {
      ...MODEL,
      'checks/enough.sql': `SELECT 'stop' AS level, 'only ' || count(*) || ' members' AS message FROM m HAVING count(*) < 400`,
    },
  })
  at.serve()
  const alert = await at.alert('failure', /^CHECK_STOPPED/)
  assert.match(alert.what, /only 100 members/)
  await query(`INSERT INTO members SELECT i, 'member ' || i FROM generate_series(101, 500) AS i`)
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  await at.goesOn()
  assert.deepEqual(await query(CONTENTS), ALL)
})

test('a constraint of the target', async t => {
  const { url, query } = await freshPostgres(t)
  await query(`${GOOD}; UPDATE members SET name = 'x' WHERE id = 77;
    CREATE TABLE loaded (id int PRIMARY KEY, name text CONSTRAINT long_enough CHECK (length(name) > 3))`)
  const at = await night(t, 'constraint', { yaml: yaml(url), files: MODEL })
  at.serve()
  const alert = await at.alert('failure', /^CONSTRAINT_VIOLATED/)
  assert.match(alert.what, /id = 77 violates long_enough/)
  await query(`UPDATE members SET name = 'member 77' WHERE id = 77`)
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  await at.goesOn()
  assert.deepEqual(await query(CONTENTS), ALL)
})

test('the table of the target is gone: it is loaded whole by itself', async t => {
  const { url, query } = await freshPostgres(t)
  await query(GOOD)
  const at = await night(t, 'gone', { yaml: yaml(url), files: MODEL })
  const first = await at.type({ command: at.run })
  assert.equal(first.code, 0, first.output)
  await query('DROP TABLE loaded')
  at.serve()
  await at.goesOn()
  assert.deepEqual(await query(CONTENTS), ALL)
  assert.deepEqual(at.alerts(), [])
})

test('the schema of the target is gone', async t => {
  const { url, query } = await freshPostgres(t)
  await query(GOOD)
  const role = `reader_${Date.now()}`
  const { host, pathname } = new URL(url)
  // Who may make no schema cannot mend it, either.
  await query(`CREATE SCHEMA mart; CREATE SCHEMA nightfreight; CREATE ROLE ${role} LOGIN PASSWORD 'p';
    GRANT SELECT ON members TO ${role}; GRANT ALL ON SCHEMA mart, nightfreight TO ${role}`)
  const own = `postgres://${role}:p@${host}${pathname}`
  const at = await night(t, 'schema', { yaml: yaml(own).replace('loaded:', 'mart.loaded:'), files: MODEL })
  await query('DROP SCHEMA mart')
  at.serve()
  const alert = await at.alert('failure', /^PERMISSION_DENIED/)
  await query(`CREATE SCHEMA mart; GRANT ALL ON SCHEMA mart TO ${role}`)
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  await at.goesOn()
  assert.deepEqual(await query(CONTENTS.replace('loaded', 'mart.loaded')), ALL)
})

test('a lock is held: who holds it is told, and the load goes on; or it is typed once the lock is given back', async t => {
  const { url, query } = await freshPostgres(t)
  await query(`${GOOD}; CREATE TABLE loaded (id int PRIMARY KEY, name text)`)
  const at = await night(t, 'locked', { yaml: `${yaml(url)}\ntimeouts: { lock: 8s }`, files: MODEL })
  await query('BEGIN; LOCK TABLE loaded IN SHARE MODE')
  at.serve()
  const waits = await at.alert('sla', /^lock wh/)
  assert.match(waits.what, /waits for a lock on loaded, held by process \d+ .* since 20/)
  const shown = await at.type(waits)
  assert.equal(shown.code, 0, shown.output)
  assert.match(shown.output, /waits for a lock on loaded, held by process \d+/)
  const alert = await at.alert('failure', /^LOCK_TIMEOUT/)
  // Whoever has this alert alone knows who holds it, and that nothing is loaded.
  assert.match(
    alert.what,
    /lock timeout: it waits for a lock on loaded, held by process \d+ .*\nAnother session keeps/,
  )
  assert.deepEqual(alert.targets, ['wh: untouched'])
  await query('ROLLBACK')
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  await at.goesOn()
  assert.deepEqual(await query(CONTENTS), ALL)
})

test('a history that was loaded by hand meanwhile: what is older is settled by what the alert says', async t => {
  const { url, query } = await freshPostgres(t)
  const at = await night(t, 'history', { yaml: yaml(url, ', mode: scd2'), files: MODEL })
  at.serve()
  await at.alert('failure', /^TABLE_MISSING/)
  await query(GOOD)
  // Not what the alert says, but what everybody knows.
  const byHand = await at.type({ command: at.run })
  assert.equal(byHand.code, 0, byHand.output)
  const alert = await at.alert('failure', /^RUN_OUTDATED/)
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  await at.goesOn()
  assert.deepEqual(await query(CONTENTS), ALL)
})
