import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { changedRows, newestRows } from '../delta/changes.ts'
import { EngineError } from '../errors.ts'
import type { CommitResult, LoadCommit, LoadCounts, Part, PlannedLoad, SyncPoint, Target } from '../ports.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { rowsOf } from '../staging/parquet.ts'
import { pathsOf, place, readManifest, writeManifest } from '../staging/store.ts'
import { type Plan, planLoad } from './plan.ts'
import { goodRows, type Transformed } from './transform.ts'
import { once, runFolder, type World } from './world.ts'

/** The change set of one load: what differs from the last committed state. */
export interface Changes {
  load: PlannedLoad
  parts: Part[]
  rows: number
  /** Rows dropped because a newer one has the same key. */
  duplicates: number
}

/** What one load did. */
export interface Loaded extends LoadCounts {
  to: string
  /** Rows of the change set. */
  staged: number
  duplicates: number
}

const stateFile = (job: string, run: string, table: string) => `${job}/${run}/state/${table}.json`

interface LoadState {
  columns: PlannedLoad['columns']
  file: string
  findings?: string
  parts: Part[]
}

/** Works out, per load, which rows differ from what the last committed run loaded. */
export async function diff(world: World, plan: Plan, tables: Transformed[], lastRun: Map<string, string>) {
  const changes: Changes[] = []
  for (const spec of plan.loads) {
    const table = tables.find(({ name }) => name === spec.from)!
    const planned = planLoad(spec, table.columns)
    const load = plan.reads.some(read => read.drifted) ? { ...planned, reshaped: true } : planned
    changes.push(
      await once(world, `diff.${spec.table}`, () => diffLoad(world, load, table, lastRun.get(spec.to))),
    )
  }
  return changes
}

async function diffLoad(world: World, load: PlannedLoad, table: Transformed, lastRun: string | undefined) {
  const { duck, root, spec, observer } = world
  observer.started(`diff.${load.table}`)
  const last = lastRun
    ? await readManifest<LoadState>(root, stateFile(spec.job, lastRun, load.table))
    : undefined
  const next = goodRows(root, table)
  const known = last && JSON.stringify(last.columns) === JSON.stringify(load.columns) ? last : undefined
  const changed = known ? changedRows(load.columns, load.key, next, goodRows(root, known)) : next
  const keys = load.key.map(quoteName).join(', ')
  // A model's rows are materialised, so they may be read twice; a second read costs less than a window over all of them.
  const [count] = await duck.rows(
    `SELECT count(*) AS n, count(*) - (SELECT count(*) FROM (SELECT DISTINCT ${keys} FROM (${changed}))) AS duplicates FROM (${changed})`,
  )
  const duplicates = Number(count!.duplicates)
  const rows = duplicates > 0 ? newestRows(load.columns, load.key, load.newer, changed) : changed
  if (last && !known) load = { ...load, reshaped: true }
  const folder = `${runFolder(world)}/changes/${load.table}`
  await place(join(root, folder), temporary =>
    duck.run(
      `COPY (${rows}) TO ${quote(temporary)} (FORMAT parquet, COMPRESSION snappy, FILE_SIZE_BYTES '24MB', PER_THREAD_OUTPUT false)`,
    ),
  )
  const parts: Part[] = []
  for (const name of readdirSync(join(root, folder)).sort(byNumber)) {
    const path = join(root, folder, name)
    parts.push({ file: `${folder}/${name}`, rows: await rowsOf(path), bytes: statSync(path).size })
  }
  const state: LoadState = { columns: load.columns, file: table.file!, findings: table.findings, parts: [] }
  for (const file of [table.file!, ...(table.findings ? [table.findings] : [])])
    state.parts.push({ file, rows: 0, bytes: statSync(join(root, file)).size })
  await writeManifest(root, stateFile(spec.job, world.run, load.table), state)
  const total = parts.reduce((sum, part) => sum + part.rows, 0)
  observer.finished(
    `diff.${load.table}`,
    known ? `${total} changed` : `${total} rows, ${last ? 'its columns changed' : 'first load'}`,
  )
  return { load, parts, rows: total, duplicates }
}

const byNumber = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true })

/** Stages and commits the change sets, one transaction a target. */
export async function load(world: World, changes: Changes[], syncPoints: SyncPoint[]): Promise<Loaded[]> {
  const loaded: Loaded[] = []
  for (const [connection, group] of Map.groupBy(changes, change => change.load.to)) {
    const result = await once(world, `load.${connection}`, () =>
      loadTarget(world, connection, group, syncPoints),
    )
    for (const { load, rows, duplicates } of group)
      loaded.push({
        ...result.counts.find(c => c.table === load.table)!,
        to: connection,
        staged: rows,
        duplicates,
      })
  }
  return loaded
}

async function loadTarget(world: World, connection: string, changes: Changes[], syncPoints: SyncPoint[]) {
  const { spec, run, signal, observer, workers } = world
  const target = world.targets.get(connection)!
  const loadId = `${spec.job}/${run}/${connection}`
  // An earlier attempt may have been killed between the target's commit and ours.
  const earlier = await target.committed(loadId, signal)
  if (earlier) return earlier
  try {
    for (const { load, parts, rows } of changes) {
      const task = `load.${load.table}`
      observer.started(task, rows)
      const request = { loadId, job: spec.job, load, paths: pathsOf(world.root, parts), rows }
      const progress = (sent: number) => observer.advanced(task, sent)
      await target.stage(
        { ...request, offload: workers.offload, lanes: spec.resources.threads, progress },
        signal,
      )
      observer.finished(task, 'staged')
    }
    return await commit(
      target,
      { loadId, job: spec.job, run, loads: changes.map(c => c.load), syncPoints },
      signal,
    )
  } catch (error) {
    await target.abandon(loadId).catch(() => {})
    throw error
  }
}

async function commit(target: Target, what: LoadCommit, signal: AbortSignal): Promise<CommitResult> {
  try {
    return await target.commit(what, signal)
  } catch (error) {
    // Lost at COMMIT: only the target knows whether it happened.
    if (!(error instanceof EngineError) || error.code !== 'CONNECTION_LOST') throw error
    const result = await target.committed(what.loadId, signal)
    if (!result) throw error
    return result
  }
}
