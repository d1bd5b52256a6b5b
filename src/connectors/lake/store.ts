/** Milliseconds that files stay which no current version refers to: for readers under way, and to go back to. */
export const KEEP = 7 * 24 * 3600 * 1000

/**
 * Where a lake's files are: what a folder and an object store can both do. Paths are relative to the lake's root, with
 * `/`. A file is seen whole or not at all, and durable once a method has returned. Data and manifests have names that
 * are never used twice, so nothing but {@link put}'s hints is ever replaced.
 *
 * Fails with RESOURCE_EXHAUSTED where there is no space, PERMISSION_DENIED where something may not be done.
 */
export interface FileStore {
  /** The root as people and DuckDB's shell know it: a file's path follows after a `/`. */
  readonly where: string
  /** A small file's bytes; undefined where there is none. */
  get(path: string): Promise<Buffer | undefined>
  /** Writes a small file, replacing one that is there. */
  put(path: string, bytes: string): Promise<void>
  /** Writes a small file unless there is one: of several writers exactly one gets true. */
  putIfAbsent(path: string, bytes: string): Promise<boolean>
  /** Takes a finished file of the {@link work} folder over. */
  putFile(path: string, file: string): Promise<void>
  /** Absolute path on this machine of a file with the content; undefined where there is none. */
  local(path: string): Promise<string | undefined>
  delete(path: string): Promise<void>
  /** Every file below a folder. For collecting what nobody refers to, never to find data. */
  list(folder: string): Promise<{ path: string; modified: Date }[]>
  /** A new empty folder on this machine for a writer's work in progress; those that it left earlier are removed. */
  work(owner: string): Promise<string>
}
