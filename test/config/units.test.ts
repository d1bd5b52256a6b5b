// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variable references of job.yaml, not of this file
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expand, unveil, veil } from '../../src/config/variables.ts'
import { parseBytes, parseDuration } from '../../src/util/units.ts'

test('durations', () => {
  for (const [text, micros] of [
    ['5m', 300e6],
    ['0', 0],
    ['1h30m', 5400e6],
    ['1.5s', 1.5e6],
    ['20us', 20],
  ] as const)
    assert.equal(parseDuration(text), micros, text)
  for (const text of ['', '5', 'm', '5x', '-5m', '5m!']) assert.equal(parseDuration(text), undefined, text)
})

test('sizes', () => {
  for (const [text, bytes] of [
    ['1GB', 1e9],
    ['512MB', 512e6],
    ['2GiB', 2 ** 31],
    ['1.5kb', 1500],
  ] as const)
    assert.equal(parseBytes(text), bytes, text)
  for (const text of ['', '5', '0GB', 'GB', '-1GB']) assert.equal(parseBytes(text), undefined, text)
})

test('variables', () => {
  const text = 'a: ${X:-{b,c: "d"} # ${Y}'
  assert.equal(unveil(veil(text)), text)
  assert.equal(veil(text).length, text.length)
  assert.equal(expand('${A}/${B:-x}/${C:-}/$${A}', { A: '$&' }).text, '$&/x//${A}')
  assert.deepEqual(expand('${A} ${b-c}', {}).problems.length, 2)
})
