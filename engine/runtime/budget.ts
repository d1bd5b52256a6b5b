/** How one byte budget is shared out. All in bytes. */
export interface Budget {
  /** DuckDB's buffer manager; beyond it, it spills to disk. */
  sql: number
  /** One batch under construction in one lane; encoding it to Parquet takes about three times that again. */
  batch: number
  /** A DuckDB of its own that a lane reads files with; and one lane at a time, for what takes more. */
  share: number
  most: number
}

/** What Node and one idle worker thread with its Parquet encoder take. */
const BASE = 120 << 20
const PER_THREAD = 40 << 20
/** A batch under construction, and its encoding. */
const BATCH_COST = 4
const LEAST_BATCH = 64 << 10
/** What is left for the data at the least. */
const LEAST_FREE = 64 << 20

/** Below this, a run with one thread has nothing left for its data. */
export const LEAST_MEMORY = BASE + PER_THREAD + LEAST_FREE

/**
 * Shares `memory` between DuckDB and the lanes. Extraction and SQL never run at the same time, so each may have
 * most of what the process itself leaves; native allocations outside DuckDB's buffer manager get a tenth. `threshold`:
 * what the batches of all lanes may take together.
 */
export function shareMemory(memory: number, lanes: number, threshold = Infinity): Budget {
  const free = Math.max(LEAST_FREE, memory - BASE - lanes * PER_THREAD)
  const batch = Math.max(1 << 20, Math.min(32 << 20, Math.floor(free / lanes / 5)))
  return {
    sql: Math.floor(free * 0.6),
    share: Math.floor((free / lanes) * 0.5),
    most: Math.floor(Math.max(free * 0.6, memory * 0.5)),
    batch: Math.max(LEAST_BATCH, Math.min(batch, Math.floor(threshold / lanes / BATCH_COST))),
  }
}
