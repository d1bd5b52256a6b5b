/** One Parquet file of a data set. */
export interface Part {
  /** Path below the staging root. */
  file: string
  rows: number
  bytes: number
  /** Of its bytes, CRC-32; absent in what an earlier version wrote. */
  checksum?: number
  /** Of a read whose lanes may reject rows: it has none that was, and no column that says why. */
  exact?: true
}

/** How parts are compressed that a target can keep as they lie. */
export interface ZstdFormat {
  /** 1 to 22. */
  level: number
}

/** A file below the staging root, with what is known of it. */
export type StagedFile = Pick<Part, 'file'> & Partial<Pick<Part, 'bytes' | 'checksum'>>

/** What says of which files something consists; `file` is its path below the staging root. */
export interface Manifest {
  file: string
  content: object
}

/**
 * Where committed data sets are. Below the staging root, on this machine, lies a copy that DuckDB and lanes read; other
 * machines may hold other runs' files. What is kept before a commit is found by whoever goes on after it.
 */
export interface Staging {
  /** Makes files below the root outlive this machine, where it can: those of a manifest or task before it is committed. */
  keep(files: string[]): Promise<void>
  /** Brings files below the root that are not there, or are not what they were. False where one is nowhere. */
  bring(files: StagedFile[]): Promise<boolean>
  /** A manifest's text; undefined where none was published. */
  read(file: string): Promise<string | undefined>
  /** Publishes manifests, whose parts are kept, in their order. Fails with FENCED where somebody who took the run over has. */
  publish(manifests: Manifest[]): Promise<void>
  /** Takes a manifest back; one that is not there is no failure. */
  withdraw(file: string): Promise<void>
}
