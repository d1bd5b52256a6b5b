import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { commandLine } from '../commandLine.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-completion-'))
after(() => rmSync(folder, { recursive: true }))

test('bash completes commands, commands of commands, and options, wherever other words stand', async () => {
  const script = join(folder, 'completion.sh')
  writeFileSync(script, (await commandLine(folder, ['completion', 'bash'])).out)
  const complete = (...words: string[]) =>
    execFileSync(
      'bash',
      [
        '-c',
        `. "$0"; COMP_WORDS=(nightfreight "$@"); COMP_CWORD=$#; _nightfreight; echo "\${COMPREPLY[*]}"`,
        script,
        ...words,
      ],
      { encoding: 'utf8' },
    ).trim()
  assert.equal(complete('cop'), 'copy')
  assert.equal(complete('errors', 'l'), 'list')
  assert.equal(complete('errors', 'list', '--ta'), '--table')
  assert.equal(complete('copy', 'a.csv', 'lake:x', '--sa'), '--save')
  for (const shell of ['zsh', 'fish'])
    assert.match((await commandLine(folder, ['completion', shell])).out, /nightfreight.*copy/s)
})

test('a reader that has had enough is no failure', () => {
  const main = join(import.meta.dirname, '../../src/main.ts')
  const line = `'${process.execPath}' '${main}' completion fish | head -1; exit "\${PIPESTATUS[0]}"`
  const { status, stdout, stderr } = spawnSync('bash', ['-c', line], { encoding: 'utf8' })
  assert.deepEqual([status, stderr, stdout.trim().split('\n').length], [0, '', 1])
})
