import type { Enrichment } from '../../engine/contracts/enrichment.ts'
import type { LoadSpec } from '../../engine/contracts/load.ts'
import type { ExtractSpec } from '../../engine/contracts/source.ts'
import type { Retries } from '../../engine/runtime/retries.ts'
import type { Chunking, ConnectionPool } from '../../engine/runtime/spec.ts'
import type { Fault } from '../../engine/sql/faults.ts'
import type { Buckets, Limits, Materialised } from '../../engine/sql/model.ts'
import type { FilePlace, Place } from '../../engine/sql/text.ts'
import type { ConnectionContext, Connector } from '../connectors/declare/define.ts'
import type { Packing } from '../stores/packing.ts'
import type { AirflowSpec } from './airflow.ts'
import type { AlertSpec } from './alerts.ts'
import type { ArchiveSpec } from './archive.ts'
import type { NetworkCodec } from './network.ts'
import type { ReportSpec } from './report.ts'

/** One connection of a job, its settings parsed by its connector. */
export interface JobConnection {
  name: string
  connector: Connector
  /** What the connector's `config` schema made of the settings. May hold secrets: never print it. */
  config: unknown
  context: ConnectionContext
  /** Strings of the settings that no output may show. */
  secrets: string[]
}

/** One SQL file; `file` is relative to the job's folder, with forward slashes, for messages. */
export interface SqlFile {
  file: string
  sql: string
}

export interface Model extends SqlFile {
  name: string
  /** What the comments before its query say. */
  header?: ModelHeader
  /** Whether its rows are kept, or computed wherever its name stands; absent: as it is read. */
  materialised?: Materialised
  /** How it is made bucket by bucket. */
  buckets?: Buckets
  /** Whether it is a file of `seeds/`: its query holds the values. */
  seed?: true
  /** The file of a function that its header names. */
  function?: { file: string; place: Place }
  /** Of a table of job.yaml's `enrich`, and of one with a function. */
  enrich?: Enrichment
  /** Its function is not valid: not all of its columns are known. */
  partial?: true
}

/** What SQL cannot say of a model. */
export interface ModelHeader {
  description?: string
  owner?: string
  tags: string[]
  columns: { name: string; text: string; place: Place }[]
  /** What is not understood of it, and changes nothing. */
  warnings: Fault[]
}

/** A set check, or a row check where it names the model whose rows it judges. */
export interface Check extends SqlFile {
  name: string
  model?: string
  /** Of one that job.yaml declares: the columns that it names. */
  columns?: { table: string; column: string }[]
  limits?: Limits
  /** It says how many rows a night has, or how new they are: nothing of a test's few. */
  ofNight?: true
}

/** When a job runs: at the times of `cron`, after `after` succeeded, when `files` arrive, as logs change; at least one is there. */
export interface Schedule {
  cron?: string
  /** IANA name. */
  timezone: string
  /** Nothing is planned before. */
  start?: Date
  catchup: boolean
  maxActiveRuns: number
  dependsOnPast: boolean
  /** Jobs whose data of the interval must have been loaded; without `cron` or `files`, their intervals are this job's. */
  after?: string[]
  /** Files of a local connection. */
  files?: FileTrigger
  /** A run begins as soon as the job's logs have changes for it. */
  follow?: Follow
  /** Higher goes first; 0 where absent. */
  priority?: number
}

/** How the logs of a job with `mode: changes` are followed. */
export interface Follow {
  /** Milliseconds from one run to the next; sooner where so many changes wait. */
  every: number
  rows: number
}

export interface FileTrigger {
  /** Name of the connection. */
  from: string
  /** Absolute. */
  folder: string
  /** Glob below the folder. */
  match: string
}

export interface Sla {
  /** Milliseconds from the run's start to its end. */
  maxDuration?: number
  /** Milliseconds between the newest row of the stalest extract and the run. */
  maxDataLag?: number
  /** 0 to 1. */
  maxErrorRate?: number
  /** 0 to 1. */
  minQualityScore?: number
}

/** A job's folder, read, checked, and trusted from here on. */
export interface JobSpec {
  job: string
  /** Absolute path. */
  folder: string
  /** Name of the one of `environments` whose targets its loads go to; absent of production. */
  environment?: string
  /** What SQL has by `getvariable`. */
  vars: Record<string, string | number | boolean>
  schedule?: Schedule
  connections: Record<string, JobConnection>
  extracts: ExtractSpec[]
  /** Names of those that a glob stands for: the source's catalogue says which they are. */
  listed: string[]
  /** What extracts and loads of many tables say, whatever these are: the connection, and the pool that bounds how many run at once. */
  globs: { extracts: { from: string; pool?: string }[]; loads: { to: string }[] }
  /** Extract name → name of the pool that bounds how many run at once. */
  pools: Record<string, string>
  models: Model[]
  checks: Check[]
  macros: SqlFile[]
  loads: LoadSpec[]
  /** Share of bad rows, 0 to 1, above which the run stops. */
  quality: { maxErrorRate: number }
  sla?: Sla
  alerts?: AlertSpec
  archive?: ArchiveSpec
  report?: ReportSpec
  airflow: AirflowSpec
  /** Strings that no output may show. */
  secrets: string[]
  /** Bytes; `tempDisk` must be free before a run begins. */
  resources: { memory: number; tempDisk?: number; threads: number }
  /** Of transforms: threads that SQL is worked on by. */
  parallelism: { maxParallelExtracts: number; maxParallelTransforms: number; maxParallelLoads: number }
  /** How files are packed that are staged in a bucket; as STAGING_URL says where absent. */
  stagingCodec?: Packing['codec']
  /** How connections are compressed, where their system can. */
  networkCodec?: NetworkCodec
  connectionPools: Record<string, ConnectionPool>
  /** Of a task. Milliseconds. */
  retries: Retries
  /** Milliseconds that one attempt of a task may take. */
  timeout?: number
  /** Whether a run that failed transiently is resumed by itself; how often, and after how many milliseconds. */
  recovery: { auto: boolean; limit: number; delay: number }
  /** Rows. */
  chunking: Chunking
  /** Where keys of job.yaml stand: `load.orders`. */
  places: Record<string, FilePlace>
  /** SHA-256 (hex) over job.yaml's text, what references in it gave that decides rows, and every SQL file: it changes when any of them does. */
  hash: string
  /** SHA-256 (hex) of each of them; of what references gave by path: `vars.region`. */
  files: Record<string, string>
  /** Files of SQL that nobody reads, by their names. */
  passedOver?: Fault[]
}
