import { REJECTED } from '../batch/builder.ts'
import type { LoadSpec, PlannedLoad, StagingAhead } from '../contracts/load.ts'
import type { Part } from '../contracts/staging.ts'
import { taskName } from '../contracts/taskName.ts'
import type { PlannedRead } from '../plan/plan.ts'
import { planLoad } from '../plan/planLoad.ts'
import { abandonStaged } from '../runtime/abandon.ts'
import type { RunContext } from '../runtime/context.ts'
import { lanesTo } from '../runtime/lanes.ts'
import { isOurs } from '../runtime/task.ts'
import { pathsOf } from '../staging/store.ts'
import { loadIdOf } from './load.ts'

/** Staged bytes of a table from which a head start is worth its statements. */
const LEAST_BYTES = 32 << 20

interface Lead {
  load: PlannedLoad
  /** What has been read so far; later parts are handed on as they come. */
  parts: Part[]
  bytes: number
  /** Whether lanes may reject rows: parts that hold such are not taken. */
  mayReject: boolean
  /** Undefined until it is worth while; gives undefined where the target has no use for it. */
  begun?: Promise<StagingAhead | undefined>
}

/**
 * The rows of tables that are loaded as they are read, for the first time, on their way into their target's staging while
 * their source is still being read. A head start and nothing else: the load itself takes it over where it turns out to be
 * all of its rows, and stages them anew otherwise; nothing is published by it, and what fails here counts for nothing.
 */
export class LoadAhead {
  private readonly context: RunContext
  private leads = new Map<string, Lead[]>()

  constructor(context: RunContext) {
    this.context = context
  }

  /** Says what will be read; `lastRun`: per target, the run whose data it holds. */
  plan(reads: PlannedRead[], lastRun: Map<string, string>): void {
    const { spec, targets } = this.context
    for (const read of reads) {
      if (!this.flows(read)) continue
      const first = ({ from, to }: LoadSpec) =>
        from === read.extract && !lastRun.has(to) && targets.get(to)?.stageAhead !== undefined
      const loads = spec.loads.filter(load => first(load) && this.takes(load, read))
      const columns = read.columns.filter(({ name }) => name !== REJECTED)
      const mayReject = columns.length < read.columns.length
      const leads = loads.map(load => ({ load: planLoad(load, columns), parts: [], bytes: 0, mayReject }))
      if (leads.length > 0) this.leads.set(read.extract, leads)
    }
  }

  /** Parts of an extract that were read. */
  readonly read = (extract: string, read: Part[]): void => {
    for (const lead of this.leads.get(extract) ?? []) {
      const parts = lead.mayReject ? read.filter(({ exact }) => exact) : read
      lead.parts.push(...parts)
      lead.bytes += parts.reduce((sum, { bytes }) => sum + bytes, 0)
      const paths = pathsOf(this.context.root, lead.begun ? parts : lead.parts)
      if (lead.bytes < LEAST_BYTES) continue
      lead.begun ??= this.begin(lead.load)
      // In the order of the calls; it never fails.
      lead.begun.then(ahead => ahead?.add(paths))
    }
  }

  /** Waits until nothing more is asked of a target's session but by its load; rows may still be under way. */
  async settle(): Promise<void> {
    await Promise.all([...this.leads.values()].flat().map(({ begun }) => begun))
  }

  /** Drops what no load has taken over. */
  async close(): Promise<void> {
    const begun = [...this.leads.values()].flat().filter(lead => lead.begun)
    for (const connection of new Set(begun.map(({ load }) => load.to)))
      await abandonStaged(
        this.context.targets.get(connection)!,
        loadIdOf(this.context, connection),
        this.context.progress,
      )
  }

  private flows(read: PlannedRead): boolean {
    return !read.reused && !read.base && !read.changes
  }

  private takes({ to, onBadRow }: LoadSpec, { from }: PlannedRead): boolean {
    const { context } = this
    const { loads, resources } = context.spec
    const ours = [taskName('extract', from), taskName('load', to)].every(task => isOurs(context, task))
    // A commit before the last one drops what is staged for another.
    const once = loads.every(load => load.to !== to || load.batchRows === undefined)
    return ours && once && from !== to && onBadRow !== 'quarantine' && resources.threads > 1
  }

  private async begin(load: PlannedLoad): Promise<StagingAhead | undefined> {
    const { spec, targets, workers, signal } = this.context
    const loadId = loadIdOf(this.context, load.to)
    const means = { offload: workers.offload, lanes: lanesTo(spec, load.to) }
    try {
      const staged = { ...load, whole: true }
      return await targets.get(load.to)!.stageAhead!(
        { loadId, job: spec.job, load: staged, ...means },
        signal,
      )
    } catch {
      return undefined
    }
  }
}
