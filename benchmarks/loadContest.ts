import type { StagedLoad } from '../engine/contracts/load.ts'

/** The same rows as Parquet parts and as ready-made files. */
export interface Ready {
  load: StagedLoad
  /** Parts, absolute. */
  paths: string[]
  rows: number
  /** Postgres' binary COPY, its CSV, and MariaDB's tab-separated lines. */
  binary: string
  csv: string
  tsv: string
}

/** Ways to load the same rows into one server. */
export interface Contest {
  server: string
  /** Each loads into a new table; gives the seconds. */
  ways: Record<string, () => Promise<number>>
  /** Ways that all are compared with. */
  references: string[]
  /** A way, the one it is compared with, and the greatest ratio. */
  bounds: [string, string, number][]
  close(): Promise<void>
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}
