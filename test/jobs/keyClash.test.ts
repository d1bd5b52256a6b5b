import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { freshMariadb, freshPostgres } from '../servers.ts'
import { notesInto, smallJob } from './small.ts'

const source = await freshPostgres()
const mariadb = await freshMariadb()
await source.query(
  `CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
)

/** Tables whose key takes the texts for one, and what is said of it. */
const TABLES = {
  'postgres, a collation': ['text COLLATE folded', 'a', 'A', 'code (folded)'],
  'postgres, blanks': ['char(4)', 'a', 'a ', 'code (character(4))'],
  'mysql, a collation': ['varchar(9) COLLATE utf8mb4_general_ci', 'a', 'A', 'code (utf8mb4_general_ci)'],
  'mysql, blanks': ['varchar(9) COLLATE utf8mb4_bin', 'a', 'a ', 'code (utf8mb4_bin)'],
  'mysql, accents in two forms': [
    'varchar(9) COLLATE utf8mb4_unicode_ci',
    'é',
    'e\u0301',
    'code (utf8mb4_unicode_ci)',
  ],
}

for (const [index, [name, [type, one, other, among]]] of Object.entries(TABLES).entries())
  test(`${name}: keys that are one for the table are refused by name, or go to the quarantine`, async () => {
    const warehouse = name.startsWith('mysql') ? mariadb : source
    await warehouse.query(`CREATE TABLE taken${index} (code ${type} PRIMARY KEY, v int)`)
    await source.query(`CREATE TABLE given${index} (code text PRIMARY KEY, v int);
      INSERT INTO given${index} VALUES ('${one}', 1), ('${other}', 2)`)
    const yaml = (onBadRow: string) => `connections: { from: "${source.url}", to: "${warehouse.url}" }
extract: { given: { from: from, table: given${index}, key: code } }
load: { taken${index}: { to: to, from: given, key: code, on_bad_row: ${onBadRow} } }
quality: { max_error_rate: 0.9 }
resources: { memory: 400MB, threads: 1 }
`
    const job = await smallJob({ after }, `clash${index}`, { 'job.yaml': yaml('fail') })
    const held = async () =>
      (await warehouse.query<{ n: unknown }>(`SELECT count(*) AS n FROM taken${index}`))[0]!.n
    const refused = await job.run()
    const error = refused.error as Error & { code?: string }
    assert.equal(error?.code, 'CONSTRAINT_VIOLATED', String(error))
    for (const text of [`code '${one}'`, `code '${other}'`, among!])
      assert.ok(error.message.includes(text), `${error.message} has no ${text}`)
    assert.equal(Number(await held()), 0)
    job.yaml(yaml('quarantine'))
    const first = await job.run({ fresh: true })
    assert.equal(first.error, undefined, String(first.error))
    assert.equal(Number(await held()), 1)
    // The one left out is tried again, and told again: its key is taken now.
    const second = await job.run()
    assert.equal(second.error, undefined, String(second.error))
    assert.equal(Number(await held()), 1)
    assert.equal(second.outcome.tables.at(-1)!.rejected, 1)
  })

test('a key that tables which inherit have twice is not unique: no row gives way in silence', async () => {
  await source.query(`CREATE TABLE forebear (id int PRIMARY KEY, v text); CREATE TABLE heir (more int) INHERITS (forebear);
    INSERT INTO forebear VALUES (1, 'a'), (2, 'b'); INSERT INTO heir VALUES (1, 'other', 5)`)
  const job = await smallJob({ after }, 'heirs', {
    'job.yaml': `connections: { here: "${source.url}" }
extract: { forebear: { from: here, table: forebear, key: id } }
load: { copy_of_forebear: { to: here, from: forebear, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
  })
  const notes: string[] = []
  const { error } = await job.run({ progress: notesInto(notes) })
  assert.equal((error as { code?: string } | undefined)?.code, 'DUPLICATE_KEY', String(error))
  assert.ok(
    notes.includes('here.forebear: is read with the rows of what inherits from it: heir'),
    notes.join('\n'),
  )
})
