import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { FileWatch } from '../../src/service/files.ts'
import { job } from './nights.ts'

/** The account of nobody: root may read everything. */
const NOBODY = 65534

test('a folder that is missing or may not be read is told, and what can be seen starts runs', async t => {
  const home = mkdtempSync(join(tmpdir(), 'nightfreight-files-'))
  chmodSync(home, 0o755)
  t.after(() => rmSync(home, { recursive: true, force: true }))
  const folder = join(home, 'drops')
  for (const below of ['open/deep', 'shut', 'blind', 'other'])
    mkdirSync(join(folder, below), { recursive: true })
  for (const file of ['a.csv', 'open/deep/b.csv', 'shut/c.csv', 'blind/d.csv'])
    writeFileSync(join(folder, file), '')
  symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'))
  const started: string[] = []
  const watch = new FileWatch({
    add: async (_, name, __, { name: file }) => void started.push(`${name} ${file}`),
  })
  const look = async (match: string) => {
    started.length = 0
    const jobs = [job('j', { files: { from: 'drops', folder, match } })]
    for (const _ of [1, 2]) await watch.look(jobs)
    return [started.toSorted(), [...watch.unseen].map(([name, { code, message }]) => [name, code, message])]
  }
  const asNobody = async (match: string) => {
    process.seteuid!(NOBODY)
    try {
      return await look(match)
    } finally {
      process.seteuid!(0)
    }
  }
  const path = (name: string) => join(folder, name)
  assert.deepEqual(await look('*.csv'), [['j a.csv'], []])
  assert.deepEqual(await look('absent/*.csv'), [[], []])
  assert.deepEqual(await look('other/*.csv'), [[], []])
  assert.deepEqual(await look('no*/*.csv'), [[], []])
  assert.deepEqual(await look('*/*.csv'), [['j blind/d.csv', 'j shut/c.csv'], []])
  assert.deepEqual(await look('a.csv/*.csv'), [
    [],
    [['j', 'CONNECTION_FAILED', `drops: a.csv/*.csv: ENOTDIR: not a directory, opendir '${path('a.csv')}'`]],
  ])
  if (process.geteuid?.() === 0) {
    chmodSync(path('shut'), 0o700)
    chmodSync(path('blind'), 0o744)
    const denied = (name: string, call: string, at = name) => [
      'j',
      'PERMISSION_DENIED',
      `drops: ${name}: EACCES: permission denied, ${call} '${join(folder, at)}'`,
    ]
    assert.deepEqual(await asNobody('*.csv'), [['j a.csv'], []])
    assert.deepEqual(await asNobody('shut/*.csv'), [[], [denied('shut/*.csv', 'opendir', 'shut')]])
    assert.deepEqual(await asNobody('s*/*.csv'), [[], [denied('shut', 'opendir')]])
    assert.deepEqual(await asNobody('blind/*.csv'), [[], [denied('blind/d.csv', 'stat')]])
    const [all, why] = await asNobody('**/*.csv')
    assert.deepEqual([all, why!.length], [['j a.csv', 'j open/deep/b.csv'], 1])
    chmodSync(folder, 0o700)
    assert.deepEqual(await asNobody('*.csv'), [[], [denied('*.csv', 'opendir', '')]])
  }
  renameSync(folder, join(home, 'away'))
  assert.deepEqual(await look('*.csv'), [
    [],
    [['j', 'CONNECTION_FAILED', `drops: there is no folder ${folder}`]],
  ])
})
