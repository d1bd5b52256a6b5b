import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Read } from '../../engine/contracts/source.ts'
import { Progress } from '../../engine/extract/progress.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import { readManifest, writeManifest } from '../../engine/staging/store.ts'

const root = mkdtempSync(join(tmpdir(), 'nightfreight-progress-'))
after(() => rmSync(root, { recursive: true, force: true }))

test('progress goes on with the time of its first request, and with none where an earlier version wrote it', async () => {
  const staging = new LocalStaging(root)
  let now = new Date('2026-01-31T01:00:00Z')
  const context = {
    spec: { job: 'job' },
    run: 'r1',
    staging,
    clock: { now: () => now },
  } as unknown as RunContext
  const read = { extract: 'things', columns: [], options: {} } as unknown as Read
  const first = await Progress.open(context, read)
  await first.keep([], [], 1)
  now = new Date('2026-01-31T05:00:00Z')
  const second = await Progress.open(context, read)
  assert.deepEqual([second.begun, second.isResumed], [first.begun, true])
  const file = 'job/r1/progress/things.json'
  const { begun, ...older } = (await readManifest<{ begun?: number; parts: [] }>(staging, file))!
  assert.equal(begun, first.begun.getTime())
  await writeManifest(staging, file, older)
  const third = await Progress.open(context, read)
  // Any time that is later could hide what changed before it.
  assert.deepEqual([third.begun, third.isResumed], [new Date(0), true])
})
