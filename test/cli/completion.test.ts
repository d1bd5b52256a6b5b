import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { commandLine } from '../commandLine.ts'
import { ensureProgram } from '../debian.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-completion-'))
after(() => rmSync(folder, { recursive: true }))

ensureProgram('{/usr,}/bin/zsh', 'zsh')

/** What each shell does before its function is asked; zsh's takes on the ways of sh for it. */
const SHELLS = {
  bash: ['bash', ''],
  zsh: ['zsh', 'autoload -Uz compinit; compinit -u -D;'],
} as const

for (const [shell, [program, before]] of Object.entries(SHELLS))
  test(`${shell} completes commands, commands of commands, and options, wherever other words stand`, async () => {
    const script = join(folder, `completion.${shell}`)
    writeFileSync(script, (await commandLine(folder, ['completion', shell])).out)
    const asSh = shell === 'zsh' ? 'emulate sh; setopt kshglob noshglob;' : ''
    const ask = `COMP_WORDS=(nightfreight "$@"); COMP_CWORD=$#; _nightfreight; echo "\${COMPREPLY[*]}"`
    const complete = (...words: string[]) => {
      const { stdout, stderr } = spawnSync(
        program,
        [...(shell === 'zsh' ? ['-f'] : []), '-c', `${before} . "$0"; ${asSh} ${ask}`, script, ...words],
        { encoding: 'utf8' },
      )
      assert.equal(stderr, '')
      // What has begun otherwise, zsh itself leaves out of what the function gives.
      return stdout
        .trim()
        .split(' ')
        .filter(word => word.startsWith(words.at(-1)!))
        .join(' ')
    }
    assert.equal(complete('cop'), 'copy')
    assert.equal(complete('errors', 'l'), 'list')
    assert.equal(complete('errors', 'list', '--ta'), '--table')
    assert.equal(complete('copy', 'a.csv', 'lake:x', '--sa'), '--save')
  })

test('fish is told each word', async () => {
  const { out } = await commandLine(folder, ['completion', 'fish'])
  assert.match(out, /^complete -c nightfreight -n '__fish_use_subcommand' -a copy$/m)
})

test('a reader that has had enough is no failure', () => {
  const main = join(import.meta.dirname, '../../src/main.ts')
  const line = `'${process.execPath}' '${main}' completion fish | head -1; exit "\${PIPESTATUS[0]}"`
  const { status, stdout, stderr } = spawnSync('bash', ['-c', line], { encoding: 'utf8' })
  assert.deepEqual([status, stderr, stdout.trim().split('\n').length], [0, '', 1])
})
