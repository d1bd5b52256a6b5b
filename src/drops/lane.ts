import { constants, copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { REJECTED } from '../../engine/batch/builder.ts'
import type { Lane, Range, Read, Sink } from '../../engine/contracts/source.ts'
import { EngineError } from '../../engine/errors.ts'
import { abortable } from '../../engine/pool/abortable.ts'
import { Duck } from '../../engine/sql/duckdb.ts'
import { BadFile, UnopenedFile } from '../formats/bad.ts'
import { fileColumn } from '../formats/column.ts'
import { ReadMemory } from '../formats/memory.ts'
import { offsetNotes } from '../formats/notes.ts'
import { asBad, openParquet, parquetNotes, parquetTexts, readablePaths } from '../formats/parquet.ts'
import { mayStand, stands } from '../formats/parquetStands.ts'
import { arrowParquet, checkNested } from '../formats/reader.ts'
import { RowReader } from '../formats/rowReader.ts'
import { openText } from '../formats/textFile.ts'
import { styleOf } from '../formats/textFormat.ts'
import type { Taken } from './cursor.ts'
import { membersOf } from './members.ts'
import { type DropOptions, textFormat } from './options.ts'
import { prefetched } from './ranged.ts'
import { shown } from './select.ts'
import { type Told, tell } from './spool.ts'
import type { DropStore } from './store.ts'

/** Files that a lane reads one after another. */
export interface FileChunk {
  files: Taken[]
  /** Threads that look a file over, where lanes have nothing else to do. */
  threads: number
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
    const duck = await Duck.open({ threads: 1 })
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
  const { files, threads } = range.payload as FileChunk
  const memory = new ReadMemory(means.duck, read.limits)
  const told: Told[] = []
  const reader = new RowReader(means.duck, memory, means.store.name, read.columns, means.folder, sink)
  for await (const { file, bytes } of prefetched(means.store, files)) {
    try {
      if (file.bad !== undefined) throw new BadFile('PERMISSION_DENIED', file.bad)
      await reader.file(shown(file.name), async () => {
        const notes = await readFile({ ...means, memory, threads }, read, options, file, bytes, reader)
        await unchanged(means.store, file)
        for (const text of notes) told.push({ kind: 'note', name: file.name, text })
      })
    } catch (error) {
      if (!(error instanceof BadFile) || options.on_bad_file === 'fail') throw error
      reader.reject(shown(file.name), error.message)
      const kind = error instanceof UnopenedFile ? 'unopened' : 'bad'
      told.push({ kind, name: file.name, text: error.message })
    }
  }
  await reader.end()
  tell(means.spool, { extract: read.extract, first: files[0]!.name, told })
}

async function readFile(
  means: Means & { memory: ReadMemory; threads: number },
  read: Read,
  options: DropOptions,
  file: Taken,
  bytes: () => AsyncGenerator<Buffer>,
  reader: RowReader,
): Promise<string[]> {
  const columns = read.columns.filter(({ name }) => name !== REJECTED)
  const names = columns.map(({ name }) => name)
  const optional = columns.filter(column => fileColumn(column).optional).map(({ name }) => name)
  const notes: string[] = []
  const limits = { bytes: read.limits.bytes, threads: means.threads }
  for await (const member of membersOf(means, options, file, bytes)) {
    const { where, name, format } = member
    const typed = async (found: string) => {
      const footer = mayStand(found, columns)
      // What is looked at is what is staged, whatever becomes of the file meanwhile.
      const path = footer ? ownCopy(found, means.folder) : found
      const parquet = await openParquet(means.duck, where, name, path)
      const texts = await parquetTexts(parquet, columns, optional, means.folder)
      notes.push(...parquetNotes(parquet, names, optional))
      const look = () => stands(means.duck, parquet, footer!, columns, limits)
      try {
        if (footer && (await means.memory.run(where, look))) return await reader.staged(path)
        await reader.typed(texts)
      } catch (cause) {
        throw asBad(where, cause)
      }
      const nested = [...parquet.columns.values()].flatMap(column => (column.nested ? [column.name] : []))
      if (nested.length > 0) await checkNested(where, path, nested)
    }
    if (format === 'parquet')
      for await (const path of readablePaths(means.duck, where, await member.path(), means.folder, names))
        await typed(path)
    else if (format === 'arrow')
      for await (const path of arrowParquet(where, await member.path(), means.folder)) await typed(path)
    else {
      const how = textFormat(options, format)
      const text = await openText(where, member.bytes(), how, { names, optional })
      if (!text) continue
      await reader.text(text, name, styleOf(how))
      const found = text.found()
      const own = columns.filter(column => found.names.includes(column.name))
      notes.push(...found.notes, ...offsetNotes(how.timestamp_format, own))
    }
  }
  return [...new Set(notes)]
}

/** A file of the lane's own: it shares the other's blocks where the file system can. */
function ownCopy(path: string, folder: string): string {
  if (dirname(path) === folder) return path
  const own = join(folder, 'copied')
  copyFileSync(path, own, constants.COPYFILE_FICLONE)
  return own
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
