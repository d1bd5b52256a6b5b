import type { Nesting } from '../types/duckType.ts'
import type { Column } from '../types/logical.ts'
import type { TableIndex, TableReference } from './structure.ts'

// What is loaded, and how: from the job's words to what a target is asked.

/**
 * How a load changes its table:
 *
 * | mode | what the target does |
 * |---|---|
 * | append | inserts rows whose key it has never been given; changes none |
 * | merge | inserts and updates by key; an older row never overwrites a newer one |
 * | replace | the table holds the data set and nothing else |
 * | partition | each partition with a change holds its rows of the data set and nothing else |
 * | scd2 | every version of a row is kept, with the time it held |
 */
export type LoadMode = 'append' | 'merge' | 'replace' | 'partition' | 'scd2'

/** What becomes of a row of the target that is gone from the source: left, deleted, or marked with the time. */
export type Deletes = 'keep' | 'hard' | 'soft'

/** What is compared after a load: the rows it wrote, all rows of the data set, or none. */
export type Verify = 'changes' | 'all' | 'off'

/**
 * How a load may change a table that is there. No policy takes a column or a value away.
 *
 * | policy | what the load does itself, in its own transaction |
 * |---|---|
 * | manual | nothing: what keeps the table from taking its rows is refused, with the statements to type |
 * | apply-safe | what follows the data set and cannot be felt by others: columns are added, types widened with their source, NOT NULL dropped where the source has dropped it |
 * | evolve | also gives a column whose values would not fit a type that holds what is there and what comes, text where nothing else does; and drops NOT NULL of columns that are not loaded |
 */
export type SchemaPolicy = 'evolve' | 'apply-safe' | 'manual'

export type OnBadRow = 'fail' | 'quarantine'

/**
 * What becomes of rows of one key in one data set that differ: nothing is loaded, all but one go to the quarantine, or
 * the newest stays and the others are superseded. Of rows that are equal in all columns one stays whatever it says.
 */
export type OnDuplicate = 'fail' | 'quarantine' | 'newest'

/** One load as the job asks for it. */
export interface LoadSpec {
  /** The target table: `dim_members` or `mart.dim_members`. */
  table: string
  /** The connection it writes to. */
  to: string
  /** The model (or extract) that is loaded. */
  from: string
  mode: LoadMode
  /** Columns that identify a row; never empty but under `replace`. */
  key: string[]
  /** Column that decides which of two versions of a row is newer; under scd2 also when a version begins. */
  newer?: string
  /** Columns written when a row is inserted and left alone when it is updated. */
  insertOnly: string[]
  /** Column that the target sets to its transaction's time whenever it inserts or updates the row. */
  stamp?: string
  /** Modes merge and scd2. */
  deletes: Deletes
  /** Under `deletes: soft`: the target's column for the time; NULL for rows that are there. */
  deletedAt?: string
  /** Columns that say which partition a row is in; never empty under `partition`. */
  partitionBy: string[]
  /** Of a table partitioned by range of time: the period of a new partition, and how many before the run's are kept. */
  partitions?: { every: 'day' | 'month' | 'year'; keep?: number }
  /** Only these columns decide whether a row has changed; empty: all. */
  compare: string[]
  /** Columns that do not decide it. */
  ignore: string[]
  /** Mode scd2: the target's columns of a version's time, [from, to), and whether it is the latest. */
  scd2: { validFrom: string; validTo: string; current: string }
  guard: {
    /** 0 to 1: a load that would delete more of the table's rows stops. */
    maxDeleteShare: number
    /** Whether an empty data set may follow one that was not. */
    allowEmpty: boolean
  }
  /** Rows that a commit takes, about; without it, one takes all. Modes append, merge and scd2. */
  batchRows?: number
  /** Default `changes`. */
  verify?: Verify
  /** Default: `manual`. */
  schema?: SchemaPolicy
  /** What becomes of a row that the table refuses: it goes to the quarantine, or nothing is loaded (the default). */
  onBadRow?: OnBadRow
  /** Columns whose values nobody is shown. */
  sensitive?: string[]
  /** Default: `kept`. */
  nesting?: Nesting
  /** Of a table that the load makes: the indexes that its source has, or those of these columns. */
  indexes?: 'source' | string[][]
  /** Of a table that the load makes: the foreign keys that its source has, to tables of the same job. */
  foreignKeys?: 'source'
  /** Whether what else goes to its target is loaded where it cannot be; default: `fail`. */
  onError?: 'fail' | 'continue'
  /** Default: `newest` with {@link newer}, `fail` without. */
  onDuplicate?: OnDuplicate
}

