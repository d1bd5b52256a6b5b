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
    ['double(10,4)', 'double(10,2)', true],
    ['double(10,2)', 'double(10,4)', true],
    ['double(10,2)', 'double(12,4)', false],
    ['double', 'double(10,4)', true],
    ['double(10,4)', 'double', false],
    ['decimal(40,10)', 'decimal(40,2)', true],
    ['numeric(50,10)', 'numeric(60,10)', false],
    ['binary(16)', 'binary(20)', true],
    ['binary(16)', 'binary(16)', false],
  ] as const)
    assert.equal(isNarrowed(was, now), expected, `${was} to ${now}`)
})
