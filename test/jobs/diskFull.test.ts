import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { EngineError } from '../../engine/errors.ts'
import { freshPostgres } from '../servers.ts'
import { smallJob } from './small.ts'

const { url, query } = await freshPostgres()

test('a full disk stops the run cleanly; with room again it is resumed', {
  skip: process.getuid?.() !== 0,
}, async () => {
  await query(`CREATE TABLE wide (id int PRIMARY KEY, t text);
    INSERT INTO wide SELECT i, md5(i::text) || md5((-i)::text) FROM generate_series(1, 20000) AS i`)
  const { run, home } = await smallJob({ after }, 'disk', {
    'job.yaml': `connections: { here: "${url}" }
extract: { wide: { from: here, table: wide, key: id } }
load: { wide_loaded: { to: here, from: wide, key: id } }
resources: { memory: 300MB, threads: 1 }
retries: { limit: 0 }
`,
  })
  const disk = join(home, 'staging')
  mkdirSync(disk)
  // Room for the extract, not for the data set made from it.
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1600k', 'tmpfs', disk])
  try {
    const full = await run()
    const error = full.error as EngineError
    assert.deepEqual(
      [full.status, error?.code, error?.exitCode],
      ['FAILED', 'RESOURCE_EXHAUSTED', 75],
      error?.message,
    )
    execFileSync('mount', ['-o', 'remount,size=100M', disk])
    const resumed = await run({ resume: full.run })
    assert.deepEqual([resumed.status, (resumed.error as Error | undefined)?.message], ['SUCCESS', undefined])
    assert.equal((await query('SELECT count(*) AS n FROM wide_loaded'))[0]!.n, '20000')
  } finally {
    execFileSync('umount', [disk])
  }
})
