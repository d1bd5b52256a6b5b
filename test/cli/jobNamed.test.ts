import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { smallJob } from '../jobs/small.ts'

const job = await smallJob({ after }, 'night_shop', {
  'job.yaml': `connections: { in: "file:in", wh: "duckdb:wh.duckdb" }
extract: { orders: { from: in, files: orders.csv, take: all, key: id, schema: { id: BIGINT } } }
load: { m: { to: wh, from: m, key: id } }
checks: { m: { id: { between: [0, null] } } }
quality: { max_error_rate: 0.9 }
`,
  'in/orders.csv': 'id\n1\n-2\n',
  'm.sql': 'SELECT id FROM orders',
})
assert.equal((await job.run()).error, undefined)
const other = join(job.home, 'other')
mkdirSync(other)
writeFileSync(join(other, 'job.yaml'), 'job: "never_ran"\n')

/** Commands that look at a job's runs, and what each shows of this one. */
const LOOK: [string[], RegExp][] = [
  [['history'], /night_shop +\d{8}T.*1 rejected row that was new/],
  [['history', '--checks'], /id_between +reject/],
  [['status'], /night_shop +COMPLETED_WITH_ERRORS/],
  [['checkpoints', 'list'], /./],
  [['alerts', 'list'], /./],
  [['intervals'], /night_shop has no intervals yet/],
  [['errors', 'export', 'm'], /id = -2/],
  [['errors', 'list', '--job'], /night_shop +m +/],
  [['pause'], /job night_shop (is|was) paused/],
  [['unpause'], /job night_shop (goes on|was not paused)/],
]

test('whatever looks at the runs of a job takes its folder, as all commands do, and its name', async () => {
  for (const [[command, ...more], says] of LOOK)
    for (const named of more.length > 0 ? [job.folder] : [job.folder, 'night_shop']) {
      const words = command === 'errors' && more[0] === 'export' ? ['export', named, 'm'] : [...more, named]
      const { code, output } = await job.cli(command!, ...words)
      assert.equal(code, 0, output)
      assert.match(output, says, `${command} ${words.join(' ')}`)
    }
})

test('a job that nobody knows is an error with the nearest name; one that has not run yet is none', async () => {
  for (const words of [['history'], ['history', '--checks'], ['status'], ['history', '--json']]) {
    const unknown = await job.cli(...words, 'nite_shop')
    assert.equal(unknown.code, 2, unknown.output)
    assert.match(unknown.output, /no job nite_shop has run; did you mean .*night_shop/)
    const fresh = await job.cli(...words, other)
    assert.equal(fresh.code, 0, fresh.output)
    if (!words.includes('--json'))
      assert.match(fresh.out, /never_ran has not run yet\. Try: nightfreight run /)
  }
  const later = await job.cli('history', job.folder, '--since', '2100-01-01')
  assert.match(later.out, /No runs of night_shop in that time/)
})
