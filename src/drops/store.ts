import type { Readable } from 'node:stream'

/** One file of a drop as a listing shows it. */
export interface Entry {
  /** Below the drop, with slashes, as the store gives it: it may hold any character. */
  name: string
  /** Bytes. */
  size: number
  /** Milliseconds since 1970, as exact as the store keeps it. */
  mtime: number
  /** The store's own mark of the content, where it has one. */
  etag?: string
  /** Why it must not be read: it leads out of the drop. */
  refused?: string
  /** Of a link: the file of the drop that it leads to. */
  leadsTo?: string
  /** What it is, where it is passed over: a folder, whose name then ends with a slash, or no file. */
  passed?: string
}

/** What to do where a file or a folder is closed to the user who reads. */
export const MAY_READ =
  'Give this user the right to it (r of a file; r and x of a folder, w for after:), or name in files: what may be read.'

/** What is passed over under a name. */
export const PASSED = {
  folder: (name: string): Entry => ({
    ...NOTHING,
    name: `${name}/`,
    passed: `is a folder: files: ${JSON.stringify(`${name}/*`)} reads what is in it`,
  }),
  linkedFolder: (name: string): Entry => ({
    ...NOTHING,
    name: `${name}/`,
    passed: 'is a link to a folder, which is not followed: a connection with that folder reads it',
  }),
  brokenLink: (name: string): Entry => ({ ...NOTHING, name, passed: 'is a link that leads nowhere' }),
  other: (name: string): Entry => ({
    ...NOTHING,
    name,
    passed: 'is neither a file nor a folder, and passed over',
  }),
}

const NOTHING = { size: 0, mtime: 0 }

/**
 * Where a drop's files are: what local disk, SFTP and S3 have in common. Every failure is an EngineError that names
 * the connection and the file; retryable codes say that the same call may succeed later.
 */
export interface DropStore {
  /** The connection's name, for messages. */
  readonly name: string
  /** Ranges of one file worth asking for at a time: 1 where a single stream is as fast. */
  readonly parallel: number
  probe(signal?: AbortSignal): Promise<void>
  /**
   * Files in `folder` (below the drop; '' is the drop itself), and below it when `deep`; folders that are not looked into, as
   * such. Folders that are not there hold none.
   */
  list(folder: string, deep: boolean): AsyncIterable<Entry>
  /** A file as a listing would show it now; undefined where there is none. */
  stat(name: string): Promise<Entry | undefined>
  /** Bytes [from, to) of a file; of few, all at once. Fails with CONNECTION_LOST where it is no longer what the entry says. */
  read(entry: Entry, from: number, to: number): Promise<Readable | [Buffer]>
  /** Path of the file where it is on this machine. */
  path?(entry: Entry): string
  /**
   * Moves a file to a name that is free, making folders; nothing is there under the old name afterwards. Gives false where it
   * was seen to be no longer what the entry says: then it stays.
   */
  move(entry: Entry, to: string): Promise<boolean>
  /** Removes a file; one that is gone already is no failure. */
  remove(name: string): Promise<void>
  close(): Promise<void>
}

/** Whether a listed name leads out of the drop: absolute, or with a step upwards. */
export function leadsOut(name: string): boolean {
  return name.startsWith('/') || name.split(/[/\\]/).includes('..') || name.includes('\0')
}
