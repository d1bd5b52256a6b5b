import assert from 'node:assert/strict'
import { readerOf } from '../../engine/plan/prepare.ts'
import { loadJob } from '../../src/config/load.ts'
import { dropLogs } from '../../src/runs/changeLogs.ts'
import type { FreshDatabase, Hooks } from '../servers.ts'
import { notesInto, type SmallJob, smallJob } from './small.ts'

/** What a night did. */
export interface NightCounts {
  read: number
  inserted: number
  updated: number
  deleted: number
}

/** A table that is followed into another of its name. */
export interface Following extends Pick<FreshDatabase, 'query' | 'url'> {
  job: SmallJob
  yaml: string
  /** Who the server knows as the reader. */
  reader: string
  notes: string[]
  /** Runs the job, and compares both tables, or these columns of them. */
  night(columns?: string[]): Promise<NightCounts>
}

/** Hooks that run last in, first out: what is opened last is closed first. */
export function reversed(hooks: Hooks): Hooks {
  const cleans: (() => Promise<void>)[] = []
  hooks.after(async () => {
    for (const clean of cleans.reverse()) await clean()
  })
  return { after: clean => void cleans.push(clean) }
}

/** Has the server forget a job, before its database is dropped. */
export function dropAfter(hooks: Hooks, job: SmallJob): void {
  hooks.after(async () => {
    await dropLogs(await loadJob(job.folder, {}), new AbortController().signal)
  })
}

/** A job that follows one table; `statements` make it. `load` and `extract`: more of their keys. */
export async function follow(
  hooks: Hooks,
  {
    fresh,
    warehouse,
    table,
    statements,
    load = '',
    extract = '',
  }: {
    fresh: (hooks: Hooks) => Promise<FreshDatabase>
    warehouse: FreshDatabase
    table: string
    statements: string[]
    load?: string
    extract?: string
  },
): Promise<Following> {
  const own = reversed(hooks)
  const { query, url } = await fresh(own)
  for (const statement of statements) await query(statement)
  const name = `log_${table}_${new URL(url).protocol.slice(0, -1)}`
  const yaml = `connections: { s: "${url}", w: "${warehouse.url}" }
extract: { ${table}: { from: s, table: ${table}, mode: changes${extract} } }
load: { ${table}: { to: w, from: ${table}, key: id, deletes: hard, guard: { max_delete_share: 1 }${load} } }
resources: { memory: 300MB, threads: 2 }
chunking: { default_chunk_size: 1000 }
`
  await warehouse.query(`DROP TABLE IF EXISTS ${table}`)
  const job = await smallJob(own, name, { 'job.yaml': yaml })
  dropAfter(own, job)
  const notes: string[] = []
  const progress = notesInto(notes)
  return {
    query,
    url,
    job,
    yaml,
    reader: readerOf(name, 's'),
    notes,
    async night(columns) {
      notes.length = 0
      const { error, outcome } = await job.run({ progress })
      assert.equal(error, undefined)
      const list = `SELECT ${columns?.join(', ') ?? '*'} FROM ${table} ORDER BY id`
      assert.deepEqual(await warehouse.query(list), await query(list))
      const counts = outcome.loaded.find(loaded => loaded.table === table)!
      return {
        read: outcome.extracted.find(found => found.extract === table)!.rows,
        inserted: counts.inserted,
        updated: counts.updated,
        deleted: counts.deleted,
      }
    },
  }
}
