import { createHash } from 'node:crypto'
import type { LoadSpec, SyncPoint } from '../contracts/load.ts'
import type { ExtractSpec, FollowedTable, TableSchema } from '../contracts/source.ts'
import type { Target } from '../contracts/target.ts'
import { taskName } from '../contracts/taskName.ts'
import { EngineError, type ErrorData, plainError, together } from '../errors.ts'
import { ownValue } from '../ownValue.ts'
import type { RunContext } from '../runtime/context.ts'
import { isLeftOut } from '../runtime/leftOut.ts'
import { FORGETFUL, isOurs, runTask } from '../runtime/task.ts'
import { feeds } from '../runtime/taskGraph.ts'
import { extractsOf } from '../sql/graph.ts'
import type { OrderedModel } from '../sql/model.ts'
import { type Image, imageFile, type StagedSchema, schemaFile } from '../staging/image.ts'
import { readManifest } from '../staging/store.ts'
import { lastRunOf } from './commitOwner.ts'
import { type FollowedRead, type LogCursor, type Plan, type PlannedRead, planRead } from './plan.ts'
import { checkDeletes } from './planLoad.ts'
import { fingerprintOf, stillFresh } from './refresh.ts'

/** The plan, and per target the run whose data it holds. Plain data: it is a task's output. */
export interface Prepared {
  plan: Plan
  lastRun: [string, string][]
  /** Extracts that the run does without, and why. */
  lost?: LostExtract[]
  /** The archived run that it was filled from. */
  restored?: { run: string; job: string }
}

export interface LostExtract {
  extract: string
  error: ErrorData
}

/**
 * Checks that the systems answer, all of them side by side. A task like others, but that it is done in every process;
 * a run whose extracts are committed needs its sources no more. Fails with all that is wrong.
 */
export async function probe(context: RunContext): Promise<void> {
  if (!isOurs(context, 'probe')) return
  const { tasks: store, sources, targets } = context
  const needed: Pick<Target, 'probe'>[] = [...targets.values()]
  for (const [name, source] of sources)
    if ((await store.output(taskName('extract', name))) === undefined) needed.push(source)
  await runTask({ ...context, tasks: FORGETFUL }, 'probe', ({ signal }) => probeAll(needed, signal))
}

async function probeAll(systems: Pick<Target, 'probe'>[], signal: AbortSignal): Promise<null> {
  const probed = await Promise.allSettled(systems.map(system => system.probe(signal)))
  const failures = probed.flatMap(result => (result.status === 'rejected' ? [result.reason as unknown] : []))
  const known = failures.filter(failure => failure instanceof EngineError)
  if (failures.length > known.length || known.length === 1)
    throw failures.find(each => !(each instanceof EngineError)) ?? known[0]
  if (known.length > 0) throw together(known)
  return null
}

/** Asks every system what it has, finds the last sync points, and plans. Reads no row. */
export async function prepare(context: RunContext, models: OrderedModel[]): Promise<Prepared> {
  const { spec, refresh } = context
  const fed = feeds(spec, models)
  const renewed = new Set(
    spec.loads
      .filter(({ table }) => refresh?.includes(table))
      .flatMap(({ from }) => extractsOf(from, models)),
  )
  const bases = ({ plan }: Prepared) => plan.reads.flatMap(({ base }) => base?.image.parts ?? [])
  const act = async ({ signal }: RunContext): Promise<Prepared> => {
    const points = await pointsOf({ ...context, signal })
    const ownPoints = (extract: string) =>
      [...points].filter(([target]) => fed(extract, target)).map(([, found]) => found)
    // Before any table is described: no change up to there has columns that are not known yet.
    const logs = await followLogs({ ...context, signal }, renewed, name => agreed(ownPoints(name), name))
    const reads: PlannedRead[] = []
    const refused: EngineError[] = []
    const lost: LostExtract[] = []
    for (const extract of spec.extracts) {
      const committed = [...points.values()].flat().filter(point => point.extract === extract.name)
      const own = ownPoints(extract.name)
      // Targets that disagree must be shown every row again, but each of them knows a committed run's columns.
      const { run } = agreed(own, extract.name) ?? committed[0] ?? {}
      const known = run
        ? await readManifest<StagedSchema>(context.staging, schemaFile(spec.job, run, extract.name))
        : undefined
      const { batch, share, most } = context.budget
      const limits = { rows: spec.chunking.defaultChunkSize, bytes: batch, share, most }
      const renew = renewed.has(extract.name)
      const fresh = renew
        ? undefined
        : await freshRead(context, extract, agreed(own, extract.name), known, limits)
      if (fresh) {
        for (const note of fresh.notes) context.progress.note(`${fresh.where}: ${note}`)
        reads.push(fresh)
        continue
      }
      const imageOf = async (point: SyncPoint | undefined) =>
        point && (await readManifest<Image>(context.staging, imageFile(spec.job, point.run, extract.name)))
      // An accumulating source cannot show its rows again: the image of the latest run that any target committed
      // holds them all, and each target is loaded with what differs from its own last run.
      const latest = committed.toSorted((a, b) => (a.run < b.run ? 1 : -1))[0]
      let read: PlannedRead
      try {
        const schema: TableSchema = await context.sources.get(extract.from)!.describe(
          extract,
          signal,
          known && {
            columns: known.columns,
            absent: known.absent,
            cursor: async () => (await imageOf(latest))?.cursor,
          },
        )
        const point = schema.accumulates ? latest : agreed(own, extract.name)
        const image = await imageOf(point)
        const last = point && { point, image: known && image }
        const asked = image?.read?.fingerprint
        // What earlier nights passed over might be asked for now.
        const isOther =
          extract.incremental && !schema.accumulates && asked && asked !== fingerprintOf(extract)
        const log = extract.changes && logs.get(extract.from)?.(extract.name)
        const now = context.clock.now()
        read = planRead({
          spec: extract,
          schema,
          last,
          known,
          limits,
          now,
          ...(renew && { renew: 'a full refresh was asked for' }),
          ...(isOther && { renew: 'what the job asks of it is another than before' }),
          reconcile: context.reconcile === true,
          log,
        })
      } catch (error) {
        if (!(error instanceof EngineError)) throw error
        if (isLeftOut(extract, error)) lost.push({ extract: extract.name, error: plainError(error) })
        // Whoever is woken by one table wants to know of all of them.
        else if (error.code === 'SCHEMA_DRIFT') refused.push(error)
        else throw error
        continue
      }
      if (run && !known)
        read.notes.push("its columns are compared with none: the last load's are no longer staged")
      for (const note of read.notes) context.progress.note(`${read.where}: ${note}`)
      reads.push(read)
    }
    if (refused.length > 0) throw together(refused)
    checkLoads(spec.loads, reads, models)
    // What the job says of an extract may hold secrets, which are kept nowhere.
    const kept = reads.map(read => ({ ...read, options: undefined }))
    return {
      plan: { reads: kept, loads: spec.loads, ...(refresh && { refresh }) },
      lastRun: lastRunsOf(points, context.run),
      lost,
    }
  }
  const { plan, lastRun, lost = [] } = await runTask(context, 'plan', act, bases)
  const options = new Map(spec.extracts.map(extract => [extract.name, extract.options]))
  const reads = plan.reads.map(read => ({ ...read, options: options.get(read.extract) }))
  return { plan: { ...plan, reads }, lastRun, lost }
}

