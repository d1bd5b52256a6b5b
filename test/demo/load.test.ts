import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { changedContacts, changedMembers } from '../../src/demo/sample/changes.ts'
import { contacts } from '../../src/demo/sample/contact.ts'
import { loadContacts, loadMembers } from '../../src/demo/sample/load.ts'
import { member, memberId } from '../../src/demo/sample/member.ts'
import { applyNightTwo } from '../../src/demo/sample/nightTwo.ts'
import { MEMBER_COLUMNS, ZERO_DATE } from '../../src/demo/sample/tables.ts'
import { freshMariadb, freshPostgres } from '../servers.ts'

const SEED = 3
const N = 5000
const range = (n: number) => Array.from({ length: n }, (_, index) => index)

const mariadb = await freshMariadb()
const postgres = await freshPostgres()
const legacyPostgres = await freshPostgres()

/** Rows as text, all timestamps with six digits and no zone, as both servers and the generator can agree on. */
const asText = (row: object) =>
  MEMBER_COLUMNS.map(column => {
    const value = (row as Record<string, unknown>)[column]
    if (value === null) return null
    const text = String(value)
    if (!column.endsWith('_at')) return text
    const [clock = '', fraction = ''] = text.replace(/\+00$/, '').split('.')
    return `${clock}.${fraction.padEnd(6, '0')}`
  })

describe('loading', () => {
  test('members into MariaDB, every value as generated', async () => {
    assert.equal(await loadMembers(mariadb.url, N, SEED), N)
    const rows = await mariadb.query('SELECT * FROM members ORDER BY member_id')
    assert.deepEqual(
      rows.map(asText),
      range(N).map(index => asText(member(SEED, index))),
    )
  })

  test('members into Postgres, with NULL for zero dates', async () => {
    assert.equal(await loadMembers(legacyPostgres.url, N, SEED), N)
    const rows = await legacyPostgres.query("SET TIME ZONE 'UTC'; SELECT * FROM members ORDER BY member_id")
    const expected = range(N).map(index => member(SEED, index))
    assert.ok(expected.some(row => row.birth_date === ZERO_DATE))
    for (const row of expected) if (row.birth_date === ZERO_DATE) row.birth_date = null
    assert.deepEqual(rows.map(asText), expected.map(asText))
  })

  test('contacts into Postgres', async () => {
    const expected = range(N).flatMap(index => contacts(SEED, index))
    assert.equal(await loadContacts(postgres.url, N, SEED), expected.length)
    const rows = await postgres.query('SELECT contact_id, preferences, tags FROM contacts')
    const byId = new Map(rows.map(row => [row.contact_id, row]))
    for (const { contact_id, preferences, tags } of expected)
      assert.deepEqual(byId.get(contact_id), { contact_id, preferences, tags })
  })

  test('an existing table is left alone', async () => {
    await assert.rejects(loadMembers(mariadb.url, 10, SEED), /exists/)
    await assert.rejects(loadMembers(legacyPostgres.url, 10, SEED), /exists/)
    assert.deepEqual(await legacyPostgres.query('SELECT count(*)::int AS n FROM members'), [{ n: N }])
  })

  test('an abort ends the load with its own reason', async () => {
    const reason = new Error('enough')
    const abort = new AbortController()
    const onRows = () => abort.abort(reason)
    const empty = await freshPostgres()
    const other = await freshMariadb()
    for (const { url } of [empty, other])
      await assert.rejects(loadMembers(url, 200_000, SEED, { signal: abort.signal, onRows }), reason)
  })
})

describe('night two', () => {
  for (const [name, legacy] of [
    ['MariaDB', mariadb],
    ['Postgres', legacyPostgres],
  ] as const)
    test(`on ${name} does what it counts`, async () => {
      const done = await applyNightTwo({
        membersUrl: legacy.url,
        contactsUrl: postgres.url,
        n: N,
        seed: SEED,
      })
      const changes = [...changedMembers(N, SEED)]
      assert.equal(
        Object.values(done.members).reduce((sum, count) => sum + count),
        changes.length,
      )
      const [{ n } = { n: 0 }] = await legacy.query<{ n: string }>('SELECT count(*) AS n FROM members')
      assert.equal(Number(n), N + done.members.insert + done.members.insert_bad)
      const [row] = await legacy.query(`SELECT notes FROM members WHERE member_id = ${memberId(SEED, 3)}`)
      assert.equal(row?.notes, 'restored from an older copy')
      const [{ c } = { c: 0 }] = await postgres.query<{ c: number }>(
        'SELECT count(*)::int AS c FROM contacts',
      )
      const added = [...changedContacts(N, SEED)].filter(({ change }) => change === 'insert').length
      assert.equal(c, range(N).flatMap(index => contacts(SEED, index)).length + added)
      assert.equal(done.contacts.insert, added)
    })
})
