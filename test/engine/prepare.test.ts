import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { ExtractSpec, Source } from '../../engine/contracts/source.ts'
import type { Target } from '../../engine/contracts/target.ts'
import { prepare } from '../../engine/plan/prepare.ts'
import type { RunContext } from '../../engine/runtime/context.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { imageFile, schemaFile } from '../../engine/staging/image.ts'
import { LocalStaging } from '../../engine/staging/local.ts'
import { writeManifest } from '../../engine/staging/store.ts'
import type { Column } from '../../engine/types/logical.ts'

const root = mkdtempSync(join(tmpdir(), 'nightfreight-prepare-'))
after(() => rmSync(root, { recursive: true, force: true }))

const of = (name: string): Column => ({
  name,
  native: 'bigint',
  type: { kind: 'int', bits: 64, signed: true },
  nullable: true,
})
const extract = (name: string, drift?: ExtractSpec['drift']): ExtractSpec => ({
  name,
  from: 'crm',
  key: ['id'],
  incremental: { column: 'id', lag: 2 },
  columns: {},
  drift,
  options: {},
})

/** The plan of a night after the run r1, whose columns were `was`; `parts`: of its image, none of which exists. */
async function plan(extracts: ExtractSpec[], was: string[], now: string[], file?: string) {
  const duck = await Duck.open({ threads: 1 })
  const columns = was.map(of)
  const parts = file ? [{ file, rows: 1, bytes: 1 }] : []
  for (const { name } of extracts) {
    const image = { columns, nights: [{ run: 'r1', columns, parts }], parts }
    await writeManifest(new LocalStaging(root), imageFile('job', 'r1', name), image)
    await writeManifest(new LocalStaging(root), schemaFile('job', 'r1', name), {
      columns,
      absent: [],
      key: ['id'],
      parts: [],
    })
  }
  const source: Partial<Source> = { describe: async () => ({ columns: now.map(of), key: ['id'] }) }
  const target: Partial<Target> = {
    syncPoints: async () => extracts.map(({ name }) => ({ extract: name, value: '7', run: 'r1' })),
  }
  const notes: string[] = []
  const context = {
    spec: {
      job: 'job',
      extracts,
      models: [],
      loads: [],
      retries: { limit: 0, delay: 0, maxDelay: 0 },
      chunking: { defaultChunkSize: 10 },
    },
    duck,
    root,
    staging: new LocalStaging(root),
    clock: { now: () => new Date() },
    signal: new AbortController().signal,
    stop: new AbortController().signal,
    sources: new Map([['crm', source]]),
    targets: new Map([['warehouse', target]]),
    budget: { sql: 1, batch: 1 },
    progress: { note: (text: string) => notes.push(text) },
    tasks: {
      output: async () => undefined,
      begin: async () => {},
      commit: async () => {},
      fail: async () => {},
      progress: async () => {},
    },
  } as unknown as RunContext
  try {
    const { plan } = await prepare(context, [])
    return { reads: plan.reads, notes }
  } catch (error) {
    return { error: error as Error & { code: string; hint: string }, notes }
  } finally {
    duck.close()
  }
}

test('every table whose columns changed is named at once, and what is accepted is told first', async () => {
  const extracts = [extract('a'), extract('b', { dropped: 'evolve' }), extract('c')]
  const { error, notes } = await plan(extracts, ['id', 'x'], ['id'])
  assert.equal(error!.code, 'SCHEMA_DRIFT')
  assert.match(error!.message, /^crm\.a: column x \(bigint\) is gone.*\ncrm\.c: column x \(bigint\) is gone/)
  assert.match(error!.hint, /extract\.a of job\.yaml.*\n.*extract\.c of job\.yaml/)
  assert.deepEqual(notes, ['crm.b: column x (bigint) is gone: models see it no more'])
})

test('columns are compared also when the image of the last run is gone', async () => {
  assert.equal((await plan([extract('a')], ['id', 'x'], ['id'], 'gone.parquet')).error!.code, 'SCHEMA_DRIFT')
  const { notes } = await plan([extract('a')], ['id'], ['id'], 'gone.parquet')
  assert.deepEqual(notes, [
    'crm.a: reads the whole table: the image of the last load is no longer staged, or is damaged',
  ])
})

test('without a change, the night builds on the last', async () => {
  const { reads, notes } = await plan([extract('a')], ['id', 'x'], ['x', 'id'])
  assert.deepEqual([reads![0]!.since, notes], [{ column: 'id', value: '5', nulls: true }, []])
})
