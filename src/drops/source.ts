import type {
  ExtractSpec,
  LastRead,
  Range,
  Read,
  Snapshot,
  Source,
  TableSchema,
} from '../../engine/contracts/source.ts'
import { EngineError, unless } from '../../engine/errors.ts'
import { declaredTable } from '../connectors/declare/declared.ts'
import { withFileColumn } from '../formats/column.ts'
import type { FileHead } from '../formats/dialect.ts'
import { type Beside, clearTaken } from './after.ts'
import type { Aside } from './aside.ts'
import type { DropCursor, Taken } from './cursor.ts'
import { literalGlob } from './glob.ts'
import { headsOf } from './heads.ts'
import { inferColumns } from './infer.ts'
import type { DropLaneDescriptor, FileChunk } from './lane.ts'
import { conflict, type DropOptions } from './options.ts'
import { type SampleRows, sampleRows } from './sample.ts'
import { goodFiles, select, shown } from './select.ts'
import { Spool, type Told } from './spool.ts'
import type { DropStore, Entry } from './store.ts'

/** Bytes of small files that a lane reads at a time, and how many files at most. */
const CHUNK = { bytes: 64 * 1024 * 1024, files: 1000 }

/** What a connector whose files a store gives says of itself. */
export interface DropAccess<Access> {
  /** URL of the module whose `openLane` reads with this access. */
  module: string
  access: Access
  openStore(access: Access): DropStore
  /** The extracts that the job has of the drop, with their keys. */
  extracts?: { name: string; options: object }[] | undefined
}

/** A drop of files as a source. */
export class DropSource<Access> implements Source {
  private readonly drop: DropAccess<Access>
  private readonly store: DropStore

  constructor(drop: DropAccess<Access>) {
    this.drop = drop
    this.store = drop.openStore(drop.access)
  }

  probe(signal: AbortSignal): Promise<void> {
    return this.store.probe(signal)
  }

  async describe(extract: ExtractSpec, signal: AbortSignal, last?: LastRead): Promise<TableSchema> {
    const options = this.asked(extract)
    const where = `${extract.from}.${extract.name}`
    const wrong = conflict(options)
    if (wrong) throw new EngineError('CONFIG_INVALID', `${where}: ${wrong}`)
    const accumulates = options.after === 'keep' ? ('kept' as const) : ('cleared' as const)
    const kind = { rejects: true, ...(options.take === 'new' && { accumulates }) }
    if (options.schema) {
      const declared = declaredTable(where, options.schema)
      const optional = extract.drift?.dropped === 'ignore' || extract.drift?.dropped === 'evolve'
      const columns = declared.columns.map(column => withFileColumn(column, { optional }))
      return { ...declared, columns, ...kind }
    }
    const taken = options.take === 'new' ? ((await last?.cursor()) as DropCursor | undefined) : undefined
    const columns = await inferColumns(
      this.store,
      { ...extract, options },
      taken ?? { taken: [] },
      last,
      signal,
    )
    return { columns, key: [], ...kind }
  }

  /** What was typed for files, as a glob: a file that is called so is meant itself, whatever else it would match as one. */
  async globOf(typed: string): Promise<string> {
    const literal = literalGlob(typed)
    if (literal === typed) return typed
    // What may not be looked at under that name is none that is meant.
    const file = await unless('PERMISSION_DENIED', () => this.store.stat(typed))
    return file ? literal : typed
  }

  /** How the first files begin that these options name. */
  heads(options: DropOptions, signal: AbortSignal): AsyncGenerator<FileHead> {
    return headsOf(this.store, options, signal)
  }

  /** The first rows of the first file that these options name; undefined where it is too large to be fetched for that. */
  sample(options: DropOptions, count: number, signal: AbortSignal): Promise<SampleRows | undefined> {
    return sampleRows(this.store, options, count, signal)
  }

  /** All files that these options name, in the order that they are read; refused or bad ones not. */
  async matching(options: DropOptions, signal: AbortSignal): Promise<Taken[]> {
    await this.store.probe(signal)
    return goodFiles(this.store, options, signal)
  }

  /** All files below the drop. */
  async *entries(signal: AbortSignal): AsyncGenerator<Entry> {
    await this.store.probe(signal)
    for await (const entry of this.store.list('', true)) {
      signal.throwIfAborted()
      if (entry.passed === undefined) yield entry
    }
  }