/** A load with everything known: the target can act on it alone. */
export interface PlannedLoad extends LoadSpec {
  columns: Column[]
  /** What the table gets beside columns and key where the load makes it. */
  made?: { indexes: TableIndex[]; references: TableReference[] }
  /** Columns whose type holds more than that of the last load: a table that the load may alter is widened, too. */
  widened?: string[]
  /** Columns as the last load had them, of those that were of another type where they come from, or could not be NULL. */
  was?: Column[]
  /** Columns that the last load had, and the data set has no more: the table keeps them. */
  gone?: string[]
}

/** How far an extract has been read, as kept in the target in the same commit as the data. */
export interface SyncPoint {
  extract: string
  /** Highest value seen of the incremental column, DuckDB's text; null for every other extract or an empty one. */
  value: string | null
  /** The run that saw it. */
  run: string
}

/** Everything that one commit makes true. */
export interface LoadCommit {
  /** Unique for (run, target, batch): a repeat of a committed load is recognised by it and does nothing. */
  loadId: string
  job: string
  run: string
  /** The run's own time: where a version of a row begins or ends that has no `newer` column. */
  runAt: Date
  loads: StagedLoad[]
  /** All tables that the job loads into the target, in whatever commit. */
  tables: string[]
  syncPoints: SyncPoint[]
  /**
   * The run whose data the target held when the change sets were worked out, null where there was none: the commit fails with
   * RUN_OUTDATED where it is another by now. Absent from what earlier versions compared.
   */
  base?: string | null
}

/** A load whose change set was staged. */
export interface StagedLoad extends PlannedLoad {
  /**
   * The staged rows are all there are: a row of the target that is not among them is gone (deleted as the mode and
   * `deletes` say, within `guard.maxDeleteShare`), unless its key was staged as one to keep.
   */
  whole: boolean
  /** More of its rows come in later commits. */
  more?: true
  /**
   * Identity of the table that the change set was worked out against: the commit fails with TARGET_CHANGED where it is
   * another one by now. Absent where `whole`.
   */
  identity?: string
}

export interface LoadCounts {
  table: string
  /** New rows; under scd2: new versions. */
  inserted: number
  updated: number
  /** Rows deleted, marked, or (scd2) ended. */
  deleted: number
  /** Staged rows that changed nothing. */
  unchanged: number
  /** Rows of the table afterwards. Absent from what earlier versions committed. */
  rows?: number
  /** Staged rows that are older, by `newer`, than the target's, which stays. */
  older: number
  /** The commit made the table. */
  created?: boolean
  /** What else goes or changes beside what the load says: by foreign keys, with partitions; a line for each: for people. */
  cascades?: string[]
}

export interface CommitResult {
  counts: LoadCounts[]
  /** True when this load id had been committed before; the counts are those of that time. */
  repeated: boolean
}

export interface StageRequest {
  loadId: string
  job: string
  load: StagedLoad
  /** Local Parquet files of rows to insert or update, with the load's columns. */
  paths: string[]
  rows: number
  /**
   * Local Parquet files of keys (the load's key columns): rows to delete, or where the load is `whole`, to keep.
   * Mode `partition`: values of the partition columns, partitions to empty.
   */
  keyPaths: string[]
  keys: number
  /** Runs a function of a module in a worker thread: for encoders. */
  offload: Offload
  lanes: number
  /** Called with rows as they are sent. */
  progress(rows: number): void
}

/** A whole load of which no row is known yet. */
export type AheadRequest = Pick<StageRequest, 'loadId' | 'job' | 'load' | 'offload' | 'lanes'>

/** Staging of a load that has begun before all its rows are known. */
export interface StagingAhead {
  /** Local Parquet files that have been written; their rows are sent from now on, in any order. */
  add(paths: string[]): void
}

/** Runs `module`'s exported function `name` with plain-data `input` in a worker thread. */
export type Offload = <T>(module: string, name: string, input: unknown, signal: AbortSignal) => Promise<T>

/** What one load did. */
export interface Loaded extends LoadCounts {
  to: string
  /** Rows of the change set. */
  staged: number
  /** Why all rows were loaded although an earlier load is known. */
  reason?: string
}
