import type { RowSum } from '../batch/rowSum.ts'
import type { EngineError } from '../errors.ts'
import type {
  AheadRequest,
  CommitResult,
  LoadCommit,
  LoadCounts,
  PlannedLoad,
  StageRequest,
  StagingAhead,
  SyncPoint,
} from './load.ts'
import type { RowValidator } from './rowValidation.ts'
import type { TableSchema } from './source.ts'
import type { ZstdFormat } from './staging.ts'
import type { Verifier } from './verification.ts'

/** Which table it is, and how many rows it has. */
export interface TableState {
  /** Another one where the table was dropped and made anew; empty where the system tells nothing of the kind. */
  identity: string
  rows: number
}

/** A table as it is now, beside what the last commit left of it. */
export interface TableStanding {
  /** Undefined where there is no table. */
  now: TableState | undefined
  /** Undefined where no commit has noted what it left. `run` and `runAt`: whose commit, and that run's own time (ISO 8601). */
  left: (TableState & { run: string; runAt: string }) | undefined
  /** True where nobody can change a row, but by a commit, without a change of what is told here. */
  guarded?: true
}

/** Rows that go again once a run at a time has loaded them: whose `column` is of before `since`. */
export interface PassingRows {
  column: string
  since: Date
}

/** How a load changes its table first, as its `schema` allows. */
export interface TableChanges {
  /** In the order in which they are run. */
  statements: string[]
  /** TARGET_INCOMPATIBLE, with all that keeps the table from taking the load's rows even then, and what to type. */
  refused?: EngineError
}

/** Days for which a commit is known under its load id at the least. Whoever goes on with an older run finds that another has loaded since. */
export const KNOWN_DAYS = 90
/** Of so many of a job's oldest loads a commit sees whether they are to be forgotten: it costs the same, however many there are. */
export const FORGOTTEN_AT_ONCE = 100

/** A system that tables are loaded into. Main thread. */
export interface Target {
  /** Of which family of systems it is, as `Origin` names them; absent where no source is of its like. */
  readonly family?: string
  /** Of rows without a key, those that are equal stay; absent where all are exchanged. */
  readonly keepsEqual?: true
  /**
   * How the parts are to be compressed that a table's first load can make its files of without looking into them; absent
   * where it makes them anew. It takes any others, too.
   */
  readonly keepsParts?: ZstdFormat | undefined
  probe(signal: AbortSignal): Promise<void>
  /** Columns and key of a table; undefined where it does not exist yet. */
  describe(table: string, signal: AbortSignal): Promise<TableSchema | undefined>
  /**
   * What a table is now and what the last commit of any job left of it, in one consistent view; rows are counted, never
   * estimated. A commit notes both, with the data, for every table that it loads.
   */
  standing(table: string, signal: AbortSignal): Promise<TableStanding>
  /** How a load will change its table before its rows come; nothing of one that it makes. */
  tableChanges(load: PlannedLoad, signal: AbortSignal): Promise<TableChanges>
  /** Why no table, or no column, can have a name: `it has 70 bytes, and Postgres takes 63`. Absent where all can. */
  refusesName?(name: string, of: 'table' | 'column'): string | undefined
  /** What a table is told from others by: names of one table give the same; known once it is probed. Absent where each name is a table of its own. */
  tableId?(table: string): string
  /** Which rows do not stay in a load's table; undefined where all do. Absent where all of all tables do. */
  passing?(load: PlannedLoad, runAt: Date, signal: AbortSignal): Promise<PassingRows | undefined>
  /** The sync points of a job's last commit here. */
  syncPoints(job: string, signal: AbortSignal): Promise<SyncPoint[]>
  /** The result of an earlier commit under this load id; undefined where there was none, or later commits of the job have forgotten it after {@link KNOWN_DAYS}. */
  committed(loadId: string, signal: AbortSignal): Promise<CommitResult | undefined>
  /**
   * Bulk-loads a change set into staging tables that this load owns, replacing whatever an earlier attempt left.
   * Nothing a reader of the target sees changes. The sum of the rows that were sent, where whoever sent them added it up.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a target that sums nothing returns nothing.
  stage(request: StageRequest, signal: AbortSignal): Promise<RowSum | void>
  /**
   * Begins to stage the rows of a load while more of them are read; undefined where the target has no use for that.
   * {@link stage} takes over what was sent where it is all of the request's rows, and replaces it otherwise. Absent where
   * rows are staged once all are known.
   */
  stageAhead?(request: AheadRequest, signal: AbortSignal): Promise<StagingAhead | undefined>
  /**
   * One transaction: create missing tables, merge what was staged, sync points, load id; staging tables dropped.
   * `check` is called once all that is to be published is in place, before anybody can see it, and may read it back by
   * {@link verifier}; where it fails, nothing is published.
   */
  commit(
    commit: LoadCommit,
    signal: AbortSignal,
    check?: (counts: LoadCounts[]) => Promise<void>,
  ): Promise<CommitResult>
  /** Drops what this load staged, where it is still there; called when it has ended, however it has. */
  abandon(loadId: string): Promise<void>
  /** Reads rows of a table back. Absent where loads cannot be verified. */
  verifier?: Verifier
  /** Told, where the target can tell, of a statement that waits for a lock: on what, and who holds it since when. */
  onWait?: (wait: string) => void
  /** Finds rows that a table would refuse. Absent where a bad row always takes the whole load back. */
  rowValidator?: RowValidator
  close(): Promise<void>
}
