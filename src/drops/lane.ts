import { appendFileSync, createWriteStream, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { REJECTED } from '../../engine/batch/builder.ts'
import type { Lane, Range, Read, Sink } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { abortable } from '../../engine/pool/abortable.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { arrowParquet } from '../formats/arrow.ts'
import { BadFile } from '../formats/bad.ts'
import { compressionOf, unpack } from '../formats/compression.ts'
import { parquetTexts } from '../formats/parquet.ts'
import { RowReader } from '../formats/rowReader.ts'
import { openText, type TextFormat } from '../formats/textFile.ts'
import { zipMembers } from '../formats/zip.ts'
import type { Taken } from './cursor.ts'
import type { DropOptions } from './options.ts'
import { prefetched } from './ranged.ts'
import { shown } from './select.ts'
import type { DropStore } from './store.ts'

/** DuckDB's CSV reader and Parquet writer with one thread; the reader alone takes some buffers of 32 MiB. */
const MEMORY = 256 * 1024 * 1024

/** Files that a lane reads one after another. */
export interface FileChunk {
  files: Taken[]
}

/** What a lane of a drop needs beside its store: a folder of the snapshot for what is on its way. */
export interface DropLaneDescriptor<Access> {
  access: Access
  spool: string
}

/** The `openLane` of a connector whose files a store gives. */
export function dropLane<Access>(openStore: (access: Access) => DropStore) {
  return async (payload: unknown): Promise<Lane> => {
    const { access, spool } = payload as DropLaneDescriptor<Access>
    const store = openStore(access)
    const folder = join(spool, `lane-${crypto.randomUUID()}`)
    mkdirSync(folder, { recursive: true })
    const duck = await Duck.open({ threads: 1, memory: MEMORY })
    return {
      read: (read, range, _limit, sink, signal) =>
        abortable(
          signal,
          read.where,
          () => readFiles({ store, duck, folder, spool }, read, range, sink),
          () => {
            duck.interrupt()
            void store.close()
          },
        ),
      close: async () => {
        duck.close()
        await store.close()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  }
}

/** What reading a file takes. */
export interface Means {
  store: DropStore
  duck: Duck
  /** For what is on its way. */
  folder: string
  spool: string
}

async function readFiles(means: Means, read: Read, range: Range, sink: Sink): Promise<undefined> {
  const options = read.options as DropOptions
  const { files } = range.payload as FileChunk
  const reader = new RowReader(means.duck, means.store.name, read.columns, means.folder, sink)
  for await (const { file, bytes } of prefetched(means.store, files)) {
    try {
      if (file.bad !== undefined) throw new BadFile('PERMISSION_DENIED', file.bad)
      await reader.file(shown(file.name), async () => {
        await readFile(means, read, options, file, bytes, reader)
        await unchanged(means.store, file)
      })
    } catch (error) {
      if (!(error instanceof BadFile) || options.on_bad_file === 'fail') throw error
      reader.reject(shown(file.name), error.message)
      appendFileSync(join(means.spool, 'bad'), `${JSON.stringify([file.name, error.message])}\n`)
    }
  }
  await reader.end()
}

async function readFile(
  means: Means,
  read: Read,
  options: DropOptions,
  file: Taken,
  bytes: () => AsyncGenerator<Buffer>,
  reader: RowReader,
): Promise<void> {
  const columns = read.columns.filter(({ name }) => name !== REJECTED)
  for await (const member of membersOf(means, options, file, bytes)) {
    const { where, name } = member
    if (options.format === 'parquet')
      await reader
        .typed(await parquetTexts(means.duck, where, name, await member.path(), columns))
        .catch(asBad(where))
    else if (options.format === 'arrow')
      for await (const path of arrowParquet(where, member.bytes(), means.folder))
        await reader.typed(await parquetTexts(means.duck, where, name, path, columns))
    else {
      const format = options as TextFormat
      const text = await openText(
        where,
        member.bytes(),
        format,
        columns.map(column => column.name),
      )
      if (text) await reader.text(text, name)
    }
  }
}

// What DuckDB cannot read of a Parquet file is the file's fault; a value that does not fit is said by its own code.
function asBad(where: string) {
  return (cause: unknown) => {
    if (!(cause instanceof EngineError) || cause.code === 'DECODE_FAILED') throw cause
    throw new BadFile('DECODE_FAILED', `${where}: is not a readable Parquet file: ${cause.message}`, {
      cause,
    })
  }
}

/** One unpacked file. */
export interface Unpacked {
  /** For messages: `drops a.zip b.csv`. */
  where: string
  name: string
  bytes(): AsyncGenerator<Buffer>
  /** Path of the unpacked bytes on this machine, until the next one. */
  path(): Promise<string>
}

/** The unpacked files that a file holds: itself, or those of a zip archive. */
export async function* membersOf(
  { store, folder }: Pick<Means, 'store' | 'folder'>,
  options: DropOptions,
  file: Taken,
  bytes: () => AsyncGenerator<Buffer>,
): AsyncGenerator<Unpacked> {
  const where = `${store.name} ${shown(file.name)}`
  const limits = { most: options.max_unpacked, ratio: options.max_ratio }
  const compression = options.compression === 'auto' ? compressionOf(file.name) : options.compression
  const stored = async (name: string, content: AsyncGenerator<Buffer>) => {
    const path = join(folder, name)
    await pipeline(content, createWriteStream(path))
    return path
  }
  const onDisk = async () => store.path?.(file) ?? stored('packed', bytes())
  if (compression !== 'zip') {
    const unpacked = () => unpack(where, bytes(), compression, limits)
    const path = () => (compression === 'none' ? onDisk() : stored('unpacked', unpacked()))
    yield { where, name: shown(file.name), bytes: unpacked, path }
    return
  }
  for await (const member of zipMembers(where, await onDisk(), limits)) {
    const path = () => stored('member', member.bytes())
    const named = `${shown(file.name)} ${shown(member.name)}`
    yield { where: `${store.name} ${named}`, name: named, bytes: member.bytes, path }
  }
}

async function unchanged(store: DropStore, file: Taken): Promise<void> {
  // With an etag the store itself refuses to give another content.
  if (file.etag !== undefined) return
  const now = await store.stat(file.name)
  if (now?.size === file.size && now.mtime === file.mtime) return
  throw new EngineError('CONNECTION_LOST', `${store.name}: ${shown(file.name)} changed while it was read`, {
    hint: 'Set settle: or marker: so that files still being written are left alone.',
  })
}
