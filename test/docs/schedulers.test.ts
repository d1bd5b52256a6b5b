/** The recipes for cron, systemd and Dagster, as they stand on the page. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { putProgram } from '../program.ts'
import { seenJob } from '../service/seen.ts'
import { scratch } from '../web/site.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/schedulers.md'), 'utf8')
const block = (kind: string, has: string) => {
  const found = [...page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].find(
    ([, of, text]) => of === kind && text!.includes(has),
  )
  assert.ok(found, `${kind} with ${has}`)
  return found[2]!
}

test("cron's script runs a job in a bare environment, tries again what is away, and tells all else", async t => {
  const job = await seenJob(t, 'by_cron')
  const folder = scratch(t, 'cron')
  putProgram(folder)
  const script = join(folder, 'nightly')
  const variables = join(folder, 'environment')
  writeFileSync(script, block('sh', 'nightfreight run'))
  chmodSync(script, 0o755)
  writeFileSync(variables, `NIGHTFREIGHT_HOME=${job.home}\nMETADATA_URL=\n`)
  const env = { PATH: `${folder}:/usr/bin:/bin`, NIGHTFREIGHT_VARIABLES: variables, NIGHTFREIGHT_WAIT: '0' }
  const nightly = () => spawnSync(script, [job.folder], { env, encoding: 'utf8' })
  const done = nightly()
  assert.equal(done.status, 0, done.stderr)
  assert.match(done.stdout, /COMPLETED_WITH_ERRORS/)
  const yaml = readFileSync(join(job.folder, 'job.yaml'), 'utf8')
  const from = (url: string) =>
    writeFileSync(
      join(job.folder, 'job.yaml'),
      yaml.replace(/drop: "[^"]*"/, `drop: "${url}"`).replace(/files: "people\*\.csv"/, 'path: /people'),
    )
  // Nobody listens on a port that only the system may use.
  from('http://127.0.0.1:1')
  writeFileSync(
    join(job.folder, 'job.yaml'),
    `${readFileSync(join(job.folder, 'job.yaml'), 'utf8')}\nretries: { limit: 0 }\n`,
  )
  const away = nightly()
  assert.equal(away.status, 75, away.stderr + away.stdout)
  assert.equal(away.stderr.match(/error CONNECTION_FAILED/g)?.length, 5)
  writeFileSync(join(job.folder, 'job.yaml'), 'job: by_cron\n')
  const wrong = nightly()
  assert.deepEqual(
    [wrong.status, wrong.stderr.match(/^error /gm)?.length],
    [2, 1],
    wrong.stderr + wrong.stdout,
  )
  const line = block('cron', 'MAILTO')
    .split('\n')
    .find(each => /^\d/.test(each))!
  assert.match(
    line,
    /^0 2 \* \* \* nightfreight \/etc\/nightfreight\/nightly \/etc\/nightfreight\/jobs\/members$/,
  )
})

test("systemd's unit and timer are what systemd takes", t => {
  const folder = scratch(t, 'systemd')
  for (const kind of ['service', 'timer']) {
    const text = block('ini', `nightfreight@.${kind}`)
    writeFileSync(join(folder, `nightfreight@.${kind}`), text)
    for (const line of text.split('\n').filter(each => each && !/^[#[]/.test(each)))
      assert.match(line, /^[A-Z][A-Za-z]+=\S/)
  }
  const units = ['service', 'timer'].map(kind => join(folder, `nightfreight@members.${kind}`))
  const verified = spawnSync('systemd-analyze', ['verify', ...units], { encoding: 'utf8' })
  if (verified.error) return t.diagnostic('systemd-analyze is not on this machine')
  // The program and its user are not on this machine.
  const wrong = verified.stderr
    .split('\n')
    .filter(line => line.includes('nightfreight@') && !/not executable|No such file|user/i.test(line))
  assert.deepEqual(wrong, [])
})
