import type { LoadSpec } from '../contracts/load.ts'
import type { ExtractSpec } from '../contracts/source.ts'
import type { Check, Model, Variables } from '../sql/model.ts'
import type { FilePlace } from '../sql/text.ts'
import type { Retries } from './retries.ts'

/** A job as the engine needs it: everything validated, nothing of files, YAML or vendors. */
export interface FlowSpec {
  job: string
  /** What SQL has by `getvariable`. */
  vars?: Variables
  extracts: ExtractSpec[]
  models: Model[]
  checks: Check[]
  /** Scripts of CREATE MACRO, run before the models. */
  macros: { file: string; sql: string }[]
  loads: LoadSpec[]
  /** Where keys of the job's settings stand: `load.orders`. */
  places?: Record<string, FilePlace>
  quality: { maxErrorRate: number }
  /** `memory` in bytes, for the whole process. */
  resources: { memory: number; threads: number }
  parallelism: { maxParallelExtracts: number; maxParallelLoads: number }
  /** Connection → how many a run opens there at one time. */
  connectionPools?: Record<string, ConnectionPool>
  retries: Retries
  /** Milliseconds that one attempt of a task may take. */
  timeout?: number
  chunking: Chunking
}

/** Connections to one system, the main thread's and those of lanes; `max` is at least {@link leastConnections}. */
export interface ConnectionPool {
  /** As far as there is work for them. */
  min?: number
  max?: number
}

export interface Chunking {
  /** Rows of one chunk, at the least and at the most: how many it is in between depends on how long the rows are. */
  defaultChunkSize: number
  maxChunkSize: number
  /** Bytes that the batches of all lanes together may take, where that is less than the memory allows. */
  memoryThreshold?: number
}
