import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const postgres = await freshPostgres()
const mariadb = await freshMariadb()

for (const [name, unique] of Object.entries({
  index: 'CREATE UNIQUE INDEX by_place ON index_out (place, note)',
  constraint: 'ALTER TABLE constraint_out ADD CONSTRAINT "By Place" UNIQUE (place)',
  covering: 'CREATE UNIQUE INDEX covers ON covering_out (note, place) INCLUDE (id) NULLS NOT DISTINCT',
  nulls: 'ALTER TABLE nulls_out ADD CONSTRAINT nulls UNIQUE NULLS NOT DISTINCT (place) INCLUDE (note)',
  referred:
    'ALTER TABLE referred_out ADD CONSTRAINT referred UNIQUE (place); CREATE TABLE child (place int REFERENCES referred_out (place))',
}))
  test(`postgres: unique values that change places are taken after what the hint says: ${name}`, async () => {
    await postgres.query(`CREATE TABLE ${name}_in (id int PRIMARY KEY, place int NOT NULL, note text NOT NULL);
      INSERT INTO ${name}_in SELECT i, i, 'n' FROM generate_series(1, 5) AS i;
      CREATE TABLE ${name}_out (id int PRIMARY KEY, place int NOT NULL, note text NOT NULL, CHECK (place < 100)); ${unique}`)
    const shape = async () => {
      const [found] = await postgres.query<{ text: string }>(
        `SELECT pg_get_indexdef(indexrelid) AS text FROM pg_index WHERE indrelid = '${name}_out'::regclass AND NOT indisprimary`,
      )
      return found!.text
    }
    const before = await shape()
    const job = await smallJob({ after }, `moved_${name}`, {
      'job.yaml': `connections: { shop: "${postgres.url}" }
extract: { t: { from: shop, table: ${name}_in, key: id } }
load: { ${name}_out: { to: shop, from: t, key: id, deletes: hard } }
resources: { memory: 300MB, threads: 1 }
`,
    })
    const rows = (table: string) => postgres.query(`SELECT * FROM ${table} ORDER BY id`)
    assert.equal((await job.run()).error, undefined)
    await postgres.query(`UPDATE ${name}_in SET place = 1 + place % 5`)
    const { error } = await job.run()
    assert.match(String(error), /values of (note, )?place(, note)? change places among rows/)
    const { hint } = error as Error & { hint: string }
    await postgres.query(hint.slice(hint.indexOf(': ') + 2))
    assert.equal(await shape(), before)
    for (const _ of [1, 2]) assert.equal((await job.run()).error, undefined)
    assert.deepEqual(await rows(`${name}_out`), await rows(`${name}_in`))
    // What is there twice is refused as ever.
    await postgres.query(`UPDATE ${name}_in SET place = 2 WHERE id = 5`)
    const twice = (await job.run()).error as Error & { code?: string; hint?: string }
    assert.equal(twice.code, 'CONSTRAINT_VIOLATED')
    assert.doesNotMatch(`${twice.message} ${twice.hint}`, /change places|DEFERRABLE/)
  })

test('mariadb: unique values that change places are refused, with what helps', async () => {
  await mariadb.query('CREATE TABLE moved_out (id int PRIMARY KEY, place int, UNIQUE KEY by_place (place))')
  await postgres.query(
    `CREATE TABLE moved_in (id int PRIMARY KEY, place int); INSERT INTO moved_in VALUES (1, 1), (2, 2)`,
  )
  const job = await smallJob({ after }, 'moved_mariadb', {
    'job.yaml': `connections: { shop: "${postgres.url}", wh: "${mariadb.url}" }
extract: { t: { from: shop, table: moved_in, key: id } }
load: { moved_out: { to: wh, from: t, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  assert.equal((await job.run()).error, undefined)
  await postgres.query('UPDATE moved_in SET place = 3 - place')
  const { error } = await job.run()
  assert.match((error as Error & { hint: string }).hint, /only change places .* drop such an index/)
  await mariadb.query('DROP INDEX by_place ON moved_out')
  assert.equal((await job.run()).error, undefined)
  assert.deepEqual(await mariadb.query('SELECT place FROM moved_out ORDER BY id'), [
    { place: 2 },
    { place: 1 },
  ])
})
