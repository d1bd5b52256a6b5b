import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runId } from '../../src/metadata/runId.ts'
import { overBoth } from './stores.ts'

const ended = { runAt: '2026-03-01T02:00:00.000Z', records: 7, seconds: 1.5, error: undefined }

overBoth(fresh => {
  test("a run's id sorts after those of its job's earlier runs, whatever the clock says", async () => {
    const metadata = await fresh().open()
    const of = (job: string, now: string) => ({
      run: runId(new Date(now), 'abcdef'),
      job,
      run_at: now,
      spec_hash: 'h',
      owner: 'here',
    })
    const ids: string[] = []
    for (const now of [
      '2026-03-01T13:00:00Z',
      '2026-03-01T12:00:00Z',
      '2026-03-01T12:30:00Z',
      '2026-03-01T14:00:00Z',
    ]) {
      const { run, fence } = await metadata.startRun(of('j', now))
      await metadata.endRun({ run, fence, job: 'j', status: 'SUCCESS', ...ended, syncPoints: [] })
      ids.push(run)
    }
    assert.deepEqual(ids, [
      '20260301T130000000-abcdef',
      '20260301T130000001-abcdef',
      '20260301T130000002-abcdef',
      '20260301T140000000-abcdef',
    ])
    const other = await metadata.startRun(of('k', '2026-03-01T11:00:00Z'))
    assert.match(other.run, /^20260301T110000000-/)
  })
})
