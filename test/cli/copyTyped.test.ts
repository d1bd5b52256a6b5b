// biome-ignore-all lint/suspicious/noTemplateCurlyInString: names and texts that look like references of job.yaml
/** What is typed for a copy means itself, whatever else it looks like. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { commandLine } from '../commandLine.ts'
import { freshPostgres } from '../servers.ts'
import { copying } from './copying.ts'

const { folder, home, copy, rows } = copying()
const postgres = await freshPostgres()

test('a file is copied by its name, also where that would match others as a glob, holds a space, or comes as a URL', async () => {
  const place = join(folder, 'odd [1] ${HOME}')
  mkdirSync(place)
  const put = (name: string, text: string) => writeFileSync(join(place, name), text)
  put('orders[1].csv', 'id\n1\n')
  put('orders1.csv', 'id\n2\n3\n')
  const target = join(folder, 'odd.duckdb')
  const loaded = async (source: string, table: string) => {
    const { code, err } = await copy(source, `duckdb:${target}`)
    assert.equal(code, 0, err)
    const ids = await rows(target, `SELECT id::INTEGER AS id FROM ${table} ORDER BY id`)
    await rows(target, `DROP TABLE ${table}`)
    return ids.map(({ id }) => id)
  }
  const file = join(place, 'orders[1].csv')
  assert.deepEqual(await loaded(file, 'orders1'), [1])
  put('a%20b.csv', 'id\n5\n')
  put('a b.csv', 'id\n6\n')
  assert.deepEqual(await loaded(`file:${join(place, 'a%20b.csv')}`, 'a_20b'), [5])
  assert.deepEqual(await loaded(`file:${join(place, 'a b.csv')}`, 'a_b'), [6])
  const url = pathToFileURL(place).href
  assert.deepEqual(await loaded(`${url}/a%20b.csv`, 'a_b'), [6])
  assert.deepEqual(await loaded(`${url}/a%2520b.csv`, 'a_20b'), [5])
  assert.deepEqual(await loaded(join(place, 'orders?.csv'), 'orders'), [2, 3])
  assert.deepEqual(await loaded(`file:${join(place, 'orders?.csv')}`, 'orders'), [2, 3])
  assert.deepEqual(await loaded(join(place, '*[0-9].csv'), '_0_9'), [2, 3])
  for (const wrong of ['file://elsewhere/x.csv', 'file:///a%2Fb.csv'])
    assert.match(
      (await copy(wrong, 'lake:./l')).err,
      /CONFIG_INVALID: file:.* names no folder of this machine/,
    )
  const saved = join(folder, 'odd-job')
  assert.equal((await copy(file, 'duckdb:x.duckdb', '--save', saved)).code, 0)
  const env = { COPY_FROM: `file:${place}`, COPY_TO: `duckdb:${target}` }
  const ran = await commandLine(home, ['run', saved], { env })
  assert.match(ran.out, /target\.orders1 +1 +1 /, ran.err)
})

test('what is asked for is in the job as it was typed: no part of it is taken for a reference', async () => {
  await postgres.query(`CREATE TABLE odd_notes (id int PRIMARY KEY, note text, "\${HOME}" int);
    INSERT INTO odd_notes VALUES (1, '\${HOME}', 1), (2, '\${', 2), (3, 'other', 3)`)
  const target = join(folder, 'typed.duckdb')
  const asked = async (...flags: string[]) => {
    const { code, err } = await copy(postgres.url, `duckdb:${target}`, ...flags)
    assert.equal(code, 0, err)
  }
  await asked('--query', `SELECT id FROM odd_notes WHERE note IN ('\${HOME}', '\${')`, '--as', 'asked')
  assert.deepEqual(await rows(target, 'SELECT id FROM asked ORDER BY id'), [{ id: 1 }, { id: 2 }])
  await asked('--tables', 'odd_notes', '--where', `note = '\${HOME}'`, '--columns', 'id,${HOME}')
  assert.deepEqual(await rows(target, 'FROM odd_notes'), [{ id: 1, '${HOME}': 1 }])
  await postgres.query('DROP TABLE odd_notes')
})
