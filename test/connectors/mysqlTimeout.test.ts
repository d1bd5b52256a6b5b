import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { smallJob } from '../jobs/small.ts'
import { freshMariadb } from '../servers.ts'

const { url, query } = await freshMariadb()

test('a commit that waits for a lock too long is ended on the server, too, and the next attempt loads', {
  timeout: 60_000,
}, async () => {
  await query(
    'CREATE TABLE late (id int PRIMARY KEY, n int NOT NULL); INSERT INTO late VALUES (1, 1), (2, 1)',
  )
  const yaml = `connections: { here: "${url}" }
extract: { rows: { from: here, table: late, key: id } }
load: { late_loaded: { to: here, from: rows, key: id } }
resources: { memory: 300MB, threads: 1 }
`
  const job = await smallJob({ after }, 'late', { 'job.yaml': yaml })
  assert.equal((await job.run()).error, undefined)
  await query('UPDATE late SET n = 2')
  await query('START TRANSACTION; SELECT * FROM late_loaded FOR UPDATE')
  job.yaml(`${yaml}timeout: 3s\nretries: { limit: 5, delay: 10ms }\n`)
  const tried: string[] = []
  const retried = (task: string) => {
    tried.push(task)
    void query('COMMIT')
  }
  const ended = await job.run({
    progress: { started() {}, advanced() {}, finished() {}, note() {}, retried },
  })
  assert.equal(ended.error, undefined)
  assert.deepEqual([...new Set(tried)], ['load.here'])
  assert.deepEqual(await query('SELECT n FROM late_loaded'), [{ n: 2 }, { n: 2 }])
})
