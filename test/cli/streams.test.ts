import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Duck } from '../../engine/sql/duckdb.ts'
import { commandLine, endOf } from '../commandLine.ts'
import { putProgram } from '../program.ts'

/** A job of one file, in a home of its own. */
function oneFile(t: TestContext): { home: string; folder: string } {
  const home = mkdtempSync(join(tmpdir(), 'nightfreight-streams-'))
  t.after(() => rmSync(home, { recursive: true, force: true }))
  writeFileSync(join(home, 'a.csv'), 'id,name\n1,one\n2,two\n')
  writeFileSync(
    join(home, 'job.yaml'),
    `job: streams
connections: { here: "file:.", wh: "duckdb:wh.duckdb" }
extract: { items: { from: here, files: a.csv, take: all, key: id } }
load: { items: { to: wh, from: items, key: id } }
resources: { memory: 300MB, threads: 1 }
`,
  )
  return { home, folder: home }
}

test('a log that cannot be written ends no run: that is said once', async t => {
  const { home, folder } = oneFile(t)
  symlinkSync('/dev/full', join(home, 'nightfreight.log'))
  const ended = await commandLine(home, ['run', folder])
  assert.equal(ended.code, 0, ended.output)
  assert.equal(ended.err.match(/nightfreight\.log cannot be written, and lacks lines: .*ENOSPC/g)?.length, 1)
})

test('a run goes on when nobody reads what it says any more', async t => {
  const { home, folder } = oneFile(t)
  const ended = await commandLine(home, ['run', folder, '--json'], {
    begun: child => void child.stderr!.once('data', () => child.stderr!.destroy()),
  })
  assert.deepEqual([ended.code, ended.signal], [0, null])
  assert.match(ended.out, /"status":"SUCCESS"/)
})

test('an answer that cannot be written is an error, and one that nobody reads is none', async t => {
  const { home, folder } = oneFile(t)
  const program = putProgram(join(home, 'bin'))
  const typed = (line: string) =>
    endOf(spawn('bash', ['-c', line], { env: { ...process.env, NIGHTFREIGHT_HOME: home } }))
  const full = await typed(`'${program}' status > /dev/full`)
  assert.deepEqual(full, {
    code: 75,
    output:
      'error RESOURCE_EXHAUSTED: standard output cannot be written: ENOSPC: no space left on device, write\n',
  })
  assert.deepEqual(await typed(`set -o pipefail; '${program}' run '${folder}' 2>/dev/null | true`), {
    code: 0,
    output: '',
  })
  writeFileSync(join(folder, 'a.csv'), 'id,name\n1\n')
  const failed = await typed(`'${program}' run '${folder}' 2>/dev/null | true; exit "\${PIPESTATUS[0]}"`)
  assert.equal(failed.code, 3)
  // What is left to do when nobody reads is done.
  writeFileSync(join(folder, 'b.csv'), 'id\n1\n')
  const copied = `'${program}' copy '${join(folder, 'b.csv')}' 'duckdb:${join(home, 'copied.duckdb')}' --key id 2>/dev/null | true`
  assert.equal((await typed(`${copied}; exit "\${PIPESTATUS[0]}"`)).code, 0)
  const duck = await Duck.open({ path: join(home, 'copied.duckdb') })
  assert.deepEqual(await duck.rows('SELECT count(*)::INT AS n FROM b'), [{ n: 1 }])
  duck.close()
})

test('a limit of the system is said as such, whatever file it meets first', async t => {
  const { home, folder } = oneFile(t)
  const program = putProgram(join(home, 'bin'))
  const line = `ulimit -n 25; exec '${program}' run '${folder}'`
  const ended = await endOf(spawn('bash', ['-c', line], { env: { ...process.env, NIGHTFREIGHT_HOME: home } }))
  assert.equal(ended.code, 75, ended.output)
  assert.match(
    ended.output,
    /error RESOURCE_EXHAUSTED: .*too many open files \(EMFILE, \w+\)\nhint: Raise the limit/,
  )
})
