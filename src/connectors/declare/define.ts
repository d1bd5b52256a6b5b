import type { z } from 'zod'
import type { LoadMode } from '../../../engine/contracts/load.ts'
import type { Source } from '../../../engine/contracts/source.ts'
import type { Target } from '../../../engine/contracts/target.ts'
import type { Nesting } from '../../../engine/types/duckType.ts'
import type { Column } from '../../../engine/types/logical.ts'
import type { OpenStagedJob } from './stagedJob.ts'

/** One line of a connector's reviewable type mapping; the documentation's type tables are made from these. */
export interface TypeRule {
  /** The system's type as its users write it: `numeric(p,s)`, `bigint unsigned`. */
  native: string
  /** The logical type, in DuckDB's notation: `DECIMAL(p,s)`, `UBIGINT`. */
  logical: string
  /** What models see, where that is another type than is staged; and how that is written, see {@link Column}. */
  seen?: string
  written?: 'braces'
  /** Values of the native type that the logical type cannot hold; absent where it is exact for every value. */
  inexact?: string
  /** What the column becomes under the `text` policy, or how text notation is chosen; for the page. */
  note?: string
}

/** What a connector can do, as data: it decides what a job may ask of it, and which contract tests run on it. */
export interface Capabilities {
  source: boolean
  target: boolean
  /** Reads only rows at or after a watermark. */
  incremental: boolean
  /** Reads the keys of all rows without their other columns. */
  keys?: boolean
  /** Has a log from which the changes of tables can be read. */
  changes?: boolean
  /** How its tables can be loaded; none for what is only read. */
  modes: readonly LoadMode[]
  /** Tells before a load which rows its table would refuse. */
  fits?: boolean
  /** Of a target: what it makes of lists, structs and maps. Default: `kept`. */
  nesting?: Nesting
  /** Gives tables that a load makes indexes; foreign keys. */
  indexes?: boolean
  foreignKeys?: boolean
  /** Every lane is one connection to a server, so that a job can say how many there are. */
  pooled?: boolean
  /** Its connections can be compressed, by the zlib of its protocol. */
  compresses?: boolean
  /** Makes and drops partitions of its tables. */
  partitions?: boolean
  /** One process at a time can have it open. */
  exclusive?: boolean
}

/** What the composition root gives a connector. */
export interface ConnectionContext {
  /** The connection's name in job.yaml: errors name it. */
  name: string
  /** For files that the job names relative to itself. */
  baseDir: string
  /** What no message may show, and no file may keep. */
  secrets?: readonly string[]
  timeouts?: Timeouts
  /** The extracts that the job has of it, with the connector's own keys. */
  extracts?: { name: string; options: object }[]
  /** Has what goes over the network compressed, where the connector can. */
  compress?: true
  /** Bytes that one session of DuckDB may hold, where it needs them. */
  memory?: number
  /** What other jobs have staged; absent where nothing is read. */
  openJob?: OpenStagedJob
}

/** Milliseconds that a kind of waiting may take. */
export interface Timeouts {
  /** Until a source that was asked for rows sends something. */
  silence: number
  /** Until a load gets a lock. */
  lock: number
  /** Until a server has given a connection; its connector's own where absent. */
  connect?: number
}

export const DEFAULT_TIMEOUTS: Timeouts = { silence: 1_800_000, lock: 600_000 }

/** What a job does at a connection: tables that it reads, and that it loads. */
export interface Needs {
  reads: string[]
  loads: string[]
  /** Of those read, the ones whose changes come from the log, with the key that the job names and who reads it there. */
  follows: { table: string; key: string[]; reader: string }[]
}

/** One thing that a job needs: whether it is there, and the statement that gives it. */
export interface Diagnosis {
  ok: boolean
  /** Whether a job runs without it, too, and only slower. */
  optional?: true
  what: string
  fix?: string
}

/**
 * A connector, declared in one place. `config` parses a connection (`{ url, … }`; a plain string in job.yaml is
 * `{ url }`), `extract` and `load` the connector's own keys of an extract or a load.
 */
export interface Connector<Config extends z.ZodType = z.ZodType, Extract extends z.ZodObject = z.ZodObject> {
  name: string
  /** URL schemes that select it, without the colon. */
  schemes: string[]
  config: Config
  /** Keys an extract may have beside the common ones: `table`, `path`. */
  extract: Extract
  capabilities: Capabilities
  types: TypeRule[]
  /** The columns that an extract declares itself, where it does: name → type as {@link declaredTable} reads it. */
  declared?(options: z.output<Extract>): Record<string, string> | undefined
  /** Of a target: the type that a column gets in a table that a load makes, of no family. */
  targetType?(column: Column): string
  /**
   * Of a target: what loads of these tables lead to, the same however it is written, as far as that is known without asking
   * it: `postgres:host:5432/database`, `file:/folder`. One lies in another that it begins with, a `/` behind it.
   */
  place?(config: z.infer<Config>, context: ConnectionContext, tables: string[]): string
  /** Fails with CONFIG_INVALID where settings cannot work; asks no system. */
  check?(config: z.infer<Config>, context: ConnectionContext): void
  /** What people are to know of an extract's keys, though they are right. */
  advise?(extract: z.infer<Extract>): { message: string; hint: string } | undefined
  /** What a job lacks there, read only; absent where reaching it and describing its extracts says all. */
  diagnose?(
    config: z.infer<Config>,
    context: ConnectionContext,
    needs: Needs,
    signal: AbortSignal,
  ): Promise<Diagnosis[]>
  source?(config: z.infer<Config>, context: ConnectionContext): Source
  target?(config: z.infer<Config>, context: ConnectionContext): Target
}

/** Gives a declaration its types; the registry in `index.ts` lists what this returns. */
export function defineConnector<Config extends z.ZodType, Extract extends z.ZodObject>(
  connector: Connector<Config, Extract>,
): Connector<Config, Extract> {
  return connector
}
