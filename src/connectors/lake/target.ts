import { existsSync } from 'node:fs'
import { rm, stat, statfs } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import type {
  CommitResult,
  LoadCommit,
  LoadCounts,
  PlannedLoad,
  StagedLoad,
  StageRequest,
  SyncPoint,
} from '../../../engine/contracts/load.ts'
import type { TableSchema } from '../../../engine/contracts/source.ts'
import type { ZstdFormat } from '../../../engine/contracts/staging.ts'
import type { TableChanges, TableStanding, Target } from '../../../engine/contracts/target.ts'
import { EngineError } from '../../../engine/errors.ts'
import { ownValue } from '../../../engine/ownValue.ts'
import { refuseMoved } from '../../../engine/plan/commitOwner.ts'
import { Duck } from '../../../engine/sql/duckdb.ts'
import type { FileStore } from '../../stores/store.ts'
import { changesOf } from '../sql/obstacles.ts'
import { intact } from './intact.ts'
import { manifestPath, manifestVersion } from './layout.ts'
import { type Commit, columnsOf, encodeManifest, Log, type ManifestRef, sizeOf } from './log.ts'
import { withMemory } from './memory.ts'
import { publish } from './publish.ts'
import { type Rewritten, rewrite, type Staged } from './rewrite.ts'
import { fittingOf, tableColumns } from './schema.ts'
import { collect } from './vacuum.ts'
import { LakeVerifier } from './verifier.ts'
import type { FileFormat } from './write.ts'

/** More threads would need more memory each. */
const THREADS = 4
/** Of zstd in files that lanes write, where none is asked for: with their dictionaries a higher one gains little. */
const KEPT_LEVEL = 1
/** How often another writer may be first. */
const TRIES = 10

/** A table's part of a commit under way, and the manifest that it was made from. */
interface Prepared {
  base: ManifestRef | undefined
  rewritten: Rewritten
}

/** A commit under way. */
interface Attempt {
  commit: LoadCommit
  /** What it goes on from. */
  newest: Commit | undefined
  now: Date
  /** By table. */
  prepared: Map<string, Prepared>
  /** Paths of the files that were written for it. */
  made: string[]
}

/** Less space than this is none: DuckDB's own error does not tell. */
const NO_SPACE = 16 * 1024 * 1024

/** A lake as warehouse. Staged files are read where they lie; a commit writes data files, then makes one commit file. */
export class LakeTarget implements Target {
  readonly verifier: LakeVerifier
  readonly keepsEqual = true
  readonly keepsParts: ZstdFormat | undefined
  private readonly store: FileStore
  private readonly name: string
  private readonly format: FileFormat
  private readonly memory: number
  private readonly log: Log
  private readonly staged = new Map<string, Staged>()
  /** What the commit under way is about to publish, by table. */
  private publishing: Map<string, Prepared> | undefined

  constructor(store: FileStore, name: string, format: FileFormat, memory = 0) {
    this.store = store
    this.name = name
    this.format = format
    this.memory = memory
    this.log = new Log(store)
    const { compression, level = KEPT_LEVEL } = format
    if (compression === 'zstd') this.keepsParts = { level }
    this.verifier = new LakeVerifier(store, name, memory, {
      held: async table => {
        const content = this.publishing?.get(table)?.rewritten.content
        return content ? { ...content, table } : this.log.manifest(await this.log.newest(), table)
      },
      staged: (loadId, load) => this.staged.get(stagingKey(loadId, load)),
    })
  }

  async probe(): Promise<void> {
    await this.log.newest()
    await rm(await this.store.work(`probe of ${this.name}`), { recursive: true })
  }

  async describe(table: string): Promise<TableSchema | undefined> {
    const { manifest } = await intact(this.store, this.log, await this.log.newest(), table)
    return manifest && { columns: columnsOf(manifest), key: manifest.key, ...sizeOf(manifest.files) }
  }

  /** Only commits change a table; what can be done to it by hand is to take its files away, or change them. */
  async standing(table: string): Promise<TableStanding> {
    const newest = await this.log.newest()
    const left = ownValue(newest?.left, table)
    const { manifest } = await intact(this.store, this.log, newest, table)
    return {
      now: manifest && { identity: '', rows: sizeOf(manifest.files).rows },
      left: left && { identity: '', ...left },
      guarded: true,
    }
  }

