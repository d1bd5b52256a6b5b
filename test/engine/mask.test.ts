import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Mask } from '../../engine/mask.ts'

const people = { name: 'people', key: ['id'], sensitive: ['email', 'name'] }
const mask = new Mask('k', { extracts: [people], loads: [], models: [], checks: [], macros: [] })

/** What servers say of values, with `VALUE` in the place of one. */
const SAID = [
  'duplicate key: Key (email)=(VALUE) already exists.',
  'Key (lower(email::text))=(VALUE) already exists.',
  'Key (id, COALESCE("name", \'none\'::text))=(7, VALUE) already exists.',
  'Key (email)=(VALUE) conflicts with existing key (email)=(VALUE).',
  'Key (email)=(VALUE) is not present in table "others".',
  'Key (email)=(VALUE) conflicts with key (email)=(VALUE).',
  'Key (email)=(VALUE) is referenced from table "others".',
  'Key (email)=(VALUE).',
  'key (email)=(VALUE)',
  'DETAIL: key (email)=(VALUE) already exists (SQLSTATE 23505)',
  'Key (id)=(5) is missing; Key (email)=(VALUE) already exists',
  'Key (email)=(VALUE) already exists; Key (id)=(5) is missing',
  'Failing row contains (7, VALUE, null).',
  'Partition key of the failing row contains (email) = (VALUE).',
  "Duplicate entry 'VALUE' for key 'people.email'",
  'email: "VALUE" is not a whole number',
]

test('what a server says of a sensitive value does not show it', () => {
  for (const said of SAID)
    for (const value of [
      'bob@example.com',
      "Jones' farm",
      'Smith) (Ltd',
      'Main St (rear). Flat',
      "O'Neil, Ann",
    ]) {
      const shown = mask.text(said.replaceAll('VALUE', () => value))
      for (const part of value.split(/[^\p{L}@.]+/u).filter(word => word.length > 2))
        assert.ok(!shown.includes(part), `${part} in ${shown}`)
      assert.match(shown, /masked-|…/)
    }
})

test('what is not sensitive is shown as it was said', () => {
  for (const said of [
    'Key (id)=(7) already exists.',
    'Key (id)=(7) is missing.',
    'Partition key of the table',
    'Key (lower(city))=(bonn) conflicts with existing key (lower(city))=(bonn).',
    'column "email" does not exist',
  ])
    assert.equal(mask.text(said), said)
})
