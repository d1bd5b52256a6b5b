import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { commandLine } from '../commandLine.ts'
import { testFolder } from './places.ts'

const top = testFolder()

test('what one extract has moved is not new to another, but to one that names the folder', async () => {
  const [job, drop] = [join(top, 'job'), join(top, 'drop')]
  for (const folder of [job, drop]) mkdirSync(folder)
  writeFileSync(
    join(job, 'job.yaml'),
    `job: beside
defaults: { extract: { from: drop, schema: { id: BIGINT } } }
connections:
  drop: file:${drop}
  warehouse: duckdb:${join(top, 'w.duckdb')}
extract:
  moving: { files: "*.csv", after: move, to: done }
  keeping: { files: "**/*.csv" }
  naming: { files: ["done/*.csv"], after: delete }
load:
  moving: { to: warehouse, from: moving, mode: replace }
  keeping: { to: warehouse, from: keeping, mode: replace }
  naming: { to: warehouse, from: naming, mode: replace }
`,
  )
  const counts = async () => {
    const duck = await Duck.open({ path: join(top, 'w.duckdb') })
    try {
      const tables = ['moving', 'keeping', 'naming'].map(
        name => `(SELECT count(*)::INTEGER FROM ${name}) AS ${name}`,
      )
      return (await duck.rows(`SELECT ${tables.join(', ')}`))[0]
    } finally {
      duck.close()
    }
  }
  const run = async () => {
    const { code, output } = await commandLine(join(top, 'home'), ['run', job, '--json'])
    assert.equal(code, 0, output)
  }
  writeFileSync(join(drop, 'a.csv'), 'id\n1\n')
  await run()
  assert.deepEqual(await counts(), { moving: 1, keeping: 1, naming: 0 })
  assert.ok(existsSync(join(drop, 'done', 'a.csv')))
  writeFileSync(join(drop, 'b.csv'), 'id\n2\n')
  await run()
  await run()
  assert.deepEqual(await counts(), { moving: 2, keeping: 2, naming: 2 })
  assert.deepEqual(readdirSync(join(drop, 'done')), [])
})
