import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExtractSpec, Source } from '../engine/contracts/source.ts'
import { extract } from '../engine/extract/extract.ts'
import type { Extracted } from '../engine/extract/extracted.ts'
import { type PlannedRead, planRead } from '../engine/plan/plan.ts'
import { Workers } from '../engine/pool/pool.ts'
import type { RunContext } from '../engine/runtime/context.ts'
import { FailureScope } from '../engine/runtime/failureScope.ts'
import { Duck, quote } from '../engine/sql/duckdb.ts'
import { LocalStaging } from '../engine/staging/local.ts'
import { pathsOf } from '../engine/staging/store.ts'

/** No second attempt. */
const NONE = { limit: 0, delay: 0, maxDelay: 0 }

/** How {@link extractTables} extracts. */
export interface Extraction {
  tables: string[]
  /** What is read in place of a table. */
  queries?: Record<string, string>
  lanes: number
  /** Rows of a chunk. */
  least: number
  most: number
  /** Bytes of a batch. */
  batch?: number
}

export interface Result {
  extracted: Extracted[]
  notes: string[]
  /** Rows by the count of progress, of all tables. */
  progress: number
  /** Rows of a query; each table is a view on what was staged of it. */
  query(sql: string): Promise<Record<string, unknown>[]>
  /** Staged files that no manifest would list. */
  strays: string[]
}

/** Extracts tables of one source as a run does, with worker threads and Parquet, and hands the result to `use`. */
export async function extractTables<T>(
  source: Source,
  { tables, queries = {}, lanes, least, most, batch = 1 << 20 }: Extraction,
  use: (result: Result) => Promise<T> | T,
): Promise<T> {
  const root = mkdtempSync(join(tmpdir(), 'nightfreight-extract-'))
  const workers = new Workers(lanes)
  const duck = await Duck.open({ threads: 1 })
  const notes: string[] = []
  let progress = 0
  const { signal } = new AbortController()
  try {
    const [reads, extracts]: [PlannedRead[], ExtractSpec[]] = [[], []]
    for (const table of tables) {
      const query = queries[table]
      const options = query === undefined ? { table } : { query }
      const spec = { name: table, from: 'db', key: [], columns: {}, options }
      extracts.push(spec)
      const schema = await source.describe(spec, signal)
      reads.push(planRead({ now: new Date(), spec, schema, limits: { rows: least, bytes: batch } }))
    }
    const context = {
      spec: {
        job: 'job',
        resources: { threads: lanes },
        parallelism: { maxParallelExtracts: 1 },
        extracts,
        loads: [],
        retries: NONE,
        chunking: { defaultChunkSize: least, maxChunkSize: most },
      },
      run: 'run',
      sources: new Map([['db', source]]),
      root,
      tasks: {
        output: async () => undefined,
        begin: async () => {},
        commit: async () => {},
        fail: async () => {},
        progress: async () => {},
      },
      progress: {
        started: () => {},
        finished: () => {},
        advanced: (_task: string, rows: number) => {
          progress += rows
        },
        note: (text: string) => notes.push(text),
      },
      clock: { now: () => new Date() },
      acquireSlots: async () => async () => {},
      signal,
      stop: signal,
      fence: 1,
      staging: new LocalStaging(root),
      workers,
      duck,
    } as unknown as RunContext
    const failures = new FailureScope(context)
    const extracted = await extract(context, { reads, loads: [] }, failures)
    failures.check()
    for (const { extract: name, parts } of extracted) {
      const paths = pathsOf(root, parts).map(quote).join(', ')
      if (parts.length > 0) await duck.run(`CREATE VIEW ${name} AS FROM read_parquet([${paths}])`)
    }
    const listed = new Set(extracted.flatMap(({ parts }) => parts.map(({ file }) => file)))
    const strays = readdirSync(root, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name).slice(root.length + 1))
      .filter(file => !listed.has(file))
    return await use({ extracted, notes, progress, strays, query: sql => duck.rows(sql) })
  } finally {
    await workers.close()
    duck.close()
    rmSync(root, { recursive: true, force: true })
  }
}
