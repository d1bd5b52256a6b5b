import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { REJECTED } from '../../engine/batch/builder.ts'
import type { Extracted } from '../../engine/extract/extracted.ts'
import { foldNights } from '../../engine/extract/foldNights.ts'
import type { PlannedRead } from '../../engine/plan/plan.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { type Image, imageSql, withNight } from '../../engine/staging/image.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import { copyFile, copyParts } from '../../engine/staging/parts.ts'
import { type Column, typeFromName } from '../../engine/types/logical.ts'
import { archiveRun } from '../../src/archive/keep.ts'
import { readArchived } from '../../src/archive/manifest.ts'
import { restoreInto } from '../../src/archive/restore.ts'
import { openStore } from '../../src/stores/open.ts'

const column = (name: string, type: string): Column => ({
  name,
  type: typeFromName(type)!,
  nullable: true,
  native: type,
})
const columns = [column('id', 'INTEGER'), column('v', 'INTEGER'), column(REJECTED, 'VARCHAR')]
const rowsOf = (values: string) =>
  `SELECT id::INTEGER AS id, v::INTEGER AS v, r::VARCHAR AS ${REJECTED} FROM (VALUES ${values}) AS t(id, v, r)`

test('what is restored of a run that folded its nights is the table that its models saw, though its files have like names', async t => {
  const root = mkdtempSync(join(tmpdir(), 'nightfreight-folded-'))
  const duck = await Duck.open({ threads: 1 })
  t.after(() => {
    duck.close()
    rmSync(root, { recursive: true, force: true })
  })
  const staging = new LocalStaging(root)
  const context = {
    ...{ duck, root, staging, run: 'R7', fence: 1, clock: { now: () => new Date() } },
    ...{ signal: new AbortController().signal, targets: new Map() },
    spec: { job: 'j', extracts: [{ name: 't', from: 'src', options: {} }], loads: [] },
    progress: { started() {}, finished() {}, note() {} },
  } as unknown as RunContext
  let image: Image | undefined
  for (const [index, values] of [
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(id => `(${id}, ${id}0, NULL)`).join(', '),
    '(1, 11, NULL)',
    '(2, 21, NULL)',
    "(3, 31, '[]')",
    '(4, 41, NULL)',
    '(5, 51, NULL)',
  ].entries()) {
    const run = `R${index + 1}`
    const part = await copyFile(context, rowsOf(values), `j/${run}/raw/t/part-0.parquet`)
    image = withNight(image, columns, { run, columns, parts: [part], distinctBy: ['id'] })
  }
  const read = {
    ...{ extract: 't', from: 'src', where: 'src.t', columns, absent: [], key: ['id'], unique: false },
    ...{ incremental: { column: 'v' }, base: { value: '51', run: 'R6', image: image! } },
  } as unknown as PlannedRead
  const folded = (await foldNights(context, read, 2))!
  assert.equal(folded.length, 4)
  // Two parts of one night, as a comparison with the whole table leaves them.
  const night = await Promise.all(
    ['t', 't.missed'].map((folder, index) =>
      copyParts(context, rowsOf(`(${6 + index}, ${6 + index}1, NULL)`), `j/R7/raw/${folder}/rows`),
    ),
  )
  const tonight: Extracted = { extract: 't', parts: night.flat(), rows: 2, watermark: '71', folded }
  const then = withNight({ ...image!, nights: folded }, columns, {
    ...{ run: 'R7', columns, parts: tonight.parts, distinctBy: ['id'] },
  })
  const tableOf = async (of: Image) =>
    (await duck.rows(`SELECT id, v FROM (${imageSql(root, of, read)}) ORDER BY id`))
      .map(({ id, v }) => `${id}:${v}`)
      .join(' ')
  // Nobody needs them any more: the run has folded them.
  for (const run of ['R2', 'R3', 'R5', 'R6']) rmSync(join(root, 'j', run), { recursive: true })
  const store = openStore({ folder: join(root, 'archive') })
  const tasks = {
    output: async (task: string) => (task === 'plan' ? { plan: { reads: [read], loads: [] } } : [tonight]),
  } as unknown as RunContext['tasks']
  const own = { run: 'R7', runAt: '2026-01-01T00:00:00Z', fence: 1, tasks }
  await archiveRun(context, store, { compression: 'zstd' } as Parameters<typeof archiveRun>[2], own)

  const committed = new Map<string, unknown>()
  const into = {
    ...context,
    run: 'R8',
    tasks: {
      begin: async () => {},
      commit: async (task: string, output: unknown) => void committed.set(task, output),
    },
  } as unknown as RunContext
  await restoreInto(into, store, (await readArchived(store, 'j', 'R7'))!)
  const { plan } = committed.get('plan') as { plan: { reads: PlannedRead[] } }
  const [back] = committed.get('extract.src') as Extracted[]
  const restored = withNight(plan.reads[0]!.base!.image, columns, {
    ...{ run: 'R8', columns, parts: back!.parts, distinctBy: ['id'] },
  })
  assert.equal(await tableOf(restored), '1:11 2:21 3:30 4:41 5:51 6:61 7:71 8:80 9:90 10:100')
  assert.equal(await tableOf(restored), await tableOf(then))
  assert.equal(await staging.bring(restored.parts), true)
  const [part] = back!.parts
  const path = join(root, part!.file)
  writeFileSync(path, Buffer.alloc(part!.bytes))
  assert.equal(
    await staging.bring(restored.parts),
    false,
    'a file that is damaged later is not taken for whole',
  )
})
