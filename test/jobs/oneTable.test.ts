import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const source = await freshPostgres()
const mariadb = await freshMariadb()
await source.query(`CREATE TABLE given (id int PRIMARY KEY); INSERT INTO given VALUES (1)`)
const file = join(mkdtempSync(join(tmpdir(), 'nightfreight-one-')), 'wh.duckdb')

for (const [kind, url, schema, more] of [
  ['postgres', source.url, 'public', ''],
  ['mariadb', mariadb.url, mariadb.name, ''],
  ['duckdb', `duckdb:${file}`, 'main', ", which does not tell letters' cases apart"],
] as const)
  test(`${kind}: a table that two loads name, with its schema and without, is refused before a row is read`, async () => {
    const loads = (...tables: string[]) => `connections: { from: "${source.url}", to: "${url}" }
extract: { given: { from: from, table: given, key: id } }
load: { ${tables.map(table => `${table}: { to: to, from: given, key: id }`).join(', ')} }
resources: { memory: 300MB, threads: 1 }
`
    const job = await smallJob({ after }, `one_${kind}`, { 'job.yaml': loads('one', `${schema}.one`) })
    const { error } = await job.run()
    assert.equal((error as { code?: string } | undefined)?.code, 'MODEL_INVALID', String(error))
    assert.match(String(error), new RegExp(`load\\.${schema}\\.one: is the same table as one for to`))
    if (more) {
      job.yaml(loads('one', 'ONE'))
      assert.match(
        String((await job.run()).error),
        new RegExp(`load\\.ONE: is the same table as one for to${more}`),
      )
    }
    job.yaml(loads('one', 'other'))
    assert.equal((await job.run()).error, undefined)
  })

test('postgres: a table is of the schema in which its name is found, of all that are searched', async () => {
  await source.query('CREATE SCHEMA sa; CREATE SCHEMA sb; CREATE TABLE sb.found (id int PRIMARY KEY)')
  const url = `${source.url}?options=-c%20search_path%3Dsa,sb`
  const job = await smallJob({ after }, 'one_found', {
    'job.yaml': `connections: { from: "${source.url}", to: "${url}" }
extract: { given: { from: from, table: public.given, key: id } }
load: { found: { to: to, from: given, key: id }, sb.found: { to: to, from: given, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  assert.match(String((await job.run()).error), /load\.sb\.found: is the same table as found for to/)
  job.yaml(`connections: { from: "${source.url}", to: "${url}" }
extract: { given: { from: from, table: public.given, key: id } }
load: { found: { to: to, from: given, key: id }, made: { to: to, from: given, key: id }, sb.made: { to: to, from: given, key: id } }
resources: { memory: 300MB, threads: 1 }
`)
  assert.equal((await job.run()).error, undefined)
  const noted = await source.query("SELECT name FROM nightfreight.tables WHERE name ~ '^s[ab]' ORDER BY 1")
  assert.deepEqual(noted, [{ name: 'sa.made' }, { name: 'sb.found' }, { name: 'sb.made' }])
})
