import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isNarrowed } from '../../engine/plan/narrowed.ts'

test('a column that holds fewer values than before is told by its type', () => {
  for (const [was, now, expected] of [
    ['varchar(20)', 'varchar(3)', true],
    ['varchar(20)', 'varchar(200)', false],
    ['longtext', 'varchar(200)', true],
    ['longtext', 'text', true],
    ['tinytext', 'text', false],
    ['varchar(20)', 'text', false],
    ['character varying', 'text', false],
    ['text', 'character varying(5)', true],
    ['character varying(5)', 'text', false],
    ['datetime(3)', 'datetime', true],
    ['datetime', 'datetime(3)', false],
    ['timestamp without time zone', 'timestamp(0) without time zone', true],
    ["enum('a','b')", "enum('z','b')", true],
    ["enum('a','b')", "enum('b','c','a')", false],
    ["enum('a','b')", 'varchar(1)', false],
    ['varchar(5)', "enum('a')", true],
    ["set('it''s')", "set('it')", true],
  ] as const)
    assert.equal(isNarrowed(was, now), expected, `${was} to ${now}`)
})
