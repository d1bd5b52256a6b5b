/** Files of a job's folder that are read by nobody, or cannot be: each is told. */
import assert from 'node:assert/strict'
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadJob } from '../../src/config/load.ts'
import { folder } from './folder.ts'

const HEAD = 'job: j\nconnections: { legacy: "postgres://loader@legacy.example/shop" }\n'

test('a file of SQL in another encoding is refused, and a link to a folder is one', async () => {
  const yaml = `${HEAD}extract: { m: { from: legacy, table: t } }\n`
  const path = await folder(yaml, { 'people.sql': 'SELECT 1', 'checks/people/a.sql': 'SELECT 1' })
  await rename(join(path, 'checks/people'), join(path, 'elsewhere'))
  await symlink('../elsewhere', join(path, 'checks/people'))
  await writeFile(join(path, 'checks/people/b.sql'), Buffer.from("SELECT 'Müller'", 'latin1'))
  await assert.rejects(loadJob(path, {}), /checks\/people\/b\.sql: is not UTF-8/)
})

test('links that lead nowhere, or back, are told where something would be read by them', async () => {
  const yaml = `${HEAD}extract: { m: { from: legacy, table: t } }\n`
  const path = await folder(yaml, { 'marts/people.sql': 'SELECT 1 AS a FROM m' })
  await symlink('gone', join(path, 'notes.txt'))
  assert.equal((await loadJob(path, {})).models.length, 1)
  for (const name of ['a.sql', 'checks', 'marts/b.sql']) await symlink('gone', join(path, name))
  for (const name of ['marts/here', 'marts/there']) await symlink('..', join(path, name))
  await mkdir(join(path, 'seeds'))
  await symlink('gone', join(path, 'seeds/c.csv'))
  const error: Error = await loadJob(path, {}).then(
    () => assert.fail('was not refused'),
    cause => cause,
  )
  for (const name of ['a.sql', 'checks', 'marts/b.sql', 'seeds/c.csv'])
    assert.ok(error.message.includes(`${name}: is a link that leads nowhere`), `${name} in ${error.message}`)
  for (const name of ['marts/here/', 'marts/there/'])
    assert.ok(error.message.includes(`${name}: is a link that leads back`), `${name} in ${error.message}`)
})

test('settings of another tool are told, unless job.yaml includes them', async () => {
  const yaml = `${HEAD}extract: { m: { from: legacy, table: t } }\n`
  const files = { 'people.sql': 'SELECT 1 AS a FROM m', 'schema.yml': '{}', 'docker-compose.yml': '{}' }
  const { passedOver } = await loadJob(await folder(yaml, files), {})
  assert.deepEqual(
    passedOver?.map(({ file }) => file),
    ['schema.yml'],
  )
  const including = await folder(`${yaml}include: [schema.yml]\n`, files)
  assert.equal((await loadJob(including, {})).passedOver, undefined)
})

test('a file of SQL that is hidden by its name, or an editor left behind, is told; one that is all ending is refused', async () => {
  const yaml = `${HEAD}extract: { m: { from: legacy, table: t } }\n`
  const names = ['.orders.sql', 'people.sql~', 'marts/#sales.sql#', 'checks/people/.a.sql']
  const quiet = ['._people.sql', '.#people.sql', '.people.sql.swp', '.gitignore', 'notes~']
  const files = Object.fromEntries([...names, ...quiet].map(name => [name, 'SELECT 1']))
  const path = await folder(yaml, { 'people.sql': 'SELECT 1 AS a FROM m', ...files })
  const { models, checks, passedOver } = await loadJob(path, {})
  assert.deepEqual([models.length, checks.length], [1, 0])
  assert.deepEqual(passedOver?.map(({ file, message }) => `${file} ${message}`).sort(), [
    '.orders.sql is passed over, as a hidden file',
    'checks/people/.a.sql is passed over, as a hidden file',
    "marts/#sales.sql# is passed over, as an editor's copy",
    "people.sql~ is passed over, as an editor's copy",
  ])
  await writeFile(join(path, 'marts/.sql'), 'SELECT 1')
  await assert.rejects(
    loadJob(path, {}),
    /marts\/\.sql: is read by nobody: a file of SQL has a name before \.sql/,
  )
})
