/** What a correction keeps of a value: all that nobody has changed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cell, legible, ofCell, ofLegible } from '../../src/util/printable.ts'

const TEXTS = [
  'a\nb\nc',
  'a\r\nb\r\nc',
  '\na',
  'a\r\n',
  'a\rb',
  'a\rb\r\nc',
  '\u200ea\u200fb\u0085c\u0000d\u202e',
  '\u200ea\nb\u200f\n',
  '\\u200e a',
  '\\\u200ea',
  '=\u200ea',
  "'a\u200e",
  'a\tb\u001b[1m',
]
/** As browsers send what an element with several lines holds. */
const sent = (text: string) => text.replaceAll(/\r?\n/g, '\r\n')

test('a form gives a value back with what it showed otherwise', () => {
  for (const was of TEXTS) {
    const shown = legible(was)
    assert.equal(ofLegible(sent(shown), was), was, JSON.stringify(was))
    assert.equal(ofLegible(sent(`${shown}!`), was), `${was}!`, JSON.stringify(was))
  }
})

test('a cell gives a value back with what it showed otherwise, and one of the exact bytes as it is', () => {
  for (const was of TEXTS) {
    assert.equal(ofCell(`${cell(was)}!`, was), `${was}!`, JSON.stringify(was))
    assert.equal(ofCell(`${was}!`, was), `${was}!`, JSON.stringify(was))
  }
})

test('what was written and was not there before stays as it is written', () => {
  assert.equal(ofLegible('\\u200e', 'a'), '\\u200e')
  assert.equal(ofCell('\\u200e', 'a\u200f'), '\\u200e')
  assert.equal(ofLegible('ab', 'a\u200eb'), 'ab')
})

test('where a value has a character and what stands for it, nobody guesses', () => {
  const was = 'a\u200eb\\u200ec'
  assert.equal(ofLegible(`${legible(was)}!`, was), undefined)
  assert.equal(ofCell(`${cell(was)}!`, was), undefined)
  assert.equal(ofCell(`${was}!`, was), `${was}!`)
  assert.equal(ofLegible('ab', was), 'ab')
  assert.equal(ofLegible('a\r\nb\r\nd', 'a\nb\r\nc'), undefined)
})