  async tableChanges(load: PlannedLoad): Promise<TableChanges> {
    const { manifest } = await intact(this.store, this.log, await this.log.newest(), load.table)
    if (!manifest) return { statements: [] }
    return changesOf(load, `${this.name}.${load.table}`, one => fittingOf(one, manifest))
  }

  async syncPoints(job: string): Promise<SyncPoint[]> {
    return ownValue((await this.log.newest())?.syncPoints, job) ?? []
  }

  async committed(loadId: string): Promise<CommitResult | undefined> {
    const newest = await this.log.newest()
    const result = await this.log.result(loadId, newest)
    if (result) await this.publish(newest!)
    return result
  }

  async stage({ loadId, load, paths, keyPaths, rows, progress }: StageRequest): Promise<void> {
    const { manifest } = await intact(this.store, this.log, await this.log.newest(), load.table)
    tableColumns(load, manifest, `${this.name}.${load.table}`)
    let bytes = 0
    for (const path of [...paths, ...keyPaths])
      try {
        bytes += (await stat(path)).size
      } catch (cause) {
        throw new EngineError('STAGING_CORRUPT', `${path} is missing`, { cause })
      }
    // Parts are read by the commit: DuckDB reads Parquet as fast as a table of its own.
    this.staged.set(stagingKey(loadId, load), { load, paths, keyPaths, rowBytes: bytes / Math.max(1, rows) })
    progress(rows)
  }

  async commit(
    commit: LoadCommit,
    signal: AbortSignal,
    check?: (counts: LoadCounts[]) => Promise<void>,
  ): Promise<CommitResult> {
    const prepared = new Map<string, Prepared>()
    const made: string[] = []
    // Until the commit file is asked for, nobody can refer to what was written.
    let asked = false
    try {
      for (let attempt = 0; attempt < TRIES; attempt++) {
        // The state first, then whether it holds the load: what is committed after it makes our own commit fail.
        const newest = await this.log.newest()
        const earlier = await this.log.result(commit.loadId, newest)
        if (earlier) {
          await this.publish(newest!)
          return earlier
        }
        refuseMoved(ownValue(newest?.syncPoints, commit.job) ?? [], commit, this.name)
        asked = false
        const under = { commit, newest, now: new Date(), prepared, made }
        await withMemory(this.memory, memory => this.prepare(under, memory, signal))
        this.publishing = prepared
        await check?.(countsOf(under))
        const next = await this.next(under)
        asked = true
        if (!(await this.log.append(next))) continue
        // It is done, whatever happens now; all of this is made good by the next commit.
        await this.afterwards(next, commit).catch(() => {})
        return { counts: next.counts, repeated: false }
      }
      throw new EngineError('RUN_CONFLICT', `${this.name}: other loads were first, ${TRIES} times`, {
        hint: 'Run it again.',
      })
    } catch (error) {
      if (!asked) await Promise.allSettled(made.map(path => this.store.delete(path)))
      throw error
    } finally {
      this.publishing = undefined
    }
  }

  async abandon(loadId: string): Promise<void> {
    for (const [key, { load }] of this.staged) if (key === stagingKey(loadId, load)) this.staged.delete(key)
  }

  async close(): Promise<void> {
    this.staged.clear()
    await this.store.clear()
  }

