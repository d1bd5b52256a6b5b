import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { loadJob } from '../../src/config/load.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightfreight-schedule-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function load(schedule: string) {
  writeFileSync(
    join(folder, 'job.yaml'),
    `job: j\nschedule: ${schedule}\nconnections: { drops: "file:in", pg: "postgres://u@h/d" }\n`,
  )
  return loadJob(folder, {})
}

test('a schedule of times, its start in its own time zone', async () => {
  const { schedule } = await load(
    '{ cron: " 0 2 * * 1-5 ", timezone: Europe/Berlin, start: 2026-07-01, catchup: true, after: other, priority: -3 }',
  )
  assert.deepEqual(schedule, {
    cron: '0 2 * * 1-5',
    timezone: 'Europe/Berlin',
    start: new Date('2026-06-30T22:00Z'),
    catchup: true,
    maxActiveRuns: 1,
    dependsOnPast: false,
    after: ['other'],
    priority: -3,
  })
})

test('a schedule of files that arrive, and of other jobs alone', async () => {
  const { schedule } = await load('{ files: { from: drops, match: "*.csv" } }')
  assert.deepEqual(schedule!.files, { from: 'drops', match: '*.csv', folder: join(folder, 'in') })
  assert.deepEqual((await load('{ after: [a, b] }')).schedule!.after, ['a', 'b'])
})

for (const [schedule, message] of [
  ['{ catchup: true }', 'expected cron, after (other jobs), files (that arrive) or follow (logs of changes)'],
  ['{ cron: "0 2 * * *", files: { from: drops, match: x } }', 'expected either cron or files'],
  ['{ cron: "0 25 * * *" }', 'expected a cron expression of 5 fields that comes true'],
  ['{ cron: "0 2 30 2 *" }', 'expected a cron expression of 5 fields that comes true'],
  ['{ cron: "@daily" }', 'expected a cron expression of 5 fields that comes true'],
  ['{ cron: "0 2 * * *", start: soon }', 'expected a time such as 2026-01-31'],
  ['{ files: { from: drops, match: x }, catchup: true }', 'of files and logs no interval is missed'],
  ['{ after: j }', 'j cannot wait for itself'],
  ['{ files: { from: drips, match: x } }', 'no connection "drips"; did you mean "drops"?'],
  ['{ files: { from: pg, match: x } }', 'pg is postgres; expected a folder of this machine'],
] as const)
  test(`refuses ${schedule}`, async () => {
    await assert.rejects(load(schedule), ({ code, message: text }: EngineError) => {
      assert.equal(code, 'CONFIG_INVALID')
      assert.ok(text.includes(message), text)
      return true
    })
  })
