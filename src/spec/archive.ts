import type { StoreLocation } from '../stores/open.ts'

/** How archived parts are packed: Parquet's own codecs, or bzip2 around the whole file. */
export const CODECS = ['zstd', 'gzip', 'snappy', 'bzip2'] as const

/** Where a job's raw data goes after a good load, and how. */
export interface ArchiveSpec {
  location: StoreLocation
  compression: (typeof CODECS)[number]
  /** Of zstd, 1 to 22. */
  level?: number
  /** Milliseconds that a run stays; for ever where absent. */
  retention?: number
  /** Strings of the settings that no output may show. */
  secrets: string[]
}