  /** Writes the files of every table whose manifest is not the one that they were written for. */
  private async prepare(attempt: Attempt, memory: number, signal: AbortSignal): Promise<void> {
    const { newest, now, prepared, made } = attempt
    const { loadId, job, loads, runAt } = attempt.commit
    const refOf = ({ table }: StagedLoad) => ownValue(newest?.tables, table)
    const missing = loads.filter(load => {
      const done = prepared.get(load.table)
      return !done || done.base?.path !== refOf(load)?.path
    })
    if (missing.length === 0) return
    const work = await this.store.work(job)
    let duck: Duck | undefined
    let release = () => {}
    try {
      const threads = Math.min(THREADS, availableParallelism())
      duck = await Duck.open({ memory, temp: work, threads })
      release = duck.interruptOn(signal)
      for (const load of missing) {
        signal.throwIfAborted()
        const staged = this.staged.get(stagingKey(loadId, load))
        if (!staged)
          throw new EngineError('STAGING_CORRUPT', `${this.name}.${load.table}: ${loadId} is not staged`)
        const base = refOf(load)
        const { manifest, lost } = load.whole
          ? await intact(this.store, this.log, newest, load.table)
          : { manifest: await this.log.manifest(newest, load.table), lost: false }
        const { store, format, name } = this
        const rewritten = await rewrite(
          { duck, store, format, name, work, now, runAt, made, signal, lost },
          { ...staged, load },
          manifest,
        )
        prepared.set(load.table, { base, rewritten })
      }
    } catch (error) {
      if (signal.aborted) throw new EngineError('INTERRUPTED', `${this.name}: interrupted`, { cause: error })
      // A later attempt of the same job takes the folder away.
      const space = await statfs(work).catch(() => undefined)
      if (
        error instanceof EngineError &&
        error.code === 'SQL_FAILED' &&
        space &&
        space.bavail * space.bsize < NO_SPACE
      )
        throw new EngineError('RESOURCE_EXHAUSTED', `${this.name}: no space left in ${work}`, {
          cause: error,
          hint: 'Free some space; the same command goes on where it stopped.',
        })
      throw error
    } finally {
      release()
      duck?.close()
      await this.store.clear()
      if (existsSync(work)) await rm(work, { recursive: true, force: true })
    }
  }

  /** The commit that would be the next one, its manifests written. */
  private async next({ commit, newest, now, prepared, made }: Attempt): Promise<Commit> {
    const { loadId, job, run, runAt, loads, syncPoints } = commit
    const version = (newest?.version ?? 0) + 1
    const origin = { format: 1, version, at: now.toISOString(), loadId, job, run } as const
    const tables = { ...newest?.tables }
    const left = { ...newest?.left }
    for (const { table } of loads) {
      const { content } = prepared.get(table)!.rewritten
      const last = ownValue(left, table)
      const at = runAt.toISOString()
      const rows = content
        ? sizeOf(content.files).rows
        : (last?.rows ?? sizeOf((await this.log.manifest(newest, table))!.files).rows)
      left[table] = { rows, run, runAt: last && last.runAt > at ? last.runAt : at }
      if (!content) continue
      const path = manifestPath(table, version)
      const { ref, text } = encodeManifest(path, { ...origin, table, ...content })
      made.push(path)
      await this.store.put(path, text)
      tables[table] = ref
    }
    const counts = countsOf({ commit, prepared }).map(each => ({ ...each, rows: left[each.table]!.rows }))
    const others = (ownValue(newest?.syncPoints, job) ?? []).filter(
      ({ extract }) => !syncPoints.some(point => point.extract === extract),
    )
    const points = { ...newest?.syncPoints, [job]: [...others, ...syncPoints] }
    // What cannot be removed now is by a later commit.
    const oldest = newest && (await this.log.forget(newest, now).catch(() => newest.oldest))
    return { ...origin, counts, tables, left, syncPoints: points, ...(oldest !== undefined && { oldest }) }
  }

  /** Shows each table as a commit has it: also those of others, who may have died between their commit and this. */
  private async publish({ version, tables }: Commit, loaded: string[] = []): Promise<void> {
    const done = (await this.log.hint()) ?? 0
    if (done >= version) return
    for (const [table, { path }] of Object.entries(tables))
      if (manifestVersion(path) > done || loaded.includes(table)) await publish(this.store, this.log, table)
    await this.log.point(version)
  }

  private async afterwards(commit: Commit, { loadId, loads }: LoadCommit): Promise<void> {
    await this.abandon(loadId)
    const loaded = loads.map(({ table }) => table)
    await this.publish(commit, loaded)
    await collect(this.store, loaded, new Date(commit.at))
  }
}

const countsOf = ({ commit, prepared }: Pick<Attempt, 'commit' | 'prepared'>): LoadCounts[] =>
  commit.loads.map(({ table }) => {
    const { base, rewritten } = prepared.get(table)!
    return base ? rewritten.counts : { ...rewritten.counts, created: true }
  })

const stagingKey = (loadId: string, { table }: PlannedLoad) => JSON.stringify([loadId, table])
