import { REJECTED } from '../../../engine/batch/builder.ts'
import type {
  ExtractSpec,
  Range,
  Read,
  Snapshot,
  Source,
  TableSchema,
} from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { didYouMean } from '../../../engine/nearest.ts'
import { moduleBeside } from '../../../engine/pool/entry.ts'
import { columnNamed, typeName } from '../../../engine/types/logical.ts'
import { openStore, type StoreLocation } from '../../stores/open.ts'
import type { FileStore } from '../../stores/store.ts'
import { type Commit, columnsOf, type DataFile, Log, type Manifest } from './log.ts'

/** An extract's keys as `index.ts` parsed them. */
export interface LakeExtract {
  table: string
  /** Number of the lake's commit to read; the newest without. */
  version?: number
  /** Reads the newest commit of this time or before. */
  as_of?: string
}

/** Files that are read one after the other; each whole. */
export interface LakeRange {
  table: string
  columns: { name: string; type: string }[]
  files: DataFile[]
}

/** What is left of a range travels with every chunk. */
const FILES_PER_RANGE = 64

/** A lake as source. */
export class LakeSource implements Source {
  private readonly store: FileStore
  private readonly location: StoreLocation
  private readonly name: string
  private readonly log: Log

  constructor(location: StoreLocation, name: string) {
    this.store = openStore(location)
    this.location = location
    this.name = name
    this.log = new Log(this.store)
  }

  async probe(): Promise<void> {
    await this.newest()
  }

  async describe({ options }: ExtractSpec): Promise<TableSchema> {
    const extract = options as LakeExtract
    const manifest = await this.manifest(extract, await this.newest())
    const rows = manifest.files.reduce((sum, file) => sum + file.rows, 0)
    const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
    return { columns: columnsOf(manifest), key: manifest.key, rows, bytes }
  }

  async open(lanes: number): Promise<Snapshot> {
    const newest = await this.newest()
    return {
      lanes,
      lane: {
        module: moduleBeside(import.meta.url, 'lane'),
        payload: this.location,
      },
      // Files are never changed.
      rejoinable: true,
      joined: async () => {},
      ranges: async read => rangesOf(read, await this.manifest(read.options as LakeExtract, newest)),
      split: async (_read, range) => split(range.payload as LakeRange),
      check: async () => {},
      close: async () => {},
    }
  }

  async close(): Promise<void> {}

  private async newest(): Promise<Commit> {
    await this.store.probe()
    const newest = await this.log.newest()
    if (newest) return newest
    throw new EngineError('TABLE_MISSING', `${this.name}: nothing was ever loaded into ${this.store.where}`, {
      hint: 'Check the path, or run the job that loads it first.',
    })
  }

  private async manifest({ table, version, as_of }: LakeExtract, newest: Commit): Promise<Manifest> {
    let commit = newest
    const oldest = newest.oldest ?? 1
    if (version !== undefined) {
      if (version > newest.version)
        throw new EngineError(
          'CONFIG_INVALID',
          `${this.name}.${table}: there is no version ${version}, the newest is ${newest.version}`,
        )
      if (version < oldest)
        throw new EngineError(
          'CONFIG_INVALID',
          `${this.name}.${table}: version ${version} is kept no more, the oldest is ${oldest}`,
        )
      commit = await this.log.commit(version)
    }
    if (as_of !== undefined)
      while (Date.parse(commit.at) > Date.parse(as_of)) {
        if (commit.version <= oldest)
          throw new EngineError(
            'CONFIG_INVALID',
            oldest > 1
              ? `${this.name}.${table}: what was loaded before ${as_of} is kept no more: the oldest commit is of ${commit.at}`
              : `${this.name}.${table}: nothing was loaded before ${as_of}: the first commit is of ${commit.at}`,
          )
        commit = await this.log.commit(commit.version - 1)
      }
    const manifest = await this.log.manifest(commit, table)
    if (manifest) return manifest
    const names = Object.keys(commit.tables)
    throw new EngineError(
      'TABLE_MISSING',
      `${this.name}: has no table ${table} in version ${commit.version}${didYouMean(table, names)}`,
      {
        hint: `Its tables: ${names.join(', ').slice(0, 400)}.`,
      },
    )
  }
}

function rangesOf(read: Read, manifest: Manifest): Range[] {
  const columns = columnsOf(manifest)
  for (const { name, type, policy } of read.columns) {
    if (name === REJECTED || policy === 'text') continue
    const there = columnNamed(columns, name)
    if (!there || typeName(there.type) !== typeName(type))
      throw new EngineError(
        'SCHEMA_DRIFT',
        `${read.where}.${name}: is ${there ? typeName(there.type) : 'gone'}, and was ${typeName(type)} when this run began`,
        { hint: 'Another load changed the table meanwhile: run it again.' },
      )
  }
  const { table, columns: typed, files } = manifest
  return Array.from({ length: Math.ceil(files.length / FILES_PER_RANGE) }, (_, index) =>
    rangeOf({
      table,
      columns: typed,
      files: files.slice(index * FILES_PER_RANGE, (index + 1) * FILES_PER_RANGE),
    }),
  )
}

function split(range: LakeRange): [Range, Range] | undefined {
  const half = range.files.length >> 1
  if (half === 0) return undefined
  return [
    rangeOf({ ...range, files: range.files.slice(0, half) }),
    rangeOf({ ...range, files: range.files.slice(half) }),
  ]
}

/** Some files of a table as a range. */
export function rangeOf(payload: LakeRange): Range {
  const { table, files } = payload
  const rows = files.reduce((sum, file) => sum + file.rows, 0)
  return { label: `${table} ${files[0]!.path} and ${files.length - 1} more`, rows, payload }
}
