import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { connectors } from '../../src/connectors/index.ts'
import { generatedDocs } from '../../src/docs/generated.ts'

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
