/** Milliseconds after which work in progress counts as left behind by whoever was killed. */
export const ABANDONED = 7 * 24 * 3600 * 1000

/** A file as a listing shows it. */
export interface Listed {
  path: string
  /** Bytes. */
  size: number
  modified: Date
}

/**
 * Where files are kept that outlive a run: what a folder and an object store can both do. Paths are relative to the
 * store's root, with `/`. A file is seen whole or not at all, and durable once a method has returned.
 *
 * Fails with RESOURCE_EXHAUSTED where there is no space, PERMISSION_DENIED where something may not be done, and with a
 * retryable code where the same call may succeed later.
 */
export interface FileStore {
  /** The root as people and DuckDB's shell know it: a file's path follows after a `/`. */
  readonly where: string
  /** Checks that the root is there and authenticates us. */
  probe(): Promise<void>
  /** A small file's bytes; undefined where there is none. */
  get(path: string): Promise<Buffer | undefined>
  /** Writes a small file, replacing one that is there. */
  put(path: string, bytes: string): Promise<void>
  /** Writes a small file unless there is one: of several writers exactly one gets true. */
  putIfAbsent(path: string, bytes: string): Promise<boolean>
  /** Takes a finished file of this machine over: it may be gone from its old place afterwards. */
  putFile(path: string, file: string): Promise<void>
  /** Gives a file another name; one that is not there is no failure. Of a file of the new name nothing is left. */
  move(from: string, to: string): Promise<void>
  /**
   * Absolute path on this machine of a file with the content, until {@link clear}, whoever moves or deletes the file
   * meanwhile; undefined where there is none.
   */
  local(path: string): Promise<string | undefined>
  /** Removes the copies that {@link local} made. */
  clear(): Promise<void>
  /** Removes a file; one that is not there is no failure. */
  delete(path: string): Promise<void>
  /** Every file below a folder. For collecting what nobody refers to, never to find data. */
  list(folder: string): Promise<Listed[]>
  /** Removes what writers below a folder left unfinished before a time, since they were killed. */
  sweep(folder: string, before: Date): Promise<void>
  /** A new empty folder on this machine for a writer's work in progress; those that it left earlier are removed. */
  work(owner: string): Promise<string>
}
