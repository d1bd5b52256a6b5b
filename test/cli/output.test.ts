import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { EngineError } from '../../engine/errors.ts'
import { createLog, taskLogger } from '../../src/cli/log.ts'
import { printError } from '../../src/cli/output.ts'
import { redact, redactJson } from '../../src/util/redact.ts'
import { commandLine } from '../commandLine.ts'

function sink() {
  const lines: string[] = []
  return { lines, write: (text: string) => lines.push(text) }
}

test('errors have a code, a hint and an exit code', () => {
  const stream = sink()
  const error = new EngineError('CONNECTION_FAILED', 'legacy: refused', {
    hint: 'Is it up?',
    cause: new Error('deep'),
  })
  assert.equal(printError(error, false, { stream }), 75)
  assert.equal(stream.lines.join(''), 'error CONNECTION_FAILED: legacy: refused\nhint: Is it up?\n')
  printError(error, false, { stream, debug: true })
  assert.match(stream.lines[1] ?? '', /caused by Error: deep/)
})

test('unexpected errors show a stack with debug only', () => {
  const stream = sink()
  assert.equal(printError(new TypeError('boom'), false, { stream }), 1)
  assert.doesNotMatch(stream.lines[0] ?? '', /output\.test/)
  printError(new TypeError('boom'), false, { stream, debug: true })
  assert.match(stream.lines[1] ?? '', /output\.test/)
})

test('errors as JSON', () => {
  const stream = sink()
  printError(new EngineError('TIMEOUT', 'p"w'), true, { stream, secrets: ['p"w'] })
  assert.deepEqual(JSON.parse(stream.lines[0] ?? ''), {
    event: 'error',
    code: 'TIMEOUT',
    category: 'TIMEOUT_ERROR',
    message: '***',
    exit: 75,
  })
})

test('redact', () => {
  assert.equal(redact('Check host and port; p stands alone', ['p']), 'Check host and port; *** stands alone')
  for (const form of ['a/b c"d', 'a%2Fb%20c%22d', 'a%2Fb+c%22d', 'a/b c\\"d'])
    assert.equal(redact(`<${form}>`, ['a/b c"d']), '<***>')
  assert.equal(redact('sig=s3cretS3cret2', ['s3cretS3cret']), 'sig=***2')
  assert.equal(redact('products of prod.t', ['prod']), 'products of ***.t')
  assert.equal(redactJson('{"run":1,"x":"run 1"}', ['run', '1']), '{"run":1,"x":"*** ***"}')
  assert.equal(redact('a hunter2 b hunter22', ['hunter2', 'hunter22', '']), 'a *** b ***')
  assert.equal(redact('postgres://me:pw@host/db', []), 'postgres://me:***@host/db')
  assert.equal(redact('mysql://user:password@host:3306/x', []), 'mysql://user:password@host:3306/x')
})

test('logs mask keys and secrets and carry run and task', () => {
  const stream = sink()
  const log = taskLogger(createLog({ stream, secrets: ['s3cret'] }), 'r1', 'extract')
  log.info({ password: 'x', at: { url: 'u', headers: { authorization: 'b' } } }, 'key is s3cret')
  const line = JSON.parse(stream.lines[0] ?? '')
  assert.equal(typeof line.time, 'string')
  delete line.time
  assert.deepEqual(line, {
    level: 'info',
    run: 'r1',
    task: 'extract',
    password: '***',
    at: { url: '***', headers: { authorization: '***' } },
    msg: 'key is ***',
  })
})

test('a line to type again is one that a shell reads as it was typed', async t => {
  const home = mkdtempSync(join(tmpdir(), 'nightfreight-typed-'))
  t.after(() => rmSync(home, { recursive: true }))
  const job = join(home, "the job's; true")
  mkdirSync(job)
  writeFileSync(
    join(job, 'job.yaml'),
    'job: typed\nconnections: { wh: "duckdb:x.duckdb", in: "file:in" }\nextract: { t: { from: in, files: "*.csv", take: all } }\nload: { t: { to: wh, from: t, mode: replace } }\n',
  )
  const dag = join(home, 'my dags', 'typed.py')
  const line = ['airflow', 'export', job, '-o', dag, '--folder', '/jobs/the job']
  const { err } = await commandLine(home, [...line, '--check'])
  const [, hint] = /hint: Write it anew: nightfreight (.*)\n/.exec(err) ?? []
  assert.ok(hint, err)
  const typed = execFileSync('/bin/sh', ['-c', `for each in ${hint}; do printf '%s\\n' "$each"; done`], {
    encoding: 'utf8',
  })
  assert.deepEqual(typed.trimEnd().split('\n'), line)
})
