import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { connectors } from '../../src/connectors/index.ts'
import { generatedDocs } from '../../src/docs/generated.ts'
import { keysIn } from '../../src/docs/jobKeys.ts'
import { KEYS, keyOf } from '../../src/docs/keys.ts'

const root = join(import.meta.dirname, '../..')
const generated = await generatedDocs()

for (const [name, text] of Object.entries(generated))
  test(`docs/${name} is what the code says`, () => {
    const written = readFileSync(join(root, 'docs', name), 'utf8')
    assert.ok(written === text, `docs/${name} differs from the code: run "npm run docs" and commit it`)
  })

test('the page of types has a line for every rule', () => {
  const lines = generated['types.md']!.split('\n')
  for (const { types } of connectors)
    for (const { native, logical } of types)
      assert.ok(
        lines.some(line => line.startsWith(`| ${native.replaceAll('|', '\\|')} | ${logical} |`)),
        native,
      )
})

test('the schema of job.yaml takes the main job, and no unknown key', () => {
  const schema = z.fromJSONSchema(JSON.parse(generated['job.schema.json']!))
  const job = parse(readFileSync(join(root, 'queries/members/job.yaml'), 'utf8'))
  assert.deepEqual(schema.safeParse(job).error?.issues, undefined)
  for (const change of [
    { extarct: {} },
    { extract: { m: { from: 'legacy', tabel: 'm' } } },
    { load: { x: {} } },
  ])
    assert.equal(schema.safeParse({ ...job, ...change }).success, false, JSON.stringify(change))
})

test('every key of job.yaml is described, with an example that it takes; nothing else is', () => {
  const keys = keysIn(JSON.parse(generated['job.schema.json']!))
  assert.deepEqual(
    [...keys.keys()].filter(path => !keyOf(path)),
    [],
    'describe them in src/docs/keys.ts',
  )
  assert.deepEqual(
    Object.keys(KEYS).filter(path => !keys.has(path)),
    [],
    'these are keys no more: take them out of src/docs/keys.ts',
  )
  for (const [path, nodes] of keys) {
    const value = parse(keyOf(path)![1])
    const taken = nodes.some(node => z.fromJSONSchema(node as never).safeParse(value).success)
    assert.ok(taken, `${path} does not take ${keyOf(path)![1]}`)
  }
})
