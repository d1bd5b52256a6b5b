import assert from 'node:assert/strict'
import { after } from 'node:test'
import { smallJob } from '../jobs/small.ts'
import type { FreshDatabase } from '../servers.ts'

/**
 * A job that moves the table `kinds` between two databases; each night runs it, and compares the target with the source by
 * `rows` and by the run's own verification of every row.
 */
export async function sameFamilyNights(
  name: string,
  source: FreshDatabase,
  target: FreshDatabase,
  rows: (database: FreshDatabase) => Promise<unknown>,
) {
  const job = await smallJob({ after }, name, {
    'job.yaml': `connections: { s: "${source.url}", w: "${target.url}" }
extract: { kinds: { from: s, table: kinds, key: id } }
load: { kinds: { to: w, from: kinds, key: id, deletes: hard, verify: all } }
resources: { memory: 400MB, threads: 1 }
`,
  })
  return async () => {
    const { error, outcome } = await job.run()
    assert.equal(error, undefined)
    assert.deepEqual(await rows(target), await rows(source))
    assert.deepEqual(
      outcome.verifications.map(({ wrong, notes }) => ({ wrong, notes })),
      [{ wrong: { rows: 0, ranges: 0 }, notes: [] }],
    )
    const [{ inserted, updated, deleted } = assert.fail()] = outcome.loaded
    return { inserted, updated, deleted }
  }
}
