/** What connectors declare is what they are: no declaration without its contract test, and none that is not true. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connectors } from '../../src/connectors/index.ts'
import { KINDS, loadsOf } from './everyMode.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-capabilities-'))
after(() => rmSync(folder, { recursive: true }))

/** Opened, and never asked anything. */
const PLACES: Record<string, string> = {
  postgres: 'postgres://u@127.0.0.1:1/d',
  mysql: 'mysql://u@127.0.0.1:1/d',
  duckdb: join(folder, 'db'),
  lake: join(folder, 'lake'),
}

test('what can be read or loaded has a source or a target', () => {
  for (const { name, capabilities, source, target } of connectors) {
    assert.equal(capabilities.source, source !== undefined, name)
    assert.equal(capabilities.target, target !== undefined, name)
    assert.equal(capabilities.target, capabilities.modes.length > 0, name)
  }
})

test('every target is loaded by the contract tests, in every mode that it declares', () => {
  const targets = connectors.filter(({ capabilities }) => capabilities.target)
  assert.deepEqual(KINDS.map(({ name }) => name).sort(), targets.map(({ name }) => name).sort())
  for (const kind of KINDS) {
    const { modes } = targets.find(({ name }) => name === kind.name)!.capabilities
    assert.deepEqual([...new Set(loadsOf(kind).map(({ mode }) => mode))].sort(), [...modes].sort())
  }
})

test('targets that tell which rows they would refuse declare it, and no others', async () => {
  for (const kind of KINDS) {
    const { capabilities } = connectors.find(({ name }) => name === kind.name)!
    const target = kind.open(PLACES[kind.name]!)
    assert.equal(capabilities.fits ?? false, target.rowValidator !== undefined, kind.name)
    await target.close()
  }
})