/** Fails with CONFIG_INVALID where a load deletes what its extracts cannot know to be gone. */
export function checkLoads(loads: LoadSpec[], reads: PlannedRead[], models: OrderedModel[]): void {
  const partial = reads
    .filter(
      read =>
        (read.incremental && !read.incremental.findDeletes) || read.accumulates || read.changes?.history,
    )
    .map(({ extract }) => extract)
  for (const load of loads) checkDeletes(load, extractsOf(load.from, models), partial)
}

type PlannedLog = Pick<FollowedRead, 'reader' | 'until' | 'stored'>

/** Has each source keep its log for the job's tables; gives, per connection and extract, who reads it and where it ends. */
async function followLogs(
  { spec, staging, sources, signal }: RunContext,
  renewed: Set<string>,
  pointOf: (extract: string) => SyncPoint | undefined,
): Promise<Map<string, (extract: string) => PlannedLog>> {
  const logs = new Map<string, (extract: string) => PlannedLog>()
  const groups = Map.groupBy(
    spec.extracts.filter(({ changes }) => changes),
    ({ from }) => from,
  )
  for (const [connection, extracts] of groups) {
    const tables: FollowedTable[] = []
    for (const extract of extracts) {
      const point = renewed.has(extract.name) ? undefined : pointOf(extract.name)
      const image =
        point && (await readManifest<Image>(staging, imageFile(spec.job, point.run, extract.name)))
      const cursor = image?.cursor as LogCursor | undefined
      tables.push({ spec: extract, ...(cursor && { from: cursor.position }) })
    }
    const reader = readerOf(spec.job, connection)
    const log = sources.get(connection)!.changeLog!
    const until = await log.follow(reader, tables, signal)
    const stored = await log.stored?.(reader, tables, signal)
    logs.set(connection, extract => ({
      reader,
      until,
      ...(stored && { stored: ownValue(stored, extract)! }),
    }))
  }
  return logs
}

/** The name by which a server knows a job: letters, digits and _, at most 63, and none that another has. */
export function readerOf(job: string, connection: string): string {
  const own = createHash('sha256')
    .update(JSON.stringify([job, connection]))
    .digest('hex')
    .slice(0, 8)
  const plain = `${job}_${connection}`.toLowerCase().replace(/[^a-z0-9_]/g, '_')
  return `nightfreight_${plain.slice(0, 40)}_${own}`
}

async function pointsOf({ targets, spec, signal }: RunContext): Promise<Map<string, SyncPoint[]>> {
  const points = new Map<string, SyncPoint[]>()
  for (const [name, target] of targets) points.set(name, await target.syncPoints(spec.job, signal))
  return points
}

function lastRunsOf(points: Map<string, SyncPoint[]>, own: string): Prepared['lastRun'] {
  return [...points].flatMap(([name, found]): [string, string][] => {
    const run = lastRunOf(found, own)
    return run === undefined ? [] : [[name, run]]
  })
}

/** Per target, the run whose data it holds now. */
export const lastRuns = async (context: RunContext): Promise<Prepared['lastRun']> =>
  lastRunsOf(await pointsOf(context), context.run)

async function freshRead(
  { staging, spec, runAt }: RunContext,
  extract: ExtractSpec,
  point: SyncPoint | undefined,
  known: StagedSchema | undefined,
  limits: PlannedRead['limits'],
): Promise<PlannedRead | undefined> {
  if (extract.refresh === undefined || !point || !known) return undefined
  const image = await readManifest<Image>(staging, imageFile(spec.job, point.run, extract.name))
  return stillFresh(extract, image && { point, image, known }, runAt, limits)
}

// A sync point counts only when every target has it: one that missed a commit must be shown those rows again.
function agreed(points: SyncPoint[][], extract: string): SyncPoint | undefined {
  const found = points.map(list => list.find(point => point.extract === extract))
  const [first] = found
  return first && found.every(point => point?.run === first.run) ? first : undefined
}
