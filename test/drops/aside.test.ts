import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { LocalStore } from '../../src/connectors/local/store.ts'
import { movedBy } from '../../src/drops/aside.ts'
import { dropOptions } from '../../src/drops/options.ts'
import { select } from '../../src/drops/select.ts'
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
  every: { files: "**/*.csv", take: all }
load:
  moving: { to: warehouse, from: moving, mode: replace }
  keeping: { to: warehouse, from: keeping, mode: replace }
  naming: { to: warehouse, from: naming, mode: replace }
  every: { to: warehouse, from: every, mode: replace, guard: { max_delete_share: 1 } }
`,
  )
  const counts = async () => {
    const duck = await Duck.open({ path: join(top, 'w.duckdb') })
    try {
      const tables = ['moving', 'keeping', 'naming', 'every'].map(
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
    return output
  }
  writeFileSync(join(drop, 'a.csv'), 'id\n1\n')
  await run()
  assert.deepEqual(await counts(), { moving: 1, keeping: 1, naming: 0, every: 1 })
  assert.ok(existsSync(join(drop, 'done', 'a.csv')))
  writeFileSync(join(drop, 'b.csv'), 'id\n2\n')
  // It was read by the name that it had.
  assert.doesNotMatch(await run(), /passed over/)
  // What reads all files on every run finds them where they are now.
  assert.deepEqual(await counts(), { moving: 2, keeping: 2, naming: 1, every: 2 })
  await run()
  assert.deepEqual(await counts(), { moving: 2, keeping: 2, naming: 2, every: 1 })
  assert.deepEqual(readdirSync(join(drop, 'done')), [])
})

test('files that were moved before they were read by their former name are told, and what reading them takes', async () => {
  const folder = join(top, 'late')
  mkdirSync(join(folder, 'done'), { recursive: true })
  for (const name of ['a.csv', 'b.csv']) writeFileSync(join(folder, 'done', name), 'id\n1\n')
  const told = async (...taken: string[]) => {
    const cursor = { taken: taken.map(name => ({ name, day: '', size: 5, mtime: 0 })) }
    const options = {
      ...dropOptions.parse({ files: '**/*.csv' }),
      aside: [{ folder: 'done', extract: 'moving', byDay: false }],
    }
    const { files, notes } = await select(
      new LocalStore({ name: 'drop', folder }),
      'drop',
      options,
      cursor,
      '',
    )
    assert.deepEqual(files, [])
    return notes.filter(note => note.includes('passed over'))
  }
  const passed = 'in done/ are passed over: that is where extract moving moves them; to read them, '
  assert.deepEqual(await told(), [`2 files ${passed}add to files: "done/**/*.csv"`])
  assert.deepEqual(await told('a.csv'), [
    '1 file in done/ is passed over: that is where extract moving moves it; to read it, put it elsewhere: files: "done/**/*.csv" reads again, too, what was read before it lay there (1 file)',
  ])
  assert.deepEqual(await told('a.csv', 'b.csv'), [])
})

test('a glob names the folder to which another extract moves, or reads there what it did not read before', () => {
  const told = (files: string | string[], name: string, folder = 'done', byDay = false) =>
    movedBy(name, {
      ...dropOptions.parse({ files }),
      aside: [{ folder, extract: 'moving', byDay }],
    })?.glob
  for (const files of [
    'done/*.csv',
    '{done,in}/*.csv',
    'do*/**/*.csv',
    '**/done/*.csv',
    '*/*.csv',
    'done/**',
  ])
    assert.equal(told(files, 'done/x.csv'), undefined, files)
  assert.equal(told(['**/*.csv', 'done/x.csv'], 'done/x.csv'), undefined)
  assert.equal(told('in/*.csv', 'in/x.csv'), undefined)
  for (const [files, name, glob] of [
    ['**/*.csv', 'done/x.csv', 'done/**/*.csv'],
    ['*/**/*.csv', 'done/in/x.csv', 'done/*/**/*.csv'],
    [['*.csv', '*/*.csv'], 'done/x.csv', 'done/*.csv'],
    ['????/**', 'done/2026/x.csv', 'done/????/**'],
  ] as const) {
    assert.equal(told([files].flat(), name), glob)
    assert.equal(
      told([...[files].flat(), glob], name),
      undefined,
      'what is told to be typed names the folder',
    )
  }
  // A glob that names a folder above says nothing of this one.
  assert.equal(told('in/**', 'in/done/in/x.csv', 'in/done'), 'in/done/in/**')
  assert.equal(told('in/**', 'in/done/x.csv', 'in/done'), undefined)
  assert.equal(told(['*.csv', '*/*/*.csv'], 'done/2026-01-31/x.csv', 'done', true), 'done/*/*.csv')
  assert.equal(told('*/*/*.csv', 'done/2026-01-31/x.csv', 'done', true), undefined)
})
