import { crc32 } from 'node:zlib'
import type { CommitResult, LoadCounts, SyncPoint } from '../../../engine/contracts/load.ts'
import { FORGOTTEN_AT_ONCE, KNOWN_DAYS } from '../../../engine/contracts/target.ts'
import { EngineError } from '../../../engine/errors.ts'
import { ownValue } from '../../../engine/ownValue.ts'
import { parquetType } from '../../../engine/types/duckType.ts'
import { type Column, typeName } from '../../../engine/types/logical.ts'
import type { FileStore } from '../../stores/store.ts'
import { CURRENT, commitPath, loadPath } from './layout.ts'

/** One data file as a manifest lists it; it is never changed. */
export interface DataFile {
  /** Below the table's folder. */
  path: string
  /** DuckDB's text of the partition columns' values, in the table's order. */
  partition: (string | null)[]
  rows: number
  bytes: number
  crc32: number
  /** DuckDB's text of the least and greatest value, per key column. */
  min: Record<string, string>
  max: Record<string, string>
}

/** What a table holds since one commit. */
export interface Manifest {
  format: 1
  table: string
  /** The commit that made it. */
  version: number
  at: string
  loadId: string
  job: string
  run: string
  /** Type in DuckDB's notation. */
  columns: { name: string; type: string }[]
  key: string[]
  partitionBy: string[]
  files: DataFile[]
}

/** The whole lake since one load: which manifest each table has, and how far each job has read. */
export interface Commit {
  format: 1
  version: number
  at: string
  loadId: string
  job: string
  run: string
  counts: LoadCounts[]
  tables: Record<string, ManifestRef>
  /** By job. */
  syncPoints: Record<string, SyncPoint[]>
  /** By table: what the last load of it left. Commits of earlier versions have none. */
  left?: Record<string, Left>
  /** Version of the oldest commit that may be there; 1 where absent. */
  oldest?: number
}

/** What a load left of a table. */
export interface Left {
  rows: number
  run: string
  /** The run's own time, ISO 8601. */
  runAt: string
}

export interface ManifestRef {
  path: string
  crc32: number
}

/** Rows and bytes of files together. */
export function sizeOf(files: DataFile[]): { rows: number; bytes: number } {
  return files.reduce((sum, file) => ({ rows: sum.rows + file.rows, bytes: sum.bytes + file.bytes }), {
    rows: 0,
    bytes: 0,
  })
}

/** A new manifest's text and what refers to it. */
export function encodeManifest(path: string, manifest: Manifest): { ref: ManifestRef; text: string } {
  const text = `${JSON.stringify(manifest, null, 1)}\n`
  return { text, ref: { path, crc32: crc32(text) } }
}

/** The columns of a manifest as the engine knows them. */
export function columnsOf(manifest: Pick<Manifest, 'table' | 'columns' | 'key'>): Column[] {
  return manifest.columns.map(({ name, type: text }) => {
    const type = parquetType(text)
    if (!type) throw new EngineError('STAGING_CORRUPT', `${manifest.table}.${name}: ${text} is no type`)
    return { name, type, nullable: !manifest.key.includes(name), native: typeName(type) }
  })
}

/** The commits of a lake. Each is one file, numbered; commit N+1 is made by whoever first puts a file of that name. */
export class Log {
  private readonly store: FileStore

  constructor(store: FileStore) {
    this.store = store
  }

  /** The newest commit; undefined in a lake that has none. */
  async newest(): Promise<Commit | undefined> {
    const hint = await this.hint()
    let newest = hint === undefined ? undefined : await this.commit(hint)
    for (;;) {
      const next = await this.read<Commit>(commitPath((newest?.version ?? 0) + 1))
      if (!next) return newest
      newest = next
    }
  }

  /** A commit that is known to have been made. */
  async commit(version: number): Promise<Commit> {
    const commit = await this.read<Commit>(commitPath(version))
    if (commit) return commit
    throw new EngineError('STAGING_CORRUPT', `${this.store.where}/${commitPath(version)} is missing`, {
      hint: 'Restore it from a backup: without it nobody knows what the lake holds.',
    })
  }

