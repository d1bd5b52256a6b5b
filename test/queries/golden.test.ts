import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { testJob } from '../../src/workbench/testJob.ts'

const folder = join(import.meta.dirname, '../../queries/members')

test("the main job's cases, and the tests of all macros", async t => {
  const home = mkdtempSync(join(tmpdir(), 'nightfreight-golden-'))
  const { cases, macros } = await testJob({ folder, home, names: [] })
  assert.ok(cases.length > 3 && macros.length > 2)
  for (const { name, error, differences } of cases)
    await t.test(`case ${name}`, () => {
      assert.equal(error, undefined)
      assert.deepEqual(differences, [])
    })
  for (const { macro, rows, failures } of macros)
    await t.test(`macro ${macro}`, () => {
      assert.ok(rows > 3)
      assert.deepEqual(failures, [])
    })
})
