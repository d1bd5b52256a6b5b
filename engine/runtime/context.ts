import type { Source } from '../contracts/source.ts'
import type { Part, Staging, ZstdFormat } from '../contracts/staging.ts'
import type { Target } from '../contracts/target.ts'
import type { TaskName } from '../contracts/taskName.ts'
import type { Clock, TaskStore } from '../contracts/tasks.ts'
import type { Mask } from '../mask.ts'
import type { Workers } from '../pool/pool.ts'
import type { Duck } from '../sql/duckdb.ts'
import type { LastValues } from '../sql/variables.ts'
import type { Budget } from './budget.ts'
import type { Correction } from './correction.ts'
import type { FlowSpec } from './spec.ts'

/** Where progress goes. Task names: `extract.members`, `model.members_clean`, `load.dim_members`. */
export interface ProgressListener {
  started(task: TaskName, rows?: number): void
  /** `rows` more; fewer where it is negative: they are lost and will be read again. */
  advanced(task: TaskName, rows: number): void
  finished(task: TaskName, note: string): void
  note(text: string): void
  /** A task (`load.warehouse`) failed transiently, and is tried again. */
  retried?(task: TaskName, error: unknown): void
}

/** Everything a run touches, handed in. */
export interface RunContext {
  spec: FlowSpec
  run: string
  /** The run's own time: models see it as `getvariable('run_at')`. */
  runAt: Date
  /** What set checks gave in the last run that loaded. */
  lastValues?: LastValues
  sources: Map<string, Source>
  targets: Map<string, Target>
  /** Staging root: an absolute folder. */
  root: string
  staging: Staging
  tasks: TaskStore
  clock: Clock
  progress: ProgressListener
  /** Tables that are loaded as if for the first time, and the extracts that they are made from read whole. */
  refresh?: string[]
  /** True where tables of `mode: changes` are compared with what their logs said. */
  reconcile?: true
  /** True where incremental models are computed whole, too, and compared. */
  verifyIncremental?: true
  /** Corrections of a table's rejected rows that are to be applied. */
  corrections(table: string): Promise<Correction[]>
  /** Waits until these extracts may be read beside what others read, and gives what says that they are. */
  acquireSlots(extracts: string[]): Promise<() => Promise<void>>
  /** Waits, at one of the two, until runs of the job that began before this one have loaded; absent where none can be under way. */
  turn?(before: 'plan' | 'diff'): Promise<void>
  /** Stops what is going on, at once. */
  signal: AbortSignal
  /** No further task begins once it is set: the run stops at the next commit. */
  stop: AbortSignal
  /** Which tasks this process may do, where several share a run; absent where it does all that is left. */
  isOurs?(task: TaskName): boolean
  /** Hears of parts of an extract as they are read: the read may yet fail, or be done again. */
  onParts?(extract: string, parts: Part[]): void
  /** The extracts whose parts a target keeps as they lie, and how these are compressed. */
  keptParts?: ReadonlyMap<string, ZstdFormat>
  /** Grows with every process that takes the run over: part of the names of what it writes, see {@link ownFile}. */
  fence: number
  /** What stands for values that nobody may see. */
  mask: Mask
  workers: Workers
  budget: Budget
  duck: Duck
}

/** Folder of the run below the staging root. */
export function runFolder({ spec, run }: { spec: { job: string }; run: string }): string {
  return `${spec.job}/${run}`
}

/**
 * Path below the run's folder of a raw file of another run, all of its own path in it: files of several runs, and of several
 * folders of one, have the same name.
 */
export function takenFile(
  context: Pick<RunContext, 'spec' | 'run'>,
  extract: string,
  { file }: { file: string },
): string {
  return `${runFolder(context)}/raw/${extract}/${file.split('/').slice(1).join('/')}`
}

/**
 * Path of a data file below the run's folder. A stale owner writes under another
 * name than its successor, whose committed files it so leaves alone.
 */
export function ownFile(
  context: Pick<RunContext, 'spec' | 'run' | 'fence'>,
  name: string,
  ending = '',
): string {
  return `${runFolder(context)}/${name}${context.fence > 1 ? `.${context.fence}` : ''}${ending}`
}