  /** The manifest of a table; undefined where the commit knows none. */
  async manifest(commit: Commit | undefined, table: string): Promise<Manifest | undefined> {
    const ref = ownValue(commit?.tables, table)
    return ref && this.manifestOf(ref)
  }

  async manifestOf({ path, crc32: expected }: ManifestRef): Promise<Manifest> {
    const bytes = await this.store.get(path)
    if (!bytes)
      throw new EngineError('STAGING_CORRUPT', `${this.store.where}/${path} is missing`, {
        hint: 'It went with its files when they were older than the time that old versions are kept, or was deleted: take a newer version, or restore it.',
      })
    if (crc32(bytes) !== expected)
      throw new EngineError('STAGING_CORRUPT', `${this.store.where}/${path} is not what was written`, {
        hint: 'Restore it from a backup.',
      })
    return known(JSON.parse(bytes.toString('utf8')) as Manifest, `${this.store.where}/${path}`)
  }

  /** The result under a load id, of the commits up to `newest`. */
  async result(loadId: string, newest: Commit | undefined): Promise<CommitResult | undefined> {
    if (!newest) return undefined
    const first = await this.read<{ from: number }>(loadPath(loadId))
    const from = first ? Math.max(first.from, newest.oldest ?? 1) : Infinity
    for (let version = from; version <= newest.version; version++) {
      const { loadId: found, counts } = await this.commit(version)
      if (found === loadId) return { counts, repeated: true }
    }
    return undefined
  }

  /**
   * Makes the next commit; false where another writer was first. The load id is noted before, with the lowest version
   * it can get: a repeat looks from there on.
   */
  async append(commit: Commit): Promise<boolean> {
    await this.store.putIfAbsent(loadPath(commit.loadId), JSON.stringify({ from: commit.version }))
    return this.store.putIfAbsent(commitPath(commit.version), `${JSON.stringify(commit, null, 1)}\n`)
  }

  /**
   * Removes the oldest commits, with what tells where to look for their loads: those that another has followed for {@link KNOWN_DAYS}.
   * What the hint names stays, since whoever looks for the newest begins there. Gives the version of the oldest that is left.
   */
  async forget(newest: Commit, now: Date): Promise<number> {
    const before = now.getTime() - KNOWN_DAYS * 24 * 3600 * 1000
    const hint = (await this.hint()) ?? 1
    let oldest = newest.oldest ?? 1
    const most = Math.min(hint, oldest + FORGOTTEN_AT_ONCE)
    if (oldest >= most) return oldest
    for (let commit = await this.read<Commit>(commitPath(oldest)); oldest < most; oldest++) {
      const next = await this.read<Commit>(commitPath(oldest + 1))
      // One that is missing was removed by another, and so is what came before it to be.
      if (next && Date.parse(next.at) >= before) break
      if (commit) await this.store.delete(loadPath(commit.loadId))
      await this.store.delete(commitPath(oldest))
      commit = next
    }
    return oldest
  }

  /** The commit that the hint names: a writer has finished its work after it. */
  async hint(): Promise<number | undefined> {
    return (await this.read<{ version: number }>(CURRENT))?.version
  }

  /** Moves the hint. */
  async point(version: number): Promise<void> {
    await this.store.put(CURRENT, JSON.stringify({ version }))
  }

  private async read<T>(path: string): Promise<T | undefined> {
    const bytes = await this.store.get(path)
    if (!bytes) return undefined
    const where = `${this.store.where}/${path}`
    try {
      return known(JSON.parse(bytes.toString('utf8')) as T, where)
    } catch (cause) {
      if (cause instanceof EngineError) throw cause
      throw new EngineError('STAGING_CORRUPT', `${where} is not what was written: ${String(cause)}`, {
        cause,
        hint: 'Restore it from a backup.',
      })
    }
  }
}

function known<T>(content: T, where: string): T {
  const { format } = content as { format?: number }
  if (format === undefined || format === 1) return content
  throw new EngineError(
    'STAGING_CORRUPT',
    `${where}: has format ${format}, and this version knows format 1`,
    {
      hint: 'A newer Nightfreight wrote it: update this one.',
    },
  )
}