  async open(lanes: number, signal: AbortSignal): Promise<Snapshot> {
    await this.store.probe(signal)
    const spool = new Spool()
    const day = new Date().toISOString().slice(0, 10)
    const descriptor: DropLaneDescriptor<Access> = { access: this.drop.access, spool: spool.folder }
    const selected = new Map<string, { files: Taken[]; notes: string[] }>()
    return {
      lanes,
      lane: { module: this.drop.module, payload: descriptor },
      rejoinable: false,
      joined: async () => {},
      split: async () => undefined,
      check: async () => {},
      ranges: async read => {
        const selection = await select(this.store, read.where, this.asked(read), cursorOf(read), day, signal)
        selected.set(read.extract, selection)
        return rangesOf(selection.files, lanes)
      },
      cursor: async read => {
        const { files, notes } = selected.get(read.extract)!
        const told = spool.told(read.extract)
        const by = (kind: Told['kind']) =>
          new Map(told.flatMap(each => (each.kind === kind ? [[each.name, each.text]] : [])))
        const [bad, unopened] = [by('bad'), by('unopened')]
        const taken = files
          .filter(({ name }) => !unopened.has(name))
          .map(file => (bad.has(file.name) ? { ...file, bad: bad.get(file.name)! } : file))
        const said = files.flatMap(({ name }) =>
          bad.has(name)
            ? [`${shown(name)} is bad and left where it is: ${bad.get(name)}`]
            : unopened.has(name)
              ? [`${shown(name)} cannot be opened, and is tried again by the next run: ${unopened.get(name)}`]
              : [],
        )
        const earlier = (read.options as DropOptions).take === 'new' ? cursorOf(read).taken : []
        const cursor: DropCursor = { taken: [...earlier, ...taken] }
        return { cursor, notes: [...notes, ...said, ...notesOf(told)] }
      },
      close: async () => spool.remove(),
    }
  }

  async acknowledge(
    read: Read,
    cursor: unknown,
    _signal: AbortSignal,
    others: { options: object; cursor: unknown }[],
  ): Promise<string[]> {
    return clearTaken(this.store, read.where, this.asked(read), cursor as DropCursor, others as Beside[])
  }

  private asked({ options }: Pick<Read, 'options'>): DropOptions {
    const aside = this.drop.extracts?.flatMap(({ name, options }): Aside[] => {
      const { to, after } = options as DropOptions
      return to === undefined ? [] : [{ folder: to, extract: name, byDay: after === 'archive' }]
    })
    return { ...(options as DropOptions), ...(aside && { aside }) }
  }

  close(): Promise<void> {
    return this.store.close()
  }
}

/** What lanes noted of files, the same of many once. */
function notesOf(told: Told[]): string[] {
  const groups = Map.groupBy(
    told.filter(({ kind }) => kind === 'note').toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    ({ text }) => text,
  )
  return [...groups].map(([text, files]) => {
    const more = files.length > 1 ? ` (and so ${files.length - 1} more)` : ''
    return `${shown(files[0]!.name)} ${text}${more}`
  })
}

function cursorOf(read: Read): DropCursor {
  return (read.cursor as DropCursor | undefined) ?? { taken: [] }
}

/** Files in order, small ones together, with work for every lane. */
function rangesOf(files: Taken[], lanes: number): Range[] {
  const total = files.reduce((sum, { size }) => sum + size, 0)
  const bytes = Math.min(CHUNK.bytes, total / (lanes * 4))
  const most = Math.min(CHUNK.files, Math.ceil(files.length / (lanes * 4)))
  const chunks: Taken[][] = []
  let size = Number.POSITIVE_INFINITY
  for (const file of files) {
    const last = chunks.at(-1)
    if (!last || size + file.size > bytes || last.length >= most) {
      chunks.push([file])
      size = file.size
    } else {
      last.push(file)
      size += file.size
    }
  }
  const threads = Math.max(1, Math.floor(lanes / chunks.length))
  return chunks.map(group => {
    const more = group.length > 1 ? ` and ${group.length - 1} more` : ''
    const payload: FileChunk = { files: group, threads }
    return { label: `${shown(group[0]!.name)}${more}`, payload }
  })
}
