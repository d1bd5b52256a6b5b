import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { serving } from '../connectors/http/serving.ts'
import { judgingProxy } from '../proxy.ts'
import { freshPostgres } from '../servers.ts'
import { holdsExactly, night } from './night.ts'

const RETRIES = 'retries: { limit: 1, delay: 1s }'
const members = `CREATE TABLE members (id int PRIMARY KEY, name text, city text);
  INSERT INTO members SELECT i, 'member ' || i, 'city ' || i % 7 FROM generate_series(1, 500) AS i`

test('wrong password', async t => {
  const database = await freshPostgres(t)
  const role = database.name
  await database.query(
    `${members}; CREATE ROLE ${role} LOGIN PASSWORD 'right'; GRANT SELECT ON members TO ${role}`,
  )
  const { host } = new URL(database.url)
  const yaml = `connections:
  shop: { url: "postgres://${role}@${host}/${database.name}", password: "\${SHOP_PASSWORD}" }
  wh: "${database.url}"
extract: { members: { from: shop, table: members, key: id } }
load: { loaded: { to: wh, from: members, key: id } }
${RETRIES}`
  const at = await night(t, 'password', { yaml, env: { SHOP_PASSWORD: 'r1ght as of to-day' } })
  at.serve()
  const alert = await at.alert('failure', /^AUTH_FAILED/)
  assert.deepEqual(alert.needs, ['SHOP_PASSWORD'])
  assert.deepEqual(alert.targets, ['wh: untouched'])
  await database.query(`ALTER ROLE ${role} PASSWORD 'r1ght as of to-day'`)
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  await at.goesOn()
  await holdsExactly(database.query, 'TABLE members')
  assert.ok(await at.alert('recovery', /./))
})

test('a column of the source is dropped', async t => {
  const { url, query } = await freshPostgres(t)
  await query(members)
  const at = await night(t, 'column', {
    yaml: `connections: { shop: "${url}", wh: "${url}" }
extract: { members: { from: shop, table: members, key: id } }
load: { loaded: { to: wh, from: clean, key: id } }
${RETRIES}`,
    files: { 'clean.sql': 'SELECT id, upper(name) AS name, city FROM members' },
  })
  await query('ALTER TABLE members DROP COLUMN city')
  at.serve()
  const alert = await at.alert('failure', /^(MODEL_INVALID|COLUMN_MISSING|SCHEMA_DRIFT)/)
  assert.match(alert.what, /city/)
  at.write('clean.sql', 'SELECT id, upper(name) AS name FROM members')
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  await at.goesOn()
  await holdsExactly(query, 'SELECT id, upper(name) FROM members')
})

test('the source is down for longer than its retries', async t => {
  const { url, query } = await freshPostgres(t)
  await query(members)
  let isDown = true
  const proxy = await judgingProxy(url, () => (isDown ? 'cut' : 'pass'))
  t.after(() => proxy.close())
  const at = await night(t, 'down', {
    yaml: `connections: { shop: "${proxy.url}", wh: "${url}" }
extract: { members: { from: shop, table: members, key: id } }
load: { loaded: { to: wh, from: members, key: id } }
${RETRIES}`,
  })
  at.serve()
  const alert = await at.alert('failure', /^CONNECTION_(FAILED|LOST)/)
  isDown = false
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  await at.goesOn()
  await holdsExactly(query, 'TABLE members')
})

test('an API answers 500', async t => {
  const { url, query } = await freshPostgres(t)
  let isBroken = true
  await serving(
    (_, asked, response) => {
      if (isBroken && asked.searchParams.get('page') === '2')
        response.writeHead(500).end('{"error":"out of order"}')
      else {
        const page = Number(asked.searchParams.get('page') ?? 1)
        response.end(JSON.stringify({ items: page > 3 ? [] : [{ id: page * 2 }, { id: page * 2 + 1 }] }))
      }
    },
    async origin => {
      const at = await night(t, 'api', {
        yaml: `connections: { api: { url: "${origin}", health: "/?page=1" }, wh: "${url}" }
extract: { items: { from: api, key: id, path: "/", paginate: page, limit: 2, records: items, schema: { id: BIGINT } } }
load: { loaded: { to: wh, from: items, key: id } }
retries: { limit: 0 }`,
      })
      at.serve()
      const alert = await at.alert('failure', /./)
      assert.match(alert.what, /500/)
      isBroken = false
      const typed = await at.type(alert)
      assert.equal(typed.code, 0, typed.output)
      await at.goesOn()
    },
  )
  await holdsExactly(query, 'SELECT generate_series(2, 7)')
})

test('half a file', async t => {
  const { url, query } = await freshPostgres(t)
  const at = await night(t, 'half', {
    yaml: `connections: { drop: "file:in", wh: "${url}" }
extract: { items: { from: drop, files: "*.csv.gz", take: all, key: id, schema: { id: BIGINT, name: VARCHAR } } }
load: { loaded: { to: wh, from: items, key: id } }
${RETRIES}`,
    files: { 'in/none': '' },
  })
  const lines = Array.from({ length: 5000 }, (_, i) => `${i},name ${i * 7919}\n`)
  const whole = gzipSync(`id,name\n${lines.join('')}`)
  const file = join(at.folder, 'in/items.csv.gz')
  rmSync(join(at.folder, 'in/none'))
  writeFileSync(file, whole.subarray(0, whole.length >> 1))
  at.serve()
  const alert = await at.alert('failure', /./)
  assert.match(alert.what, /items\.csv\.gz/)
  assert.deepEqual(alert.targets, ['wh: untouched'])
  writeFileSync(file, whole)
  const typed = await at.type(alert)
  assert.equal(typed.code, 0, typed.output)
  await at.goesOn()
  await holdsExactly(query, `SELECT i, 'name ' || i * 7919 FROM generate_series(0, 4999) AS i`)
})
